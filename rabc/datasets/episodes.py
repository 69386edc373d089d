"""Where each episode of a dataset lies: in its tables, and in the videos of its cameras."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.metadata import AGAIN
from rabc.system.errors import InputError


@dataclass(frozen=True)
class Ranges:
    """The stretch of each episode in the videos of one camera."""

    files: tuple[Path, ...]
    """Every file of the camera, once, in the order of the episodes."""
    file: NDArray[np.int64]
    """(E,) index into `files`."""
    start: NDArray[np.float64]
    """(E,) time at which the episode begins in its file, seconds."""
    end: NDArray[np.float64]
    """(E,) time at which it ends, seconds."""


@dataclass(frozen=True)
class Episodes:
    """What `meta/episodes` says of the E episodes, column by column."""

    length: NDArray[np.int64]
    """(E,) frames."""
    start: NDArray[np.int64]
    """(E,) first frame, in the dataset's `index`."""
    end: NDArray[np.int64]
    """(E,) one past the last frame."""
    tasks: tuple[tuple[str, ...], ...]
    """The instructions of each episode."""
    table: tuple[Path, ...]
    """(E,) file of `data/` that is said to hold each episode."""
    videos: Mapping[str, Ranges]
    """Video camera -> where its episodes are."""

    def __len__(self) -> int:
        return len(self.length)


@lru_cache(maxsize=8)
def read_episodes(meta: LeRobotDatasetMetadata) -> Episodes:
    """The episodes of a dataset; read once, since LeRobot's records cost a millisecond each.

    Raises InputError for episodes whose numbers have gaps, or records that lack a column.
    """
    table: Any = cast(Any, meta.episodes).data

    def column(name: str, kind: Any) -> NDArray[Any]:
        if name not in table.column_names:
            raise InputError(f"dataset {meta.root}: meta/episodes has no column {name}; {AGAIN}")
        values = table.column(name)
        if values.null_count:
            raise InputError(
                f"dataset {meta.root}: meta/episodes has no {name} for {values.null_count} episodes; {AGAIN}"
            )
        try:
            found = np.asarray(values.to_numpy(), kind)
            if kind is np.int64 and not np.array_equal(found, values.to_numpy()):
                raise ValueError("not whole ones")
            return found
        except (TypeError, ValueError) as error:
            raise InputError(
                f"dataset {meta.root}: {name} of meta/episodes holds no numbers ({error}); {AGAIN}"
            ) from error

    _check_numbers(meta, column("episode_index", np.int64))
    chunks, files = column("data/chunk_index", np.int64), column("data/file_index", np.int64)
    return Episodes(
        length=column("length", np.int64),
        start=column("dataset_from_index", np.int64),
        end=column("dataset_to_index", np.int64),
        tasks=_tasks(meta, table),
        table=tuple(
            meta.root / meta.data_path.format(chunk_index=chunk, file_index=file)
            for chunk, file in zip(chunks.tolist(), files.tolist(), strict=True)
        ),
        videos={key: _ranges(meta, key, column) for key in meta.video_keys},
    )


def _tasks(meta: LeRobotDatasetMetadata, table: Any) -> tuple[tuple[str, ...], ...]:
    if "tasks" not in table.column_names:
        return ((),) * len(table)
    found: list[Any] = [
        [some] if isinstance(some, str) else some or [] for some in table.column("tasks").to_pylist()
    ]
    odd = next((place for place, some in enumerate(found) if not _are_texts(some)), None)
    if odd is not None:
        raise InputError(
            f"dataset {meta.root}: tasks of episode {odd} in meta/episodes are no texts "
            f"({found[odd]!r:.40}); {AGAIN}"
        )
    return tuple(map(tuple, found))


def _are_texts(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, str) for one in cast(list[Any], value))


def _ranges(meta: LeRobotDatasetMetadata, key: str, column: Any) -> Ranges:
    chunks, numbers = (column(f"videos/{key}/{name}_index", np.int64) for name in ("chunk", "file"))
    pairs = list(zip(chunks.tolist(), numbers.tolist(), strict=True))
    places = {pair: place for place, pair in enumerate(dict.fromkeys(pairs))}
    path = str(meta.video_path)
    return Ranges(
        files=tuple(
            meta.root / path.format(video_key=key, chunk_index=chunk, file_index=number)
            for chunk, number in places
        ),
        file=np.array([places[pair] for pair in pairs], np.int64),
        start=column(f"videos/{key}/from_timestamp", np.float64),
        end=column(f"videos/{key}/to_timestamp", np.float64),
    )


def _check_numbers(meta: LeRobotDatasetMetadata, numbers: NDArray[np.int64]) -> None:
    """LeRobot finds an episode by its place among the records, whatever number the record has."""
    if len(numbers) != meta.total_episodes:
        raise InputError(
            f"dataset {meta.root}: meta/episodes has {len(numbers)} episodes, meta/info.json says "
            f"{meta.total_episodes}; {AGAIN}"
        )
    wrong = np.flatnonzero(numbers != np.arange(len(numbers)))
    if len(wrong):
        shown = ", ".join(map(str, numbers[:8].tolist())) + (", ..." if len(numbers) > 8 else "")
        raise InputError(
            f"dataset {meta.root}: meta/episodes numbers its episodes {shown}, not 0 to {len(numbers) - 1}, "
            f"from record {wrong[0]} on; make a whole dataset of it with {renumber(meta.root)}"
        )


def renumber(root: Path) -> str:
    """What makes a dataset of consecutive episodes again."""
    return (
        "`lerobot-edit-dataset --operation.type delete_episodes` on the dataset it was cut from, which "
        f"renumbers; {root} itself LeRobot cannot read either"
    )
