"""The derived `topreward_progress.parquet`: progress of every frame, in the columns LeRobot's tools read."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.columns import column, read_table, write_table
from rabc.scoring.store import ScoreStore
from rabc.system.errors import InputError
from rabc.weighting.progress import Calibration, LengthBias

FILE_NAME = "topreward_progress.parquet"
PREFIX = "rabc."


def progress_path(store_folder: Path, calibration: Calibration, length_bias: LengthBias) -> Path:
    """Where the progress of a store's scores goes."""
    name = calibration if length_bias == "none" else f"{calibration}-{length_bias}"
    return store_folder / name / FILE_NAME


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
    facts = {
        "dataset_fingerprint": str(store.meta["dataset_fingerprint"]),
        "scorer": str(store.meta["scorer"]),
        # Covers the scorer's revision, prompt, cameras, rates and number of prefixes, for static scores too.
        "store_key": store.key,
        "calibration": calibration,
        "length_bias": length_bias,
        "prompt": str(store.meta["prompt"]),
    }
    # LeRobot writes the id of the model under `vlm_name`; ours go under a prefix of their own.
    ours = {PREFIX + name: value for name, value in facts.items()}
    write_table(path, columns, {"vlm_name": str(store.meta["scorer"])} | ours)


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
