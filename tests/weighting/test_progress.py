"""From the scores of episodes to the progress of every frame, episode by episode and task by task."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.scoring.base import PrefixScores
from rabc.scoring.store import EpisodeScores
from rabc.system.errors import InputError
from rabc.weighting import progress
from rabc.weighting.progress import calibrate, joined

SCORES = Path("scores/of")


def scored(number: int, true: list[float], false: list[float], instruction: str = "Pick.") -> EpisodeScores:
    """Of prefixes of 1, 3, 5 ... frames."""
    ends = 2 * np.arange(len(true)) + 1
    return EpisodeScores(
        number, int(ends[-1]), PrefixScores(ends, np.array(true), np.array(false)), instruction
    )


EPISODES = {
    4: scored(4, [-3.0, -1.0, -2.0], [-1.0, -1.0, -4.0]),
    9: scored(9, [-8.0, -6.0], [-0.5, -2.0], "Fold."),
    2: scored(2, [-4.0, -4.0, -3.5], [-2.0, -1.0, -3.0]),
}
STATIC = {
    4: scored(4, [-3.0, -2.5, -2.0], [-1.0, -2.0, -1.0]),
    9: scored(9, [-8.0, -7.5], [-0.5, -1.0]),
    2: scored(2, [-4.0, -3.0, -2.0], [-2.0, -2.0, -2.0]),
}


def at_prefixes(found: dict[int, NDArray[np.float64]]) -> dict[int, list[float]]:
    return {number: values[::2].tolist() for number, values in found.items()}


def test_each_calibration_by_hand() -> None:
    by_episode = at_prefixes(calibrate(EPISODES, "episode", 0.5))
    assert by_episode[4] == pytest.approx([0, 2 / 2.5, 1 / 2.5])
    assert by_episode[2] == pytest.approx([0, 0, 0.5])
    # 5th percentile of -3 and -4, 95th of -1 and -3.5; the other task has its own.
    low, high = -4 + 0.05, -3.5 + 0.95 * 2.5
    by_task = at_prefixes(calibrate(EPISODES, "dataset", 0.5))
    expected = [np.clip((value - low) / (high - low + 0.5), 0, 1) for value in (-3, -1, -2)]
    assert by_task[4] == pytest.approx(expected)
    assert by_task[9] == pytest.approx([0, 2 / 2.5])
    odds = at_prefixes(calibrate(EPISODES, "logodds", 0.5))
    assert odds[4] == pytest.approx([1 / (1 + np.exp(2)), 0.5, 1 / (1 + np.exp(-2))])
    # Between prefixes, in a line.
    assert calibrate(EPISODES, "episode", 0.5)[4] == pytest.approx([0, 0.4, 0.8, 0.6, 0.4])
    assert list(odds) == [4, 9, 2]


def test_what_the_still_picture_rises_by_is_taken_away_first() -> None:
    found = at_prefixes(calibrate(EPISODES, "episode", 0.5, "subtract", STATIC))
    # -3, -1 - 0.5, -2 - 1.
    assert found[4] == pytest.approx([0, 1.5 / 2, 0])
    odds = at_prefixes(calibrate(EPISODES, "logodds", 0.5, "subtract", STATIC))
    # Log odds -2, 0, 2; of the still picture -2, -0.5, -1.
    assert odds[4] == pytest.approx([1 / (1 + np.exp(2)), 1 / (1 + np.exp(1.5)), 1 / (1 + np.exp(-1))])
    # What is not asked for is not read.
    plain = at_prefixes(calibrate(EPISODES, "episode", 0.5, "none", STATIC))
    assert plain == at_prefixes(calibrate(EPISODES, "episode", 0.5))


@pytest.mark.parametrize("static", [None, {4: STATIC[4]}])
def test_a_still_picture_that_was_not_scored_is_named(static: Any) -> None:
    with pytest.raises(InputError) as refused:
        calibrate(EPISODES, "dataset", 1e-6, "subtract", static)
    assert str(refused.value) == (
        f"episode {9 if static else 4}: has no static scores, which weights.length_bias subtract needs; "
        "score the dataset with that setting"
    )


def test_the_progress_of_episodes_is_laid_out_as_their_frames_are() -> None:
    index = np.repeat([7, 0, 3], [2, 3, 1])
    by_episode = {0: np.array([0.1, 0.2, 0.3]), 3: np.array([0.7]), 7: np.array([0.5, 1 / 3])}
    found = joined(by_episode, index, SCORES)
    assert found.dtype == np.float64
    # Rounded as LeRobot's files hold it.
    assert found.tolist() == [float(np.float32(v)) for v in (0.5, 1 / 3, 0.1, 0.2, 0.3, 0.7)]
    without = joined({0: by_episode[0], 3: by_episode[3]}, index, SCORES, [7])
    assert np.isnan(without[:2]).all()
    assert np.array_equal(without[2:], found[2:])


@pytest.mark.parametrize(
    ("by_episode", "has"),
    [({7: np.zeros(2)}, "no scores"), ({7: np.zeros(2), 0: np.zeros(4)}, "scores of 4 frames")],
)
def test_an_episode_without_the_progress_of_its_frames_is_named(by_episode: Any, has: str) -> None:
    with pytest.raises(InputError) as refused:
        joined(by_episode, np.repeat([7, 0], [2, 3]), SCORES)
    assert str(refused.value) == (
        f"scores scores/of: episode 0 has {has}, in the dataset 3 frames; score it with `rabc score` and "
        "this configuration"
    )


def test_a_scale_is_of_the_bounds_and_of_what_guards_the_division() -> None:
    curves = [np.array([-4.0, -2.0, -3.0]), np.array([-4.0, -5.0, -2.0])]
    first, second = progress.dataset_progress(curves, 0.5)
    assert first == pytest.approx([0, 2 / 2.5, 1 / 2.5])
    assert second == pytest.approx([0, 0, 2 / 2.5])
    flat = progress.dataset_progress([np.array([-1.0, -1.0]), np.array([-1.0])], 0.5)
    assert [curve.tolist() for curve in flat] == [[0, 0], [0]]
    # Bounds that are one number leave nothing of a single curve that rises above it.
    *_, odd = progress.dataset_progress([np.array([-1.0])] * 99 + [np.array([-1.0, 5.0])], 0.5)
    assert odd.tolist() == [0, 0]


def test_no_curves_have_no_bounds() -> None:
    with pytest.raises(ValueError, match=r"^no curves$"):
        progress.dataset_bounds([])


def test_curves_of_other_prefixes_are_not_subtracted() -> None:
    with pytest.raises(ValueError, match=r"^curve \(3,\), static curve \(4,\): must be of one shape$"):
        progress.subtract_static(np.zeros(3), np.zeros(4))


def test_prefixes_lie_within_their_episode_from_first_to_last() -> None:
    values = progress.per_frame(np.array([1, 4]), np.array([1.0, 4.0]), 4)
    assert values == pytest.approx([1, 2, 3, 4])
    assert progress.per_frame(np.array([2]), np.array([0.5]), 3).tolist() == [0.5] * 3
    for lengths, numbers, said in (
        ([1, 2], [0.0], r"^2 prefixes, 1 values: must be equal and positive$"),
        ([], [], r"^0 prefixes, 0 values: must be equal and positive$"),
        ([0, 2], [0.0, 1.0], r"^prefix lengths \[0 2\]: must increase within 1\.\.4$"),
        ([1, 5], [0.0, 1.0], r"must increase within 1\.\.4$"),
        ([1, 2, 5], [0.0, 0.5, 1.0], r"must increase within 1\.\.4$"),
        ([2, 2], [0.0, 1.0], r"must increase within 1\.\.4$"),
    ):
        with pytest.raises(ValueError, match=said):
            progress.per_frame(np.array(lengths, np.int64), np.array(numbers), 4)
