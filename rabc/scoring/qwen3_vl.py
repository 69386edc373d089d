"""All prefixes of a video in two forwards of the language model (Qwen3-VL and its mixture of experts).

The vision encoder looks at each pair of frames alone and the language model is causal, so the keys and
values of a prefix do not depend on what follows it. One causal forward over the whole video fills the cache;
a second one answers all questions, each behind a mask that shows it the video up to the end of its prefix and
itself, at the rotary positions it would have right there. `topreward.py` has the reference, one forward per
prefix.
"""

import copy
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from einops import rearrange

from rabc.scoring.layout import Branch, Layout, Questions, Tokens, lay_out
from rabc.scoring.prompt import PROMPT, Prompt, answer_ids

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

MASK_BYTES = 128 * 2**20
"""Largest attention mask of the second forward; it is split into several where more would be needed."""
PATCHES_AT_ONCE = 16384
"""Patches the vision encoder sees at once (about 14 pairs of 480x640)."""


@dataclass(frozen=True)
class Answers:
    """What is known of a batch of videos."""

    log_probs: list[torch.Tensor]
    """Per video float32 (M, E, 2): log-probabilities of the two answers, nats."""
    video_features: torch.Tensor
    """(video tokens of all videos in order, width): what the vision encoder gives the language model."""


@dataclass(frozen=True)
class _Pictures:
    """Encoded pairs of frames."""

    features: torch.Tensor  # (pairs, tokens, width)
    deepstack: list[torch.Tensor]  # the same for each of the language model's first layers

    def part(self, start: int, stop: int) -> "_Pictures":
        return _Pictures(self.features[start:stop], [layer[start:stop] for layer in self.deepstack])


@dataclass(frozen=True)
class _Encoded:
    """A laid out video with its encoded pictures."""

    layout: Layout
    pairs: _Pictures
    own: dict[int, _Pictures]  # of the sampled frames that questions bring along, doubled


def answer(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Qwen3VLProcessor",
    batch: Sequence[Questions],
    prompt: Prompt = PROMPT,
    mask_bytes: int = MASK_BYTES,
) -> Answers:
    """Log-probabilities of the answers to all questions about all videos. Differentiable.

    mask_bytes: largest attention mask, bytes. Equal to one forward per question but for rounding.
    """
    encoded = [_encode(model, processor, questions, prompt) for questions in batch]
    cache = _prefill(model, encoded)
    order = [sorted(range(len(e.layout.branches)), key=lambda i, e=e: -_branches(e)[i].seen) for e in encoded]
    hidden: list[dict[int, torch.Tensor]] = [{} for _ in batch]
    at = 0
    while at < max(len(indices) for indices in order):
        size = _group_size([e.layout for e in encoded], order, at, mask_bytes)
        group = [indices[at : at + size] for indices in order]
        # Later groups see less, so that the cache only ever shrinks. It is shared where a copy suffices.
        seen = max(_branches(e)[i].seen for e, part in zip(encoded, group, strict=True) for i in part)
        last = at + size >= max(len(indices) for indices in order)
        for row, states in enumerate(_ask(model, encoded, group, _shortened(cache, seen, keep=not last))):
            hidden[row].update(zip(group[row], states, strict=True))
        at += size
    columns = list(answer_ids(processor, prompt))
    log_probs: list[torch.Tensor] = []
    for questions, states in zip(batch, hidden, strict=True):
        logits = model.lm_head(torch.stack([states[i] for i in range(len(states))])).float()
        shape = (len(questions.instructions), len(questions.ends), 2)
        log_probs.append(torch.log_softmax(logits, dim=-1)[:, columns].view(shape))
    return Answers(log_probs, torch.cat([_tokens(e.pairs.features) for e in encoded]))


def video_features(
    model: "Qwen3VLForConditionalGeneration", processor: "Qwen3VLProcessor", batch: Sequence[Questions]
) -> torch.Tensor:
    """The vision encoder's part of `answer` alone."""
    return torch.cat([_tokens(_encode(model, processor, q, PROMPT).pairs.features) for q in batch])


