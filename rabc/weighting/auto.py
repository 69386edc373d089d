"""The rule that needs no choice: what advances too little is left out, unless too little would be left. Pure.

What is usual is what good demonstrations do: of those that end well the shortest quarter. At every stage of
the task it is what nine in ten of their frames gain over `span` frames centred on them, so that a stage at
which every good one hardly advances, or a scorer hardly sees that it does, is not held against anyone. What
gains less than half of that is left out.

Slow is no flaw: an episode that ends well is watched for as much longer as it is slower, down to half of the
usual speed; its speed is what it gains where it moves, so that one that stops or strays is not slow.

Where half would leave less than `LEAST_KEPT` of the frames, or less than `LEAST_OF_STAGE` of those of a
stage, the share is halved, twice, and then nothing is left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.weighting.deltas import chunk_deltas, episode_bounds

SHARES = (0.5, 0.25, 0.125)
"""Of what is usual, in the order in which they are tried."""
LEAST_KEPT = 0.25
"""Share of a task's frames that stays."""
LEAST_OF_STAGE = 0.1
"""Share of the frames of a stage that stays."""
STAGES = 10
"""Of a task, by progress: a tenth each."""
ENDS_WELL = 0.5
"""Final progress of a demonstration that may be a good one."""
GOOD = 0.25
"""Share of those that end well, the shortest, that say what is usual."""
USUAL = 0.1
"""Quantile of their gains at a stage that is usual there."""
MOVING = 0.75
"""Quantile of an episode's gains, each relative to what is usual there, that is its speed."""
SLOWEST = 0.5
"""Speed that is still no flaw."""


@dataclass(frozen=True)
class Left:
    """What the rule leaves of a task."""

    kept: NDArray[np.bool_]
    """(N,) frames that stay."""
    share: float
    """Of `SHARES`; 0: nothing was left out."""
    spared: str
    """What larger shares would have left too little of, in words; empty where the first one was taken."""


def leave(progress: NDArray[np.float64], episode_index: NDArray[np.int64], span: int) -> Left:
    """The rule on the frames of one task.

    Args:
        progress: (N,) all known, comparable between episodes.
        episode_index: (N,) of `rabc.weighting.deltas.episode_bounds`.
        span: frames, by `rabc.weighting.deltas.judged_span`.
    """
    gains, usual = relative_gains(progress, episode_index, span)
    if usual is None:
        return Left(np.ones(len(progress), bool), 0.0, "no demonstration, since none ends well")
    spared = ""
    for share in SHARES:
        kept = gains >= np.minimum(usual, share * usual)  # where good ones lose, nobody has to lose less
        lacks = _lacks(kept, progress)
        if not lacks:
            return Left(kept, share, spared)
        spared = spared or lacks
    return Left(np.ones(len(progress), bool), 0.0, spared)


def relative_gains(
    progress: NDArray[np.float64], episode_index: NDArray[np.int64], span: int
) -> tuple[NDArray[np.float64], NDArray[np.float64] | None]:
    """What each frame gains, and what is usual at its stage, (N,) both; None: no demonstration ends well.

    Arguments as in `leave`. A slow episode's gains are over as many more frames as it is slower.
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
        speeds = gains[own][moves] / usual[own][moves]
        if moves.any() and np.quantile(speeds, MOVING) < 1:
            speed = max(float(np.quantile(speeds, MOVING)), SLOWEST)
            gains[own] = _gains(progress[own], episode_index[own], round(span / speed))
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
    seconds = f"{span / fps:.1f} s"
    if left.share == 0:
        return f"nothing is left out: there would be left {left.spared}"
    share = {0.5: "half", 0.25: "a quarter", 0.125: "an eighth"}[left.share]
    said = (
        f"leaves out {100 * (1 - left.kept.mean()):.0f} % of the frames: those that gain less than {share} "
        f"of what good demonstrations gain there in {seconds}"
    )
    return said + (f", since half would leave no more than {left.spared}" if left.spared else "")
