"""Moments that are cut out of the demonstrations: nothing is written, the windows of training end there."""

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.tables import FrameTable
from rabc.training.windows import Timeline

USUAL_STEP = 0.99
"""Quantile of a joint's steps from one tick to the next that is still a usual step."""


def cut(table: FrameTable, kept: NDArray[np.bool_], join: bool = False) -> Timeline:
    """The dataset's frames without those that are not `kept`.

    Args:
        table: with `action` among its vectors.
        kept: (N,) frames that stay.
        join: where an arm is told to be at the same place before and behind what was cut out, within a usual
            step of every joint, as around a stop, the stretch goes on behind; by default every cut ends one.
    """
    frames = np.flatnonzero(kept)
    place = np.full(len(table), -1, np.int64)
    place[frames] = np.arange(len(frames))
    follows = np.zeros(len(frames), bool)
    if len(frames):
        before, after = frames[:-1], frames[1:]
        goes_on = after == before + 1
        if join:
            goes_on |= _meets(table.vectors["action"], table.episode_index, before, after)
        follows[1:] = goes_on & (table.episode_index[before] == table.episode_index[after])
    begins = np.flatnonzero(~follows)
    stretch = np.cumsum(~follows) - 1
    ends = np.r_[begins[1:], len(frames)]
    return Timeline(frames, place, begins[stretch], ends[stretch])


def _meets(
    actions: NDArray[np.float32],
    episode_index: NDArray[np.int64],
    before: NDArray[np.int64],
    after: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Whether actions (N, D) of pairs of frames are no further apart than two that follow each other."""
    steps = np.abs(np.diff(actions, axis=0))[np.diff(episode_index) == 0]
    if not len(steps):
        return np.zeros(len(before), bool)
    usual = np.quantile(steps, USUAL_STEP, axis=0)
    return (np.abs(actions[after] - actions[before]) <= usual).all(axis=1)
