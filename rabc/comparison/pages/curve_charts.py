"""Learning curves, and the evidence of the sequential test, as coordinates of charts. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.pages.charts import HEIGHT, WIDTH, runs_by_arm
from rabc.statistics.sequential import stops_after

POINTS = 100
"""Of a learning curve; each is the mean of its share of the steps."""
LARGEST_LOG = 12.0
"""Decimal logarithm of the largest e-value that is told from larger ones."""


@dataclass(frozen=True)
class CurvePanel:
    """Learning curves of an arm."""

    name: str
    lines: list[tuple[int, str]]
    """(training seed, points of an SVG polyline)."""
    last: float
    """Mean over the training seeds of the loss at the end."""


@dataclass(frozen=True)
class Curves:
    """Learning curves of all arms, on one scale: steps from 0, loss on a logarithmic scale."""

    panels: list[CurvePanel]
    steps: int
    low: float
    high: float


@dataclass(frozen=True)
class EvidencePanel:
    """What the sequential test found of an arm."""

    name: str
    line: str
    """Points of an SVG polyline."""
    last: float
    """e-value after the last start state."""
    decided: int | None
    """Start states after which it differed from the baseline; None: it did not."""


def thinned(curve: Mapping[str, Sequence[float]]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and losses of a curve {step, loss} in at most POINTS parts, each the mean of its part.

    Losses that are not positive numbers are left out: the scale is logarithmic.
    """
    steps, losses = (np.asarray(curve[name], dtype=np.float64) for name in ("step", "loss"))
    kept = np.isfinite(losses) & (losses > 0)
    parts = [np.array_split(values[kept], max(1, min(POINTS, int(kept.sum())))) for values in (steps, losses)]
    if not kept.any():
        return np.empty(0), np.empty(0)
    return np.array([part.mean() for part in parts[0]]), np.array([part.mean() for part in parts[1]])


def learning_curves(result: Mapping[str, Any]) -> Curves | None:
    """None where no run has a curve."""
    curves = {
        name: [(run["seed"], *thinned(run["curve"])) for run in runs]
        for name, runs in runs_by_arm(result).items()
    }
    every = [losses for own in curves.values() for _, _, losses in own if len(losses)]
    if not every:
        return None
    values = np.concatenate(every)
    low, high = float(values.min()), float(values.max())
    steps = max(float(run["curve"]["step"][-1]) for run in result["runs"] if run["curve"]["step"])
    span = max(np.log(high / low), 1e-9)
    panels: list[CurvePanel] = []
    for name, own in curves.items():
        drawn = [(seed, at, losses) for seed, at, losses in own if len(losses)]
        lines = [
            (seed, _points(at / max(steps, 1.0), np.log(high / losses) / span)) for seed, at, losses in drawn
        ]
        last = float(np.mean([losses[-1] for _, _, losses in drawn])) if drawn else float("nan")
        panels.append(CurvePanel(name, lines, last))
    return Curves(panels, round(steps), low, high)


def evidence(result: Mapping[str, Any]) -> list[EvidencePanel]:
    """e-values of each arm over the start states, on the scale of `evidence_scale`."""
    found = result["sequential"]
    low, high = evidence_scale(result)
    panels: list[EvidencePanel] = []
    for name, values in found["e_values"].items():
        logs = np.clip(np.log10(np.maximum(values, 1e-300)), low, high)
        line = _points(np.arange(1, len(logs) + 1) / len(logs), (high - logs) / (high - low))
        decided = stops_after(np.asarray(values), found["level"] / len(found["e_values"]))
        panels.append(EvidencePanel(name, line, float(values[-1]), decided))
    return panels


def evidence_scale(result: Mapping[str, Any]) -> tuple[float, float]:
    """Decimal logarithms of the e-values at the lower and the upper edge of their chart."""
    every = np.concatenate([np.asarray(own) for own in result["sequential"]["e_values"].values()])
    logs = np.log10(np.maximum(every, 1e-300))
    return (
        max(-4.0, min(-1.0, float(logs.min()))),
        min(LARGEST_LOG, max(_threshold(result) + 1.0, float(logs.max()))),
    )


def threshold_height(result: Mapping[str, Any]) -> float:
    """Where the e-value that decides stands in the chart, from 0 at the top to HEIGHT."""
    low, high = evidence_scale(result)
    return (high - _threshold(result)) / (high - low) * HEIGHT


def _threshold(result: Mapping[str, Any]) -> float:
    """Decimal logarithm of arms / level: the level is of all arms together."""
    found = result["sequential"]
    return float(np.log10(len(found["e_values"]) / found["level"]))


def _points(x: NDArray[np.float64], y: NDArray[np.float64]) -> str:
    """Of an SVG polyline; x from 0 at the left to 1, y from 0 at the top to 1."""
    return " ".join(f"{a:.0f},{b:.1f}" for a, b in zip(x * WIDTH, y * HEIGHT, strict=True))
