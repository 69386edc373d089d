"""Which ticks around a frame a sample holds, as LeRobotDataset's `delta_timestamps` gives them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Windows:
    """Control ticks of a sample, relative to its frame."""

    observation: tuple[int, ...] | None
    """Of every `observation.*`; None: the frame's own tick, without a time axis."""
    action: tuple[int, ...]
    """Of `action`."""

    @classmethod
    def of(cls, policy: Any) -> "Windows":
        """Those a LeRobot policy is trained with (`resolve_delta_timestamps`).

        Args:
            policy: its configuration.
        """
        observation = policy.observation_delta_indices
        return cls(None if observation is None else tuple(observation), tuple(policy.action_delta_indices))

    @classmethod
    def chunk(cls, ticks: int) -> "Windows":
        """The current observation and the next `ticks` actions, as ACT has them."""
        return cls(None, tuple(range(ticks)))


def rows(
    index: NDArray[np.int64], ticks: tuple[int, ...], start: NDArray[np.int64], end: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The frames of a window, and which of its ticks lie outside the episode.

    As `DatasetReader._get_query_indices` in LeRobot: outside, the episode's first or last frame is repeated.

    Args:
        index: (B,) frames.
        ticks: the window, T of them.
        start: (B,) first frame of each frame's episode.
        end: (B,) one past its last frame.

    Returns:
        (B, T) frames, and (B, T) true where the tick is padding.
    """
    wanted = index[:, None] + np.asarray(ticks, np.int64)
    first, last = start[:, None], end[:, None] - 1
    return np.clip(wanted, first, last), (wanted < first) | (wanted > last)
