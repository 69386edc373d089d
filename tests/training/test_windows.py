"""Which ticks a sample holds, tick by tick, and which of them lie outside its episode."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from rabc.training.windows import Windows, rows


def test_windows_are_those_of_the_policy() -> None:
    policy: Any = SimpleNamespace(observation_delta_indices=[-1, 0], action_delta_indices=range(-1, 3))
    assert Windows.of(policy) == Windows((-1, 0), (-1, 0, 1, 2))
    policy.observation_delta_indices = None
    assert Windows.of(policy) == Windows(None, (-1, 0, 1, 2))
    assert Windows.chunk(3) == Windows(None, (0, 1, 2))


def test_outside_the_episode_its_first_or_last_frame_is_repeated() -> None:
    first, end = np.array([0, 10, 10, 10, 14]), np.array([10, 14, 14, 14, 15])
    index, ticks = np.array([9, 10, 12, 13, 14]), (-2, 0, 1, 3)
    frames, padding = rows(index, ticks, first, end)
    for row, (frame, start, stop) in enumerate(
        zip(index.tolist(), first.tolist(), end.tolist(), strict=True)
    ):
        for column, tick in enumerate(ticks):
            wanted = frame + tick
            assert padding[row, column] == (wanted not in range(start, stop))
            assert frames[row, column] == min(max(wanted, start), stop - 1)
    assert frames.shape == padding.shape == (5, 4)
    assert frames.dtype == np.int64
