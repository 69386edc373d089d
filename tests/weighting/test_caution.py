"""When the weights say that they suit their data badly."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.weighting.caution import MIN_BEHIND, caution, share_behind
from rabc.weighting.deltas import pace

EPISODES = np.repeat(np.arange(5), [30, 40, 50, 60, 200])
CHUNK = 20


def deltas(behind: float) -> NDArray[np.float64]:
    """Of so large a share of the frames just below half the pace, the others just above."""
    ranks = np.random.default_rng(0).permutation(len(EPISODES))
    return np.where(ranks < round(behind * len(EPISODES)), 0.199, 0.201)


def test_the_pace_is_that_of_the_median_episode() -> None:
    assert pace(EPISODES, CHUNK) == pytest.approx(20 / 50)
    assert pace(EPISODES, 500) == 1.0


def test_awr_on_data_that_hardly_ever_lag_is_warned_of() -> None:
    said = caution(WeightsConfig(scheme="awr"), deltas(0.3), EPISODES, CHUNK)
    assert said == (
        "only 30 % of the frames advance at less than half an even pace, as in demonstrations that are "
        "mostly clean, and awr lowers whatever is below the average; leave weights.scheme out (auto)"
    )


def test_the_share_that_lags_is_said_in_whole_percents() -> None:
    # 149 of 380 frames: 39.2 %.
    said = caution(WeightsConfig(scheme="awr"), deltas(149 / 380), EPISODES, CHUNK)
    assert said is not None
    assert said.startswith("only 39 % of the frames")


@pytest.mark.parametrize("scheme", ["awr", "mask", "rabc", "topreward", "none"])
def test_nothing_is_said_where_many_lag(scheme: Any) -> None:
    assert caution(WeightsConfig(scheme=scheme), deltas(MIN_BEHIND), EPISODES, CHUNK) is None


@pytest.mark.parametrize("scheme", ["mask", "rabc", "topreward", "none"])
def test_no_other_scheme_is_warned_of(scheme: Any) -> None:
    assert caution(WeightsConfig(scheme=scheme), deltas(0.1), EPISODES, CHUNK) is None


def test_weights_from_elsewhere_are_not_judged() -> None:
    assert caution(WeightsConfig(scheme="awr"), None, EPISODES, CHUNK) is None
    assert caution(WeightsConfig(scheme="awr"), np.empty(0), np.empty(0, np.int64), CHUNK) is None


def test_a_frame_at_half_the_pace_is_not_behind() -> None:
    half = np.array([0.25, np.nextafter(0.25, 0), 0.4, 0.0])
    assert share_behind(half, np.zeros(4, np.int64), 2) == 0.5  # two frames of four are a pace of a half


def test_frames_lag_behind_the_pace_of_their_own_task() -> None:
    """A steady slow task is not behind a fast one."""
    episodes, task = np.repeat(np.arange(5), [100, 100, 100, 400, 400]), np.repeat([0, 1], [300, 800])
    steady = np.where(task == 0, 20 / 100, 20 / 400)
    assert share_behind(steady, episodes, CHUNK) == pytest.approx(800 / 1100)
    assert share_behind(steady, episodes, CHUNK, task) == 0
    said = caution(WeightsConfig(scheme="awr"), steady, episodes, CHUNK, task)
    assert said is not None
    assert "only 0 % of the frames" in said
