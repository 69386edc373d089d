"""Which moments are shown: by hand, and by what every choice of them has in common."""

import warnings

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rabc.weighting.moments import Moment, Moments, moments


def test_moments_by_hand() -> None:
    episode = np.repeat([0, 1, 2], [6, 6, 2])
    values = np.array([1, 5, 5, 0, 1, 1, 1, 1, 4, 1, 1, 0, 1, 1], dtype=np.float64)
    progress, deltas = np.arange(14) / 14, np.zeros(14)
    deltas[2] = 0.7  # of the two frames of weight 5, this one gains more
    found = moments(values, episode, 4, progress, deltas, count=2)
    assert [(m.episode_index, m.frame_index, m.weight) for m in found.up] == [(0, 2, 5.0), (1, 2, 4.0)]
    assert [(m.episode_index, m.frame_index, m.weight) for m in found.down] == [(0, 3, 0.0), (1, 5, 0.0)]
    first, last = found.up[0], found.down[1]
    assert first.ahead == (2, 4, 5)
    assert (first.before, first.after, first.delta) == (2 / 14, 5 / 14, 0.7)
    assert last.ahead == (5, 5, 5)
    assert (last.before, last.after) == (11 / 14, 11 / 14)
    unknown = moments(values, episode, 4, count=1).up[0]
    assert (unknown.frame_index, unknown.delta, unknown.before, unknown.after) == (1, None, None, None)


@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_moments_are_apart_and_the_best_there_are(
    values: NDArray[np.float64], chunk: int, count: int
) -> None:
    episode = np.arange(len(values)) // 13
    found = moments(values, episode, chunk, count=count)
    mean = values.mean()
    for sign, chosen in ((1, found.up), (-1, found.down)):
        ranks = [sign * moment.weight for moment in chosen]
        assert ranks == sorted(ranks, reverse=True)
        assert len(chosen) <= count
        assert all(sign * (moment.weight - mean) > 0 for moment in chosen)
        for place, moment in enumerate(chosen):
            assert values[13 * moment.episode_index + moment.frame_index] == moment.weight
            for other in chosen[:place]:
                same = other.episode_index == moment.episode_index
                assert not same or abs(other.frame_index - moment.frame_index) >= chunk
        best = [values[episode == number] for number in np.unique(episode)]
        tops = sorted((sign * part).max() for part in best if (sign * (part - mean) > 1e-9).any())[::-1]
        assert set(tops[:count]) <= set(ranks)
        episodes = {moment.episode_index for moment in chosen}
        assert len(episodes) == min(count, len(tops))


@pytest.mark.parametrize(
    "values",
    [
        np.ones(20), np.full(20, 0.1 + 0.2), np.r_[np.ones(19), 1 + 3e-10], np.full(100, 0.7, np.float32),
        np.empty(0),
    ],
)  # fmt: skip
def test_equal_weights_have_no_moments(values: NDArray[np.floating]) -> None:
    with warnings.catch_warnings(action="error"):
        assert moments(values, np.arange(len(values)) // 5, 3) == Moments((), ())


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"deltas \(3,\), episode_index \(4,\)"):
        moments(np.ones(4), np.zeros(4, np.int64), 2, deltas=np.ones(3))


def test_a_chunk_of_no_frames_has_no_moments() -> None:
    with pytest.raises(ValueError, match=r"^chunk 0: must be at least 1$"):
        moments(np.ones(2), np.zeros(2, np.int64), 0)
    with pytest.raises(ValueError, match=r"^weights \(3,\), episode_index \(2,\): must be one \(N,\)$"):
        moments(np.ones(3), np.zeros(2, np.int64), 1)
    with pytest.raises(ValueError, match=r"^progress \(3,\), episode_index \(2,\): must be one \(N,\)$"):
        moments(np.ones(2), np.zeros(2, np.int64), 1, progress=np.ones(3))
    assert [m.ahead for m in moments(np.array([0.0, 1]), np.zeros(2, np.int64), 1).up] == [(1, 1, 1)]


