"""Which frames are drawn, how often, and in which order."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rabc.datasets.tables import FrameTable
from rabc.system.errors import InputError
from rabc.training.data import Share, spread
from rabc.training.drawn import drawable_weights
from rabc.training.order import BatchOrder, frames_of, held_out_episodes, resampled
from rabc.training.windows import Windows, rows

LENGTHS = np.array([12, 15, 9, 14])


def table(lengths: NDArray[np.int64] = LENGTHS) -> FrameTable:
    """A dataset without columns."""
    ends = np.cumsum(lengths)
    return FrameTable(
        episode_index=np.repeat(np.arange(len(lengths)), lengths),
        frame_index=np.concatenate([np.arange(length) for length in lengths]),
        episode_start=np.repeat(ends - lengths, lengths),
        episode_end=np.repeat(ends, lengths),
        task=np.full(lengths.sum(), "Pick up the cube.", object),
        vectors={},
        fps=10.0,
    )


def test_windows_stop_at_both_ends_of_the_episode() -> None:
    frames = table(np.array([3, 4]))
    index = np.array([0, 2, 3, 6])
    where, outside = rows(index, (-1, 0, 2), frames.episode_start[index], frames.episode_end[index])
    assert where.tolist() == [[0, 0, 2], [1, 2, 2], [3, 3, 5], [5, 6, 6]]
    assert outside.astype(int).tolist() == [[1, 0, 0], [0, 0, 1], [1, 0, 0], [0, 0, 1]]
    assert Windows.chunk(3) == Windows(None, (0, 1, 2))


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.one_of(st.just(0.0), st.floats(1e-3, 50.0)), min_size=1, max_size=40).filter(any),
    st.floats(0.0, 1.0, exclude_max=True),
)
def test_frames_are_drawn_as_often_as_they_weigh(values: list[float], offset: float) -> None:
    weights = np.array(values) / np.mean(values)
    counts = resampled(weights, offset)
    assert counts.sum() == len(weights)
    assert not counts[weights == 0].any()
    assert (np.abs(counts - weights) < 1 + 1e-6).all()


def test_on_average_frames_are_drawn_exactly_as_often_as_they_weigh() -> None:
    weights = np.random.default_rng(0).gamma(0.5, size=30)
    weights[3] = 0.0
    weights /= weights.mean()
    offsets = (np.arange(20_000) + 0.5) / 20_000
    mean = np.mean([resampled(weights, offset) for offset in offsets], axis=0)
    np.testing.assert_allclose(mean, weights, atol=2e-4)


def test_weighted_order_is_a_permutation_of_the_resampled_frames() -> None:
    drawable = np.arange(10, 60)
    weights = np.resize([0.25, 0.5, 1.75, 1.5], 50)
    weights /= weights.mean()
    order = BatchOrder(drawable, 25, 7, weights)
    epochs = [np.concatenate([order.indices(2 * e), order.indices(2 * e + 1)]) for e in range(400)]
    counts = np.array([np.bincount(epoch, minlength=60)[10:] for epoch in epochs])
    assert (np.abs(counts - weights) < 1 + 1e-9).all()
    assert np.abs(counts.mean(axis=0) - weights).max() < 0.1
    assert not np.array_equal(epochs[0], np.sort(epochs[0]))
    # Where in the epoch a frame is drawn does not depend on its weight.
    heavy = np.array([np.isin(epoch, drawable[weights > 1]).nonzero()[0].mean() for epoch in epochs])
    assert abs(heavy.mean() - 24.5) < 0.5


@pytest.mark.parametrize("weighted", [False, True])
def test_order_depends_on_seed_and_step_alone(weighted: bool) -> None:
    drawable = np.arange(0, 50, 2)
    weights = np.resize([0.5, 1.0, 1.5, 1.0, 1.0], 25)

    def indices(seed: int, step: int) -> NDArray[np.int64]:
        return BatchOrder(drawable, 4, seed, weights if weighted else None).indices(step)

    order = BatchOrder(drawable, 4, 3, weights if weighted else None)
    drawn = [order.indices(step) for step in range(25)]
    for step in (0, 7, 24):
        assert np.array_equal(indices(3, step), drawn[step])
    assert not np.array_equal(indices(4, 0), drawn[0])
    epochs = np.concatenate(drawn).reshape(4, 25)
    assert not np.array_equal(epochs[0], epochs[1])
    if weighted:
        counts = np.array([np.bincount(epoch, minlength=50)[::2] for epoch in epochs])
        assert (np.abs(counts - weights) < 1).all()
    else:
        assert np.array_equal(np.sort(epochs), np.tile(drawable, (4, 1)))


def test_two_processes_or_micro_batches_see_what_one_sees() -> None:
    order = BatchOrder(np.arange(100), 12, 0)
    whole = order.indices(5)
    shares = [Share(2, 3, rank, 2) for rank in range(2)]
    assert all(share.samples == 12 for share in shares)
    seen = [share.position(micro) + np.arange(2) for micro in range(3) for share in shares]
    assert np.array_equal(np.concatenate(seen), np.arange(12))
    assert len(whole) == 12
    # Within a micro-batch, the two processes together have one process's of doubled size.
    for micro in range(3):
        start = Share(4, 3, 0, 1).position(micro)
        assert [share.position(micro) for share in shares] == [start, start + 2]


def test_frames_of_weight_zero_held_out_or_at_the_end_are_not_drawn() -> None:
    frames = table()
    allowed = frames_of(frames, np.array([True, True, False, True]), drop_last=4)
    assert allowed.sum() == 8 + 11 + 10
    assert not allowed[frames.episode_index == 2].any()
    assert not allowed[frames.episode_end - np.arange(50) <= 4].any()
    weights = np.resize([0.0, 0.5, 1.0, 2.5], 50)
    scaled, drawable = drawable_weights(weights, 50, allowed)
    assert np.array_equal(drawable, np.flatnonzero(allowed & (weights > 0)))
    assert scaled[drawable].mean() == pytest.approx(1.0)
    # The others keep their weight, for the validation loss.
    np.testing.assert_allclose(scaled, weights * scaled[1] / weights[1], rtol=1e-6)
    again, _ = drawable_weights(1000.0 * weights, 50, allowed)
    np.testing.assert_allclose(again, scaled, rtol=1e-6)


def test_weight_on_held_out_frames_alone_trains_nothing() -> None:
    allowed = np.arange(50) < 25
    with pytest.raises(InputError, match="all 25 drawable frames have weight 0"):
        drawable_weights(np.where(allowed, 0.0, 1.0), 50, allowed)
    with pytest.raises(InputError, match="no frame can be drawn"):
        drawable_weights(np.ones(50), 50, np.zeros(50, bool))


def test_held_out_episodes() -> None:
    tasks = ["a", "b", "a", "a", "b"]
    assert held_out_episodes(tasks, 0.0).tolist() == [False] * 5
    assert held_out_episodes(tasks, 0.1).tolist() == [False, False, False, True, True]
    assert held_out_episodes(tasks, 0.5).tolist() == [False, False, True, True, True]
    with pytest.raises(InputError, match=r"dataset.eval_split 0.5: holds out all 2 episodes"):
        held_out_episodes(["a", "b"], 0.5)


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 200), st.integers(0, 250))
def test_spread_is_even(total: int, count: int) -> None:
    chosen = spread(np.arange(100, 100 + total), count)
    assert len(chosen) == (min(count, total) or total)
    assert len(np.unique(chosen)) == len(chosen)
    if len(chosen) > 1:
        assert (chosen[0], chosen[-1]) == (100, 99 + total)
        assert np.ptp(np.diff(chosen)) <= 1
        assert math.isclose(np.mean(np.diff(chosen)), (total - 1) / (len(chosen) - 1))
