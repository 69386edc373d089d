"""What lets a small scorer learn colours at all: its eyes and its words get one space to begin with.

Trained on progress alone, a small vision-language model learns in minutes how the hand moves, and then stays
where it answers every colour alike: naming a colour and finding it in the picture only help together. So the
vision encoder is taught, in training only, to say which cubes it sees in the embeddings of the words for
their colours; attention, which begins by matching like with like (`small.build_model`), then finds them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from einops import reduce
from torch import Tensor, nn
from torch.nn import functional

from rabc.scoring.small.architecture import MERGE, PATCH

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

CELL = PATCH * MERGE
"""Side of the square that one video token stands for, pixels."""
SEEN_PIXELS = 3
"""A cube is in a cell with at least so many of its pixels; fewer, but some, are not judged."""
# A cell seldom holds a given colour; without this the loss is lowest where nothing is ever seen.
POSITIVE_WEIGHT = 4.0


class ColorAlignment(nn.Module):
    """Loss of seeing: cosine of every video token with every colour word against what the pixels show."""

    def __init__(self, processor: "Qwen3VLProcessor", colors: Sequence[str]) -> None:
        super().__init__()
        tokenizer: Any = processor.tokenizer  # pyright: ignore[reportAttributeAccessIssue]
        self.colors = list(colors)
        ids = [tokenizer(f" {color}")["input_ids"][-1] for color in colors]
        self.register_buffer("words", torch.tensor(ids), persistent=False)
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.bias = nn.Parameter(torch.tensor(-3.0))

    def forward(self, model: "Qwen3VLForConditionalGeneration", features: Tensor, frames: Tensor) -> Tensor:
        """Mean binary cross-entropy over cells and colours.

        features: (P * cells, width), the video tokens of P frame pairs in the model's order; frames: uint8
        (P, 3, H, W), the last frame of each pair.
        """
        words: Any = self.words
        embedded = functional.normalize(model.get_input_embeddings()(words).float(), dim=-1)
        logits = self.scale * functional.normalize(features.float(), dim=-1) @ embedded.T + self.bias
        pixels = color_pixels(frames, self.colors).to(logits.device)
        judged = (pixels == 0) | (pixels >= SEEN_PIXELS)
        losses = functional.binary_cross_entropy_with_logits(
            logits, (pixels >= SEEN_PIXELS).float(), reduction="none",
            pos_weight=torch.tensor(POSITIVE_WEIGHT, device=logits.device),
        )  # fmt: skip
        return (losses * judged).mean()


def color_pixels(frames: Tensor, colors: Sequence[str]) -> Tensor:
    """Pixels of each colour per cell, (P * cells, C), cells row by row, of rendered uint8 (P, 3, H, W)."""
    masks = torch.stack([_mask(frames.float(), color) for color in colors]).float()
    return reduce(masks, "color p (row h) (column w) -> (p row column) color", "sum", h=CELL, w=CELL)


def _mask(frames: Tensor, color: str) -> Tensor:
    """Pixels (P, H, W) of a cube of this colour in any light there is; the arm is yellow, the table grey."""
    red, green, blue = frames.unbind(dim=1)
    if color == "red":
        return (red > 50) & (green < 0.3 * red) & (blue < 0.3 * red)
    if color == "green":
        return (green > 40) & (red < 0.3 * green) & (blue < 0.3 * green)
    if color == "blue":
        return (blue > 50) & (red < 0.3 * blue) & (green < 0.3 * blue)
    if color == "purple":
        return (red > 25) & (green < 0.3 * red) & ((red - blue).abs() < 0.3 * red)
    if color == "orange":
        return (red > 60) & (blue < 0.25 * red) & (green > 0.35 * red) & (green < 0.68 * red)
    if color == "white":
        return (red > 205) & (green > 205) & (blue > 205)
    raise ValueError(f"colour {color}: no rule for its pixels")
