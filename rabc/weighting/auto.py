"""The rule that needs no choice: what advances too little is left out, unless too little would be left. Pure.

A frame is left out where the progress that judges it (`rabc.weighting.deltas`) is less than half of its pace:
of what a demonstration of the task's median length gains evenly over as many frames. Slow is no flaw: an
episode that ends well and is slow throughout is judged by its own pace, down to half of the usual one. Where
half would leave less than `LEAST_KEPT` of the frames, or less than `LEAST_OF_STAGE` of those of a stage of
the task, the share is halved, twice, and then nothing is left out.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.weighting.deltas import episode_bounds, pace

SHARES = (0.5, 0.25, 0.125)
"""Of the pace, in the order in which they are tried."""
LEAST_KEPT = 0.25
"""Share of a task's frames that stays."""
LEAST_OF_STAGE = 0.1
"""Share of the frames of a stage that stays."""
STAGES = 10
"""Of a task, by progress: a tenth each."""
OWN_PACE = 0.75
"""Quantile of an episode's own deltas that is its pace: one that stops or strays has it as well."""
SLOWEST = 0.5
"""An episode's own pace counts down to this share of the usual one."""
ENDS_WELL = 0.5
"""Final progress of an episode whose own pace counts: a failed one is slow because it fails."""


@dataclass(frozen=True)
class Left:
    """What the rule leaves of a task."""

    kept: NDArray[np.bool_]
    """(N,) frames that stay."""
    share: float
    """Of `SHARES`; 0: nothing was left out."""
    spared: str
    """What larger shares would have left too little of, in words; empty where the first one was taken."""


def leave(
    deltas: NDArray[np.float64],
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    span: int,
) -> Left:
    """The rule on the frames of one task.

    Args:
        deltas: (N,) progress over the frames that judge each, all known.
        progress: (N,) that they come from, comparable between episodes.
        episode_index: (N,) of `rabc.weighting.deltas.episode_bounds`.
        span: frames that a delta spans.
    """
    paces = frame_paces(deltas, progress, episode_index, span)
    spared = ""
    for share in SHARES:
        kept = deltas >= share * paces
        lacks = _lacks(kept, progress)
        if not lacks:
            return Left(kept, share, spared)
        spared = spared or lacks
    return Left(np.ones(len(deltas), bool), 0.0, spared)


def frame_paces(
    deltas: NDArray[np.float64],
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    span: int,
) -> NDArray[np.float64]:
    """(N,) what a delta is held against: the task's pace, or that of its slow episode; as in `leave`."""
    usual = pace(episode_index, span)
    paces = np.full(len(deltas), usual)
    for start, stop in episode_bounds(episode_index).tolist():
        if progress[stop - 1] >= ENDS_WELL:
            own = float(np.quantile(deltas[start:stop], OWN_PACE))
            paces[start:stop] = np.clip(own, SLOWEST * usual, usual)
    return paces


def _lacks(kept: NDArray[np.bool_], progress: NDArray[np.float64]) -> str:
    """What too little is left of, in words; empty where enough is left."""
    if kept.mean() < LEAST_KEPT:
        return f"{100 * kept.mean():.0f} % of the frames"
    stage = np.clip((progress * STAGES).astype(int), 0, STAGES - 1)
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
        return f"nothing is left out: even an eighth of the pace would leave no more than {left.spared}"
    share = {0.5: "half", 0.25: "a quarter", 0.125: "an eighth"}[left.share]
    said = (
        f"leaves out {100 * (1 - left.kept.mean()):.0f} % of the frames: those that gain less than {share} "
        f"of an even pace in {seconds}"
    )
    return said + (f", since half would leave no more than {left.spared}" if left.spared else "")
