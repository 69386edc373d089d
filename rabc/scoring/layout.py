"""The token sequence of a video and of the questions that branch off it: ids and rotary positions.

Qwen3-VL writes a video as `<t seconds>` and the patches of a pair of frames, pair by pair. A question about
the first n frames stands right behind its last pair; where n is odd, that pair is its last frame twice, which
the whole video does not contain, so that the question brings it along.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.scoring.prompt import PROMPT, Prompt, around_video, token_ids
from rabc.system.errors import InputError

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor


@dataclass(frozen=True)
class Questions:
    """One sampled video and what is asked about it."""

    frames: torch.Tensor
    """uint8 (S, 3, H, W): the sampled frames, in the size the model sees."""
    frame_indices: NDArray[np.int64]
    """int (S,): index of each frame in the raw video."""
    fps: float
    """Rate of the raw video, Hz."""
    instructions: tuple[str, ...]
    """M instructions."""
    ends: NDArray[np.int64]
    """int (E,): sampled frames in each prefix, 1 to S."""


@dataclass(frozen=True)
class Tokens:
    """A part of a sequence."""

    ids: torch.Tensor
    """int64 (N,)."""
    positions: torch.Tensor
    """int64 (3, N): time, row and column of the rotary embedding."""

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Branch:
    """One question: what comes behind the part of the video that it sees."""

    seen: int
    """Tokens of the video part that it sees."""
    own_pair: int | None
    """Sampled frame whose doubled pair it brings along; None: its last pair is the video's."""
    tokens: Tokens
    """Its own pair, if any, and the text without the answer."""


@dataclass(frozen=True)
class Layout:
    """A video part and its branches."""

    pairs: torch.Tensor
    """int64 (P, 2): sampled frames of each pair of the video."""
    video: Tokens
    """Everything before the question."""
    branches: list[Branch]
    """M * E of them, prefixes of one instruction side by side."""


def lay_out(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Qwen3VLProcessor",
    questions: Questions,
    image_size: tuple[int, int],
    prompt: Prompt = PROMPT,
) -> Layout:
    """Tokens of a video and its questions.

    image_size: height and width of the frames as the model sees them, pixels. Raises InputError where a
    question reaches beyond the model's context.
    """
    count = len(questions.frames)
    if len(questions.ends) and not 1 <= questions.ends.min() <= questions.ends.max() <= count:
        raise ValueError(f"prefix ends {questions.ends}: must be within 1..{count}")
    write = _PairWriter(model, processor, image_size, questions.fps)
    if not questions.instructions:
        raise ValueError("no instructions")
    texts = [around_video(processor, instruction, prompt) for instruction in questions.instructions]
    head = torch.tensor(texts[0][0])
    parts = [Tokens(head, torch.arange(len(head)).expand(3, -1))]
    behind = [len(head)]  # rotary position right behind the first p pairs
    seen = [len(head)]  # tokens of the first p pairs
    index = questions.frame_indices
    pairs = [(first, min(first + 1, count - 1)) for first in range(0, count, 2)]
    for first, second in pairs:
        pair, position = write(int(index[first]), int(index[second]), behind[-1])
        parts.append(pair)
        behind.append(position)
        seen.append(seen[-1] + len(pair))
    branches: list[Branch] = []
    for instruction, (_, after) in zip(questions.instructions, texts, strict=True):
        tail = torch.tensor(after)
        for end in questions.ends.tolist():
            odd = end % 2 == 1 and end != count
            whole = end // 2 if odd else (end + 1) // 2
            own: list[Tokens] = []
            position = behind[whole]
            if odd:
                last = int(index[end - 1])
                pair, position = write(last, last, position)
                own = [pair]
            check_context(model, position + len(tail), instruction)
            text = Tokens(tail, (position + torch.arange(len(tail))).expand(3, -1))
            branches.append(Branch(seen[whole], end - 1 if odd else None, _join([*own, text])))
    return Layout(torch.tensor(pairs), _join(parts), branches)


def check_context(model: Any, positions: int, instruction: str) -> None:
    """Raise InputError where a question of `positions` rotary positions does not fit the model."""
    limit = int(model.config.get_text_config().max_position_embeddings)
    if positions > limit:
        short = instruction if len(instruction) <= 60 else f"{instruction[:57]}..."
        raise InputError(
            f"instruction {short!r}: with the video it takes {positions} positions of the scorer's "
            f"{limit}; shorten it, or lower scorer.fps"
        )


class _PairWriter:
    """Tokens of pairs of frames; they differ in the time written before them."""

    def __init__(self, model: Any, processor: Any, image_size: tuple[int, int], fps: float) -> None:
        video = processor.video_processor
        merge = video.merge_size
        rows, columns = (side // video.patch_size for side in image_size)
        self._processor, self._fps, self._patch = processor, fps, video.temporal_patch_size
        count = rows * columns // merge**2
        start, pad, end = (
            model.config.vision_start_token_id,
            model.config.video_token_id,
            model.config.vision_end_token_id,
        )
        self._picture = torch.tensor([start, *[pad] * count, end])
        types = torch.tensor([[0, *[2] * count, 0]])
        grid = torch.tensor([[1, rows, columns]])
        positions, _ = model.model.get_rope_index(self._picture[None], types, video_grid_thw=grid)
        self._positions = positions[:, 0]

    def __call__(self, first: int, second: int, position: int) -> tuple[Tokens, int]:
        """The pair of raw frames `first`, `second` from rotary `position` on; the position behind it."""
        (seconds,) = self._processor._calculate_timestamps([first, second], self._fps, self._patch)
        time = torch.tensor(token_ids(self._processor, f"<{seconds:.1f} seconds>"))
        start = position + len(time)
        positions = torch.cat(
            [(position + torch.arange(len(time))).expand(3, -1), start + self._positions], dim=1
        )
        # The last token is the end of the picture, and stands behind all its rows and columns.
        return Tokens(torch.cat([time, self._picture]), positions), int(positions[0, -1]) + 1


def _join(parts: Sequence[Tokens]) -> Tokens:
    ids = torch.cat([part.ids for part in parts])
    return Tokens(ids, torch.cat([part.positions for part in parts], dim=1))
