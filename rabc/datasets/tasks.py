"""Which episodes are of one task: their instructions, without what people type differently. Pure."""

import unicodedata
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

CLOSING = ".,;:!?…。！？，；："
"""Punctuation that ends a sentence, Latin and Chinese."""


def plain_text(instruction: str) -> str:
    """The instruction without case, repeated white space and punctuation at its end.

    Two wordings that differ in a full stop or a trailing blank are one task; other words are another one,
    since nobody can know that they mean the same. An instruction of nothing but that becomes empty.
    """
    words = " ".join(unicodedata.normalize("NFKC", instruction).casefold().split())
    return words.rstrip(CLOSING + " ")


def task_groups(instructions: Sequence[str]) -> NDArray[np.int64]:
    """The task of each of E instructions, int64 (E,): 0, 1, ... in order of first appearance.

    Equal numbers are equal in `plain_text`. Works as well for one instruction per frame.
    """
    numbers = dict[str, int]()
    plain = {text: plain_text(text) for text in set(instructions)}
    found = [numbers.setdefault(plain[text], len(numbers)) for text in instructions]
    return np.array(found, dtype=np.int64)


def frame_tasks(episode_index: NDArray[np.int64], instruction: NDArray[np.object_]) -> NDArray[np.int64]:
    """The task of every frame, int64 (N,), one for all of an episode, as `task_groups` numbers it.

    episode_index: (N,), each episode's frames contiguous. instruction: (N,) str of each frame. An episode
    with several instructions is of a task with those that have the same ones in the same order.
    """
    starts = np.flatnonzero(np.diff(episode_index, prepend=episode_index[:1] - 1))
    lengths = np.diff(np.r_[starts, len(episode_index)])
    own = ["\n".join(map(plain_text, dict.fromkeys(some))) for some in np.split(instruction, starts[1:])]
    return np.repeat(task_groups(own if len(starts) else []), lengths)
