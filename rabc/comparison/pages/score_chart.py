"""Final scores of rollouts as coordinates of charts: successes upwards, failures downwards. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.pages.charts import HEIGHT, WIDTH, Bar, runs_by_arm

BINS = 28


@dataclass(frozen=True)
class ScorePanel:
    """Final scores of the rollouts of an arm or a dataset."""

    name: str
    bars: list[Bar]
    mean_success: float | None
    """Mean final score of the successes, nats; None: there are none."""
    mean_failure: float | None


@dataclass(frozen=True)
class Scores:
    """Final scores on one scale; low and high in nats."""

    panels: list[ScorePanel]
    low: float
    high: float


def final_scores(result: Mapping[str, Any]) -> Scores | None:
    """Of each arm; None where no rollout was scored."""
    return panels(
        {
            name: [
                (rollout["final_log_prob"], rollout["success"]) for run in runs for rollout in run["rollouts"]
            ]
            for name, runs in runs_by_arm(result).items()
        }
    )


def panels(rollouts: Mapping[str, Sequence[tuple[float | None, bool | None]]]) -> Scores | None:
    """Charts of (score, success) by name; None where there is no score.

    Rollouts without a score are left out; those of unknown success stand upon the successes.
    """
    split: dict[str, dict[str, NDArray[np.float64]]] = {}
    for name, pairs in rollouts.items():
        split[name] = {
            what: np.array([score for score, success in pairs if score is not None and success is wanted])
            for what, wanted in (("successes", True), ("unlabelled", None), ("failures", False))
        }
    every = np.concatenate([values for groups in split.values() for values in groups.values()])
    if not len(every):
        return None
    low, high = float(every.min()), float(every.max())
    edges = np.linspace(low, max(high, low + 1e-6), BINS + 1, dtype=np.float64)
    return Scores([_panel(name, groups, edges) for name, groups in split.items()], low, high)


def _panel(name: str, groups: Mapping[str, NDArray[np.float64]], edges: NDArray[np.float64]) -> ScorePanel:
    counts = {what: np.histogram(values, edges)[0] for what, values in groups.items()}
    above = counts["successes"] + counts["unlabelled"]
    unit = HEIGHT / 2 / max(1, int(above.max()), int(counts["failures"].max()))
    middle, nothing = HEIGHT / 2, np.zeros(len(above))
    bars = [
        *_bars(counts["successes"], edges, middle - counts["successes"] * unit, unit, "successes", "blue"),
        *_bars(counts["unlabelled"], edges, middle - above * unit, unit, "unlabelled", "grey"),
        *_bars(counts["failures"], edges, middle + nothing, unit, "failures", "orange"),
    ]
    means = [float(groups[what].mean()) if len(groups[what]) else None for what in ("successes", "failures")]
    return ScorePanel(name, bars, means[0], means[1])


def _bars(
    counts: NDArray[np.int64],
    edges: NDArray[np.float64],
    tops: NDArray[np.float64],
    unit: float,
    what: str,
    tone: str,
) -> list[Bar]:
    """tops (BINS,): upper edge of each bar; unit: height of one rollout."""
    wide = WIDTH / len(counts)
    return [
        Bar(
            x=(place + 0.06) * wide,
            y=float(tops[place]),
            width=0.88 * wide,
            height=float(count * unit),
            title=f"{edges[place]:.2f} to {edges[place + 1]:.2f} nats: {count} {what}",
            tone=tone,
        )
        for place, count in enumerate(counts)
        if count
    ]
