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
from rabc.weighting.deltas import chunk_deltas
from rabc.weighting.progress import CALIBRATIONS, LENGTH_BIASES, Calibration, LengthBias, calibrate

FAILURE_PERCENTILE = 10.0


@dataclass(frozen=True)
class CalibrationRow:
    """What one choice of `weights.calibration` and `weights.length_bias` makes of the scores."""

    calibration: Calibration
    length_bias: LengthBias
    failed_below: float | None
    """Share of failed episodes that end below the 10th percentile of the successful ones; None without labels
    of both kinds."""
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
    stages: StageLabels | None = None,
) -> list[CalibrationRow]:
    """A row for each calibration and length bias, over the episodes that have static scores.

    Args:
        config: the weight settings and the chunk of the policy.
        episodes: scores by episode.
        static: scores of the still pictures; at least one of `episodes`.
        success: labels by episode, as far as there are any.
        stages: annotated stages, if there are any.
    """
    shared = {episode: episodes[episode] for episode in sorted(episodes) if episode in static}
    if not shared:
        raise InputError("static scores of no episode: nothing to compare; score the dataset again")
    labels = np.array([success.get(episode) for episode in shared], dtype=object)
    return [
        _row(config, calibration, length_bias, shared, static, labels, stages)
        for calibration in CALIBRATIONS
        for length_bias in LENGTH_BIASES
    ]


def failed_below(final: NDArray[np.float64], success: NDArray[np.bool_]) -> float | None:
    """Share of failures whose final progress (N,) lies below the 10th percentile of the successes'."""
    if success.all() or not success.any():
        return None
    return float(np.mean(final[~success] < np.percentile(final[success], FAILURE_PERCENTILE)))


def _row(
    config: Config,
    calibration: Calibration,
    length_bias: LengthBias,
    episodes: Mapping[int, EpisodeScores],
    static: Mapping[int, EpisodeScores],
    labels: NDArray[np.object_],
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
    deltas = chunk_deltas(joined, episode_index, config.policy.chunk, settings.horizon)
    # The weights of a file do not depend on the calibration, so that there is nothing to compare.
    raw = (
        np.zeros_like(deltas)
        if settings.scheme == "static"
        else schemes.by_scheme(deltas, joined, episode_index, settings, config.policy.chunk, task)
    )
    return CalibrationRow(
        calibration=calibration,
        length_bias=length_bias,
        failed_below=failed_below(ends, success) if len(ends) else None,
        final_success=_mean(ends[success]),
        final_failure=_mean(ends[~success]),
        final=float(final.mean()),
        regressing=float(np.mean(deltas < 0)),
        effective_sample_size=(schemes.summary(raw).effective_sample_size / len(raw) if raw.any() else None),
        stage_error=_stage_error(progress, stages),
    )


def _stage_error(progress: Mapping[int, NDArray[np.float64]], stages: StageLabels | None) -> float | None:
    annotated = [episode for episode in progress if stages is not None and episode in stages.boundaries]
    if stages is None or not annotated:
        return None
    edges, shares = stages.boundaries, stages.proportions
    return float(np.mean([stage_error(progress[e], edges[e], shares) for e in annotated]))


def _mean(values: NDArray[np.float64]) -> float | None:
    return float(values.mean()) if len(values) else None
