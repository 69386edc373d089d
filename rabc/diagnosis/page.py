"""The diagnosis as one self-contained HTML page: figures, verdict, each episode's curve over its frames."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.diagnosis.calibrations import CalibrationRow
from rabc.diagnosis.controls import Diagnosis, EpisodeCurves
from rabc.diagnosis.review import Review, review
from rabc.diagnosis.tables import TASK_HEADERS, calibration_table, figure_rows, task_rows
from rabc.diagnosis.tasks import TaskDiagnosis
from rabc.diagnosis.verdict import Verdict
from rabc.pages.html import jpeg, render_template, side_by_side
from rabc.scoring.base import PrefixScores

MAX_EPISODES = 200
"""Episodes on the page; of more, the most suspicious, the best and the worst, a third each."""
HIGHLIGHTS = 4
"""Episodes under each of the headings best, worst and most suspicious."""
PICTURES = 8
"""Pictures of a filmstrip."""
PICTURE_HEIGHT = 96
"""Height of a filmstrip, pixels."""
CURVES = {
    "wrong_instruction": "wrong instruction",
    "reversed": "backwards",
    "static": "still picture",
    "real": "as it is",
}
"""Variants in the order they are drawn, the real curve on top, with their names in the legend."""
GROUPS = ("Most suspicious", "Best", "Worst", "All others")
WIDTH, HEIGHT = 1000, 200  # of the coordinates a curve is drawn in; the browser stretches them


@dataclass(frozen=True)
class PageFacts:
    """What the page says about the whole."""

    title: str
    facts: Mapping[str, str]
    """What was scored, how: name -> value, shown at the top."""
    diagnosis: Diagnosis
    verdict: Verdict
    calibrations: Sequence[CalibrationRow]
    """Empty: no table."""
    tasks: Sequence[TaskDiagnosis] = ()
    """Empty: no table."""
    remarks: Sequence[str] = ()
    """What was left out, a line each."""


@dataclass(frozen=True)
class _Card:
    curves: EpisodeCurves
    reviewed: Review
    group: int
    """Index into GROUPS."""
    seconds: float
    strip: str
    """JPEG, base64."""
    lines: list[tuple[str, str]]
    """(variant, points of an SVG polyline)."""


def strip_frames(length: int) -> NDArray[np.int64]:
    """Frames (n,) int64 of an episode of `length` frames that its filmstrip shows, n <= PICTURES.

    Each stands in the middle of its share of the time, as its picture does above the curve.
    """
    count = min(PICTURES, length)
    return ((np.arange(count) + 0.5) / count * length).astype(np.int64)


def shown_episodes(episodes: Sequence[EpisodeCurves]) -> list[int]:
    """Positions in `episodes` of those that are on the page, in its order."""
    return [position for position, _ in _order(review(episodes))]


def filmstrip(frames: NDArray[np.uint8]) -> bytes:
    """JPEG of frames (n, H, W, 3) side by side."""
    return jpeg(side_by_side(frames, PICTURE_HEIGHT))


def render(
    page: PageFacts, episodes: Sequence[EpisodeCurves], fps: float, strips: Mapping[int, bytes]
) -> str:
    """The page as text.

    Args:
        page: title, facts, figures and verdict.
        episodes: all scored ones, at least one.
        fps: of the dataset, Hz.
        strips: JPEG by episode index, of every episode that `shown_episodes` names.
    """
    reviews = review(episodes)
    order = _order(reviews)
    bounds = _bounds([episodes[position] for position, _ in order])
    cards = [
        _Card(
            curves=episodes[position],
            reviewed=reviews[position],
            group=group,
            seconds=episodes[position].length / fps,
            strip=base64.b64encode(strips[episodes[position].episode_index]).decode(),
            lines=_lines(episodes[position], bounds),
        )
        for position, group in order
    ]
    calibration_headers, calibrations = calibration_table(page.calibrations)
    return render_template(
        "diagnosis.html",
        page=page,
        figures=figure_rows(page.diagnosis),
        calibration_headers=calibration_headers,
        calibrations=calibrations,
        task_headers=TASK_HEADERS,
        tasks=task_rows(page.tasks),
        cards=cards,
        groups=GROUPS,
        scored=len(episodes),
        names={
            name: text for name, text in CURVES.items() if any(name in dict(card.lines) for card in cards)
        },
        low=bounds[0],
        high=bounds[1],
        width=WIDTH,
        height=HEIGHT,
    )


def _order(reviews: Sequence[Review]) -> list[tuple[int, int]]:
    """(position, group) in the order of the page: the highlights, then the others by number."""
    suspicious = sorted(range(len(reviews)), key=lambda i: -reviews[i].suspicion)
    # Among all tasks: a task whose scores are low is not worse for that.
    best = sorted(range(len(reviews)), key=lambda i: -reviews[i].place)
    taken: dict[int, int] = {}
    for group, ranked in enumerate((suspicious, best, best[::-1])):
        for position in [i for i in ranked if i not in taken][:HIGHLIGHTS]:
            taken[position] = group
    rest = [i for i in range(len(reviews)) if i not in taken]
    if len(reviews) > MAX_EPISODES:
        ranks = ([i for i in ranked if i not in taken] for ranked in (suspicious, best, best[::-1]))
        mixed = dict.fromkeys(i for triple in zip(*ranks, strict=True) for i in triple)
        rest = sorted(list(mixed)[: MAX_EPISODES - len(taken)])
    return [*taken.items(), *((position, len(GROUPS) - 1) for position in rest)]


def _bounds(episodes: Sequence[EpisodeCurves]) -> tuple[float, float]:
    """One scale for all curves, nats: on scales of their own, noise would look like progress."""
    every = np.concatenate(
        [scores.log_prob_true for e in episodes for scores in (e.real, *e.controls.values())]
    )
    low, high = float(every.min()), float(every.max())
    return low, max(high, low + 1e-6)


def _lines(episode: EpisodeCurves, bounds: tuple[float, float]) -> list[tuple[str, str]]:
    variants: dict[str, PrefixScores] = {**episode.controls, "real": episode.real}
    return [(name, _points(variants[name], episode.length, bounds)) for name in CURVES if name in variants]


def _points(scores: PrefixScores, length: int, bounds: tuple[float, float]) -> str:
    # A frame covers its share of the width; its score stands in the middle, as its picture does.
    x = (scores.prefix_lengths - 0.5) / length * WIDTH
    y = (bounds[1] - scores.log_prob_true) / (bounds[1] - bounds[0]) * HEIGHT
    return " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x, y, strict=True))
