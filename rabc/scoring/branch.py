"""All prefixes of all clips of a batch, with several instructions each, in one differentiable pass.

Qwen3-VL's vision encoder does not look across frame pairs and its language model is causal, so a prefix is
the same whatever follows it. Every question tail therefore branches off the one encoded video: a mask lets it
see the video up to the end of its prefix and itself, with the rotary positions it would have right behind
that prefix.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.scoring.prompt import answer_ids, encode, opening, resize_frames, tail_ids

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor


@dataclass(frozen=True)
class Clip:
    """One sampled video and what is asked about it."""

    frames: torch.Tensor
    """uint8 (S, 3, H, W): the sampled frames."""
    frame_indices: NDArray[np.int64]
    """int (S,): index of each frame in the raw video."""
    fps: float
    """Rate of the raw video, Hz."""
    instructions: tuple[str, ...]
    """M instructions."""
    ends: NDArray[np.int64]
    """int (E,): sampled frames in each prefix; even numbers, or S."""


@dataclass(frozen=True)
class Branches:
    """What one pass over a batch of clips gives."""

    log_probs: list[torch.Tensor]
    """Per clip float32 (M, E, 2): log-probabilities of ` True` and ` False`, nats."""
    video_features: torch.Tensor
    """(video tokens of all clips in order, width): what the vision encoder gives the language model."""


def branch_log_probs(
    model: "Qwen3VLForConditionalGeneration", processor: "Qwen3VLProcessor", clips: Sequence[Clip]
) -> list[torch.Tensor]:
    """Log-probabilities of ` True` and ` False` after every prefix: per clip float32 (M, E, 2), nats."""
    return branch(model, processor, clips).log_probs


def video_features(
    model: "Qwen3VLForConditionalGeneration", processor: "Qwen3VLProcessor", clips: Sequence[Clip]
) -> torch.Tensor:
    """The vision encoder's part of `branch` alone."""
    return _encode_video(model, processor, clips).features


def branch(
    model: "Qwen3VLForConditionalGeneration", processor: "Qwen3VLProcessor", clips: Sequence[Clip]
) -> Branches:
    """All prefixes and instructions of all clips in one pass.

    Equal to one forward per prefix and instruction. Raises ValueError for an odd prefix inside a clip: its
    repeated last frame is not part of the encoded video.
    """
    body: Any = model.model
    config: Any = model.config
    video = _encode_video(model, processor, clips)
    sequences = [_layout(clip, part, processor) for clip, part in zip(clips, video.parts, strict=True)]
    length = max(len(sequence.ids) for sequence in sequences)
    ids = torch.full((len(clips), length), config.text_config.pad_token_id or 0)
    positions = torch.zeros((3, len(clips), length), dtype=torch.long)
    # A padded position sees itself, or its softmax would be undefined.
    allowed = torch.eye(length, dtype=torch.bool).repeat(len(clips), 1, 1)
    for row, sequence in enumerate(sequences):
        size = len(sequence.ids)
        ids[row, :size] = sequence.ids
        positions[:, row, :size] = sequence.positions
        allowed[row, :size, :size] = sequence.allowed

    device = model.device
    embedded = body.get_input_embeddings()(ids.to(device))
    mask = torch.zeros(allowed.shape, dtype=embedded.dtype)
    mask = mask.masked_fill(~allowed, torch.finfo(embedded.dtype).min)[:, None].to(device)
    is_video = (ids == model.config.video_token_id).to(device)
    embedded = embedded.masked_scatter(
        is_video[..., None].expand_as(embedded), video.features.to(embedded.dtype)
    )
    hidden = body.language_model(
        inputs_embeds=embedded, position_ids=positions.to(device), attention_mask=mask, use_cache=False,
        visual_pos_masks=is_video, deepstack_visual_embeds=video.deepstack,
    ).last_hidden_state  # fmt: skip

    rows = torch.cat([torch.full_like(s.last, row) for row, s in enumerate(sequences)]).to(device)
    columns = torch.cat([sequence.last for sequence in sequences]).to(device)
    logits = model.lm_head(hidden[rows, columns]).float()
    log_probs = torch.log_softmax(logits, dim=-1)[:, list(answer_ids(processor))]
    shapes = [(len(clip.instructions), len(clip.ends)) for clip in clips]
    parts = log_probs.split([m * e for m, e in shapes])
    by_clip = [part.view(m, e, 2) for part, (m, e) in zip(parts, shapes, strict=True)]
    return Branches(by_clip, video.features)


