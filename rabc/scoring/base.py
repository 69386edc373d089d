"""What every scorer takes and gives."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray


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

    def score(
        self, frames: torch.Tensor | NDArray[np.uint8], instruction: str, fps: float, num_prefixes: int
    ) -> PrefixScores:
        """Scores of uint8 `frames` (T, 3, H, W) at `fps` Hz; K <= num_prefixes."""
        ...

    def score_sampled(
        self,
        sampled: torch.Tensor | NDArray[np.uint8],
        num_frames: int,
        instruction: str,
        fps: float,
        num_prefixes: int,
    ) -> PrefixScores:
        """As `score`, given only the frames `frame_indices(num_frames, fps)` of the video: (S, 3, H, W)."""
        ...
