"""Progress over chunks, and what is a usual amount of it. Pure functions over arrays."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig

WINDOW_S = 2.0
"""Seconds around an action that judge it: fewer add noise, more see no short stop (docs/weights.md)."""
WINDOW_SHARE = 1 / 3
"""Share of a demonstration of median length that they are at least."""


def chunk_deltas(
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    chunk: int,
    horizon: Literal["per_step", "clamped"],
    before: int = 0,
) -> NDArray[np.float64]:
    """Progress made over the chunk of `chunk` frames that starts `before` frames before each: float64 (N,).

    progress (N,), episode_index (N,): one row per frame, each episode's frames contiguous and in order. An
    episode whose progress is NaN has NaN deltas.

    SARM (arXiv 2509.25358): r = s(t + H) - s(t). Where only m < H of the steps lie in the episode, `clamped`
    takes their progress as LeRobot does, which shrinks the delta towards the end.

    `per_step` adds what a chunk as long would have gained had it gone on: the H - m steps outside
    count as steps of the episode's own average pace. A steady episode has one delta from first frame to last,
    and a good end is worth what a good middle is. Scaling s(end) - s(t) by H / m would be steady as well, but
    rests on ever fewer steps: noise of 0.01 in a frame's progress becomes 1 in the last delta of a chunk of
    100. The average rests on the whole episode, so that a frame's noise counts at most sqrt(3) times what it
    does in the middle. An episode shorter than a chunk has no middle; it is taken for at most twice as long
    as it is, which bounds its noise at sqrt(7) times that. One frame: 0.
    """
    progress = np.asarray(progress, dtype=np.float64)
    episode_index = np.asarray(episode_index)
    if progress.ndim != 1 or progress.shape != episode_index.shape:
        raise ValueError(f"progress {progress.shape}, episode_index {episode_index.shape}: must be one (N,)")
    if np.isinf(progress).any():
        raise ValueError("progress: must be finite, or NaN where it is unknown")
    if chunk < 1:
        raise ValueError(f"chunk {chunk}: must be at least 1")
    if not 0 <= before <= chunk:
        raise ValueError(f"before {before}: must be from 0 to chunk, {chunk}")
    if horizon not in ("per_step", "clamped"):
        raise ValueError(f"horizon {horizon}: must be per_step or clamped")
    deltas = np.empty_like(progress)
    for start, stop in episode_bounds(episode_index).tolist():
        own, last = progress[start:stop], stop - start - 1
        unknown = np.isnan(own)
        if unknown.any() and not unknown.all():
            raise ValueError(
                f"progress of episode {episode_index[start]}: must be known of all frames or none"
            )
        begins = np.arange(last + 1) - before
        first, end = np.maximum(begins, 0), np.minimum(begins + chunk, last)
        deltas[start:stop] = own[end] - own[first]
        if horizon == "per_step" and last > 0:
            beyond = np.maximum(min(chunk, 2 * last) - (end - first), 0)
            deltas[start:stop] += beyond * (own[-1] - own[0]) / last
    return deltas


def judged_span(settings: WeightsConfig, chunk: int, fps: float, median: float) -> int:
    """Frames whose progress judges one: the policy's `chunk` from there on, or those around an action.

    An action is judged by what happens around it: looking ahead only, the good actions before a flaw would be
    left out for it, and the longer the chunk, the more of them. Over `WINDOW_S`, or over `WINDOW_SHARE` of a
    demonstration where that is longer: a dozen scores over a long one say nothing about seconds.

    median: of the demonstrations' lengths, frames.
    """
    if not settings.judges_actions:
        return chunk
    return max(2, round(max(WINDOW_S * fps, WINDOW_SHARE * median)))


def judged_deltas(
    progress: NDArray[np.float64], episode_index: NDArray[np.int64], settings: WeightsConfig, span: int
) -> NDArray[np.float64]:
    """`chunk_deltas` (N,) over the frames that judge each; span: their number, by `judged_span`."""
    before = frames_before(settings, span)
    return chunk_deltas(progress, episode_index, span, settings.horizon, before)


def frames_before(settings: WeightsConfig, span: int) -> int:
    """How many of the `span` frames that judge one lie before it: none, or half around an action."""
    return span // 2 if settings.judges_actions else 0


def episode_bounds(episode_index: NDArray[np.int64]) -> NDArray[np.int64]:
    """First frame of each episode and the one past its last, (E, 2), from the episode of every frame (N,).

    Raises ValueError if the frames of an episode are not contiguous.
    """
    episode_index = np.asarray(episode_index)
    starts = np.flatnonzero(np.diff(episode_index, prepend=episode_index[:1] - 1))
    if len(np.unique(episode_index[starts])) != len(starts):
        raise ValueError("episode_index: the frames of an episode must be contiguous")
    return np.stack([starts, np.r_[starts, len(episode_index)][1:]], axis=1)


def median_length(episode_index: NDArray[np.int64]) -> float:
    """Median of the episodes' lengths, frames; episode_index: (N,) of `episode_bounds`, not empty."""
    bounds = episode_bounds(episode_index)
    return float(np.median(bounds[:, 1] - bounds[:, 0]))


def pace(episode_index: NDArray[np.int64], chunk: int) -> float:
    """Progress, of 1 for the task, that a demonstration of median length makes evenly over `chunk` frames.

    episode_index: (N,) of the frames of one task.
    """
    return min(1.0, chunk / median_length(episode_index))
