"""The low-dimensional columns of a LeRobotDataset, read once into memory and checked."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from datasets.exceptions import DatasetsError
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.system.errors import InputError

pc: Any = pyarrow.compute  # its functions are made at run time

CONVERT = "python -m lerobot.scripts.convert_dataset_v21_to_v30"
"""LeRobot's converter; it pushes to the hub unless told not to."""

_AGAIN = "download or record the dataset again"


@dataclass(frozen=True)
class FrameTable:
    """One row per frame, in the order of the dataset's `index` (0 .. N-1)."""

    episode_index: NDArray[np.int64]
    """(N,) episode of each frame."""
    frame_index: NDArray[np.int64]
    """(N,) position of each frame in its episode."""
    episode_start: NDArray[np.int64]
    """(N,) index of the first frame of the frame's episode."""
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
    found = sum(len(part) for part in parts)
    if found != meta.total_frames:
        raise InputError(f"dataset {meta.root}: {found} of {meta.total_frames} frames are in data/; {_AGAIN}")

    def joined(name: str) -> NDArray[np.int64]:
        return np.concatenate([np.asarray(part.column(name).to_numpy(), np.int64) for part in parts])

    index, episode_index, frame_index = joined("index"), joined("episode_index"), joined("frame_index")
    if not np.array_equal(index, np.arange(len(index))):
        raise InputError(f"dataset {meta.root}: `index` does not count the frames from 0; {_AGAIN}")
    vectors = {
        name: np.concatenate([_vectors(part.column(name), name, meta) for part in parts]) for name in features
    }
    for name, values in vectors.items():
        _check_finite(name, values, episode_index, frame_index)
    starts, ends = _episode_bounds(meta, episode_index)
    return FrameTable(
        episode_index=episode_index,
        frame_index=frame_index,
        episode_start=starts,
        episode_end=ends,
        task=_tasks(meta, joined("task_index"), episode_index),
        vectors=vectors,
    )


def check_chunk(lengths: NDArray[np.int64], chunk: int, key: str = "policy.chunk_size") -> None:
    """Raise InputError when an episode has fewer frames than a chunk.

    LeRobot would pad such episodes; most of what the policy sees of them would be padding.

    Args:
        lengths: (E,) frames of each episode.
        chunk: actions per query, control ticks.
        key: that sets it.
    """
    short = np.flatnonzero(lengths < chunk)
    if len(short):
        named = ", ".join(f"{episode} ({lengths[episode]} frames)" for episode in short[:5])
        more = f" and {len(short) - 5} more" if len(short) > 5 else ""
        raise InputError(
            f"episode {named}{more}: shorter than a chunk of {chunk}; set {key} to at most "
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
        remedy = (
            f"convert it with `{CONVERT} --repo-id=local/{root.name} --root={root} --push-to-hub=false`"
            if version == "v2.1"
            else "convert it to v2.1 with an older LeRobot first, or update lerobot if it is newer"
        )
        raise InputError(f"dataset {root}: has format {version}, not v3.0; {remedy}")
    for name in ("meta/tasks.parquet", "meta/stats.json", "meta/episodes"):
        if not (root / name).exists():
            raise InputError(f"dataset {root}: {name} is missing; {_AGAIN}")


def _read_parquet(path: Path, columns: list[str]) -> Any:
    try:
        return pq.read_table(path, columns=columns)
    except (OSError, pa.ArrowException) as error:
        raise InputError(f"table {path}: cannot be read ({_first_line(error)}); {_AGAIN}") from error


def _vectors(column: Any, name: str, meta: LeRobotDatasetMetadata) -> NDArray[np.float32]:
    """(N, D); as arrays all the way, since lists of Python numbers would take ten times the memory."""
    (size,) = meta.features[name]["shape"]
    lists = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    if (
        not lists
        or not pc.all(pc.fill_null(pc.equal(pc.list_value_length(column), size), False), min_count=0).as_py()
    ):
        raise InputError(f"column {name}: not {size} numbers in every row of {meta.root}; {_AGAIN}")
    # A missing number (null) becomes NaN, which is reported with its episode and frame.
    return pc.list_flatten(column).to_numpy().astype(np.float32).reshape(-1, size)


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


def _episode_bounds(
    meta: LeRobotDatasetMetadata, episode_index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    records = cast(Any, meta.episodes)
    starts = np.asarray(records["dataset_from_index"], np.int64)
    ends = np.asarray(records["dataset_to_index"], np.int64)
    expected = np.repeat(np.arange(len(starts)), ends - starts)
    if not np.array_equal(expected, episode_index):
        raise InputError(f"dataset {meta.root}: meta/episodes does not match data/; {_AGAIN}")
    return starts[episode_index], ends[episode_index]


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
