"""TOPReward (arXiv 2602.19313): the log-probability a frozen video-language model gives to the answer True.

Qwen3-VL scores all prefixes in two forwards (`qwen3_vl.py`). Any other model takes one forward per prefix, as
the paper describes it: slow, and the reference for anything faster.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.scoring import qwen3_vl
from rabc.scoring.base import Clip, PrefixScores
from rabc.scoring.layout import Questions, check_context
from rabc.scoring.loading import is_qwen3_vl, load
from rabc.scoring.prompt import (
    PROMPT,
    Prompt,
    answer_ids,
    check_instruction,
    encode,
    full_text,
    question_text,
    resize_frames,
)
from rabc.scoring.schedule import SCHEDULE, prefix_ends, sample_frame_indices
from rabc.system.errors import InputError
from rabc.system.memory import memory_told

LESS_MEMORY = (
    "give fewer frames (scorer.fps) or scorer.num_prefixes, scorer.dtype bfloat16, a smaller scorer.model, "
    "or a GPU with more"
)
PAPER_FPS = 2.0
"""Frames per second that TOPReward samples; for models whose own files name no rate."""


@dataclass(frozen=True)
class TOPReward:
    """A frozen video-language model that judges whether the video so far completes the instruction."""

    model: Any
    """A transformers model for image-text-to-text."""
    processor: Any
    """Its processor."""
    name: str
    """Hub id, or name of the folder."""
    revision: str
    """Commit of the hub model, or hash of the folder's content."""
    sample_fps: float
    """Frames per second that the model sees."""
    prompt: Prompt = PROMPT
    """How the question is put."""
    path: Literal["two forwards", "one forward per prefix"] = "one forward per prefix"
    """How the prefixes of a clip are scored; the same scores either way."""

    @classmethod
    def from_pretrained(
        cls,
        model: str,
        revision: str | None = None,
        device: str = "cpu",
        dtype: str = "float32",
        fps: float | None = None,
        prompt: Prompt = PROMPT,
    ) -> "TOPReward":
        """Loads a folder or hub id of a video-language model.

        dtype: `float32`, `bfloat16`, or `auto` (float32 on cpu, bfloat16 elsewhere); fps: sampling rate, Hz;
        None takes the video processor's own (2 for Qwen3-VL). Remote code is never run and only safetensors
        are read. Raises InputError for a missing folder, missing tokenizer, another kind of model, or answers
        that are not single tokens.
        """
        if fps is not None and fps <= 0:
            raise InputError(f"scorer.fps {fps}: must be positive; give frames per second")
        with memory_told(f"scorer.model {model}", LESS_MEMORY):
            loaded = load(model, revision, device, dtype)
        answer_ids(loaded.processor, prompt)
        question_text(loaded.processor, "x", prompt)  # a template that fails does so before any video is read
        rate = fps or getattr(loaded.processor.video_processor, "fps", None) or PAPER_FPS
        return cls(
            loaded.model, loaded.processor, loaded.name, loaded.revision, float(rate), prompt,
            "two forwards" if is_qwen3_vl(loaded.model) else "one forward per prefix",
        )  # fmt: skip

    @property
    def identity(self) -> dict[str, str | float]:
        """Name, revision, prompt, sampling rate (Hz), which frames that takes, and precision."""
        return {
            "scorer": self.name,
            "revision": self.revision,
            "prompt": self.prompt.text,
            "sample_fps": self.sample_fps,
            "schedule": SCHEDULE,
            "dtype": str(self.model.dtype).removeprefix("torch."),
        }

    def frame_indices(self, num_frames: int, fps: float) -> NDArray[np.int64]:
        """Frames (S,) int64 that are read of a video of `num_frames` at `fps` Hz."""
        if num_frames < 1:
            raise InputError(f"episode of {num_frames} frames: has nothing to score; leave it out")
        if fps <= 0:
            raise InputError(f"fps {fps}: must be positive; give the frame rate of the video")
        return sample_frame_indices(num_frames, fps, self.sample_fps)

    def resize(self, frames: torch.Tensor, count: int) -> torch.Tensor:
        """Frames uint8 (n, 3, h, w) as Qwen3-VL sees those of a clip of `count`: one size for all prefixes.

        Other models' processors resize each prefix by rules of their own; theirs stay as they are.
        """
        return resize_frames(self.processor, frames, count) if is_qwen3_vl(self.model) else frames

    def check(self, instruction: str) -> None:
        """Raise InputError for an instruction that is empty or holds a special token of the tokenizer."""
        check_instruction(self.processor, instruction)

    def score(
        self, frames: torch.Tensor | NDArray[np.uint8], instruction: str, fps: float, num_prefixes: int = 15
    ) -> PrefixScores:
        """Scores prefixes of `frames`, uint8 (T, 3, H, W) at `fps` Hz; see `score_clips`."""
        indices = self.frame_indices(len(frames), fps)
        sampled = frames[indices]
        tensor = sampled if isinstance(sampled, torch.Tensor) else torch.from_numpy(sampled)
        return self.score_clips([Clip(tensor, len(frames), fps, instruction)], num_prefixes)[0]

    @torch.inference_mode()
    def score_clips(self, clips: Sequence[Clip], num_prefixes: int = 15) -> list[PrefixScores]:
        """Scores prefixes of each clip; all clips together where the model takes two forwards.

        Prefix ends are uniform from first frame to last, snapped to the sampled frames and deduplicated, so
        that K may be below `num_prefixes`; 0 takes every sampled frame. Raises InputError for frames of
        another shape, an empty instruction, one that does not fit the model's context, memory that runs out.
        """
        if num_prefixes < 0:
            raise InputError(f"num_prefixes {num_prefixes}: must be 1 or more, or 0 for every sampled frame")
        with memory_told(f"scoring with {self.name}", LESS_MEMORY):
            batch = [self._questions(clip, num_prefixes) for clip in clips]
            if self.path == "two forwards":
                answered = qwen3_vl.answer(self.model, self.processor, batch, self.prompt)
                log_probs = [found[0] for found in answered.log_probs]
            else:
                log_probs = [self._one_by_one(questions) for questions in batch]
        return [
            PrefixScores((q.frame_indices[q.ends - 1] + 1).astype(np.int64), *_columns(found))
            for q, found in zip(batch, log_probs, strict=True)
        ]

    def _questions(self, clip: Clip, num_prefixes: int) -> Questions:
        indices = self.frame_indices(clip.num_frames, clip.fps)
        frames = clip.frames
        if frames.ndim != 4 or frames.shape[1] != 3 or frames.dtype != torch.uint8:
            raise InputError(
                f"frames {tuple(frames.shape)} {frames.dtype}: must be uint8 of shape (T, 3, H, W); "
                "convert them"
            )
        if len(frames) != len(indices):
            raise ValueError(f"{len(frames)} sampled frames: expected {len(indices)}")
        group = int(getattr(self.processor.video_processor, "temporal_patch_size", 1))
        every = np.arange(1, len(indices) + 1)
        ends = prefix_ends(indices, clip.num_frames, num_prefixes, group) if num_prefixes else every
        return Questions(
            self.resize(frames, clip.seen_as or len(frames)), indices, clip.fps, (clip.instruction,), ends
        )

    def _one_by_one(self, questions: Questions) -> torch.Tensor:
        """Log-probabilities (E, 2) of the answers, by one forward per prefix: the reference."""
        (instruction,) = questions.instructions
        text = full_text(self.processor, instruction, self.prompt)
        answers = list(answer_ids(self.processor, self.prompt))
        rows: list[torch.Tensor] = []
        for end in questions.ends.tolist():
            inputs: Any = encode(
                self.processor, text, questions.frames[:end], questions.frame_indices[:end], questions.fps,
                do_resize=not is_qwen3_vl(self.model),
            )  # fmt: skip
            if not is_qwen3_vl(self.model):
                check_context(self.model, inputs["input_ids"].shape[1], instruction)
            # The answer is the last token; the logits before it predict it.
            logits = self.model(**inputs.to(self.model.device), logits_to_keep=2).logits[0, -2].float()
            rows.append(torch.log_softmax(logits, dim=-1)[answers])
        return torch.stack(rows)


def _columns(log_probs: torch.Tensor) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """log p(True) and log p(False), (E,) each, of (E, 2). Apple's GPUs have no float64: it is made here."""
    values = log_probs.cpu().double().numpy()
    return values[:, 0].copy(), values[:, 1].copy()