def _branches(encoded: _Encoded) -> list[Branch]:
    return encoded.layout.branches


def _encode(model: Any, processor: Any, questions: Questions, prompt: Prompt) -> _Encoded:
    frames = questions.frames
    layout = lay_out(model, processor, questions, (frames.shape[-2], frames.shape[-1]), prompt)
    own = sorted({b.own_pair for b in layout.branches if b.own_pair is not None})
    doubled = torch.tensor(own, dtype=torch.long).repeat_interleave(2)
    pictures = _see(model, processor, frames, torch.cat([layout.pairs.flatten(), doubled]))
    count = len(layout.pairs)
    brought = {frame: pictures.part(count + i, count + i + 1) for i, frame in enumerate(own)}
    return _Encoded(layout, pictures.part(0, count), brought)


def _see(model: Any, processor: Any, frames: torch.Tensor, order: torch.Tensor) -> _Pictures:
    """The vision encoder on the pairs of `frames[order]`, some pairs at a time."""
    video: Any = processor.video_processor
    patches = frames.shape[-2] * frames.shape[-1] // video.patch_size**2
    step = 2 * max(1, PATCHES_AT_ONCE // patches)
    features: list[torch.Tensor] = []
    deepstack: list[list[torch.Tensor]] = []
    for start in range(0, len(order), step):
        inputs = video(
            videos=[frames[order[start : start + step]]], do_sample_frames=False, do_resize=False,
            return_tensors="pt",
        )  # fmt: skip
        grid = inputs["video_grid_thw"].to(model.device)
        seen = model.model.get_video_features(
            inputs["pixel_values_videos"].to(model.device), grid, return_dict=True
        )
        pairs = int(grid[0, 0])
        apart = "(pair patch) d -> pair patch d"
        features.append(rearrange(seen.pooler_output[0], apart, pair=pairs))
        deepstack.append([rearrange(layer, apart, pair=pairs) for layer in seen.deepstack_features])
    return _Pictures(torch.cat(features), [torch.cat(layer) for layer in zip(*deepstack, strict=True)])


def _prefill(model: Any, encoded: Sequence[_Encoded]) -> Any:
    """The cache of all videos. Padding is on the right, where no causal query looks: no mask is needed, and
    the fast attention kernels apply."""
    parts = [e.layout.video for e in encoded]
    ids, positions = _pad(model, parts)
    outputs = _language_model(model, ids, positions, _stack([e.pairs for e in encoded]), None, None)
    return outputs.past_key_values


def _ask(
    model: Any, encoded: Sequence[_Encoded], group: Sequence[Sequence[int]], cache: Any
) -> list[list[torch.Tensor]]:
    """Hidden state (width,) of the last token of each branch of `group`, per video."""
    chosen = [[_branches(e)[i] for i in part] for e, part in zip(encoded, group, strict=True)]
    rows = [_join_branches(branches) for branches in chosen]
    ids, positions = _pad(model, rows)
    past = cache.get_seq_length()
    allowed = torch.zeros((len(rows), ids.shape[1], past + ids.shape[1]), dtype=torch.bool)
    # A padded query sees itself, or its softmax would be undefined.
    allowed[:, :, past:] = torch.eye(ids.shape[1], dtype=torch.bool)
    pictures: list[_Pictures] = []
    for row, (e, branches) in enumerate(zip(encoded, chosen, strict=True)):
        start = 0
        for branch in branches:
            stop = start + len(branch.tokens)
            allowed[row, start:stop, : branch.seen] = True
            allowed[row, start:stop, past + start : past + stop] = torch.ones(
                (stop - start, stop - start), dtype=torch.bool
            ).tril()
            if branch.own_pair is not None:
                pictures.append(e.own[branch.own_pair])
            start = stop
    dtype = model.get_input_embeddings().weight.dtype
    mask = torch.zeros(allowed.shape, dtype=dtype, device=model.device)
    mask.masked_fill_(~allowed.to(model.device), torch.finfo(dtype).min)
    seen = _stack(pictures) if pictures else None
    states = _language_model(model, ids, positions, seen, mask[:, None], cache).last_hidden_state
    ends = [torch.tensor([len(b.tokens) for b in part], dtype=torch.long).cumsum(0) - 1 for part in chosen]
    return [list(states[row, end.to(model.device)]) for row, end in enumerate(ends)]


def _language_model(
    model: Any,
    ids: torch.Tensor,
    positions: torch.Tensor,
    pictures: _Pictures | None,
    mask: torch.Tensor | None,
    cache: Any,
) -> Any:
    """One forward over `ids` (B, N), whose video tokens are `pictures` in order."""
    ids = ids.to(model.device)
    embedded = model.get_input_embeddings()(ids)
    vision: dict[str, Any] = {}
    if pictures is not None:
        where = ids == model.config.video_token_id
        features = _tokens(pictures.features).to(embedded.dtype)
        embedded = embedded.masked_scatter(where[..., None], features)
        vision = {
            "visual_pos_masks": where,
            "deepstack_visual_embeds": [_tokens(layer) for layer in pictures.deepstack],
        }
    return model.model.language_model(
        inputs_embeds=embedded, position_ids=positions.to(model.device), attention_mask=mask,
        past_key_values=cache, use_cache=True, **vision,
    )  # fmt: skip


def _shortened(cache: Any, length: int, keep: bool) -> Any:
    """The first `length` tokens of the cache: a view of it, in a cache of its own if it is still needed."""
    short = copy.copy(cache)
    if keep:
        short.layers = [copy.copy(layer) for layer in cache.layers]
    short.crop(length)
    return short


def _group_size(layouts: Sequence[Layout], order: Sequence[Sequence[int]], at: int, mask_bytes: int) -> int:
    """How many branches of each video from `at` on fit into one mask; at least one."""
    left = max(len(indices) for indices in order) - at
    size = 0
    longest = [0] * len(layouts)
    seen = max(
        layout.branches[part[at]].seen for layout, part in zip(layouts, order, strict=True) if at < len(part)
    )
    while size < left:
        for row, (layout, indices) in enumerate(zip(layouts, order, strict=True)):
            if at + size < len(indices):
                longest[row] += len(layout.branches[indices[at + size]].tokens)
        queries = max(longest)
        # 4 bytes in float32, and a byte of the mask before it becomes one of numbers.
        if size and 5 * len(layouts) * queries * (seen + queries) > mask_bytes:
            break
        size += 1
    return size


def _join_branches(branches: Sequence[Branch]) -> Tokens:
    if not branches:
        return Tokens(torch.empty(0, dtype=torch.long), torch.empty((3, 0), dtype=torch.long))
    ids = torch.cat([branch.tokens.ids for branch in branches])
    return Tokens(ids, torch.cat([branch.tokens.positions for branch in branches], dim=1))


def _pad(model: Any, parts: Sequence[Tokens]) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids (B, N) and positions (3, B, N), padded on the right with a token of text."""
    length = max(len(part) for part in parts)
    ids = torch.full((len(parts), length), model.config.get_text_config().pad_token_id or 0)
    positions = torch.zeros((3, len(parts), length), dtype=torch.long)
    for row, part in enumerate(parts):
        ids[row, : len(part)] = part.ids
        positions[:, row, : len(part)] = part.positions
    return ids, positions


def _tokens(features: torch.Tensor) -> torch.Tensor:
    """The patches of all pairs of frames, one after the other."""
    return rearrange(features, "pair patch d -> (pair patch) d")


def _stack(pictures: Sequence[_Pictures]) -> _Pictures:
    """All tokens of pictures that may differ in size, one after the other, as one picture."""
    features = torch.cat([_tokens(p.features) for p in pictures])
    layers = zip(*(p.deepstack for p in pictures), strict=True)
    return _Pictures(features[None], [torch.cat([_tokens(part) for part in layer])[None] for layer in layers])
