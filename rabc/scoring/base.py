"""What every scorer takes and gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray


@dataclass(frozen=True)
class Clip:
    """The frames a scorer reads of one video, and the task it is asked about."""

    frames: torch.Tensor
    """uint8 (S, 3, H, W): the frames at `scorer.frame_indices(num_frames, fps)`, in any size."""
    num_frames: int
    """Frames of the raw video."""
    fps: float
    """Rate of the raw video, Hz."""
    instruction: str
    """The task, a sentence."""
    seen_as: int | None = None
    """Frames of the clip for which the pictures are resized, where clips of several lengths are compared (see
    `rabc.scoring.asked.clip_count`); None: this one's."""


@dataclass(frozen=True)
class PrefixScores:
    """How likely the video so far completes the instruction, for K prefixes of one episode."""

    prefix_lengths: NDArray[np.int64]
    """int64 (K,), increasing: frames of the input up to and including the last one of each prefix."""
    log_prob_true: NDArray[np.float64]
    """float64 (K,): log-probability of the answer True, nats."""
    log_prob_false: NDArray[np.float64]
    """float64 (K,): log-probability of the answer False, nats."""

    def __post_init__(self) -> None:
        shapes = {self.prefix_lengths.shape, self.log_prob_true.shape, self.log_prob_false.shape}
        if len(shapes) != 1 or self.prefix_lengths.ndim != 1 or not len(self.prefix_lengths):
            raise ValueError(f"shapes {shapes}: must be one and the same (K,), K >= 1")
        if self.prefix_lengths[0] < 1 or np.any(np.diff(self.prefix_lengths) <= 0):
            raise ValueError(f"prefix lengths {self.prefix_lengths}: must increase from 1 or more")


class Scorer(Protocol):
    """A frozen judge of video prefixes."""

    @property
    def identity(self) -> dict[str, str | float]:
        """What the scores depend on besides the data: id, revision, prompt, sampling rate, precision."""
        ...

    def frame_indices(self, num_frames: int, fps: float) -> NDArray[np.int64]:
        """Frames (S,) int64 it reads of a video of `num_frames` at `fps` Hz."""
        ...

    def resize(self, frames: torch.Tensor, count: int) -> torch.Tensor:
        """Some of the `count` frames it reads of a video, uint8 (n, 3, H, W), as small as it looks at them.

        For readers of long videos, who need not hold the large ones; resizing twice changes nothing more.
        """
        ...

    def check(self, instruction: str) -> None:
        """Raise InputError for an instruction that cannot be asked."""
        ...

    def score_clips(self, clips: Sequence[Clip], num_prefixes: int) -> list[PrefixScores]:
        """Scores of several clips; K <= num_prefixes each, or every frame of them if it is 0."""
        ...

    def score(
        self, frames: torch.Tensor | NDArray[np.uint8], instruction: str, fps: float, num_prefixes: int
    ) -> PrefixScores:
        """Scores of a whole video, uint8 (T, 3, H, W) at `fps` Hz."""
        ...
