"""A threshold that leaves nothing is refused before the scoring where lengths say so, else right after it."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.config.training_settings import PolicyConfig
from rabc.system.errors import InputError
from rabc.weighting import schemes
from rabc.weighting.assign import frame_weights
from rabc.weighting.deltas import chunk_deltas
from rabc.weighting.enough import LEAST_SHARE, LITTLE_SHARE, check_thresholds
from tests.weighting.test_unjudged import frame_table

CHUNK = 100
ONE_TASK = np.zeros(5, np.int64)
LONG = np.array([900, 850, 900, 950, 2000])


def thresholds(length: Any = LONG, task: Any = ONE_TASK, chunk: int = CHUNK, **weights: Any) -> list[str]:
    return check_thresholds(WeightsConfig(**weights), np.asarray(length), np.asarray(task), chunk)


def perfect(length: Any, chunk: int, settings: WeightsConfig, task: Any) -> NDArray[np.float64]:
    """Weights of demonstrations that all advance evenly."""
    episode = np.repeat(np.arange(len(length)), length)
    progress = np.concatenate([np.linspace(0, 1, frames) for frames in length]).astype(np.float64)
    deltas = chunk_deltas(progress, episode, chunk, "per_step")
    return schemes.by_scheme(deltas, progress, episode, settings, chunk, np.repeat(task, length))


def test_a_threshold_for_short_demonstrations_is_refused_for_long_ones() -> None:
    with pytest.raises(InputError) as refused:
        thresholds(scheme="mask", min_delta=0.2)
    said = str(refused.value)
    assert said.startswith("weights.min_delta 0.2: a demonstration of 900 frames, the median, that advances")
    assert "gains 0.11 over a chunk of 100" in said
    (most,) = re.findall(r"at most ([\d.]+)$", said)
    # With 0.2 nothing of perfect demonstrations is left, with what is proposed all of them.
    even = np.array([900] * 5)
    assert perfect(even, CHUNK, WeightsConfig(scheme="mask", min_delta=0.2), ONE_TASK).sum() == 0
    assert perfect(even, CHUNK, WeightsConfig(scheme="mask", min_delta=float(most)), ONE_TASK).all()
    assert thresholds(scheme="mask", min_delta=float(most)) == []


@pytest.mark.parametrize(
    ("length", "weights"),
    [
        ([240] * 5, {"scheme": "mask", "min_delta": 0.2}),
        (LONG, {"scheme": "mask", "min_delta": None}),
        (LONG, {"scheme": "mask"}),
        (LONG, {"scheme": "mask", "min_delta": -0.5}),
        ([30] * 5, {"scheme": "mask", "min_delta": 1.0}),  # a chunk is all of it
        (LONG, {"scheme": "awr", "min_delta": 0.2}),  # which does not read it
        (LONG, {"scheme": "rabc"}),
        ([], {"scheme": "mask", "min_delta": 0.2}),
    ],
)
def test_nothing_is_said_of_a_threshold_that_fits(length: Any, weights: dict[str, Any]) -> None:
    assert thresholds(length, ONE_TASK[: len(length)], **weights) == []


def test_the_task_whose_demonstrations_are_shorter_than_a_chunk_is_measured_by_its_own_length() -> None:
    """A threshold grows for a short task, and a chunk can gain no more than all of it, or twice."""
    length, task = np.array([900, 900, 900, 30, 30]), np.array([0, 0, 0, 1, 1])
    settings = WeightsConfig(scheme="mask", min_delta=0.1)
    assert thresholds(length[:3], task[:3], scheme="mask", min_delta=0.1) == []
    assert perfect(length, CHUNK, settings, task)[2700:].sum() == 0  # 0.1 of 900 frames are 3 times 30
    with pytest.raises(InputError, match="of 30 frames, the median of its task") as refused:
        thresholds(length, task, scheme="mask", min_delta=0.1)
    most = float(str(refused.value).rpartition(" ")[2])
    assert perfect(length, CHUNK, replace(settings, min_delta=most), task).all()


def test_a_kappa_out_of_reach_is_said_and_trained_all_the_same() -> None:
    (said,) = thresholds(scheme="rabc", kappa=0.4)
    assert said.startswith("weights.kappa 0.4: a demonstration of 900 frames")
    assert perfect(np.array([900] * 5), CHUNK, WeightsConfig(scheme="rabc", kappa=0.4), ONE_TASK).max() < 1


LENGTHS = (200, 200, 200, 200)
RNG = np.random.default_rng(0)
STEPS = RNG.exponential(size=(4, 200)) ** 2


def weigh(tmp_path: Path, progress: NDArray[np.float64], chunk: int = 20, **weights: Any) -> Any:
    rows = {
        "index": np.arange(800),
        "episode_index": np.repeat(np.arange(4), 200),
        "progress_sparse": progress,
    }
    path = tmp_path / "progress.parquet"
    pd.DataFrame(rows).to_parquet(path)
    settings = WeightsConfig(progress_file=str(path), **weights)
    config = Config(policy=PolicyConfig(chunk_size=chunk, n_action_steps=chunk), weights=settings)
    return frame_weights(config, {}, frame_table(LENGTHS), "x")


def uneven() -> NDArray[np.float64]:
    return np.concatenate([np.cumsum(steps) / steps.sum() for steps in STEPS])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"scheme": "mask", "min_delta": 0.9}, r"^weights.min_delta 0.9: no frame has a weight \(of 800\)"),
        ({"scheme": "mask", "min_delta": 0.26}, r"^weights.min_delta 0.26: .* a tenth 0.\d+: give less"),
        (
            {"scheme": "filter", "drop_below": 1.0, "calibration": "dataset"},
            r"^weights.drop_below 1.0: no frame has a weight .* the best at 0.9: give less",
        ),
        ({"scheme": "awr", "beta": 0.1, "weight_max": 1e12}, r"^weights.beta 0.1: .*; give a larger one"),
    ],
)
def test_what_leaves_too_little_is_refused_with_its_key(
    weights: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        weigh(tmp_path, 0.9 * uneven(), **weights)
    assert "\n" not in str(refused.value)


def test_scores_that_never_rise_are_refused_with_the_scheme_that_finds_nothing_in_them(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"^weights.kappa 0.01: no frame has a weight .* check the scorer"):
        weigh(tmp_path, 1 - uneven(), scheme="rabc")


def test_little_is_said_and_trained(tmp_path: Path) -> None:
    deltas = chunk_deltas(uneven(), np.repeat(np.arange(4), 200), 20, "per_step")
    least = float(np.quantile(deltas, 1 - (LEAST_SHARE + LITTLE_SHARE) / 2))
    made = weigh(tmp_path, uneven(), scheme="mask", min_delta=least)
    (said,) = made.remarks
    assert said.startswith(f"weights.min_delta {least}: the weights are worth 10.0 % of the frames; for more")
    assert made.values.sum() == pytest.approx(800 * 0.1 * made.values.max(), rel=0.02)


def test_a_share_that_was_asked_for_is_left_out_without_a_word(tmp_path: Path) -> None:
    made = weigh(tmp_path, uneven(), scheme="filter", drop="frames", drop_share=0.97)
    assert made.remarks == ()
    assert np.mean(made.values > 0) == pytest.approx(0.03)
