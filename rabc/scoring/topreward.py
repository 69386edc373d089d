"""TOPReward (arXiv 2602.19313): the log-probability a frozen video-language model gives to the answer True.

One forward per prefix, as the paper describes it: slow, and the reference for anything faster.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.errors import InputError
from rabc.scoring.base import PrefixScores
from rabc.scoring.loading import Loaded, load
from rabc.scoring.prompt import TEMPLATE, answer_ids, check_instruction, encode, full_text, resize_frames
from rabc.scoring.schedule import prefix_ends, sample_frame_indices

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

__all__ = ["TOPReward", "prefix_ends", "sample_frame_indices"]


@dataclass(frozen=True)
class TOPReward:
    """A frozen Qwen3-VL that judges whether the video so far completes the instruction."""

    model: "Qwen3VLForConditionalGeneration"
    processor: "Qwen3VLProcessor"
    name: str
    """Hub id, or name of the folder."""
    revision: str
    """Commit of the hub model, or hash of the folder's content."""
    sample_fps: float
    """Frames per second that the model sees."""

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        revision: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        fps: float | None = None,
    ) -> "TOPReward":
        """Loads a folder or hub id of a Qwen3-VL.

        dtype: `float32`, `bfloat16`, or `auto` (float32 on cpu, bfloat16 elsewhere); fps: sampling rate, Hz;
        None takes the video processor's own (2 for Qwen3-VL). Remote code is never run and only safetensors
        are read. Raises InputError for a missing folder, missing tokenizer, or another kind of model.
        """
        if fps is not None and fps <= 0:
            raise InputError(f"scorer.fps {fps}: must be positive; give frames per second")
        loaded: Loaded = load(model, revision, device, dtype)
        answer_ids(loaded.processor)
        video: Any = loaded.processor.video_processor  # pyright: ignore[reportAttributeAccessIssue]
        return cls(loaded.model, loaded.processor, loaded.name, loaded.revision, float(fps or video.fps))

    @property
    def identity(self) -> dict[str, str | float]:
        """Name, revision, prompt, sampling rate (Hz) and precision."""
        return {
            "scorer": self.name,
            "revision": self.revision,
            "prompt": TEMPLATE,
            "sample_fps": self.sample_fps,
            "dtype": str(self.model.dtype).removeprefix("torch."),
        }

    def frame_indices(self, num_frames: int, fps: float) -> NDArray[np.int64]:
        """Frames (S,) int64 that are read of a video of `num_frames` at `fps` Hz."""
        if num_frames < 1:
            raise InputError(f"episode of {num_frames} frames: has nothing to score; leave it out")
        if fps <= 0:
            raise InputError(f"fps {fps}: must be positive; give the frame rate of the video")
        return sample_frame_indices(num_frames, fps, self.sample_fps)

    def score(
        self, frames: torch.Tensor | NDArray[np.uint8], instruction: str, fps: float, num_prefixes: int = 15
    ) -> PrefixScores:
        """Scores prefixes of `frames`, uint8 (T, 3, H, W) at `fps` Hz.

        Prefix ends are uniform from first frame to last, snapped to the sampled frames and deduplicated, so
        that K may be below `num_prefixes`. Raises InputError for no frames or an empty instruction.
        """
        indices = self.frame_indices(len(frames), fps)
        return self.score_sampled(frames[indices], len(frames), instruction, fps, num_prefixes)

    @torch.inference_mode()
    def score_sampled(
        self,
        sampled: torch.Tensor | NDArray[np.uint8],
        num_frames: int,
        instruction: str,
        fps: float,
        num_prefixes: int = 15,
    ) -> PrefixScores:
        """As `score`, given only the frames at `frame_indices(num_frames, fps)`: uint8 (S, 3, H, W)."""
        check_instruction(instruction)
        if num_prefixes < 1:
            raise InputError(f"num_prefixes {num_prefixes}: must be at least 1")
        indices = self.frame_indices(num_frames, fps)
        clip = resize_frames(self.processor, _check_frames(sampled, len(indices)))
        ends = prefix_ends(indices, num_frames, num_prefixes)
        text = full_text(self.processor, instruction)
        answers = list(answer_ids(self.processor))
        rows: list[NDArray[np.float64]] = []
        for end in ends.tolist():
            inputs: Any = encode(self.processor, [text], [clip[:end]], [indices[:end]], fps)
            # The answer is the last token; the logits before it predict it.
            logits = self.model(**inputs.to(self.model.device), logits_to_keep=2).logits[0, -2].float()
            rows.append(torch.log_softmax(logits, dim=-1)[answers].double().cpu().numpy())
        true, false = np.stack(rows).T
        return PrefixScores((indices[ends - 1] + 1).astype(np.int64), true.copy(), false.copy())


def _check_frames(frames: torch.Tensor | NDArray[np.uint8], count: int) -> torch.Tensor:
    tensor = torch.from_numpy(np.ascontiguousarray(frames)) if isinstance(frames, np.ndarray) else frames
    if tensor.ndim != 4 or tensor.shape[1] != 3 or tensor.dtype != torch.uint8:
        raise InputError(
            f"frames {tuple(tensor.shape)} {tensor.dtype}: must be uint8 of shape (T, 3, H, W); convert them"
        )
    if len(tensor) != count:
        raise ValueError(f"{len(tensor)} sampled frames: expected {count}")
    return tensor
