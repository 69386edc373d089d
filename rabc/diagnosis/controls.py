"""How much a scorer's curves are worth before anything is weighted by them. Pure functions over records.

The controls are the same episodes shown in ways that must not look like success (`rabc.scoring.variants`): a
still picture, the video backwards, the instruction of another task. All rises and gaps are of log p(True),
nats, and are judged relative to each other: one model's nat is another's tenth.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.scoring.base import PrefixScores
from rabc.statistics.curves import rise, roc_auc, success_score, voc, von_neumann_ratio
from rabc.statistics.intervals import Estimate, bootstrap, mean
from rabc.weighting import progress

SPREAD_PERCENTILES = (5.0, 95.0)
MIN_RANGE_SHARE = 0.1
"""A usable curve spans at least this share of the dataset's scale; less is flat beside the others."""
MIN_RANGE_OVER_STATIC = 2.0
"""A usable curve spans at least this many times what the still picture's curve spans."""
MAX_NEUMANN_RATIO = 1.0
"""A usable curve moves in steps: half of what independent noise has (2)."""


@dataclass(frozen=True)
class EpisodeCurves:
    """One episode as the scorer saw it."""

    episode_index: int
    """Episode of the dataset."""
    length: int
    """Frames of the episode."""
    instruction: str
    """Its task."""
    real: PrefixScores
    """Scores of the episode as it is."""
    controls: Mapping[str, PrefixScores]
    """`static`, `reversed`, `wrong_instruction` -> scores, as far as they were asked for."""
    success: bool | None
    """Label, where the dataset has one."""


@dataclass(frozen=True)
class Diagnosis:
    """Figures over a dataset; an `Estimate` over no episodes is NaN.

    Rises, their shares and gaps are over the episodes that are not labelled as failures.
    """

    episodes: int
    """Scored episodes."""
    controlled: int
    """Episodes with all three controls."""
    voc: Estimate
    """Mean VOC."""
    static_voc: Estimate
    """Mean VOC of still pictures; scale-free, so a drift of a hundredth of a nat may give any value."""
    reversed_voc: Estimate
    """Mean VOC of the videos played backwards; a scorer that watches gives about minus the VOC."""
    real_rise: Estimate
    """Mean rise (mean of the last three prefixes minus the first), nats."""
    static_rise: Estimate
    """Mean rise of the still pictures, nats."""
    static_share: Estimate
    """Static rise over real rise, on the same episodes; NaN where the real rise is not positive."""
    remaining_rise: Estimate
    """Real rise minus static rise, on the same episodes: what `weights.length_bias subtract` leaves, nats."""
    wrong_instruction_gap: Estimate
    """Mean of (final score minus final score under another task's instruction), nats."""
    gap_share: Estimate
    """That gap over the real rise of the same episodes; NaN where the real rise is not positive."""
    final_score: Estimate
    """Mean final score: mean log p(True) of the last three prefixes, nats."""
    final_spread: float
    """Standard deviation of the final scores, nats; NaN for one episode."""
    final_low: float
    """5th percentile of the final scores, nats."""
    final_high: float
    """95th percentile of the final scores, nats."""
    successes: int
    """Episodes labelled as successful."""
    failures: int
    """Episodes labelled as failed."""
    success_auc: Estimate
    """ROC-AUC of the final score against the labels; NaN without labels of both kinds."""
    usable_share: Estimate
    """Share of the controlled episodes with a usable curve (`usable`)."""


