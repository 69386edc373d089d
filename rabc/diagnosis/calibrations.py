"""Every calibration with and without its length-bias correction, on the same episodes. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.datasets.stage_labels import StageLabels
from rabc.datasets.tasks import task_groups
from rabc.scoring.store import EpisodeScores
from rabc.statistics.curves import stage_error
from rabc.system.errors import InputError
from rabc.weighting import schemes
from rabc.weighting.deltas import judged_deltas, judged_span, median_length
from rabc.weighting.progress import CALIBRATIONS, LENGTH_BIASES, Calibration, LengthBias, calibrate

FAILURE_PERCENTILE = 10.0


@dataclass(frozen=True)
class CalibrationRow:
    """What one choice of `weights.calibration` and `weights.length_bias` makes of the scores."""

    calibration: Calibration
    length_bias: LengthBias
    failed_below: float | None
    """Share of failed episodes that end below the 10th percentile of the successful ones of their task; None
    without labels of both kinds."""
    final_success: float | None
    """Mean progress at the last frame of successful episodes (None: no labels of this kind)."""
    final_failure: float | None
    """Mean progress at the last frame of failed episodes (None: no labels of this kind)."""
    final: float
    """Mean progress at the last frame of all episodes."""
    regressing: float
    """Share of chunks over which progress falls."""
    effective_sample_size: float | None
    """Of the weights under the configured scheme, as a share of the frames; None where every weight is 0,
    or the scheme is `static`."""
    stage_error: float | None
    """Mean over episodes of the error of progress against their annotated stages
    (`rabc.statistics.curves.stage_error`); None where none of the episodes is annotated."""


def compare(
    config: Config,
    episodes: Mapping[int, EpisodeScores],
    static: Mapping[int, EpisodeScores],
    success: Mapping[int, bool],
    fps: float,
    stages: StageLabels | None = None,
) -> list[CalibrationRow]:
    """A row for each calibration and length bias, over the episodes that have static scores.

    Args:
        config: the weight settings and the chunk of the policy.
        episodes: scores by episode.
        static: scores of the still pictures; at least one of `episodes`.
        success: labels by episode, as far as there are any.
        fps: of the dataset, Hz.
        stages: annotated stages, if there are any.
    """
    shared = {episode: episodes[episode] for episode in sorted(episodes) if episode in static}
    if not shared:
        raise InputError("static scores of no episode: nothing to compare; score the dataset again")
    labels = np.array([success.get(episode) for episode in shared], dtype=object)
    return [
        _row(config, calibration, length_bias, shared, static, labels, fps, stages)
        for calibration in CALIBRATIONS
        for length_bias in LENGTH_BIASES
    ]


def failed_below(
    final: NDArray[np.float64], success: NDArray[np.bool_], task: NDArray[np.int64]
) -> float | None:
    """Share of failures whose final progress (N,) lies below the 10th percentile of their task's successes.

    Of the tasks that have both; None where none has.
    """
    below: list[NDArray[np.bool_]] = []
    for number in np.unique(task):
        mine = task == number
        failed, succeeded = final[mine & ~success], final[mine & success]
        if len(failed) and len(succeeded):
            below.append(failed < np.percentile(succeeded, FAILURE_PERCENTILE))
    return float(np.mean(np.concatenate(below))) if below else None


def _row(
    config: Config,
    calibration: Calibration,
    length_bias: LengthBias,
    episodes: Mapping[int, EpisodeScores],
    static: Mapping[int, EpisodeScores],
    labels: NDArray[np.object_],
    fps: float,
    stages: StageLabels | None,
) -> CalibrationRow:
    settings = config.weights
    progress = calibrate(episodes, calibration, settings.epsilon, length_bias, static)
    final = np.array([values[-1] for values in progress.values()])
    labelled = np.array([label is not None for label in labels])
    success, ends = labels[labelled].astype(bool), final[labelled]
    joined = np.concatenate(list(progress.values()))
    episode_index = np.repeat(
        np.array(list(progress), dtype=np.int64), [len(values) for values in progress.values()]
    )
    groups = task_groups([record.instruction for record in episodes.values()])
    task = np.repeat(groups, [len(values) for values in progress.values()])
    span = judged_span(settings, config.policy.chunk, fps, median_length(episode_index))
    deltas = judged_deltas(joined, episode_index, settings, span)
    # The weights of a file do not depend on the calibration, so that there is nothing to compare.
    raw = (
        np.zeros_like(deltas)
        if settings.scheme == "static"
        else schemes.by_scheme(deltas, joined, episode_index, settings, span, task)
    )
    return CalibrationRow(
        calibration=calibration,
        length_bias=length_bias,
        failed_below=failed_below(ends, success, groups[labelled]),
        final_success=_mean(ends[success]),
        final_failure=_mean(ends[~success]),
        final=float(final.mean()),
        regressing=float(np.mean(deltas < 0)),
        effective_sample_size=(schemes.summary(raw).effective_sample_size / len(raw) if raw.any() else None),
        stage_error=_stage_error(progress, stages),
    )


def _stage_error(progress: Mapping[int, NDArray[np.float64]], stages: StageLabels | None) -> float | None:
    if stages is None:
        return None
    edges = stages.boundaries
    errors = [
        stage_error(progress[episode], edges[episode], stages.proportions(episode))
        for episode in progress
        if episode in edges
    ]
    return float(np.mean(errors)) if errors else None


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
