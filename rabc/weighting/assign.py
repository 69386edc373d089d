"""The weight of every frame of a dataset: from our scores, from others' progress, or from others' weights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.scoring.store import ScoreStore
from rabc.system.errors import VerdictRefused
from rabc.system.lock import alone
from rabc.weighting import schemes
from rabc.weighting.progress import calibrate, joined
from rabc.weighting.progress_file import progress_path, read_foreign, write_progress
from rabc.weighting.schemes import chunk_deltas
from rabc.weighting.weights_file import read_weights


@dataclass(frozen=True)
class FrameWeights:
    """Weights and where they come from."""

    values: NDArray[np.float64]
    """(N,), mean 1 over the frames of positive weight."""
    source: Path
    """Parquet of the progress, or of the foreign weights."""
    progress: NDArray[np.float64] | None = None
    """(N,) that they were made from; None: they are foreign."""
    deltas: NDArray[np.float64] | None = None
    """(N,) progress over the chunk that starts at each frame; None: the weights are foreign."""


def frame_weights(
    config: Config, scores: Mapping[str, Any], episode_index: NDArray[np.int64], dataset: str
) -> FrameWeights:
    """The weights of the frames that `episode_index` (N,) says the episodes of.

    scores: result of the scoring stage. dataset: its fingerprint. Raises VerdictRefused where the diagnosis
    of the scores forbids weighting, InputError for a foreign file that does not fit the dataset.
    """
    settings = config.weights
    if settings.weights_file:
        source = Path(settings.weights_file)
        return FrameWeights(schemes.normalise(read_weights(source, episode_index, dataset)), source)
    if settings.progress_file:
        source = Path(settings.progress_file)
        progress = read_foreign(source, settings.progress_head, episode_index)
    else:
        check_verdict(config, scores["diagnosis"])
        store, static = (ScoreStore.reopen(Path(scores[name])) for name in ("store", "static_store"))
        by_episode = calibrated(settings, store, static)
        progress = joined(by_episode, episode_index, store.folder)
        source = leave_progress(settings, store, by_episode)
    deltas = chunk_deltas(progress, episode_index, config.policy.chunk, settings.horizon)
    made = schemes.by_scheme(deltas, progress, episode_index, settings)
    return FrameWeights(schemes.normalise(made), source, progress, deltas)


def check_verdict(config: Config, diagnosis: Mapping[str, Any]) -> None:
    """Raise VerdictRefused on `do not weight`, unless nothing is weighted or the user insists."""
    settings = config.weights
    refused = diagnosis["verdict"] == "do not weight"
    if refused and settings.scheme != "none" and not settings.accept_poor_scorer:
        raise VerdictRefused(
            f"scorer {config.scorer.model}: the verdict on its scores is `do not weight` "
            f"({diagnosis['reasons']}); use another scorer, or set weights.scheme none for plain behavior "
            "cloning, or weights.accept_poor_scorer true to weight all the same"
        )


def calibrated(
    settings: WeightsConfig, store: ScoreStore, static: ScoreStore
) -> dict[int, NDArray[np.float64]]:
    """Progress (length,) of every episode, calibrated as configured.

    store, static: the scores of the episodes as they are and as still pictures.
    """
    return calibrate(
        store.read(), settings.calibration, settings.epsilon, settings.length_bias, static.read()
    )


def leave_progress(
    settings: WeightsConfig, store: ScoreStore, by_episode: Mapping[int, NDArray[np.float64]]
) -> Path:
    """Writes the progress of all episodes beside their scores, for LeRobot's tools; returns the parquet.

    Nothing here reads it again.
    """
    path = progress_path(store.folder, settings.calibration, settings.length_bias)
    with alone(store.folder / ".progress.lock", f"progress {path}"):  # trainings side by side share it
        write_progress(path, by_episode, store, settings.calibration, settings.length_bias)
    return path
