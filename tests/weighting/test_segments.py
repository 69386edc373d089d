"""What was left out, as segments: by hand, and by what every choice of weights has in common."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.weighting.deltas import chunk_deltas, episode_bounds, frames_before, pace
from rabc.weighting.schemes import mask
from rabc.weighting.segments import (
    REASONS,
    STILL,
    Reason,
    Segment,
    pictured,
    reason_of,
    runs,
    segments,
    shown_episodes,
)

SPAN, BEFORE = 10, 5
EVEN = 0.02
"""Even pace of a demonstration of 50 frames, for a frame."""


def of(progress: NDArray[np.float64], start: int, stop: int, length: float = 50) -> tuple[Reason, float]:
    return reason_of(progress, start, stop, SPAN, BEFORE, length)


def path(*legs: tuple[int, float], begin: float = 0.0) -> NDArray[np.float64]:
    """Progress that goes on `frames` frames at a multiple of the even pace, leg after leg."""
    steps = np.concatenate([np.full(frames, multiple * EVEN) for frames, multiple in legs])
    return begin + np.r_[0.0, np.cumsum(steps)]


def test_reasons_by_hand() -> None:
    # 20 frames at the even pace, 20 without any, and 30 at the even pace: ends at 1.
    stalled = path((20, 1), (20, 0), (30, 1))
    assert of(stalled, 25, 35) == ("stall", 0.0)
    reason, rate = of(stalled, 20, 40)
    assert reason == "stall"  # the windows at its edges gain a little outside of it
    assert rate == pytest.approx((sum(range(1, 6)) + sum(range(1, 5))) / (20 * SPAN))
    assert of(path((20, 1), (20, -0.5), (40, 1)), 25, 35) == ("setback", pytest.approx(-0.5))
    assert of(path((20, 1), (20, 0.4), (30, 1)), 25, 35) == ("slow", pytest.approx(0.4))
    assert of(path((20, 1), (20, 1), (30, 1)), 25, 35) == ("outranked", pytest.approx(1))
    assert of(path((50, 1), (20, 0)), 56, 71) == ("tail", 0.0)
    assert of(path((20, 1), (40, 0)), 26, 61) == ("failed", 0.0)
    # It falls and stays below half; that it fell is less to know than that it failed.
    assert of(path((30, 1), (20, -1.2), (20, 0)), 31, 71)[0] == "failed"
    # It falls and stays above half.
    assert of(path((50, 1), (20, -1)), 56, 71)[0] == "setback"


def test_an_episode_that_fails_has_other_reasons_before_its_end() -> None:
    failing = path((20, 0), (15, 1), (40, 0))
    assert of(failing, 0, 15) == ("stall", 0.0)
    assert of(failing, 40, 60)[0] == "failed"  # not its end, but nothing comes after it
    assert of(failing, 0, 76)[0] == "failed"  # left out whole
    noisy = failing.copy()
    noisy[70] += 0.1
    assert of(noisy, 40, 60)[0] == "stall"
    assert of(noisy, 40, 76)[0] == "failed"
    ends_at_half = path((25, 1), (30, 0))
    assert ends_at_half[-1] == pytest.approx(0.5)
    assert of(ends_at_half + 1e-9, 35, 56)[0] == "tail"
    assert of(ends_at_half - 1e-9, 35, 56)[0] == "failed"


def test_the_edges_of_the_reasons() -> None:
    for multiple, below, above in (
        (-STILL, "setback", "stall"),
        (STILL, "stall", "slow"),
        (1, "slow", "outranked"),
    ):
        for change, expected in ((-1e-6, below), (1e-6, above)):
            assert of(path((60, multiple + change), (60, 3), begin=1), 20, 30)[0] == expected
    # A rise of a fifth of what ten frames make evenly is none.
    for rise, expected in ((0.199, "tail"), (0.201, "stall")):
        late = path((50, 1), (40, 0))
        late[-1] += rise * SPAN * EVEN
        assert of(late, 60, 75)[0] == expected


def test_nothing_is_added_past_the_ends_of_an_episode() -> None:
    """A window half outside judges by what lies inside."""
    assert of(path((10, 0), (60, 1)), 0, 5) == ("stall", 0.0)
    assert of(path((60, 1), (10, 0)), 66, 71) == ("tail", 0.0)
    assert of(path((60, 0.5), (10, 3)), 0, 2) == ("slow", pytest.approx(0.5))
    assert of(np.array([0.7]), 0, 1) == ("tail", 0.0)
    assert of(np.array([0.2]), 0, 1) == ("failed", 0.0)


def test_a_chunk_judges_by_what_lies_ahead() -> None:
    progress = path((30, 1), (20, 0))
    assert reason_of(progress, 28, 40, 10, 0, 50)[0] == "tail"  # the first window's middle is frame 33
    assert reason_of(progress, 20, 40, 10, 5, 50)[0] == "slow"  # frame 20 still rises


progresses = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(0, 1))


@given(progresses, st.data())
def test_every_segment_has_one_reason_and_what_it_says_holds(
    progress: NDArray[np.float64], data: Any
) -> None:
    start = data.draw(st.integers(0, len(progress) - 1))
    stop = data.draw(st.integers(start + 1, len(progress)))
    span = data.draw(st.integers(1, 50))
    before = data.draw(st.sampled_from([0, span // 2]))
    length = data.draw(st.floats(1, 100))
    reason, rate = reason_of(progress, start, stop, span, before, length)
    last = len(progress) - 1
    gained = covered = 0
    for frame in range(start, stop):
        first, end = min(max(frame - before, 0), last), min(max(frame - before + span, 0), last)
        gained, covered = gained + progress[end] - progress[first], covered + end - first
    assert rate == pytest.approx(gained / max(covered, 1) * length, abs=1e-9)
    assert reason in REASONS
    match reason:
        case "failed":
            assert progress[-1] < 0.5
        case "setback":
            assert rate < -STILL
        case "tail":
            assert rate >= -STILL
            assert progress[-1] - progress[stop - 1] <= STILL * span / length + 1e-12
        case "stall":
            assert abs(rate) <= STILL
        case "slow":
            assert STILL < rate < 1
        case _:
            assert rate >= 1
    if progress[-1] < 0.5 and stop == len(progress):
        assert reason == "failed"


@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 0.5, 2.0])),
    st.integers(1, 20),
    st.booleans(),
)
def test_segments_are_the_zeros_of_each_episode(weights: NDArray[np.float64], size: int, known: bool) -> None:
    episode = np.arange(len(weights)) // size
    selected = episode != 1
    progress = np.linspace(0, 1, len(weights)) if known else None
    lengths = np.full(len(weights), float(size))
    found = segments(weights, episode, selected, lengths, 4, 2, progress)
    left = np.zeros(len(weights), bool)
    bounds = episode_bounds(episode)
    for one in found:
        start, stop = bounds[one.episode_index]
        assert 0 <= one.start < one.stop <= stop - start
        assert not left[start + one.start : start + one.stop].any()
        left[start + one.start : start + one.stop] = True
        # As long as can be: what lies beside it is not left out.
        for beside in (one.start - 1, one.stop):
            assert not 0 <= beside < stop - start or weights[start + beside] > 0
        if progress is None:
            assert (one.reason, one.before, one.after, one.rate) == ("given", None, None, None)
        else:
            assert one.reason != "given"
            assert one.before == progress[start + one.start]
            assert one.after == progress[start + one.stop - 1]
    assert np.array_equal(left, (weights == 0) & selected)
    assert [(one.episode_index, one.start) for one in found] == sorted(
        (one.episode_index, one.start) for one in found
    )


def test_runs_by_hand() -> None:
    assert runs(np.array([True, True, False, True])) == [(0, 2), (3, 4)]
    assert runs(np.array([False, False])) == []
    assert runs(np.empty(0, bool)) == []


def test_each_segment_is_held_against_its_own_task_and_episode() -> None:
    progress = np.r_[np.linspace(0, 1, 21), np.linspace(0, 1, 61)]
    episode = np.repeat([3, 5], [21, 61])
    weights = np.ones(82)
    weights[8:12] = weights[50:54] = 0
    lengths = np.repeat([20.0, 60.0], [21, 61])
    found = segments(weights, episode, np.ones(82, bool), lengths, 4, 2, progress)
    assert [(one.episode_index, one.start, one.stop) for one in found] == [(3, 8, 12), (5, 29, 33)]
    assert [one.rate for one in found] == [pytest.approx(1), pytest.approx(1)]
    slow = segments(weights, episode, np.ones(82, bool), np.full(82, 20.0), 4, 2, progress)
    assert (slow[1].reason, slow[1].rate) == ("slow", pytest.approx(1 / 3))


@pytest.mark.parametrize("apply", ["loss", "ticks"])
def test_what_is_left_out_for_half_the_pace_is_never_outranked_in_the_middle(apply: Any) -> None:
    """As by scheme `mask` with `min_delta` null: less than half an even pace, and so the reasons say."""
    random = np.random.default_rng(0)
    episode = np.repeat(np.arange(20), 60)
    steps = random.choice([-2.0, 0.0, 0.3, 1.0, 2.0, 2.0], (20, 6)).repeat(10, axis=1) / 60
    progress = (np.cumsum(steps, axis=1) + 0.5).ravel()
    before = frames_before(WeightsConfig(apply=apply), SPAN)
    deltas = chunk_deltas(progress, episode, SPAN, "clamped", before)
    kept = mask(deltas, pace(episode, SPAN) / 2)
    found = segments(
        kept, episode, np.ones(len(kept), bool), np.full(len(kept), 60.0), SPAN, before, progress
    )
    inside = [one for one in found if one.start >= SPAN and one.stop <= 60 - SPAN]
    assert {one.reason for one in inside} >= {"stall", "setback", "slow"}
    assert max(one.rate or 0 for one in inside) < 0.5


def made(episode: int, frames: int, reason: Reason = "stall", start: int = 0) -> Segment:
    return Segment(episode, start, start + frames, reason)


def test_episodes_of_each_task_and_reason_are_shown() -> None:
    task = np.array([0, 0, 0, 1, 0, 0])
    found = [
        made(0, 9, "failed"), made(1, 50, "failed"), made(2, 40, "failed"), made(3, 2, "failed"),
        made(4, 3), made(4, 4, start=9), made(5, 6), made(5, 1, "slow", 8),
    ]  # fmt: skip
    assert shown_episodes(found, task, 8) == [1, 2, 0, 4, 5, 3]
    assert shown_episodes(found, task, 1) == [1]
    assert shown_episodes(found, task, 2) == [1, 3]  # one of each task
    assert shown_episodes(found, task, 3) == [1, 4, 3]  # and of each reason
    assert shown_episodes(found, task, 4) == [1, 4, 5, 3]
    assert shown_episodes(found, task, 5) == [1, 2, 4, 5, 3]  # then the second failed one
    assert shown_episodes([], task, 8) == []
    assert shown_episodes([made(4, 1), made(2, 1)], task, 8) == [2, 4]


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 9), st.sampled_from(list(REASONS)))),
    hnp.arrays(np.int64, 10, elements=st.integers(0, 3)),
    st.integers(0, 12),
)
def test_of_what_is_shown_most_is_left_out(
    parts: list[tuple[int, int, Reason]], task: NDArray[np.int64], count: int
) -> None:
    found = [made(episode, frames, reason) for episode, frames, reason in parts]
    chosen = shown_episodes(found, task, count)
    left = {number: sum(one.frames for one in found if one.episode_index == number) for number in range(10)}
    there = [number for number in left if left[number]]
    assert len(chosen) == len(set(chosen)) == min(count, len(there))
    assert set(chosen) <= set(there)
    assert [left[one] for one in chosen] == sorted((left[one] for one in chosen), reverse=True)
    if there and count:
        assert left[chosen[0]] == max(left.values())
    tasks = {int(task[one]) for one in there}
    if count >= len(tasks):
        assert {int(task[one]) for one in chosen} == tasks
    reasons = {one.reason for one in found}
    if count >= len(tasks) + len(reasons):
        assert {one.reason for one in found if one.episode_index in chosen} == reasons


def test_a_strip_shows_what_was_left_out() -> None:
    assert pictured(12, [], 3).tolist() == [1, 5, 9]
    assert pictured(12, [made(0, 1, start=3), made(0, 2, start=6)], 3).tolist() == [3, 6, 9]
    assert pictured(12, [made(0, 1), made(0, 2, start=2)], 3).tolist() == [2, 5, 9]  # the longest
    assert pictured(12, [made(0, 6, start=2)], 3).tolist() == [2, 5, 9]  # as far as it lies in the share
    assert pictured(2, [], 12).tolist() == [0, 1]


@given(hnp.arrays(np.bool_, st.integers(1, 90)), st.integers(1, 15))
def test_a_strip_is_a_time_line(left: NDArray[np.bool_], count: int) -> None:
    found = [made(0, stop - start, start=start) for start, stop in runs(left)]
    frames = pictured(len(left), found, count)
    assert len(frames) == min(count, len(left))
    edges = np.linspace(0, len(left), len(frames) + 1).round().astype(int)
    for frame, begin, end in zip(frames, edges[:-1], edges[1:], strict=True):
        assert begin <= frame < end
        assert left[frame] == left[begin:end].any()
