"""A threshold that leaves nothing is refused before the scoring where lengths say so, else right after it."""

import re
import warnings
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.system.errors import InputError
from rabc.weighting import schemes
from rabc.weighting.deltas import chunk_deltas
from rabc.weighting.enough import LEAST_SHARE, check_left, check_thresholds

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
        (LONG, {"scheme": "rabc", "min_delta": 3.0}),  # nor does this
        ([21] * 5, {"scheme": "mask", "min_delta": 1.01}),  # a hundredth more than the 1 that it gains
        ([21] * 5, {"scheme": "rabc", "kappa": 1.01}),
        (LONG, {"scheme": "rabc"}),
        ([], {"scheme": "mask", "min_delta": 0.2}),
    ],
)
def test_nothing_is_said_of_a_threshold_that_fits(length: Any, weights: dict[str, Any]) -> None:
    chunk = 20 if 21 in length else CHUNK
    assert thresholds(length, ONE_TASK[: len(length)], chunk, **weights) == []


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


def test_a_threshold_out_of_reach_is_named_with_what_is_in_reach() -> None:
    task = np.array([0, 0, 0, 1, 1])
    with pytest.raises(InputError) as refused:
        thresholds([900, 900, 900, 450, 450], task, scheme="mask", min_delta=0.2)
    assert str(refused.value) == (
        "weights.min_delta 0.2: a demonstration of 900 frames, the median of its task, that advances evenly "
        "gains 0.11 over a chunk of 100, so that perfect ones would be left out; give null, which is half of "
        "that, or at most 0.11"
    )
    said = thresholds([900, 900, 900, 450, 450], task, scheme="rabc", kappa=0.12)
    # 100 of 899 and of 449 steps; the second task is twice as fast as is usual.
    assert said == [
        f"weights.kappa 0.12: a demonstration of {frames} frames, the median of its task, that advances "
        f"evenly gains {gained} over a chunk of 100; hardly a frame has full weight, give at most 0.11 for "
        "that"
        for frames, gained in ((900, "0.11"), (450, "0.22"))
    ]


@pytest.mark.parametrize(
    ("frames", "chunk", "horizon", "most"),
    [
        (101, 20, "per_step", 0.2),
        (101, 150, "per_step", 1.5),  # as an episode of 200 frames would
        (101, 500, "per_step", 2.0),
        (101, 150, "clamped", 1.0),
        (2, 1, "per_step", 1.0),
        (1, 20, "per_step", 2.0),
        (1, 20, "clamped", 1.0),
    ],
)
def test_what_an_even_demonstration_gains_is_in_reach_and_a_little_more_is_not(
    frames: int, chunk: int, horizon: str, most: float
) -> None:
    """That is what every chunk of it gains, or the first."""
    if frames > 1:
        even = np.linspace(0, 1, frames)
        gained = chunk_deltas(even, np.zeros(frames, np.int64), chunk, horizon)  # pyright: ignore[reportArgumentType]
        assert gained[0] == pytest.approx(most)
    for scheme, key in (("mask", "min_delta"), ("rabc", "kappa")):
        given = {"scheme": scheme, "horizon": horizon}
        assert thresholds([frames] * 3, ONE_TASK[:3], chunk, **given, **{key: 1.009 * most}) == []
        if scheme == "rabc":
            assert len(thresholds([frames] * 3, ONE_TASK[:3], chunk, **given, **{key: 1.011 * most})) == 1
            continue
        with pytest.raises(InputError, match=r"the median, that"):
            thresholds([frames] * 3, ONE_TASK[:3], chunk, **given, **{key: 1.011 * most})


@pytest.mark.parametrize(
    ("frames", "chunk", "most"),
    [(8, 1, "0.14"), (1001, 1, "0.001"), (1001, 7, "0.007"), (4, 5, "1.6"), (81, 1, "0.012")],
)
def test_what_is_proposed_is_rounded_down_to_two_digits(frames: int, chunk: int, most: str) -> None:
    """1 / 7 = 0.1429, 1 / 1000, 7 / 1000, 5 / 3 and 1 / 80 = 0.0125 steps."""
    with pytest.raises(InputError, match=f" or at most {most}$"):
        thresholds([frames] * 5, ONE_TASK, chunk, scheme="mask", min_delta=3.0)


def left(share: float, deltas: Any = (), final: Any = (), frames: int = 1000, **weights: Any) -> list[str]:
    """Of frames of which `share` have a weight, all the same."""
    some = np.where(np.arange(frames) < round(share * frames), 7.0, 0.0)
    with warnings.catch_warnings(action="error"):
        return check_left(WeightsConfig(**weights), some, np.asarray(deltas), np.asarray(final))


DELTAS = np.linspace(0, 1, 101) ** 2
GAINS = "half of the frames gain 0.25 and more over a chunk, a tenth 0.81"
FINAL = [0.1, 0.2, 0.35, 0.8, 0.9]


@pytest.mark.parametrize(
    ("weights", "key", "remedy"),
    [
        ({"scheme": "mask", "min_delta": 0.3}, "min_delta 0.3", f"{GAINS}: give less, or check the scorer"),
        ({"scheme": "mask", "min_delta": None}, "min_delta null", f"{GAINS}: give less, or check the scorer"),
        ({"scheme": "rabc"}, "kappa 0.01", f"{GAINS}: check the scorer, or take another scheme"),
        ({"scheme": "awr", "beta": 0.5}, "beta 0.5", "give a larger one"),
        ({"scheme": "topreward"}, "tau 2.0", f"{GAINS}: check the scorer"),
        (
            {"scheme": "filter", "drop_below": 0.5},
            "drop_below 0.5",
            "half of the episodes end at 0.35 and more, the best at 0.9: give less, or weights.drop_share "
            "instead",
        ),
    ],
)
def test_what_is_left_is_said_with_the_key_that_decides(weights: Any, key: str, remedy: str) -> None:
    assert left(0.15, DELTAS, FINAL, **weights) == []
    assert left(0.149, DELTAS, FINAL, **weights) == [
        f"weights.{key}: the weights are worth 14.9 % of the frames; for more, {remedy}"
    ]
    assert left(0.05, DELTAS, FINAL, **weights)[0].startswith(f"weights.{key}: the weights are worth 5.0 %")
    for share, much in ((0.049, "the weights are worth 4.9 % of the frames"), (0, "no frame has a weight")):
        with pytest.raises(InputError) as refused:
            left(share, DELTAS, FINAL, **weights)
        assert str(refused.value) == (
            f"weights.{key}: {much} (of 1000), which is too little to learn from; {remedy}"
        )


@pytest.mark.parametrize(
    "weights",
    [{"scheme": "none"}, {"scheme": "static"}, {"scheme": "filter"}, {"scheme": "filter", "drop": "frames"}],
)
def test_what_was_asked_for_is_not_too_little(weights: Any) -> None:
    assert left(0.001, DELTAS, FINAL, **weights) == []


def test_of_no_frames_nothing_is_said() -> None:
    assert left(0, frames=0, scheme="awr") == []


def test_what_is_left_is_the_effective_sample_size() -> None:
    """Kish's, whatever the scale of the weights, also where their squares are no numbers any more."""
    weights = np.random.default_rng(0).exponential(size=400) ** 6
    share = weights.sum() ** 2 / (weights**2).sum() / 400
    assert share < LEAST_SHARE
    for scale in (1.0, 1e200, 1e-200):
        with pytest.raises(InputError, match=f"worth {100 * share:.1f} % of the frames"):
            check_left(WeightsConfig(scheme="awr"), weights * scale, np.zeros(400), np.zeros(1))
