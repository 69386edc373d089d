"""Cut demonstrations: windows as of a dataset whose episodes are the stretches that stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rabc.datasets.tables import FrameTable
from rabc.system.errors import InputError
from rabc.training.cuts import cut
from rabc.training.drawn import tick_weights
from rabc.training.windows import Timeline, rows

TICKS = (-1, 0, 1, 2, 3, 4)


def table(lengths: list[int], actions: NDArray[np.float32] | None = None) -> FrameTable:
    counts = np.array(lengths)
    ends = np.cumsum(counts)
    starts = np.repeat(ends - counts, counts)
    if actions is None:
        actions = np.arange(counts.sum(), dtype=np.float32)[:, None]
    return FrameTable(
        episode_index=np.repeat(np.arange(len(counts)), counts),
        frame_index=np.arange(counts.sum()) - starts,
        episode_start=starts,
        episode_end=np.repeat(ends, counts),
        task=np.full(counts.sum(), "Pick.", object),
        vectors={"action": actions},
        fps=10.0,
    )


@settings(deadline=None)
@given(data=st.data())
def test_a_window_ends_at_a_cut_as_at_an_episodes_end(data: st.DataObject) -> None:
    """Against LeRobot's windows on episodes that are the runs of kept frames, found one by one."""
    frames = table(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
    count = len(frames)
    kept = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    index = np.flatnonzero(kept)
    start, end = np.empty(count, np.int64), np.empty(count, np.int64)
    for frame in index:
        first = last = frame
        while first > frames.episode_start[frame] and kept[first - 1]:
            first -= 1
        while last + 1 < frames.episode_end[frame] and kept[last + 1]:
            last += 1
        start[frame], end[frame] = first, last + 1
    timeline = cut(frames, kept)
    found, outside = timeline.window(index, TICKS)
    wanted, padding = rows(index, TICKS, start[index], end[index])
    assert np.array_equal(found, wanted)
    assert np.array_equal(outside, padding)
    assert np.array_equal(timeline.ahead(index), end[index] - index)


@pytest.mark.parametrize("join", [False, True])
def test_nothing_cut_out_is_every_episode_as_recorded(join: bool) -> None:
    frames = table([5, 3, 7])
    whole, same = Timeline.whole(frames), cut(frames, np.ones(15, bool), join)
    for name in ("frames", "place", "start", "end"):
        assert np.array_equal(getattr(same, name), getattr(whole, name)), name


def stop() -> tuple[FrameTable, NDArray[np.bool_]]:
    """Two joints that move on by 1 a tick, stand still for four ticks, and go on; and another episode."""
    path = np.r_[np.arange(6), np.full(4, 5), np.arange(6, 12)].astype(np.float32)
    own = np.stack([path, -path], axis=1)
    kept = np.r_[np.ones(6, bool), np.zeros(4, bool), np.ones(6, bool)]
    return table([16, 16], np.r_[own, own]), np.r_[kept, kept]


def test_joined_a_chunk_goes_on_behind_a_stop() -> None:
    frames, kept = stop()
    found, outside = cut(frames, kept, join=True).window(np.array([4]), (-1, 0, 1, 2, 3))
    assert found.tolist() == [[3, 4, 5, 10, 11]]
    assert not outside.any()
    found, outside = cut(frames, kept).window(np.array([4]), (-1, 0, 1, 2, 3))
    assert found.tolist() == [[3, 4, 5, 5, 5]]
    assert outside.tolist() == [[False, False, False, True, True]]


def test_nothing_is_joined_where_the_arm_went_elsewhere_or_the_episode_ends() -> None:
    frames, kept = stop()
    moved = frames.vectors["action"].copy()
    moved[10:16, 1] -= 1.5  # one joint, more than a usual step
    _, outside = cut(table([16, 16], moved), kept, join=True).window(np.array([5]), (1,))
    assert outside.all()
    until_end = kept.copy()
    until_end[6:16] = False
    _, outside = cut(frames, until_end, join=True).window(np.array([5]), (1,))
    assert outside.all()


def test_weights_of_actions_have_mean_1_over_all_that_are_drawn() -> None:
    frames = table([9, 6])
    weights = np.r_[0, 0, 0, 0, 0, 3.0, 1, 0, 0, np.zeros(6)]
    allowed = np.ones(15, bool)
    allowed[4] = False
    timeline = Timeline.whole(frames)
    scaled, drawable = tick_weights(weights, timeline, (0, 1, 2), allowed)
    assert drawable.tolist() == [3, 5, 6]  # an action of positive weight is in their window; 4 is not allowed
    seen = [
        scaled[frame + tick]
        for frame in drawable
        for tick in (0, 1, 2)
        if frame + tick < frames.episode_end[frame]
    ]
    assert np.mean(seen) == pytest.approx(1)
    assert scaled[6] / scaled[5] == pytest.approx(1 / 3)


def test_all_equal_they_are_1_and_every_frame_is_drawn() -> None:
    frames = table([9, 6])
    scaled, drawable = tick_weights(np.full(15, 0.3), Timeline.whole(frames), (0, 1, 2), np.ones(15, bool))
    assert np.array_equal(drawable, np.arange(15))
    assert scaled == pytest.approx(np.ones(15))


def test_no_action_left_is_refused() -> None:
    with pytest.raises(InputError, match="all actions behind the 15 drawable frames have weight 0"):
        tick_weights(np.zeros(15), Timeline.whole(table([9, 6])), (0, 1), np.ones(15, bool))