def test_a_moment_by_hand_in_the_middle_of_its_episode() -> None:
    episode = np.repeat([6, 2], [3, 9])
    weights, progress = np.ones(12), np.arange(12) / 16
    weights[5], weights[9] = 1.5, 0.5
    for chunk, ahead, after in ((5, (2, 4, 7), 10 / 16), (6, (2, 5, 8), 11 / 16), (99, (2, 8, 8), 11 / 16)):
        (up,) = moments(weights, episode, chunk, progress, progress**2).up
        assert up == Moment(2, 2, ahead, 1.5, (5 / 16) ** 2, 5 / 16, after)
    (down,) = moments(weights, episode, 2, progress).down
    assert down == Moment(2, 6, (6, 7, 8), 0.5, None, 9 / 16, 11 / 16)


def test_a_moment_shows_the_window_around_it() -> None:
    episode = np.repeat([6, 2], [3, 9])
    weights, progress = np.ones(12), np.arange(12) / 16
    weights[[5, 11]] = 1.5, 0.5
    found = moments(weights, episode, 6, progress, before=3)
    assert found.up == (Moment(2, 2, (0, 2, 5), 1.5, None, 3 / 16, 8 / 16),)  # nothing lies before frame 0
    assert found.down == (Moment(2, 8, (5, 8, 8), 0.5, None, 8 / 16, 11 / 16),)
    weights[11], weights[7] = 1, 0.5
    (down,) = moments(weights, episode, 5, progress, before=2).down
    assert (down.frame_index, down.ahead) == (4, (2, 4, 7))


def test_frames_that_were_not_judged_are_neither_shown_nor_averaged() -> None:
    episode, weights = np.repeat([0, 1, 2], 2), np.array([1.0, 3, 2, 2, 99, 0])
    judged = episode < 2
    found = moments(weights, episode, 1, judged=judged)
    # The mean of the judged is 2: the second episode is at it.
    assert [(m.episode_index, m.weight) for m in found.up] == [(0, 3)]
    assert [(m.episode_index, m.weight) for m in found.down] == [(0, 1)]
    with warnings.catch_warnings(action="error"):
        assert moments(weights, episode, 1, judged=np.zeros(6, bool)) == Moments((), ())


def test_what_differs_by_rounding_is_ranked_by_what_it_gains_and_then_by_its_number() -> None:
    episode, weights = np.arange(6), np.array([2, 2 + 4e-10, 2 - 4e-10, 0, 4e-10, 0])
    deltas = np.array([0.1, 0.1 + 4e-10, 0.5, 0.3, 0.3 - 4e-10, -1])
    for known, up, down in ((None, [0, 1, 2], [3, 4, 5]), (deltas, [2, 0, 1], [5, 3, 4])):
        found = moments(weights, episode, 1, deltas=known)
        assert [m.episode_index for m in found.up] == up
        assert [m.episode_index for m in found.down] == down
    # A weight that is larger by more than rounding goes before.
    weights[1] += 1e-8
    assert [m.episode_index for m in moments(weights, episode, 1, deltas=deltas).up] == [1, 2, 0]


def test_another_moment_of_an_episode_is_a_chunk_away_and_takes_its_place_by_rank() -> None:
    episode = np.repeat([0, 1], [12, 3])
    weights = np.zeros(15)
    weights[[1, 3, 4, 7, 13]] = 9, 8, 7, 6, 5
    found = moments(weights, episode, 3, count=3)
    # 3 is too near to 1 and 4 is not, 7 would be one too many; the other episode has its place.
    assert [(m.episode_index, m.frame_index) for m in found.up] == [(0, 1), (0, 4), (1, 1)]
    assert [m.frame_index for m in moments(weights, episode, 3, count=9).up] == [1, 4, 7, 1]
    assert [m.frame_index for m in moments(weights, episode, 4, count=9).up] == [1, 7, 1]
    assert len(moments(np.r_[np.ones(20), np.zeros(20)], np.arange(40), 1).up) == 10
