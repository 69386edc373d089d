"""What is usual: where episodes lie, how long they are, how far a chunk of one gets."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.weighting.deltas import (
    chunk_deltas,
    episode_bounds,
    judged_deltas,
    judged_span,
    median_length,
    pace,
)  # fmt: skip


@pytest.mark.parametrize(
    ("episode_index", "bounds"),
    [
        ([], np.empty((0, 2))),
        ([0], [[0, 1]]),
        ([3, 3, 1, 7, 7, 7], [[0, 2], [2, 3], [3, 6]]),
        # One number below the first, or before it, is another episode all the same.
        ([5, 4, 4, 5 + 1], [[0, 1], [1, 3], [3, 4]]),
    ],
)
def test_episodes_lie_between_their_bounds(episode_index: list[int], bounds: list[list[int]]) -> None:
    found = episode_bounds(np.array(episode_index, np.int64))
    assert np.array_equal(found, bounds)
    assert found.shape == (len(bounds), 2)


def test_an_episode_in_two_parts_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^episode_index: the frames of an episode must be contiguous$"):
        episode_bounds(np.array([2, 2, 0, 2]))


def test_the_usual_length_is_the_median() -> None:
    assert median_length(np.repeat([4, 1, 9], [3, 100, 7])) == 7
    assert median_length(np.repeat([4, 1], [3, 8])) == 5.5


def test_the_pace_is_at_most_all_of_the_task() -> None:
    episodes = np.repeat([0, 1, 2], [10, 40, 50])
    assert (pace(episodes, 10), pace(episodes, 40), pace(episodes, 41)) == (0.25, 1, 1)


def by_hand(progress: NDArray[Any], chunk: int, horizon: str, before: int = 0) -> list[float]:
    """Of one episode, frame after frame, as the documentation of `chunk_deltas` has it."""
    last = len(progress) - 1
    found: list[float] = []
    for t in range(last + 1):
        first, end = max(t - before, 0), min(t - before + chunk, last)
        delta = float(progress[end] - progress[first])
        if horizon == "per_step" and last > 0:
            # Steps outside of the episode, of a chunk or of an episode twice as long.
            steps = max(min(chunk, 2 * last) - (end - first), 0)
            delta += steps * float(progress[-1] - progress[0]) / last
        found.append(delta)
    return found


@pytest.mark.parametrize("horizon", ["per_step", "clamped"])
@pytest.mark.parametrize("chunk", [1, 3, 8, 9, 50])
def test_deltas_are_those_of_every_frame_by_itself(horizon: str, chunk: int) -> None:
    lengths = [9, 1, 2, 4, 30]
    progress = np.random.default_rng(chunk).normal(0, 1, sum(lengths))
    episode = np.repeat([8, 2, 5, 0, 3], lengths)
    parts = np.split(progress, np.cumsum(lengths)[:-1])
    expected = [delta for part in parts for delta in by_hand(part, chunk, horizon)]
    assert chunk_deltas(progress, episode, chunk, horizon) == pytest.approx(expected)  # pyright: ignore[reportArgumentType]
    # Lists, and whole numbers, are taken as well.
    whole = np.round(progress * 10).astype(np.int64)
    expected = [
        delta for part in np.split(whole, np.cumsum(lengths)[:-1]) for delta in by_hand(part, chunk, horizon)
    ]
    assert chunk_deltas(whole, episode.tolist(), chunk, horizon) == pytest.approx(expected)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("horizon", ["per_step", "clamped"])
@pytest.mark.parametrize(("chunk", "before"), [(1, 1), (4, 2), (8, 8), (9, 4), (50, 25)])
def test_a_chunk_may_begin_before_its_frame(horizon: str, chunk: int, before: int) -> None:
    lengths = [9, 1, 2, 4, 30]
    progress = np.random.default_rng(chunk).normal(0, 1, sum(lengths))
    episode = np.repeat([8, 2, 5, 0, 3], lengths)
    parts = np.split(progress, np.cumsum(lengths)[:-1])
    expected = [delta for part in parts for delta in by_hand(part, chunk, horizon, before)]
    found = chunk_deltas(progress, episode, chunk, horizon, before)  # pyright: ignore[reportArgumentType]
    assert found == pytest.approx(expected)


@pytest.mark.parametrize("window", [4, 7, 20, 200])
def test_of_a_steady_demonstration_every_window_gains_the_same(window: int) -> None:
    even = np.linspace(0.1, 0.9, 41)
    settings = WeightsConfig(apply="ticks")
    found = judged_deltas(even, np.zeros(41, np.int64), settings, window)
    assert found == pytest.approx(np.full(41, 0.8 * min(window, 80) / 40))


def test_what_judges_a_frame() -> None:
    """The chunk of the policy from there on; of an action, what is around it, whatever the chunk."""
    ticks = WeightsConfig(apply="ticks")
    assert judged_span(WeightsConfig(apply="loss"), 100, 30.0, 300.0) == 100
    assert judged_span(ticks, 100, 30.0, 120.0) == 60  # 2 s
    assert judged_span(ticks, 20, 30.0, 750.0) == 250  # a third of 25 s
    assert judged_span(WeightsConfig(apply="cuts"), 100, 0.1, 3.0) == 2
    progress, episode = np.arange(10.0) ** 2, np.zeros(10, np.int64)
    ahead = judged_deltas(progress, episode, WeightsConfig(apply="loss"), 4)
    around = judged_deltas(progress, episode, WeightsConfig(apply="cuts"), 4)
    assert ahead[3] == 7**2 - 3**2
    assert around[3] == 5**2 - 1**2


def test_progress_that_is_unknown_makes_unknown_deltas() -> None:
    progress, episode = np.array([np.nan, np.nan, 0.2, 0.4]), np.array([0, 0, 1, 1])
    for horizon in ("per_step", "clamped"):
        deltas = chunk_deltas(progress, episode, 2, horizon)
        assert np.isnan(deltas).tolist() == [True, True, False, False]
    with pytest.raises(ValueError, match=r"^progress of episode 0: must be known of all frames or none$"):
        chunk_deltas(np.array([0.1, np.nan]), np.array([0, 0]), 2, "clamped")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"progress": np.zeros((3, 1))}, r"progress \(3, 1\), episode_index \(3,\): must be one \(N,\)"),
        ({"progress": np.zeros(2)}, r"progress \(2,\), episode_index \(3,\): must be one \(N,\)"),
        (
            {"progress": np.zeros((3, 1)), "episode_index": np.zeros((3, 1), np.int64)},
            r"progress .* must be one \(N,\)",
        ),
        ({"progress": np.array([0.0, np.inf, 1.0])}, "progress: must be finite, or NaN where it is unknown"),
        ({"chunk": 0}, "chunk 0: must be at least 1"),
        ({"before": 2}, "before 2: must be from 0 to chunk, 1"),
        ({"before": -1}, "before -1: must be from 0 to chunk, 1"),
        ({"horizon": "half"}, "horizon half: must be per_step or clamped"),
    ],
)
def test_what_makes_no_deltas_is_refused(changes: dict[str, Any], said: str) -> None:
    given: dict[str, Any] = {
        "progress": np.zeros(3), "episode_index": np.zeros(3, np.int64), "chunk": 1, "horizon": "per_step"
    }  # fmt: skip
    assert np.array_equal(chunk_deltas(**given), np.zeros(3))
    with pytest.raises(ValueError, match=f"^{said}$"):
        chunk_deltas(**given | changes)
