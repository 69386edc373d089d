"""How much a scorer's curves are worth before anything is weighted by them. Pure functions over records.

The controls are the same episodes shown in ways that must not look like success (`rabc.scoring.variants`): a
still picture, the video backwards, the instruction of another task. All rises and gaps are of log p(True),
nats, and are judged relative to each other: one model's nat is another's tenth.

What compares episodes with each other (AUC, spread, the scale of a curve) does so within each task and is
pooled then: one task may end at -1 nat and another at -4 when both are done. Rises and gaps compare an
episode with itself, and are pooled as they are.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.tasks import task_groups
from rabc.scoring.base import PrefixScores
from rabc.statistics.areas import area
from rabc.statistics.curves import rise, success_score, voc, von_neumann_ratio
from rabc.statistics.intervals import Estimate, mean, ratio_of_means, share
from rabc.weighting import progress

SPREAD_PERCENTILES = (5.0, 95.0)
MIN_RANGE_SHARE = 0.1
"""A usable curve spans at least this share of its task's scale; less is flat beside the others."""
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
    """Standard deviation of the final scores within tasks, nats; NaN where no task has two episodes."""
    final_low: float
    """5th percentile of the final scores, nats; of several tasks, as if all had the same mean."""
    final_high: float
    """95th percentile, likewise."""
    successes: int
    """Episodes labelled as successful."""
    failures: int
    """Episodes labelled as failed."""
    success_auc: Estimate
    """ROC-AUC of the final score against the labels, those of one task; NaN without both kinds."""
    compared: int
    """Of the rarer label, episodes of tasks that have labels of both kinds: what the AUC rests on."""
    usable_share: Estimate
    """Share of the controlled episodes with a usable curve (`usable`)."""


def diagnose(episodes: Sequence[EpisodeCurves]) -> Diagnosis:
    """All figures of the scored episodes, at least one."""
    if not episodes:
        raise ValueError("no episodes")
    task = task_groups([episode.instruction for episode in episodes])
    final = _each(episodes, success_score)
    low, high = np.percentile(_around(final, task) + final.mean(), SPREAD_PERCENTILES)
    controlled = [has_controls(episode) for episode in episodes]
    # A failed episode has nothing to rise to, and nothing that a wrong instruction could take away.
    rising = [e for e in episodes if e.success is not False]
    still, wrong = _with(rising, "static"), _with(rising, "wrong_instruction")
    still_real, still_static = _each(still, rise), _each(still, rise, "static")
    gap = _each(wrong, success_score) - _each(wrong, success_score, "wrong_instruction")
    labelled = np.array([episode.success is not None for episode in episodes])
    success = np.array([bool(episode.success) for episode in episodes])
    scales = curve_scales(episodes)
    marks = [usable(e, scale) for e, scale, told in zip(episodes, scales, controlled, strict=True) if told]
    return Diagnosis(
        episodes=len(episodes),
        controlled=sum(controlled),
        voc=mean(_each(episodes, voc), (-1, 1)),
        static_voc=mean(_each(_with(episodes, "static"), voc, "static"), (-1, 1)),
        reversed_voc=mean(_each(_with(episodes, "reversed"), voc, "reversed"), (-1, 1)),
        real_rise=mean(_each(rising, rise)),
        static_rise=mean(still_static),
        static_share=ratio_of_means(still_static, still_real),
        remaining_rise=mean(still_real - still_static),
        wrong_instruction_gap=mean(gap),
        gap_share=ratio_of_means(gap, _each(wrong, rise)),
        final_score=mean(final),
        final_spread=_spread(final, task),
        final_low=float(low),
        final_high=float(high),
        successes=int((labelled & success).sum()),
        failures=int((labelled & ~success).sum()),
        success_auc=area(final[labelled], success[labelled], task[labelled]),
        compared=_compared(success[labelled], task[labelled]),
        usable_share=share(np.array(marks, dtype=bool)),
    )


def has_controls(episode: EpisodeCurves) -> bool:
    """Whether the episode was shown in all three ways that must not look like success."""
    return {"static", "reversed", "wrong_instruction"} <= episode.controls.keys()


def curve_scales(episodes: Sequence[EpisodeCurves]) -> NDArray[np.float64]:
    """What the whole of its task is worth to this scorer, nats, for each episode (N,); 0 or more.

    The distance between the pooled bounds of its task's episodes.
    """
    low, high = task_bounds(episodes).T
    return np.maximum(high - low, 0.0)


def task_bounds(episodes: Sequence[EpisodeCurves]) -> NDArray[np.float64]:
    """(N, 2) pooled bounds of the curves of each episode's task, nats (`progress.dataset_bounds`)."""
    task = task_groups([episode.instruction for episode in episodes])
    bounds = np.empty((len(episodes), 2))
    for number in np.unique(task):
        mine = np.flatnonzero(task == number)
        bounds[mine] = progress.dataset_bounds([episodes[place].real.log_prob_true for place in mine])
    return bounds


def usable(episode: EpisodeCurves, scale: float) -> bool:
    """Whether the episode's curve can tell its frames apart.

    It spans a tenth of `scale` (nats, see `curve_scales`), twice as much as the curve of its first frame
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


def _around(values: NDArray[np.float64], task: NDArray[np.int64]) -> NDArray[np.float64]:
    """Values (N,) less the mean of their task."""
    return values - (np.bincount(task, values) / np.bincount(task))[task]


def _spread(values: NDArray[np.float64], task: NDArray[np.int64]) -> float:
    freedom = len(values) - len(np.unique(task))
    return float(np.sqrt((_around(values, task) ** 2).sum() / freedom)) if freedom else float("nan")


def _compared(success: NDArray[np.bool_], task: NDArray[np.int64]) -> int:
    counts = np.stack(
        [np.bincount(task[success == kind], minlength=task.max(initial=0) + 1) for kind in (True, False)]
    )
    return int(counts[:, counts.min(axis=0) > 0].sum(axis=1).min())
