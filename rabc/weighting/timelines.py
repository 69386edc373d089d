"""What was left out, for the page: each reason, and some episodes as time lines with their segments."""

import base64
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Apply, WeightsConfig
from rabc.pages.html import jpeg, number
from rabc.weighting.segments import REASONS, Segment

WIDTH, HEIGHT = 1000, 100  # of the coordinates a curve or histogram is drawn in; the browser stretches them
MAX_POINTS = 250
"""Points of an episode's curve."""
EPISODES = 8
"""Time lines on the page."""
PICTURES = 12
"""Of a time line's film strip."""
LISTED = 24
"""Segments of a time line; of more, the longest."""


@dataclass(frozen=True)
class Timeline:
    """An episode as the page shows it."""

    episode_index: int
    instruction: str
    success: bool | None
    """Label of the episode; None: there is none."""
    length: int
    """Frames."""
    segments: Sequence[Segment]
    """What was left out of it, ascending, at least one."""
    progress: NDArray[np.float64] | None
    """(T,); None: unknown."""
    pictured: NDArray[np.int64]
    """(n,) frames of the strip, ascending."""
    strip: NDArray[np.uint8] | None
    """(H, W, 3) of these; None: no camera shows them."""


@dataclass(frozen=True)
class ReasonRow:
    """All segments of one reason."""

    reason: str
    words: str
    count: int
    seconds: float
    share: float
    """Of the frames that the run looks at."""


@dataclass(frozen=True)
class LeftOut:
    """What the page says about weights of 0."""

    means: str
    """What a segment is to the training, a sentence."""
    judged: str
    """What the rate of a segment is taken from, a sentence; empty: progress did not make the weights."""
    rows: Sequence[ReasonRow]
    """Most frames first; empty: nothing was left out."""
    timelines: Sequence[Timeline]
    episodes: int
    """Of which something was left out."""


@dataclass(frozen=True)
class _Line:
    """A segment, written and drawn."""

    reason: str
    when: str
    words: str
    x: float
    width: float


@dataclass(frozen=True)
class _Card:
    shown: Timeline
    length: str
    lines: list[_Line]
    rest: str
    """What is not among the lines; empty: nothing."""
    points: str
    """Of an SVG polyline; empty: no curve."""
    strip: str
    """JPEG, base64; empty: none."""
    pictures: list[tuple[str, str]]
    """(time, reason that it was left out for or nothing) of each picture."""
    axis: list[str]
    """Times at the left end, at each quarter and at the right end."""


def means(apply: Apply) -> str:
    """What weight 0 does in training, a sentence."""
    match apply:
        case "ticks":
            return "The actions of a segment are no targets of the policy."
        case "cuts":
            return (
                "Segments are cut out: no chunk begins in one, and one that begins before it ends where it "
                "begins."
            )
        case _:
            return (
                "No chunk that begins in a segment is trained on; its actions are still targets in chunks "
                "that begin before it."
            )


def judged_by(settings: WeightsConfig) -> str:
    """What the progress that judges a frame is taken over, a word."""
    return "window" if settings.judges_actions else "chunk"


def reason_rows(found: Sequence[Segment], frames: int, fps: float) -> list[ReasonRow]:
    """A row for each reason that there is; frames: that the run looks at."""
    rows: list[ReasonRow] = []
    for reason, words in REASONS.items():
        lengths = [one.frames for one in found if one.reason == reason]
        if lengths:
            rows.append(ReasonRow(reason, words, len(lengths), sum(lengths) / fps, sum(lengths) / frames))
    return sorted(rows, key=lambda row: -row.share)


def cards(timelines: Sequence[Timeline], fps: float) -> list[_Card]:
    """What the template draws, all curves on one scale."""
    curves = [shown.progress for shown in timelines if shown.progress is not None]
    low = min([0.0, *(float(curve.min()) for curve in curves)])
    high = max([1.0, *(float(curve.max()) for curve in curves)])
    return [_card(shown, fps, low, high) for shown in timelines]


def _card(shown: Timeline, fps: float, low: float, high: float) -> _Card:
    longest = sorted(shown.segments, key=lambda one: -one.frames)
    listed, others = sorted(longest[:LISTED], key=lambda one: one.start), longest[LISTED:]
    left = sum(one.frames for one in shown.segments)
    rest = ""
    if others:
        seconds = number(sum(one.frames for one in others) / fps, 1)
        rest = f"and {len(others):,} shorter ones, {seconds} s together"
    points = ""
    if shown.progress is not None:
        at = np.linspace(0, shown.length - 1, min(MAX_POINTS, shown.length)).round().astype(int)
        # A frame covers its share of the width; its progress stands in the middle, as its picture does.
        x, y = (at + 0.5) / shown.length * WIDTH, (high - shown.progress[at]) / (high - low) * HEIGHT
        points = " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
    reasons = {frame: one.reason for one in shown.segments for frame in _within(one, shown.pictured)}
    return _Card(
        shown=shown,
        length=(
            f"{number(shown.length / fps, 1)} s, of which {number(left / fps, 1)} s left out "
            f"({100 * left / shown.length:.0f} %)"
        ),
        lines=[_line(one, shown.length, fps) for one in listed],
        rest=rest,
        points=points,
        strip="" if shown.strip is None else base64.b64encode(jpeg(shown.strip)).decode(),
        pictures=[
            (f"{number(frame / fps, 1)} s", reasons.get(frame, "")) for frame in shown.pictured.tolist()
        ],
        axis=[f"{number(quarter / 4 * shown.length / fps, 1)} s" for quarter in range(5)],
    )


def _within(one: Segment, frames: NDArray[np.int64]) -> list[int]:
    return frames[(frames >= one.start) & (frames < one.stop)].tolist()


def _line(one: Segment, length: int, fps: float) -> _Line:
    words: str = REASONS[one.reason]
    if one.before is not None and one.after is not None and one.rate is not None:
        percent = number(100 * one.rate, 0).replace("-", "−")
        words += f": {number(one.before, 2)} → {number(one.after, 2)}, {percent}\u00a0% of an even pace"
    return _Line(
        reason=one.reason,
        when=f"{number(one.start / fps, 1)}–{number(one.stop / fps, 1)} s",
        words=words,
        x=one.start / length * WIDTH,
        width=one.frames / length * WIDTH,
    )
