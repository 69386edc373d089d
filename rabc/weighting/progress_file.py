"""The derived `topreward_progress.parquet`: progress of every frame, in the columns LeRobot's tools read."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.columns import check_made_for, column, read_table, write_table
from rabc.scoring.store import ScoreStore
from rabc.system.errors import InputError
from rabc.weighting.deltas import episode_bounds
from rabc.weighting.progress import Calibration, LengthBias

FILE_NAME = "topreward_progress.parquet"
PREFIX = "rabc."
_FINGERPRINT = "dataset_fingerprint"


def progress_path(store_folder: Path, calibration: Calibration, length_bias: LengthBias) -> Path:
    """Where the progress of a store's scores goes."""
    name = calibration if length_bias == "none" else f"{calibration}-{length_bias}"
    return store_folder / name / FILE_NAME


def write_progress(
    path: Path,
    by_episode: Mapping[int, NDArray[np.float64]],
    lengths: NDArray[np.int64],
    store: ScoreStore,
    calibration: Calibration,
    length_bias: LengthBias = "none",
) -> None:
    """Writes the file at once or not at all.

    by_episode: progress (length,) of episodes, as `calibrate` gives it; lengths: (E,) frames of every episode
    of the dataset, whose `index` counts them in that order. Episodes without progress are NaN, to which
    LeRobot gives weight 1. Raises InputError if it cannot be written.
    """
    numbers = np.arange(len(lengths), dtype=np.int64)
    progress = [by_episode.get(int(n), np.full(lengths[n], np.nan)) for n in numbers]
    columns: dict[str, NDArray[Any]] = {
        "index": np.arange(lengths.sum(), dtype=np.int64),
        "episode_index": np.repeat(numbers, lengths),
        "frame_index": np.concatenate([np.arange(length, dtype=np.int64) for length in lengths]),
        "progress_sparse": np.concatenate(progress).astype(np.float32),
    }
    facts = {
        _FINGERPRINT: str(store.meta["dataset_fingerprint"]),
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


@dataclass(frozen=True)
class ForeignProgress:
    """Progress that another tool made, as far as it goes."""

    values: NDArray[np.float64]
    """(N,) of every frame; NaN for all frames of an episode that the file says nothing of."""
    filled: int
    """Frames of other episodes that the file says nothing of."""
    filled_in: int
    """Episodes that these belong to."""


def read_foreign(
    path: Path,
    head: Literal["sparse", "dense"],
    episode_index: NDArray[np.int64],
    dataset: str,
    selected: NDArray[np.bool_] | None = None,
) -> ForeignProgress:
    """Progress of the selected frames from a file in LeRobot's columns, whoever made it.

    A frame without progress, missing or NaN, gets what lies linearly between its neighbours' (at the ends of
    an episode: its neighbour's). An episode with progress at less than two frames has none.

    Args:
        path: parquet with `index`, `episode_index` and `progress_<head>`, as SARM, Robometer and LeRobot's
            TOPReward write it and `RABCWeights` reads it.
        head: `sparse` or `dense`.
        episode_index: (N,) of the dataset's frames.
        dataset: its fingerprint, which our own files name.
        selected: (N,) frames that matter, all of an episode or none; None: all. Others are NaN.

    Raises:
        InputError: the file is missing, damaged, of another dataset, or has no progress of any episode.
    """
    name = f"progress_{head}"
    remedy = f"give a parquet with index, episode_index and {name} for the frames of this dataset"
    table = read_table(path, "weights.progress_file", remedy)
    label = f"weights.progress_file {path}"
    if "episode_index" not in table.column_names:
        raise InputError(f"{label}: has no column episode_index; {remedy}")
    given = column(table, name, label, remedy, episode_index)
    check_made_for(table, PREFIX + _FINGERPRINT, dataset, label, remedy)
    if selected is not None:
        given = np.where(selected, given, np.nan)
    whole = filled(given, episode_index)
    if np.isnan(whole).all():
        raise InputError(f"{label}: no episode has {name} at two frames or more; {remedy}")
    new = np.isnan(given) & ~np.isnan(whole)
    return ForeignProgress(whole, int(new.sum()), len(np.unique(episode_index[new])))


def filled(progress: NDArray[np.float64], episode_index: NDArray[np.int64]) -> NDArray[np.float64]:
    """Progress (N,) whose gaps, NaN, are filled as `read_foreign` says; all of an episode or nothing."""
    whole = progress.copy()
    for start, stop in episode_bounds(episode_index).tolist():
        own = progress[start:stop]
        known = np.flatnonzero(~np.isnan(own))
        if len(known) < 2:
            whole[start:stop] = np.nan
        elif len(known) < stop - start:
            whole[start:stop] = np.interp(np.arange(stop - start), known, own[known])
    return whole
