"""Which episodes a person should look at first, and why. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from rabc.diagnosis.controls import EpisodeCurves, task_bounds
from rabc.statistics.curves import rise, success_score, voc

NAMED_FROM = 0.25
"""A reason is named from this share of the task's scale on."""


@dataclass(frozen=True)
class Review:
    """One episode among the others."""

    episode_index: int
    voc: float
    rise: float
    """Mean of the last three prefixes minus the first, nats."""
    final: float
    """Mean log p(True) of the last three prefixes, nats."""
    final_share: float
    """The final score between the pooled bounds of its task, 0 to 1."""
    place: float
    """The same without its ends: what ranks episodes of different tasks."""
    suspicion: float
    """How far the strongest of the reasons goes, 0 to 1."""
    reasons: tuple[str, ...]
    """What contradicts the label, the controls or the order of time; strongest first."""


def review(episodes: Sequence[EpisodeCurves]) -> list[Review]:
    """A review of each episode, in the order given; at least one episode."""
    bounds = task_bounds(episodes).tolist()
    return [
        _review(episode, low, max(high - low, 1e-9))
        for episode, (low, high) in zip(episodes, bounds, strict=True)
    ]


def _review(episode: EpisodeCurves, low: float, scale: float) -> Review:
    curve = episode.real.log_prob_true
    final, order = success_score(curve), voc(curve)
    place = (final - low) / scale
    share = float(np.clip(place, 0.0, 1.0))
    found = {"ends below its peak": float(curve.max() - curve[-1]) / scale, "falls over time": -order * share}
    if episode.success is not None:
        label = "labelled a success, ends low" if episode.success else "labelled a failure, ends high"
        found[label] = 1.0 - share if episode.success else share
    if "static" in episode.controls:
        found["rises on a still picture"] = rise(episode.controls["static"].log_prob_true) / scale
    strongest = sorted(found.items(), key=lambda item: -item[1])
    return Review(
        episode_index=episode.episode_index,
        voc=order,
        rise=rise(curve),
        final=final,
        final_share=share,
        place=place,
        suspicion=float(np.clip(strongest[0][1], 0.0, 1.0)),
        reasons=tuple(name for name, size in strongest if size >= NAMED_FROM),
    )
