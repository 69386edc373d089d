"""Moments that are cut out of the demonstrations: nothing is written, the windows of training end there."""

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.tables import FrameTable
from rabc.training.windows import Timeline


def cut(table: FrameTable, kept: NDArray[np.bool_]) -> Timeline:
    """The dataset's frames without those that are not `kept`, (N,) bool: every gap ends a stretch."""
    frames = np.flatnonzero(kept)
    place = np.full(len(table), -1, np.int64)
    place[frames] = np.arange(len(frames))
    follows = np.zeros(len(frames), bool)
    follows[1:] = (np.diff(frames) == 1) & (np.diff(table.episode_index[frames]) == 0)
    begins = np.flatnonzero(~follows)
    stretch = np.cumsum(~follows) - 1
    ends = np.r_[begins[1:], len(frames)]
    return Timeline(frames, place, begins[stretch], ends[stretch])
