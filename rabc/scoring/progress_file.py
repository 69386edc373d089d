"""The derived `topreward_progress.parquet`: progress of every frame, in the columns LeRobot's tools read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rabc import progress
from rabc.errors import InputError
from rabc.frame_columns import column, read_table, write_table
from rabc.scoring.store import EpisodeScores, ScoreStore

FILE_NAME = "topreward_progress.parquet"
PREFIX = "rabc."
_AGAIN = "delete it and score again"

Calibration = Literal["episode", "dataset", "logodds"]
LengthBias = Literal["none", "subtract"]
CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)
LENGTH_BIASES: tuple[LengthBias, ...] = get_args(LengthBias)


def progress_path(store_folder: Path, calibration: Calibration, length_bias: LengthBias) -> Path:
    """Where the progress of a store's scores goes."""
    name = calibration if length_bias == "none" else f"{calibration}-{length_bias}"
    return store_folder / name / FILE_NAME


def calibrate(
    episodes: Mapping[int, EpisodeScores],
    calibration: Calibration,
    epsilon: float,
    length_bias: LengthBias = "none",
    static: Mapping[int, EpisodeScores] | None = None,
) -> dict[int, NDArray[np.float64]]:
    """Progress of every frame by episode: (length,) each, 0 to 1.

    Args:
        episodes: scores by episode.
        calibration: `episode` is min-max per episode (TOPReward Eq. 2), `dataset` uses pooled bounds, both of
            log p(True); `logodds` is the sigmoid of log p(True) - log p(False).
        epsilon: guard against division by zero.
        length_bias: `subtract` takes the rise of the static curve away before the calibration.
        static: static scores of the same episodes; needed for `subtract`.

    Raises:
        InputError: `subtract`, and an episode has no static scores.
    """
    curves = {episode: _curve(record, calibration) for episode, record in episodes.items()}
    if length_bias == "subtract":
        for episode, curve in curves.items():
            record = (static or {}).get(episode)
            if record is None:
                raise InputError(
                    f"episode {episode}: has no static scores, which weights.length_bias subtract needs; "
                    "score the dataset with that setting"
                )
            curves[episode] = progress.subtract_static(curve, _curve(record, calibration))
    values = {
        "episode": lambda: [progress.episode_progress(curve, epsilon) for curve in curves.values()],
        "dataset": lambda: progress.dataset_progress(list(curves.values()), epsilon),
        "logodds": lambda: [progress.logodds_progress(curve) for curve in curves.values()],
    }[calibration]()
    return {
        episode: progress.per_frame(record.scores.prefix_lengths, value, record.length)
        for (episode, record), value in zip(episodes.items(), values, strict=True)
    }


def _curve(record: EpisodeScores, calibration: Calibration) -> NDArray[np.float64]:
    scores = record.scores
    return scores.log_prob_true - scores.log_prob_false if calibration == "logodds" else scores.log_prob_true


def write_progress(
    path: Path,
    by_episode: Mapping[int, NDArray[np.float64]],
    store: ScoreStore,
    calibration: Calibration,
    length_bias: LengthBias = "none",
) -> None:
    """Writes the file at once or not at all.

    by_episode: progress (length,) of every episode 0 .. n-1, as `calibrate` gives it; frames are numbered in
    that order, which is the dataset's `index`. Raises InputError if it cannot be written.
    """
    if sorted(by_episode) != list(range(len(by_episode))):
        raise ValueError(f"episodes {sorted(by_episode)}: must be 0..n-1")
    ordered = [by_episode[episode] for episode in range(len(by_episode))]
    lengths = [len(values) for values in ordered]
    columns: dict[str, NDArray[Any]] = {
        "index": np.arange(sum(lengths), dtype=np.int64),
        "episode_index": np.repeat(np.arange(len(ordered), dtype=np.int64), lengths),
        "frame_index": np.concatenate([np.arange(length, dtype=np.int64) for length in lengths]),
        "progress_sparse": np.concatenate(ordered).astype(np.float32),
    }
    # LeRobot writes the id of the model under `vlm_name`; ours go under a prefix of their own.
    facts = {"vlm_name": str(store.meta["scorer"])} | {
        PREFIX + name: value for name, value in _expected(store, calibration, length_bias).items()
    }
    write_table(path, columns, facts | {PREFIX + "prompt": str(store.meta["prompt"])})


def read_progress(
    path: Path,
    store: ScoreStore,
    calibration: Calibration,
    episode_index: NDArray[np.int64],
    length_bias: LengthBias = "none",
) -> NDArray[np.float64]:
    """Progress (N,) of every frame of the dataset, 0 to 1, in the order of its `index`.

    store: the scores the file must come from; episode_index: (N,) of the dataset's frames. Raises InputError,
    naming the file, if it is missing, damaged, without our metadata, from another dataset, scorer, prompt or
    calibration, or lacks the progress of a frame.
    """
    table = read_table(path, "progress", _AGAIN)
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    for name, expected in _expected(store, calibration, length_bias).items():
        found = facts.get(PREFIX + name)
        if found is None:
            raise InputError(
                f"progress {path}: does not say which {name.replace('_', ' ')} it was made with; delete it"
            )
        if found != expected:
            raise InputError(
                f"progress {path}: is stale or foreign ({name} {found} instead of {expected}); {_AGAIN}"
            )
    return column(table, "progress_sparse", f"progress {path}", _AGAIN, episode_index)


def read_foreign(
    path: Path, head: Literal["sparse", "dense"], episode_index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Progress (N,) of every frame from a file in LeRobot's columns, whoever made it.

    Args:
        path: parquet with `index`, `episode_index` and `progress_<head>`, as SARM, Robometer and LeRobot's
            TOPReward write it and `RABCWeights` reads it. Frames without progress are an error here; LeRobot
            gives them weight 1.
        head: `sparse` or `dense`.
        episode_index: (N,) of the dataset's frames.

    Raises:
        InputError: the file is missing, damaged, of another dataset, or lacks the progress of a frame.
    """
    remedy = f"give a parquet with index, episode_index and progress_{head} for every frame of this dataset"
    table = read_table(path, "weights.progress_file", remedy)
    label = f"weights.progress_file {path}"
    if "episode_index" not in table.column_names:
        raise InputError(f"{label}: has no column episode_index; {remedy}")
    return column(table, f"progress_{head}", label, remedy, episode_index)


def _expected(store: ScoreStore, calibration: str, length_bias: str) -> dict[str, str]:
    return {
        "dataset_fingerprint": str(store.meta["dataset_fingerprint"]),
        "scorer": str(store.meta["scorer"]),
        # Covers the scorer's revision, prompt, cameras, rates and number of prefixes, for static scores too.
        "store_key": store.key,
        "calibration": calibration,
        "length_bias": length_bias,
    }
