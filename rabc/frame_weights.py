"""The weight of every frame of a dataset: from our scores, from others' progress, or from others' weights."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rabc import weights
from rabc.config import Config, WeightsConfig
from rabc.errors import VerdictRefused
from rabc.lock import alone

if TYPE_CHECKING:
    from rabc.scoring.store import ScoreStore


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


def foreign_file(settings: WeightsConfig) -> str | None:
    """The file from elsewhere that takes the place of scoring, if one is given."""
    return settings.weights_file or settings.progress_file


def frame_weights(
    config: Config, scores: dict[str, Any], episode_index: NDArray[np.int64], dataset: str
) -> FrameWeights:
    """The weights of the frames that `episode_index` (N,) says the episodes of.

    scores: result of the scoring stage. dataset: its fingerprint. Raises VerdictRefused where the diagnosis
    of the scores forbids weighting, InputError for a foreign file that does not fit the dataset.
    """
    from rabc.scoring.progress_file import progress_path, read_foreign, read_progress
    from rabc.scoring.store import ScoreStore
    from rabc.weights_file import read_weights

    settings = config.weights
    if settings.weights_file:
        source = Path(settings.weights_file)
        return FrameWeights(weights.normalise(read_weights(source, episode_index, dataset)), source)
    if settings.progress_file:
        source = Path(settings.progress_file)
        progress = read_foreign(source, settings.progress_head, episode_index)
    else:
        check_verdict(config, scores["diagnosis"])
        store = ScoreStore.reopen(Path(scores["store"]))
        static = ScoreStore.reopen(Path(scores["static_store"]))
        write_progress(config, store, static)
        source = progress_path(store.folder, settings.calibration, settings.length_bias)
        progress = read_progress(source, store, settings.calibration, episode_index, settings.length_bias)
    deltas = weights.chunk_deltas(progress, episode_index, config.policy.chunk, settings.horizon)
    made = weights.by_scheme(deltas, progress, episode_index, settings)
    return FrameWeights(weights.normalise(made), source, progress, deltas)


def check_verdict(config: Config, diagnosis: dict[str, Any]) -> None:
    """Raise VerdictRefused on `do not weight`, unless nothing is weighted or the user insists."""
    settings = config.weights
    refused = diagnosis["verdict"] == "do not weight"
    if refused and settings.scheme != "none" and not settings.accept_poor_scorer:
        raise VerdictRefused(
            f"scorer {config.scorer.model}: the verdict on its scores is `do not weight` "
            f"({diagnosis['reasons']}); use another scorer, or set weights.scheme none for plain behavior "
            "cloning, or weights.accept_poor_scorer true to weight all the same"
        )


def write_progress(config: Config, store: "ScoreStore", static: "ScoreStore") -> Path:
    """Writes the progress of all episodes, calibrated as configured; returns the parquet's path.

    store, static: the scores of the episodes as they are and as still pictures.
    """
    from rabc.scoring import progress_file

    settings = config.weights
    path = progress_file.progress_path(store.folder, settings.calibration, settings.length_bias)
    calibrated = progress_file.calibrate(
        store.read(), settings.calibration, settings.epsilon, settings.length_bias, static.read()
    )
    # Trainings side by side share it.
    with alone(store.folder / ".progress.lock", f"progress {path}"):
        progress_file.write_progress(path, calibrated, store, settings.calibration, settings.length_bias)
    return path
