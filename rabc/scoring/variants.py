"""The ways one episode is shown to the scorer: as it is, and as three controls, which are no success.

Pure. A scorer that watches the video gives a control no rise: a still picture (length bias), the video
backwards, an instruction of another task.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from rabc.datasets.tasks import plain_text

Variant = Literal["real", "static", "reversed", "wrong_instruction"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)
OTHERS = (
    "Pour water from the kettle into the cup.",
    "Fold the towel in half.",
    "Close the fridge.",
)
"""Wrong instructions for a dataset whose task is the configured one."""


def variant_frames(variant: Variant, frames: torch.Tensor) -> torch.Tensor:
    """The sampled frames (S, 3, H, W) as `variant` shows them; times and number stay.

    static: the first frame S times (a view, without memory of its own); reversed: in reverse order.
    """
    if variant == "static":
        return frames[:1].expand_as(frames)
    return frames.flip(0) if variant == "reversed" else frames


def needs_all_frames(variants: Sequence[Variant]) -> bool:
    """Whether any of `variants` shows more than the first frame."""
    return any(variant != "static" for variant in variants)


def wrong_sentence(tasks: Sequence[str], configured: str) -> str:
    """What none of `tasks` asks for: `configured`, or where it is one of them, another of `OTHERS`.

    The dataset's other tasks are no wrong instructions: they may be the same one in other words, which nobody
    can know, and a scorer that rightly accepts it would be taken for one that does not listen.
    """
    own = {plain_text(task) for task in tasks}
    return next((text for text in (configured, *OTHERS) if plain_text(text) not in own), configured)


def instruction_of(variant: Variant, own: str, wrong: str) -> str:
    """What an episode of task `own` is judged by; wrong: what `wrong_sentence` gives."""
    return wrong if variant == "wrong_instruction" else own