def diagnose(episodes: Sequence[EpisodeCurves]) -> Diagnosis:
    """All figures of the scored episodes, at least one."""
    if not episodes:
        raise ValueError("no episodes")
    real = [episode.real.log_prob_true for episode in episodes]
    final = np.array([success_score(curve) for curve in real])
    low, high = np.percentile(final, SPREAD_PERCENTILES)
    controlled = [e for e in episodes if {"static", "reversed", "wrong_instruction"} <= e.controls.keys()]
    # A failed episode has nothing to rise to, and nothing that a wrong instruction could take away.
    rising = [e for e in episodes if e.success is not False]
    still, wrong = _with(rising, "static"), _with(rising, "wrong_instruction")
    still_real, still_static = _each(still, rise), _each(still, rise, "static")
    gap = _each(wrong, success_score) - _each(wrong, success_score, "wrong_instruction")
    labelled = [(score, e.success) for score, e in zip(final, episodes, strict=True) if e.success is not None]
    scale = curve_scale(real)
    return Diagnosis(
        episodes=len(episodes),
        controlled=len(controlled),
        voc=mean(_each(episodes, voc)),
        static_voc=mean(_each(_with(episodes, "static"), voc, "static")),
        reversed_voc=mean(_each(_with(episodes, "reversed"), voc, "reversed")),
        real_rise=mean(_each(rising, rise)),
        static_rise=mean(still_static),
        static_share=_ratio(still_static, still_real),
        remaining_rise=mean(still_real - still_static),
        wrong_instruction_gap=mean(gap),
        gap_share=_ratio(gap, _each(wrong, rise)),
        final_score=mean(final),
        final_spread=float(final.std(ddof=1)) if len(final) > 1 else float("nan"),
        final_low=float(low),
        final_high=float(high),
        successes=sum(bool(success) for _, success in labelled),
        failures=sum(not success for _, success in labelled),
        success_auc=_auc(
            np.array([score for score, _ in labelled]), np.array([s for _, s in labelled], dtype=bool)
        ),
        usable_share=mean(np.array([float(usable(e, scale)) for e in controlled])),
    )


def curve_scale(curves: Sequence[NDArray[np.float64]]) -> float:
    """What a whole task is worth to this scorer, nats: the distance between the pooled bounds; 0 or more."""
    low, high = progress.dataset_bounds(curves)
    return max(high - low, 0.0)


def usable(episode: EpisodeCurves, scale: float) -> bool:
    """Whether the episode's curve can tell its frames apart.

    It spans a tenth of `scale` (nats, see `curve_scale`), twice as much as the curve of its first frame
    repeated (where that was scored), and moves in steps rather than like independent noise. A failed episode
    whose score rises and falls is usable; one that the scorer sees no change in is not.
    """
    curve = episode.real.log_prob_true
    span = float(np.ptp(curve))
    still = float(np.ptp(episode.controls["static"].log_prob_true)) if "static" in episode.controls else 0.0
    return (
        span > 0
        and span >= MIN_RANGE_SHARE * scale
        and span >= MIN_RANGE_OVER_STATIC * still
        and von_neumann_ratio(curve) < MAX_NEUMANN_RATIO
    )


def _with(episodes: Sequence[EpisodeCurves], control: str) -> list[EpisodeCurves]:
    return [episode for episode in episodes if control in episode.controls]


def _each(
    episodes: Sequence[EpisodeCurves], figure: Callable[[NDArray[np.float64]], float], control: str = ""
) -> NDArray[np.float64]:
    """`figure` of log p(True) of every episode, (N,); of a control where one is named."""
    scores = [episode.controls[control] if control else episode.real for episode in episodes]
    return np.array([figure(score.log_prob_true) for score in scores], dtype=np.float64)


def _ratio(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Estimate:
    """Mean part over mean whole of the same episodes; a mean of ratios would follow the smallest wholes."""

    def figure(chosen: NDArray[np.int64]) -> float:
        below = float(whole[chosen].mean())
        return float(part[chosen].mean()) / below if below > 0 else float("nan")

    return bootstrap(figure, len(part))


def _auc(scores: NDArray[np.float64], success: NDArray[np.bool_]) -> Estimate:
    if not success.any() or success.all():
        nan = float("nan")
        return Estimate(nan, nan, nan, nan, len(scores))
    return bootstrap(lambda chosen: roc_auc(scores[chosen], success[chosen]), len(scores))
