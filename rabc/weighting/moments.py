"""The moments of a dataset that its weights raise and lower the most. Pure functions over arrays."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.weighting.deltas import episode_bounds

COUNT = 10
"""Moments of each kind."""


@dataclass(frozen=True)
class Moment:
    """A frame and the window of frames that judges it: the chunk from there on, or those around it."""

    episode_index: int
    frame_index: int
    """Frame of the episode, t."""
    ahead: tuple[int, int, int]
    """Frames of the episode that show the window: its begin, middle and end, none outside the episode."""
    weight: float
    """Mean 1 over the frames that are drawn."""
    delta: float | None
    """Progress over the window, as the scheme takes it; None: unknown."""
    before: float | None
    """Progress at the first frame of `ahead`; None: unknown."""
    after: float | None
    """Progress at the last frame of `ahead`; None: unknown."""


@dataclass(frozen=True)
class Moments:
    """Most raised first, most lowered first; both empty where all weights are equal."""

    up: tuple[Moment, ...]
    """Of weights above the mean of all judged frames."""
    down: tuple[Moment, ...]
    """Of weights below it."""


def moments(
    weights: NDArray[np.floating],
    episode_index: NDArray[np.int64],
    chunk: int,
    progress: NDArray[np.float64] | None = None,
    deltas: NDArray[np.float64] | None = None,
    judged: NDArray[np.bool_] | None = None,
    count: int = COUNT,
    before: int = 0,
) -> Moments:
    """The `count` most up- and the `count` most down-weighted moments.

    Each is of another episode; where there are too few, also of one that is shown already, at least a chunk
    away from what is shown of it. Frames of one weight, of which some schemes make many, are ranked by their
    deltas, where these are known, and then by their number.

    Args:
        weights: (N,) of every frame.
        episode_index: (N,), each episode's frames contiguous.
        chunk: frames of a window: actions per sample, or `rabc.weighting.deltas.judged_span`.
        progress: (N,) behind the weights, if known.
        deltas: (N,) from `rabc.weighting.deltas.chunk_deltas`, if known.
        judged: (N,) frames whose weight says something about them, all of an episode or none; None: all.
        count: at most, of each kind.
        before: frames of the window before the one that it judges.
    """
    weights = np.asarray(weights, dtype=np.float64)
    episode_index = np.asarray(episode_index)
    for name, values in (("weights", weights), ("progress", progress), ("deltas", deltas)):
        if values is not None and values.shape != episode_index.shape:
            raise ValueError(f"{name} {values.shape}, episode_index {episode_index.shape}: must be one (N,)")
    if chunk < 1:
        raise ValueError(f"chunk {chunk}: must be at least 1")
    bounds = episode_bounds(episode_index)
    lengths = bounds[:, 1] - bounds[:, 0]
    start, length = np.repeat(bounds[:, 0], lengths), np.repeat(lengths, lengths)

    def described(index: int) -> Moment:
        frame, last = int(index - start[index]), int(length[index]) - 1
        begin = frame - before
        first, middle, end = (min(max(begin + step, 0), last) for step in (0, chunk // 2, chunk))
        return Moment(
            episode_index=int(episode_index[index]),
            frame_index=frame,
            ahead=(first, middle, end),
            weight=float(weights[index]),
            delta=None if deltas is None else float(deltas[index]),
            before=None if progress is None else float(progress[start[index] + first]),
            after=None if progress is None else float(progress[start[index] + end]),
        )

    shown = np.ones(len(weights), dtype=bool) if judged is None else judged

    def most(sign: int) -> tuple[Moment, ...]:
        # Rounded, so that frames which differ by an error of the last digit count as equal.
        chosen_from = np.flatnonzero((sign * np.round(weights - weights[shown].mean(), 9) > 0) & shown)
        keys = [weights] if deltas is None else [deltas, weights]
        order = np.lexsort([-sign * np.round(key[chosen_from], 9) for key in keys])
        return tuple(described(i) for i in _apart(chosen_from[order], episode_index, chunk, count))

    return Moments(most(1), most(-1)) if shown.any() else Moments((), ())


def _apart(ranked: NDArray[np.int64], episode_index: NDArray[np.int64], chunk: int, count: int) -> list[int]:
    """The first of each episode among `ranked`, then such as are a chunk away from all of their episode.

    At most `count`, in the order of `ranked`.
    """
    _, firsts = np.unique(episode_index[ranked], return_index=True)
    places = np.sort(firsts)[:count].tolist()
    for place, index in enumerate(ranked):
        if len(places) >= count:
            break
        shown = ranked[places]
        if np.all(np.abs(shown[episode_index[shown] == episode_index[index]] - index) >= chunk):
            places.append(place)
    return [int(ranked[place]) for place in sorted(places)]
