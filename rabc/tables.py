"""The low-dimensional columns of a LeRobotDataset, read once into memory and checked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from datasets.exceptions import DatasetsError
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.errors import InputError

_AGAIN = "download or record the dataset again"


@dataclass(frozen=True)
class FrameTable:
    """One row per frame, in the order of the dataset's `index` (0 .. N-1)."""

    episode_index: NDArray[np.int64]
    """(N,) episode of each frame."""
    frame_index: NDArray[np.int64]
    """(N,) position of each frame in its episode."""
    episode_end: NDArray[np.int64]
    """(N,) index one past the last frame of the frame's episode."""
    task: NDArray[np.object_]
    """(N,) instruction of each frame, str."""
    vectors: dict[str, NDArray[np.float32]]
    """feature -> (N, D), dataset units: `action`, `observation.state`, ..."""

    def __len__(self) -> int:
        return len(self.episode_index)


def load_meta(root: Path, repo_id: str | None = None) -> LeRobotDatasetMetadata:
    """Metadata of a local LeRobotDataset v3, without ever asking the hub.

    Args:
        root: dataset folder.
        repo_id: its name on the hub; the folder's name by default.

    Raises:
        InputError: no dataset there, another format version, or unreadable metadata.
    """
    root = Path(root)
    _check_files(root)
    try:
        meta = LeRobotDatasetMetadata(repo_id or f"local/{root.name}", root=root)
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException, DatasetsError) as error:
        raise InputError(
            f"dataset {root}: its metadata cannot be read ({_first_line(error)}); {_AGAIN}"
        ) from error
    if meta.total_episodes == 0 or meta.episodes is None or meta.tasks is None:
        raise InputError(f"dataset {root}: has no episodes; record some")
    return meta


def read_frames(meta: LeRobotDatasetMetadata, features: list[str]) -> FrameTable:
    """The table of all frames.

    Args:
        meta: metadata of a local dataset.
        features: vector columns to read, e.g. `["observation.state", "action"]`.

    Raises:
        InputError: a damaged or inconsistent file, an empty task, a value that is not finite.
    """
    columns = ["index", "episode_index", "frame_index", "task_index", *features]
    paths = sorted((meta.root / "data").glob("*/*.parquet"))
    parts = [_read_parquet(path, columns) for path in paths]
    found = sum(len(part["index"]) for part in parts)
    if found != meta.total_frames:
        raise InputError(f"dataset {meta.root}: {found} of {meta.total_frames} frames are in data/; {_AGAIN}")

    def joined(name: str) -> NDArray[np.int64]:
        return np.concatenate([np.asarray(part[name], np.int64) for part in parts])

    index, episode_index, frame_index = joined("index"), joined("episode_index"), joined("frame_index")
    if not np.array_equal(index, np.arange(len(index))):
        raise InputError(f"dataset {meta.root}: `index` does not count the frames from 0; {_AGAIN}")
    vectors = {name: _vectors([row for part in parts for row in part[name]], name, meta) for name in features}
    for name, values in vectors.items():
        _check_finite(name, values, episode_index, frame_index)
    return FrameTable(
        episode_index=episode_index,
        frame_index=frame_index,
        episode_end=_episode_ends(meta, episode_index),
        task=_tasks(meta, joined("task_index"), episode_index),
        vectors=vectors,
    )


def check_chunk(lengths: NDArray[np.int64], chunk: int) -> None:
    """Raise InputError when an episode has fewer frames than a chunk.

    LeRobot would pad such episodes; most of what the policy sees of them would be padding.

    Args:
        lengths: (E,) frames of each episode.
        chunk: actions per query, control ticks.
    """
    short = np.flatnonzero(lengths < chunk)
    if len(short):
        named = ", ".join(f"{episode} ({lengths[episode]} frames)" for episode in short[:5])
        more = f" and {len(short) - 5} more" if len(short) > 5 else ""
        raise InputError(
            f"episode {named}{more}: shorter than a chunk of {chunk}; set policy.chunk_size to at most "
            f"{lengths.min()} or remove the episodes"
        )


def episode_lengths(meta: LeRobotDatasetMetadata) -> NDArray[np.int64]:
    """(E,) frames of each episode, from the metadata alone."""
    return np.asarray(cast(Any, meta.episodes)["length"], np.int64)


def _check_files(root: Path) -> None:
    """LeRobot asks the hub for whatever is missing in a folder; a local dataset must be whole."""
    info = root / "meta" / "info.json"
    if not info.is_file():
        raise InputError(
            f"dataset {root}: no LeRobotDataset there (meta/info.json is missing); check the path"
        )
    try:
        version = str(json.loads(info.read_text())["codebase_version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"file {info}: cannot be read ({_first_line(error)}); {_AGAIN}") from error
    if not version.startswith("v3."):
        raise InputError(
            f"dataset {root}: has format {version}, not v3.0; convert it with "
            "`python -m lerobot.scripts.convert_dataset_v21_to_v30`"
        )
    for name in ("meta/tasks.parquet", "meta/stats.json", "meta/episodes"):
        if not (root / name).exists():
            raise InputError(f"dataset {root}: {name} is missing; {_AGAIN}")


def _read_parquet(path: Path, columns: list[str]) -> dict[str, list[Any]]:
    try:
        return pq.read_table(path, columns=columns).to_pydict()
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"table {path}: cannot be read ({_first_line(error)}); {_AGAIN}") from error


def _vectors(rows: list[Any], name: str, meta: LeRobotDatasetMetadata) -> NDArray[np.float32]:
    (size,) = meta.features[name]["shape"]
    if not all(isinstance(row, list) and len(cast(list[Any], row)) == size for row in rows):
        raise InputError(f"column {name}: not {size} numbers in every row of {meta.root}; {_AGAIN}")
    # A missing number (null) becomes NaN, which is reported with its episode and frame.
    return np.asarray(rows, np.float64).astype(np.float32)


def _check_finite(
    name: str, values: NDArray[np.float32], episode: NDArray[np.int64], frame: NDArray[np.int64]
) -> None:
    bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
    if len(bad):
        first = bad[0]
        raise InputError(
            f"{name} {values[first].tolist()}: not finite in episode {episode[first]}, frame {frame[first]} "
            f"({len(bad)} such frames); remove or record these episodes again"
        )


def _episode_ends(meta: LeRobotDatasetMetadata, episode_index: NDArray[np.int64]) -> NDArray[np.int64]:
    records = cast(Any, meta.episodes)
    starts = np.asarray(records["dataset_from_index"], np.int64)
    ends = np.asarray(records["dataset_to_index"], np.int64)
    expected = np.repeat(np.arange(len(starts)), ends - starts)
    if not np.array_equal(expected, episode_index):
        raise InputError(f"dataset {meta.root}: meta/episodes does not match data/; {_AGAIN}")
    return ends[episode_index]


def _tasks(
    meta: LeRobotDatasetMetadata, task_index: NDArray[np.int64], episode_index: NDArray[np.int64]
) -> NDArray[np.object_]:
    names = [str(name) for name in cast(Any, meta.tasks).index]
    used, first = np.unique(task_index, return_index=True)
    for number, row in zip(used, first, strict=True):
        episode = episode_index[row]
        if not 0 <= number < len(names):
            raise InputError(
                f"task {number}: of episode {episode}, not in {meta.root}/meta/tasks.parquet; {_AGAIN}"
            )
        if not names[number].strip():
            raise InputError(
                f"task '{names[number]}': empty in episode {episode} of {meta.root}; give it an instruction, "
                'e.g. "Pick up the red cube."'
            )
    return np.asarray(names, object)[task_index]


def _first_line(error: Exception) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__
