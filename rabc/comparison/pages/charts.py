"""What the charts of a comparison show, as coordinates: success, weights, outcomes. Pure.

`comparison.json` (see `rabc.comparison.results`) in, records out. Charts are drawn WIDTH by HEIGHT and
stretched by the browser; texts stand beside them, so that they keep their size.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

WIDTH, HEIGHT = 1000, 100
BAND = 50
"""Start states in a row of the grid of outcomes."""


@dataclass(frozen=True)
class Rate:
    """How often something succeeded, in per cent."""

    name: str
    value: float | None
    """None: not known; there is no interval either."""
    interval: tuple[float, float] | None
    marks: list[tuple[str, float]]
    """(what, success rate) of its parts, such as the training seeds."""
    counted: str
    """What it was counted from."""


@dataclass(frozen=True)
class Bar:
    """Of a histogram."""

    x: float
    y: float
    width: float
    height: float
    title: str
    tone: str = "blue"
    """Its colour, a class of the page's style sheet."""


@dataclass(frozen=True)
class Band:
    """Some start states, and how many training seeds of each arm succeeded on each."""

    start_states: list[int]
    counts: list[tuple[str, list[int]]]
    """(arm, one count for each start state)."""


def runs_by_arm(result: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """The runs of each arm, in the order of the arms."""
    return {
        arm["name"]: [run for run in result["runs"] if run["arm"] == arm["name"]] for arm in result["arms"]
    }


def success_rates(result: Mapping[str, Any]) -> list[Rate]:
    """One for each arm, with its training seeds."""
    runs = runs_by_arm(result)
    return [
        Rate(
            name=arm["name"],
            value=100 * arm["success"]["successes"] / arm["success"]["trials"],
            interval=(100 * arm["success"]["low"], 100 * arm["success"]["high"]),
            marks=[(f"training seed {run['seed']}", success_rate(run)) for run in runs[arm["name"]]],
            counted=f"{arm['success']['successes']}/{arm['success']['trials']}",
        )
        for arm in result["arms"]
    ]


def success_rate(run: Mapping[str, Any]) -> float:
    """Of the rollouts of a run, per cent."""
    return 100 * float(np.mean([rollout["success"] for rollout in run["rollouts"]]))


def weight_bars(summary: Mapping[str, Any]) -> list[Bar]:
    """Frames by weight, from the `summary` of an arm."""
    counts, edges = summary["histogram_counts"], summary["histogram_edges"]
    wide, tallest = WIDTH / len(counts), max(*counts, 1)
    bars: list[Bar] = []
    for place, count in enumerate(counts):
        if count:
            # A bar that stands for few frames among many stays visible.
            tall = max(2.0, count / tallest * HEIGHT)
            title = f"weight {edges[place]:.2f} to {edges[place + 1]:.2f}: {count:,} frames"
            bars.append(Bar((place + 0.04) * wide, HEIGHT - tall, 0.92 * wide, tall, title))
    return bars


def outcome_bands(result: Mapping[str, Any]) -> list[Band]:
    """All start states, those on which the most runs succeeded first, BAND in a band."""
    counts: dict[str, dict[int, int]] = {}
    for name, runs in runs_by_arm(result).items():
        counts[name] = defaultdict(int)
        for run in runs:
            for rollout in run["rollouts"]:
                counts[name][rollout["seed"]] += bool(rollout["success"])
    states = sorted({state for own in counts.values() for state in own})
    states.sort(key=lambda state: -sum(own[state] for own in counts.values()))
    bands: list[Band] = []
    for start in range(0, len(states), BAND):
        some = states[start : start + BAND]
        bands.append(Band(some, [(name, [own[state] for state in some]) for name, own in counts.items()]))
    return bands
