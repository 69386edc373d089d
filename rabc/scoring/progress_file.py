"""The derived `topreward_progress.parquet`: progress of every frame, in the columns LeRobot's tools read."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rabc import progress
from rabc.errors import InputError
from rabc.scoring.store import EpisodeScores, ScoreStore

FILE_NAME = "topreward_progress.parquet"
PREFIX = "rabc."


def calibrate(
    episodes: Mapping[int, EpisodeScores], calibration: Literal["episode", "dataset"], epsilon: float
) -> dict[int, NDArray[np.float64]]:
    """Progress of every frame by episode: (length,) each, 0 to 1.

    calibration: `episode` is min-max per episode (TOPReward Eq. 2), `dataset` uses pooled bounds.
    """
    records = list(episodes.values())
    curves = [record.scores.log_prob_true for record in records]
    if calibration == "episode":
        values = [progress.episode_progress(curve, epsilon) for curve in curves]
    elif calibration == "dataset":
        values = progress.dataset_progress(curves, epsilon)
    else:
        raise ValueError(f"calibration {calibration}: must be episode or dataset")
    return {
        record.episode_index: progress.per_frame(record.scores.prefix_lengths, value, record.length)
        for record, value in zip(records, values, strict=True)
    }


def write_progress(
    path: Path, by_episode: Mapping[int, NDArray[np.float64]], store: ScoreStore, calibration: str
) -> None:
    """Writes the file at once or not at all.

    by_episode: progress (length,) of every episode 0 .. n-1, as `calibrate` gives it; frames are numbered in
    that order, which is the dataset's `index`. Raises InputError if it cannot be written.
    """
    if sorted(by_episode) != list(range(len(by_episode))):
        raise ValueError(f"episodes {sorted(by_episode)}: must be 0..n-1")
    ordered = [by_episode[episode] for episode in range(len(by_episode))]
    lengths = [len(values) for values in ordered]
    table = pa.table(
        {
            "index": np.arange(sum(lengths), dtype=np.int64),
            "episode_index": np.repeat(np.arange(len(ordered), dtype=np.int64), lengths),
            "frame_index": np.concatenate([np.arange(length, dtype=np.int64) for length in lengths]),
            "progress_sparse": np.concatenate(ordered).astype(np.float32),
        }
    )
    # LeRobot writes the id of the model under `vlm_name`; ours go under a prefix of their own.
    facts = {"vlm_name": str(store.meta["scorer"])} | {
        PREFIX + name: value for name, value in _expected(store, calibration).items()
    }
    table = table.replace_schema_metadata(facts | {PREFIX + "prompt": str(store.meta["prompt"])})
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(table, temporary)
        os.replace(temporary, path)
    except OSError as error:
        raise InputError(
            f"progress {path}: cannot be written ({error.strerror}); check space and permissions"
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_progress(
    path: Path, store: ScoreStore, calibration: str, episode_index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Progress (N,) of every frame of the dataset, 0 to 1, in the order of its `index`.

    store: the scores the file must come from; episode_index: (N,) of the dataset's frames. Raises InputError,
    naming the file, if it is missing, damaged, without our metadata, from another dataset, scorer, prompt or
    calibration, or lacks the progress of a frame.
    """
    try:
        table: Any = pq.read_table(path)
    except FileNotFoundError as error:
        raise InputError(f"progress {path}: is not there; score the dataset") from error
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"progress {path}: is damaged; delete it and score again") from error
    facts = {key.decode(): value.decode() for key, value in (table.schema.metadata or {}).items()}
    for name, expected in _expected(store, calibration).items():
        found = facts.get(PREFIX + name)
        if found is None:
            raise InputError(
                f"progress {path}: does not say which {name.replace('_', ' ')} it was made with; delete it"
            )
        if found != expected:
            raise InputError(
                f"progress {path}: is stale or foreign ({name} {found} instead of {expected}); "
                "delete it and score again"
            )
    return _column(path, table, episode_index)


def _expected(store: ScoreStore, calibration: str) -> dict[str, str]:
    return {
        "dataset_fingerprint": str(store.meta["dataset_fingerprint"]),
        "scorer": str(store.meta["scorer"]),
        # Covers the scorer's revision, prompt, camera, rates and number of prefixes.
        "store_key": store.key,
        "calibration": calibration,
    }


def _column(path: Path, table: Any, episode_index: NDArray[np.int64]) -> NDArray[np.float64]:
    columns: dict[str, NDArray[Any]] = {}
    for name in ("index", "episode_index", "progress_sparse"):
        if name not in table.column_names:
            raise InputError(f"progress {path}: has no column {name}; delete it and score again")
        columns[name] = np.asarray(table.column(name).to_numpy(zero_copy_only=False))
    values = np.full(len(episode_index), np.nan)
    index = columns["index"]
    if len(index) and not (index.min() >= 0 and index.max() < len(values)):
        raise InputError(f"progress {path}: has frames that the dataset has not; delete it and score again")
    values[index] = columns["progress_sparse"]
    lacking = np.flatnonzero(~np.isfinite(values))
    if len(lacking):
        raise InputError(
            f"progress {path}: {len(lacking)} frames have no progress, first frame {lacking[0]} "
            f"(episode {episode_index[lacking[0]]}); delete it and score again"
        )
    if not np.array_equal(columns["episode_index"], episode_index[index]):
        raise InputError(f"progress {path}: its episodes are not the dataset's; delete it and score again")
    return values
