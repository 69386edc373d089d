"""The ways one episode is shown to the scorer: as it is, and as three controls, which are no success.

Pure. A scorer that watches the video gives a control no rise: a still picture (length bias), the video
backwards, an instruction of another task.
"""

from collections.abc import Sequence
from typing import Literal, get_args

import torch

from rabc.system.errors import InputError

Variant = Literal["real", "static", "reversed", "wrong_instruction"]
VARIANTS: tuple[Variant, ...] = get_args(Variant)


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


def wrong_sentence(tasks: Sequence[str], configured: str) -> str | None:
    """`configured` where the dataset's `tasks` offer no other instruction; else None.

    Raises InputError if it is needed and says what the one task says.
    """
    if len(set(tasks)) > 1:
        return None
    if any(_plain(task) == _plain(configured) for task in tasks):
        raise InputError(
            f"diagnostics.wrong_instruction {configured!r}: is the dataset's own task; give another sentence"
        )
    return configured


def instruction_of(variant: Variant, own: str, tasks: Sequence[str], sentence: str | None) -> str:
    """What an episode of task `own` is judged by.

    tasks: those of the dataset, in its order; wrong_instruction takes the next one after `own`, cyclically,
    or `sentence` where it is given (see `wrong_sentence`).
    """
    if variant != "wrong_instruction":
        return own
    if sentence is not None:
        return sentence
    after = tasks.index(own) + 1
    return next(task for task in [*tasks[after:], *tasks] if task != own)


def _plain(text: str) -> str:
    return text.strip().rstrip(".").casefold()
