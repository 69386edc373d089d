"""The low-dimensional columns of a LeRobotDataset, read once into memory and checked."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.episodes import Episodes, read_episodes
from rabc.datasets.metadata import AGAIN, check_strays, first_line
from rabc.system.errors import InputError
from rabc.system.terminal import one_line

pc: Any = pyarrow.compute  # its functions are made at run time


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
    fps: float
    """Frames per second."""

    def __len__(self) -> int:
        return len(self.episode_index)


def table_files(meta: LeRobotDatasetMetadata) -> list[Path]:
    """The files of `data/` in their order, which is that of the dataset's `index`: all that LeRobot reads.

    Raises InputError for one that LeRobot would read but no recorder wrote, or where there is none.
    """
    paths = sorted((meta.root / "data").glob("*/*.parquet"))
    check_strays(paths)
    if not paths:
        raise InputError(f"dataset {meta.root}: has no table in data/; {AGAIN}")
    return paths


def read_frames(
    meta: LeRobotDatasetMetadata, features: list[str], selected: Collection[int] | None = None
) -> FrameTable:
    """The table of all frames.

    Args:
        meta: metadata of a local dataset.
        features: vector columns to read, e.g. `["observation.state", "action"]`.
        selected: episodes whose values must be usable; None: all.

    Raises:
        InputError: a damaged or inconsistent file, an empty task, a value that is not finite.
    """
    columns = ["index", "episode_index", "frame_index", "task_index", *features]
    arrays: dict[str, list[NDArray[Any]]] = {name: [] for name in columns}
    for path in table_files(meta):  # one in memory at a time, beside what is kept of the others
        part = _read_parquet(path, columns)
        for name in columns:
            arrays[name].append(_array(part.column(name), name, name in features, meta))
        del part
        pa.default_memory_pool().release_unused()  # else it is kept, three times what the arrays take
    found = sum(map(len, arrays["index"]))
    if found != meta.total_frames:
        raise InputError(
            f"dataset {meta.root}: data/ has {found} frames, meta/info.json says {meta.total_frames}; {AGAIN}"
        )

    def joined(name: str) -> NDArray[Any]:
        return np.concatenate(arrays.pop(name))

    index, episode_index, frame_index = joined("index"), joined("episode_index"), joined("frame_index")
    if not np.array_equal(index, np.arange(len(index))):
        wrong = int(np.flatnonzero(index != np.arange(len(index)))[0])
        raise InputError(
            f"dataset {meta.root}: `index` does not count the frames from 0 (row {wrong} of data/ has "
            f"{index[wrong]}); {AGAIN}"
        )
    vectors = {name: joined(name) for name in features}
    starts, ends = _episode_bounds(meta, read_episodes(meta), episode_index)
    chosen = np.ones(len(starts), bool) if selected is None else np.isin(episode_index, list(selected))
    for name, values in vectors.items():
        _check_finite(name, values, episode_index, frame_index, chosen)
    return FrameTable(
        episode_index=episode_index,
        frame_index=frame_index,
        episode_start=starts,
        episode_end=ends,
        task=_tasks(meta, joined("task_index"), episode_index),
        vectors=vectors,
        fps=float(meta.fps),
    )


def _read_parquet(path: Path, columns: list[str]) -> Any:
    try:
        there = pq.read_schema(path).names
        odd = next((name for name in columns if there.count(name) != 1), None)
        if odd is not None:
            has = f"column {odd} twice" if odd in there else f"no column {odd}, only {', '.join(there)}"
            raise InputError(f"table {path}: has {one_line(has)}; {AGAIN}")
        return pq.read_table(path, columns=columns)
    except (OSError, ValueError, pa.ArrowException) as error:  # a name that is no text is a ValueError
        raise InputError(f"table {path}: cannot be read ({first_line(error)}); {AGAIN}") from error


def _array(column: Any, name: str, vector: bool, meta: LeRobotDatasetMetadata) -> NDArray[Any]:
    return _vectors(column, name, meta) if vector else whole_numbers(column, name, meta)


def whole_numbers(column: Any, name: str, meta: LeRobotDatasetMetadata) -> NDArray[np.int64]:
    """(N,) numbers of a column that counts; some tools write 3 as 3.0. Raises InputError for others."""
    values = column.to_numpy()
    whole = pa.types.is_integer(column.type) or (
        pa.types.is_floating(column.type) and bool((np.isfinite(values) & (values == np.floor(values))).all())
    )
    if whole and not column.null_count and (np.abs(values.astype(np.float64)) < 2**53).all():
        return np.asarray(values, np.int64)
    raise InputError(f"column {name}: not a whole number in every row of {meta.root}; {AGAIN}")


def _vectors(column: Any, name: str, meta: LeRobotDatasetMetadata) -> NDArray[np.float32]:
    """(N, D); as arrays all the way, since lists of Python numbers would take ten times the memory."""
    shape = tuple(meta.features[name]["shape"])
    (size,) = shape if len(shape) == 1 else (-1,)
    if size == 1 and (pa.types.is_floating(column.type) or pa.types.is_integer(column.type)):
        # LeRobot writes a vector of one number as a number.
        return column.to_numpy().astype(np.float32).reshape(-1, 1)
    lists = pa.types.is_list(column.type) or pa.types.is_fixed_size_list(column.type)
    if (
        not lists
        or not (pa.types.is_floating(column.type.value_type) or pa.types.is_integer(column.type.value_type))
        or not pc.all(pc.fill_null(pc.equal(pc.list_value_length(column), size), False), min_count=0).as_py()
    ):
        raise InputError(
            f"column {name}: not {'x'.join(map(str, shape))} numbers in every row of {meta.root}, or no "
            f"vector; {AGAIN}"
        )
    # A missing number (null) becomes NaN, which is reported with its episode and frame.
    return pc.list_flatten(column).to_numpy().astype(np.float32).reshape(-1, size)


def _check_finite(
    name: str,
    values: NDArray[np.float32],
    episode: NDArray[np.int64],
    frame: NDArray[np.int64],
    chosen: NDArray[np.bool_],
) -> None:
    bad = np.flatnonzero(chosen & ~np.isfinite(values).all(axis=1))
    if len(bad):
        first = bad[0]
        named = ",".join(map(str, np.unique(episode[bad])))
        raise InputError(
            f"{name} {values[first].tolist()}: not finite in episode {episode[first]}, frame {frame[first]} "
            f"({len(bad)} such frames); leave these episodes out: --dataset.exclude {named}"
        )


def _episode_bounds(
    meta: LeRobotDatasetMetadata, records: Episodes, episode_index: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    expected = np.repeat(np.arange(len(records)), np.maximum(records.end - records.start, 0))
    if not np.array_equal(expected, episode_index):
        count = min(len(expected), len(episode_index))
        wrong = np.flatnonzero(expected[:count] != episode_index[:count])
        row = int(wrong[0]) if len(wrong) else count
        says = expected[row] if row < len(expected) else "no episode"
        has = episode_index[row] if row < len(episode_index) else "none"
        raise InputError(
            f"dataset {meta.root}: row {row} of data/ is of episode {has}, meta/episodes says {says}; {AGAIN}"
        )
    return records.start[episode_index], records.end[episode_index]


def task_names(meta: LeRobotDatasetMetadata) -> dict[int, str]:
    """`task_index` -> instruction, by the number and not by the row, whose order a tool may change.

    Raises InputError where a number is none.
    """
    tasks: Any = meta.tasks
    numbers = tasks["task_index"] if "task_index" in tasks.columns else range(len(tasks))
    try:
        return {int(number): str(name) for number, name in zip(numbers, tasks.index, strict=True)}
    except (ValueError, TypeError, OverflowError) as error:
        raise InputError(
            f"table {meta.root}/meta/tasks.parquet: column task_index holds no numbers ({error}); {AGAIN}"
        ) from error


def _tasks(
    meta: LeRobotDatasetMetadata, task_index: NDArray[np.int64], episode_index: NDArray[np.int64]
) -> NDArray[np.object_]:
    names = task_names(meta)
    used, first, place = np.unique(task_index, return_index=True, return_inverse=True)
    for number, row in zip(used.tolist(), first, strict=True):
        if number not in names:
            raise InputError(
                f"task {number}: of episode {episode_index[row]}, not in {meta.root}/meta/tasks.parquet; "
                f"{AGAIN}"
            )
    return np.array([names[number] for number in used.tolist()], object)[place]