@dataclass(frozen=True)
class _VideoPart:
    ids: torch.Tensor  # (V,) up to the end of the last pair
    positions: torch.Tensor  # (3, V)
    pair_ends: torch.Tensor  # (P,) tokens up to and including each pair


@dataclass(frozen=True)
class _Video:
    parts: list[_VideoPart]
    features: torch.Tensor  # (video tokens of all clips, width)
    deepstack: list[torch.Tensor]


@dataclass(frozen=True)
class _Sequence:
    ids: torch.Tensor  # (N,) video, then M * E tails
    positions: torch.Tensor  # (3, N)
    allowed: torch.Tensor  # bool (N, N)
    last: torch.Tensor  # (M * E,) last token of each tail


def _encode_video(
    model: "Qwen3VLForConditionalGeneration", processor: "Qwen3VLProcessor", clips: Sequence[Clip]
) -> _Video:
    if any(clip.fps != clips[0].fps for clip in clips):
        raise ValueError("clips of one batch must have one frame rate")
    body: Any = model.model
    text = opening(processor)
    frames = [resize_frames(processor, clip.frames) for clip in clips]
    inputs: Any = encode(
        processor, [text] * len(clips), frames, [c.frame_indices for c in clips], clips[0].fps, tensors=False
    )
    grid = torch.as_tensor(inputs["video_grid_thw"])
    parts: list[_VideoPart] = []
    for row, ids_list in enumerate(inputs["input_ids"]):
        ids = torch.tensor(ids_list)
        pair_ends = (ids == model.config.vision_end_token_id).nonzero().flatten() + 1
        size = int(pair_ends[-1])
        types = torch.tensor(inputs["mm_token_type_ids"][row])
        positions, _ = body.get_rope_index(
            ids[None, :size], mm_token_type_ids=types[None, :size], video_grid_thw=grid[row : row + 1]
        )
        parts.append(_VideoPart(ids[:size], positions[:, 0], pair_ends))
    pixels = torch.as_tensor(inputs["pixel_values_videos"]).to(model.device)
    features = body.get_video_features(pixels, grid.to(model.device), return_dict=True)
    return _Video(parts, torch.cat(tuple(features.pooler_output)), features.deepstack_features)


def _layout(clip: Clip, video: _VideoPart, processor: "Qwen3VLProcessor") -> _Sequence:
    count = len(clip.frames)
    tails = [torch.tensor(tail_ids(processor, instruction)) for instruction in clip.instructions]
    size = len(video.ids)
    total = size + len(clip.ends) * sum(len(tail) for tail in tails)
    ids = torch.empty(total, dtype=torch.long)
    positions = torch.empty((3, total), dtype=torch.long)
    allowed = torch.zeros((total, total), dtype=torch.bool)
    ids[:size], positions[:, :size] = video.ids, video.positions
    allowed[:size, :size] = torch.ones((size, size), dtype=torch.bool).tril()
    behind = video.positions.max(dim=0).values.cummax(dim=0).values + 1
    start = size
    last: list[int] = []
    for tail in tails:
        length = len(tail)
        causal = torch.ones((length, length), dtype=torch.bool).tril()
        for end in clip.ends.tolist():
            if end != count and end % 2:
                raise ValueError(f"prefix of {end} frames: odd, inside a clip of {count}")
            seen = int(video.pair_ends[(end + 1) // 2 - 1])
            stop = start + length
            ids[start:stop] = tail
            positions[:, start:stop] = behind[seen - 1] + torch.arange(length)
            allowed[start:stop, :seen] = True
            allowed[start:stop, start:stop] = causal
            last.append(stop - 1)
            start = stop
    return _Sequence(ids, positions, allowed, torch.tensor(last))
