"""Cut demonstrations: windows as of a dataset whose episodes are the stretches that stay."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.pi0.configuration_pi0 import PI0Config

from rabc.config.settings import Config, WeightsConfig
from rabc.system.errors import InputError
from rabc.training.drawn import SplitFrames, drawn_frames, tick_weights
from rabc.training.windows import Timeline, rows
from tests.support.made_scores import frame_table

TICKS = (-1, 0, 1, 2, 3, 4)


@settings(deadline=None)
@given(data=st.data())
def test_a_window_ends_at_a_cut_as_at_an_episodes_end(data: st.DataObject) -> None:
    """Against LeRobot's windows on episodes that are the runs of kept frames, found one by one."""
    frames = frame_table(data.draw(st.lists(st.integers(1, 12), min_size=1, max_size=4)))
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
    timeline = Timeline.cut(frames, kept)
    found, outside = timeline.window(index, TICKS)
    wanted, padding = rows(index, TICKS, start[index], end[index])
    assert np.array_equal(found, wanted)
    assert np.array_equal(outside, padding)
    assert np.array_equal(timeline.ahead(index), end[index] - index)


def test_nothing_cut_out_is_every_episode_as_recorded() -> None:
    frames = frame_table([5, 3, 7])
    whole, same = Timeline.whole(frames), Timeline.cut(frames, np.ones(15, bool))
    for name in ("frames", "place", "start", "end"):
        assert np.array_equal(getattr(same, name), getattr(whole, name)), name


def test_weights_of_actions_have_mean_1_over_all_that_are_drawn() -> None:
    frames = frame_table([9, 6])
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


def test_padding_that_the_loss_sees_counts_as_the_action_that_it_repeats() -> None:
    """Diffusion without `do_mask_loss_for_padding`: mean 1 over all of the windows, padding too."""
    frames = frame_table([4, 6])
    weights = np.array([2.0, 1, 1, 4, 0, 0, 0, 0, 1, 3])
    timeline, ticks = Timeline.whole(frames), (-1, 0, 1, 2)
    scaled, drawable = tick_weights(weights, timeline, ticks, np.ones(10, bool), padding=True)
    assert drawable.tolist() == [0, 1, 2, 3, 6, 7, 8, 9]
    start = np.repeat([0, 4], [4, 6])
    seen = [
        scaled[np.clip(frame + tick, start[frame], frames.episode_end[frame] - 1)]
        for frame in drawable
        for tick in ticks
    ]
    assert np.mean(seen) == pytest.approx(1)
    assert tick_weights(weights, timeline, ticks, np.ones(10, bool))[0][3] != pytest.approx(scaled[3])


def test_all_equal_they_are_1_and_every_frame_is_drawn() -> None:
    frames = frame_table([9, 6])
    scaled, drawable = tick_weights(np.full(15, 0.3), Timeline.whole(frames), (0, 1, 2), np.ones(15, bool))
    assert np.array_equal(drawable, np.arange(15))
    assert scaled == pytest.approx(np.ones(15))


def test_no_action_left_is_refused() -> None:
    with pytest.raises(InputError, match="all actions behind the 15 drawable frames have weight 0"):
        tick_weights(np.zeros(15), Timeline.whole(frame_table([9, 6])), (0, 1), np.ones(15, bool))


def test_no_policy_learns_a_stop_before_a_cut() -> None:
    """pi0's loss sees padding: of a stretch that a cut ends it draws what has a whole chunk ahead."""
    table, weights = frame_table([12]), np.ones(12)
    weights[5] = 0
    split = SplitFrames(table, np.ones(12, bool), np.zeros(0, np.int64), (0,), ())
    config = Config(weights=WeightsConfig(scheme="auto", apply="cuts"))
    act = drawn_frames(config, ACTConfig(chunk_size=4, n_action_steps=4), split, weights)
    assert act.drawable.tolist() == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
    pi0 = drawn_frames(config, PI0Config(chunk_size=4, n_action_steps=4), split, weights)
    assert pi0.drawable.tolist() == [0, 1, 6, 7, 8, 9, 10, 11]  # padding at an episode's end is LeRobot's
    weights[[2, 9]] = 0
    weights[11] = 0
    with pytest.raises(InputError, match="no stretch between cuts is longer than the 3 frames at its end"):
        drawn_frames(config, PI0Config(chunk_size=4, n_action_steps=4), split, weights)
