"""Which ticks around a frame a sample holds, as LeRobotDataset's `delta_timestamps` gives them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.tables import FrameTable


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


@dataclass(frozen=True)
class Timeline:
    """Which frame follows which: stretches of frames, at whose ends a window ends as at an episode's."""

    frames: NDArray[np.int64]
    """(K,) frames of the dataset, stretch after stretch."""
    place: NDArray[np.int64]
    """(N,) where each frame of the dataset stands among them; -1: nowhere, and nothing asks for it."""
    start: NDArray[np.int64]
    """(K,) place at which the stretch of each begins."""
    end: NDArray[np.int64]
    """(K,) place one past its last."""

    @classmethod
    def whole(cls, table: FrameTable) -> "Timeline":
        """Every episode as it was recorded."""
        every = np.arange(len(table), dtype=np.int64)
        return cls(every, every, table.episode_start, table.episode_end)

    @classmethod
    def cut(cls, table: FrameTable, kept: NDArray[np.bool_]) -> "Timeline":
        """The frames that are `kept`, (N,): every gap ends a stretch. Nothing is written."""
        frames = np.flatnonzero(kept)
        place = np.full(len(table), -1, np.int64)
        place[frames] = np.arange(len(frames))
        follows = np.zeros(len(frames), bool)
        follows[1:] = (np.diff(frames) == 1) & (np.diff(table.episode_index[frames]) == 0)
        begins = np.flatnonzero(~follows)
        stretch = np.cumsum(~follows) - 1
        return cls(frames, place, begins[stretch], np.r_[begins[1:], len(frames)][stretch])

    def window(
        self, index: NDArray[np.int64], ticks: tuple[int, ...]
    ) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
        """The frames of a window of T ticks around each of B frames, and which are padding, (B, T) both."""
        place = self.place[index]
        found, outside = rows(place, ticks, self.start[place], self.end[place])
        return self.frames[found], outside

    def ahead(self, index: NDArray[np.int64]) -> NDArray[np.int64]:
        """(B,) frames from each of `index` (B,) to the end of its stretch, itself among them."""
        place = self.place[index]
        return self.end[place] - place


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
