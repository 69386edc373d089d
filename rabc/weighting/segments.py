"""What weights leave out of an episode, as segments, and why, as far as progress tells. Pure.

A reason says what progress does where something was left out, and nothing about what the robot did there: a
`stall` may be a gripper that waits or a scorer that sees nothing happen.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rabc.weighting.auto import ENDS_WELL
from rabc.weighting.deltas import episode_bounds

Reason = Literal["failed", "setback", "tail", "stall", "slow", "outranked", "given"]

REASONS: dict[Reason, str] = {
    "failed": "the rest of an episode that ends below half",
    "setback": "progress falls",
    "tail": "nothing is gained from here to the end",
    "stall": "progress hardly changes",
    "slow": "gains, but slowly",
    "outranked": "gains at an even pace, and others more",
    "given": "weight 0 in the file",
}
"""Each in words, in the order in which they are tried."""
STILL = 0.2
"""Share of an even pace that is no progress: less than half of what scheme `mask` asks for by itself."""


@dataclass(frozen=True)
class Segment:
    """Frames of an episode, one after the other, of weight 0, as many as there are."""

    episode_index: int
    start: int
    """Its first frame, counted from the episode's first."""
    stop: int
    """The frame past its last."""
    reason: Reason
    before: float | None = None
    """Progress at its first frame; None: unknown."""
    after: float | None = None
    """Progress at its last frame; None: unknown."""
    rate: float | None = None
    """Of `reason_of`, of 1 for an even pace; None: unknown."""

    @property
    def frames(self) -> int:
        """How many it has."""
        return self.stop - self.start


def segments(
    weights: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    selected: NDArray[np.bool_],
    lengths: NDArray[np.float64],
    span: int,
    before: int,
    progress: NDArray[np.float64] | None = None,
) -> list[Segment]:
    """All segments of a dataset, in its order; those of an episode are apart, and hold all its weights 0.

    Args:
        weights: (N,) of every frame.
        episode_index: (N,), each episode's frames contiguous.
        selected: (N,) frames of the episodes that the run looks at; others have no segments.
        lengths: (N,) frames of a demonstration of median length of each frame's task.
        span: frames whose progress judges one.
        before: how many of them lie before it.
        progress: (N,) that the weights were made from; None: it did not make them.
    """
    found: list[Segment] = []
    for first, last in episode_bounds(episode_index).tolist():
        own = None if progress is None else progress[first:last]
        for start, stop in runs((weights[first:last] == 0) & selected[first:last]):
            episode = int(episode_index[first])
            if own is None:
                found.append(Segment(episode, start, stop, "given"))
                continue
            reason, rate = reason_of(own, start, stop, span, before, float(lengths[first]))
            found.append(Segment(episode, start, stop, reason, float(own[start]), float(own[stop - 1]), rate))
    return found


def runs(true: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where (T,) bool is true, longest stretches: the first place of each and the one past its last."""
    edges = np.flatnonzero(np.diff(true.astype(np.int8), prepend=0, append=0))
    return [(int(start), int(stop)) for start, stop in edges.reshape(-1, 2)]


def reason_of(
    progress: NDArray[np.float64], start: int, stop: int, span: int, before: int, length: float
) -> tuple[Reason, float]:
    """Why the frames from `start` to before `stop` of an episode were left out, and their rate.

    The rate is what the windows that judge these frames gain, all together, as far as they lie in the
    episode, for each frame that they go on; as a share of the even pace, one `length`-th of the task for a
    frame. Nothing is added past the episode's end, as `weights.horizon per_step` does: there is nothing to be
    seen of it. With the rises of progress from the middle of the first frame's window on (not before `start`)
    to any later frame, the first of these that holds is the reason:

        failed      the episode ends below `ENDS_WELL`, and it ends with this segment, or no rise is more than
                    `STILL` of what the even pace makes in `span` frames
        setback     the rate is below -STILL
        tail        no rise is more than that
        stall       the rate is at most STILL
        slow        the rate is below 1
        outranked   all others: what stays gains more, at this stage of the task or at all

    Args:
        progress: (T,) of the episode, all known.
        start, stop: of a segment, 0 <= start < stop <= T.
        span, before: as in `segments`.
        length: frames of a demonstration of median length of the task.
    """
    last = len(progress) - 1
    begins = np.arange(start, stop) - before
    first, end = np.clip(begins, 0, last), np.clip(begins + span, 0, last)
    covered = int((end - first).sum())
    rate = float((progress[end] - progress[first]).sum()) / max(covered, 1) * length
    rest = progress[max(start, int(first[0] + end[0]) // 2) :]
    rise = float((rest - np.minimum.accumulate(rest)).max())
    ended = rise <= STILL * min(1.0, span / length)
    if progress[-1] < ENDS_WELL and (ended or stop > last):
        return "failed", rate
    if rate < -STILL:
        return "setback", rate
    if ended:
        return "tail", rate
    if rate <= STILL:
        return "stall", rate
    return ("slow" if rate < 1 else "outranked"), rate


def shown_episodes(found: Sequence[Segment], task: NDArray[np.int64], count: int) -> list[int]:
    """Episodes, at most `count`, of which most frames are left out, most first.

    They are taken in this order, each once: of each task that of which most is left out, of each reason that
    of which most is left out for it, then the second of each reason, and so on. So failed episodes, of which
    all is left out, do not hide what is left out of others. Of equals the one of the smaller number.

    Args:
        found: segments.
        task: (E,) of every episode of the dataset.
        count: at least 0.
    """
    ranked = _ranked(found)
    first_of_task = {int(task[episode]): episode for episode in reversed(ranked)}.values()
    of_reason = [_ranked([one for one in found if one.reason == reason]) for reason in REASONS]
    turns = zip_longest(*sorted(of_reason, key=lambda those: ranked.index(those[0]) if those else 0))
    in_turn = [episode for turn in turns for episode in turn if episode is not None]
    chosen = list(dict.fromkeys([*sorted(first_of_task, key=ranked.index), *in_turn]))[:count]
    return sorted(chosen, key=ranked.index)


def _ranked(found: Sequence[Segment]) -> list[int]:
    """Episodes of the segments, most frames first."""
    frames: Counter[int] = Counter()
    for one in found:
        frames[one.episode_index] += one.frames
    return sorted(frames, key=lambda episode: (-frames[episode], episode))


def pictured(length: int, found: Sequence[Segment], count: int) -> NDArray[np.int64]:
    """Frames of an episode that a film strip of `count` pictures shows, ascending, (n,), n <= `count`.

    The strip is a time line: each picture stands for its share of the time, and shows the middle of the
    longest stretch left out in it, or, where none is, its own middle.

    Args:
        length: frames of the episode.
        found: its segments.
        count: at least 1.
    """
    edges = np.linspace(0, length, min(count, length) + 1).round().astype(np.int64)
    frames: list[int] = []
    for begin, end in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        parts = [(max(begin, one.start), min(end, one.stop)) for one in found]
        longest = max(parts, key=lambda part: part[1] - part[0], default=(0, 0))
        low, high = longest if longest[1] > longest[0] else (begin, end)
        frames.append((low + high - 1) // 2)
    return np.array(frames, np.int64)
