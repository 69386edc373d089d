"""The rule that needs no choice: what advances too little is left out, unless too little would be left. Pure.

What is usual is what good demonstrations do: of those that end well the shortest quarter. At every stage of
the task it is what nine in ten of their frames gain over `span` frames centred on them, so that a stage at
which every good one hardly advances, or a scorer hardly sees that it does, is not held against anyone. What
gains less than half of that is left out.

Slow is no flaw: an episode that ends well, but gains less than `SLOW` of the usual even where it moves, is
watched for twice as long. One that stops or strays gains the usual elsewhere, and is not slow.

Where half would leave less than `LEAST_KEPT` of the frames, or less than `LEAST_OF_STAGE` of those of a
stage, the share is halved, twice, and then nothing is left out. Nor is it where no more than `LEAST_LEFT`
would be: of clean demonstrations noise alone takes some, and without so few a policy learns nothing else.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.weighting.deltas import chunk_deltas, episode_bounds

SHARES = (0.5, 0.25, 0.125)
"""Of what is usual, in the order in which they are tried."""
WORDS = {0.5: "half", 0.25: "a quarter", 0.125: "an eighth"}
"""What they are called."""
LEAST_KEPT = 0.25
"""Share of a task's frames that stays."""
LEAST_OF_STAGE = 0.1
"""Share of the frames of a stage that stays."""
STAGES = 10
"""Of a task, by progress: a tenth each."""
LEAST_LEFT = 0.1
"""Share of a task's frames that gain too little, up to which they are left in."""
ENDS_WELL = 0.5
"""Final progress of a demonstration that may be a good one."""
GOOD = 0.25
"""Share of those that end well, the shortest, that say what is usual."""
USUAL = 0.1
"""Quantile of their gains at a stage that is usual there."""
MOVING = 0.75
"""Quantile of an episode's gains, each relative to what is usual there, that is its speed."""
SLOW = 0.8
"""Speed below which an episode is slow."""


@dataclass(frozen=True)
class Left:
    """What the rule leaves of a task."""

    kept: NDArray[np.bool_]
    """(N,) frames that stay."""
    share: float
    """Of `SHARES`; 0: nothing was left out."""
    why: str
    """Why less is left out than half would be, a clause; empty where it is not."""


def leave(progress: NDArray[np.float64], episode_index: NDArray[np.int64], span: int) -> Left:
    """The rule on the frames of one task.

    Args:
        progress: (N,) all known, comparable between episodes.
        episode_index: (N,) of `rabc.weighting.deltas.episode_bounds`.
        span: frames, by `rabc.weighting.deltas.judged_span`.
    """
    nothing = np.ones(len(progress), bool)
    gains, usual = relative_gains(progress, episode_index, span)
    if usual is None:
        return Left(nothing, 0.0, "no demonstration ends well, so nobody knows what is usual")
    why = ""
    for share in SHARES:
        kept = gains >= np.minimum(usual, share * usual)  # where good ones lose, nobody has to lose less
        lacks = _lacks(kept, progress)
        if not lacks and 1 - kept.mean() <= LEAST_LEFT:
            few = f"{100 * (1 - kept.mean()):.0f} % of the frames gain less than {WORDS[share]} of the usual"
            return Left(nothing, 0.0, f"{why}, and only {few}" if why else few)
        if not lacks:
            return Left(kept, share, why)
        why = why or f"half would leave no more than {lacks}"
    return Left(nothing, 0.0, why)


def relative_gains(
    progress: NDArray[np.float64], episode_index: NDArray[np.int64], span: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """What each frame gains, and what is usual at its stage, (N,) both; None: no demonstration ends well.

    Arguments as in `leave`. A slow episode's gains are over twice as many frames.
    """
    bounds = episode_bounds(episode_index)
    gains = _gains(progress, episode_index, span)
    well = np.flatnonzero(progress[bounds[:, 1] - 1] >= ENDS_WELL)
    if not len(well):
        return gains, None
    order = np.argsort(bounds[well, 1] - bounds[well, 0], kind="stable")
    good = well[order[: int(np.ceil(GOOD * len(well)))]]
    frames = np.concatenate([np.arange(*bounds[episode]) for episode in good])
    usual = _usual(progress[frames], gains[frames], progress)
    for start, stop in bounds[well].tolist():
        own = slice(start, stop)
        moves = usual[own] > 0
        if moves.any() and np.quantile(gains[own][moves] / usual[own][moves], MOVING) < SLOW:
            gains[own] = _gains(progress[own], episode_index[own], 2 * span)
    return gains, usual


def _gains(progress: NDArray[np.float64], episode_index: NDArray[np.int64], span: int) -> NDArray[np.float64]:
    return chunk_deltas(progress, episode_index, span, "per_step", span // 2)


def _usual(
    at: NDArray[np.float64], gained: NDArray[np.float64], progress: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(N,) what good demonstrations gain at the `progress` (N,) of every frame.

    at, gained: (M,) progress and gain of their frames. Between the middles of stages it is interpolated; a
    stage that they pass in no frame has that of its neighbours.
    """
    stage = _stage(at)
    passed = np.unique(stage)
    gains = [np.quantile(gained[stage == number], USUAL) for number in passed]
    return np.interp(progress, (passed + 0.5) / STAGES, gains)


def _stage(progress: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.clip((progress * STAGES).astype(np.int64), 0, STAGES - 1)


def _lacks(kept: NDArray[np.bool_], progress: NDArray[np.float64]) -> str:
    """What too little is left of, in words; empty where enough is left."""
    if kept.mean() < LEAST_KEPT:
        return f"{100 * kept.mean():.0f} % of the frames"
    stage = _stage(progress)
    for number in range(STAGES):
        of = stage == number
        if of.any() and kept[of].mean() < LEAST_OF_STAGE:
            begins, ends = 100 * number / STAGES, 100 * (number + 1) / STAGES
            return f"{100 * kept[of].mean():.0f} % of what shows {begins:.0f}-{ends:.0f} % of progress"
    return ""


def sentence(left: Left, span: int, fps: float) -> str:
    """What was left out, for the user."""
    if left.share == 0:
        return f"nothing is left out: {left.why}"
    said = (
        f"leaves out {100 * (1 - left.kept.mean()):.0f} % of the frames: those that gain less than "
        f"{WORDS[left.share]} of what good demonstrations gain there in {span / fps:.1f} s"
    )
    return said + (f", since {left.why}" if left.why else "")
