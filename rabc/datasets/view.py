"""Several datasets of one arm as one, or one with other names for its columns, without touching them.

A view is a LeRobotDataset v3 of its own: tables written anew, which are small, and links to the videos. So
whatever reads a dataset reads a view, LeRobot included, and nothing of the originals is copied or changed.
"""

import copy
import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.compute_stats import aggregate_stats
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.io_utils import write_stats

from rabc.datasets.cache import PARTS, VIEWS
from rabc.datasets.episodes import read_episodes
from rabc.datasets.features import ACTION, STATE, columns
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.metadata import load_meta
from rabc.datasets.tables import table_files, task_names
from rabc.system.atomic import whole_folder, write_json
from rabc.system.errors import InputError
from rabc.system.home import user_cache
from rabc.system.lock import alone

_KEPT = ("index", "episode_index", "frame_index", "timestamp", "task_index")


@dataclass(frozen=True)
class _Part:
    """One of the datasets of a view."""

    meta: LeRobotDatasetMetadata
    names: Mapping[str, str]
    """Column of the dataset -> its name in the view, for those that the view has."""
    first_frame: int
    first_episode: int
    first_file: int
    """Numbers of its first frame, episode and table in the view."""


def view(roots: Sequence[Path], rename: Mapping[str, str]) -> Path:
    """The folder of a dataset with all episodes of `roots`, one after the other; made where it is missing.

    A camera or column that only some of them have is left out and named.

    Args:
        roots: folders of LeRobotDatasets v3.
        rename: column -> its name in the view.

    Raises:
        InputError: they do not fit together: other rates, other actions, joints or picture sizes.
    """
    if len(roots) == 1 and not rename:
        return roots[0]
    facts = [[fingerprint(root), str(root.absolute())] for root in roots]
    key = hashlib.sha256(json.dumps([facts, sorted(rename.items())]).encode()).hexdigest()[:12]
    folder = user_cache() / VIEWS / f"{'+'.join(root.name for root in roots)[:80]}-{key}"
    with alone(folder.with_name(f".{folder.name}.lock"), f"view {folder}"):
        if not (folder / "meta" / "info.json").exists():
            _make(folder, [load_meta(root) for root in roots], rename)
    return folder


def _make(folder: Path, metas: Sequence[LeRobotDatasetMetadata], rename: Mapping[str, str]) -> None:
    features = _common(metas, [_renamed(meta, rename) for meta in metas])
    parts: list[_Part] = []
    frames = episodes = files = 0
    for meta in metas:
        names = {old: new for old, new in _renamed(meta, rename).items() if new in features}
        parts.append(_Part(meta, names, frames, episodes, files))
        frames, episodes = frames + meta.total_frames, episodes + meta.total_episodes
        files += len(table_files(meta))
    tasks = list(dict.fromkeys(text for meta in metas for text in task_names(meta).values()))
    with whole_folder(folder) as partial:
        for part in parts:
            _write_tables(part, tasks, partial)
        _write_episodes(parts, features, partial)
        _write_statistics(parts, partial)
        pq.write_table(
            pa.table({"task_index": list(range(len(tasks))), "task": tasks}).replace_schema_metadata(_INDEX),
            partial / "meta" / "tasks.parquet",
        )
        info = replace(
            copy.deepcopy(metas[0].info), features=features, total_episodes=episodes, total_frames=frames,
            total_tasks=len(tasks), splits={"train": f"0:{episodes}"}, data_path=_DATA, video_path=_VIDEO,
        )  # fmt: skip
        write_json(partial / "meta" / "info.json", info.to_dict())
        write_json(partial / PARTS, [str(meta.root.absolute()) for meta in metas])


_DATA = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
_VIDEO = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
# LeRobot reads the tasks with pandas and takes their texts from its index.
_INDEX = {
    "pandas": json.dumps(
        {
            "index_columns": ["task"],
            "column_indexes": [],
            "columns": [
                {"name": name, "field_name": name, "pandas_type": kind, "numpy_type": kind, "metadata": None}
                for name, kind in (("task_index", "int64"), ("task", "object"))
            ],
        }
    )
}


def _renamed(meta: LeRobotDatasetMetadata, rename: Mapping[str, str]) -> dict[str, str]:
    for old, new in rename.items():
        if old not in meta.features:
            there = ", ".join(name for name in meta.features if name not in _KEPT)
            raise InputError(f"dataset.rename_map {old}: no column of {meta.root}, which has {there}")
        if new in meta.features and new not in rename:
            raise InputError(
                f"dataset.rename_map {old}: {meta.root} has a column {new} already; rename that too"
            )
    return {name: rename.get(name, name) for name in meta.features}


def _common(
    metas: Sequence[LeRobotDatasetMetadata], names: Sequence[Mapping[str, str]]
) -> dict[str, dict[str, Any]]:
    """The features that all have, as the first describes them; raises InputError where these do not fit."""
    described = [
        {new: meta.features[old] for old, new in some.items()}
        for meta, some in zip(metas, names, strict=True)
    ]
    first, shared = metas[0], [name for name in described[0] if all(name in some for some in described)]
    for meta, some in zip(metas, described, strict=True):
        if float(meta.fps) != float(first.fps):
            raise InputError(
                f"dataset.path {meta.root}: has {meta.fps} frames a second, {first.root} {first.fps}; only "
                "recordings of one rate can be trained together"
            )
        used = {names[metas.index(meta)].get(column.name) for column in columns(meta) if column.used}
        lone = sorted(name for name in some if name not in shared and name in used)
        if lone:
            print(f"dataset {meta.root}: {', '.join(lone)} left out, since not all of the datasets have it")
        for name in shared:
            mine, others = some[name], described[0][name]
            what = "joints" if name in (STATE, ACTION) else "columns"
            for fact in ("shape", "dtype", *(("names",) if name in (STATE, ACTION) else ())):
                if _plain(mine.get(fact)) != _plain(others.get(fact)):
                    raise InputError(
                        f"dataset.path {meta.root}: its {name} has {fact} {_plain(mine.get(fact))}, in "
                        f"{first.root} {_plain(others.get(fact))}; only recordings with the same {what} can "
                        "be trained together"
                    )
    return {name: copy.deepcopy(described[0][name]) for name in described[0] if name in shared}


def _plain(value: Any) -> Any:
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def _write_tables(part: _Part, tasks: Sequence[str], folder: Path) -> None:
    number = {index: tasks.index(text) for index, text in task_names(part.meta).items()}
    stored = [name for name in part.names if name not in part.meta.video_keys]
    for place, path in enumerate(table_files(part.meta), start=part.first_file):
        table: Any = pq.read_table(
            path, columns=[name for name in stored if name in pq.read_schema(path).names]
        )
        for name, first in (("index", part.first_frame), ("episode_index", part.first_episode)):
            table = _with(table, name, np.asarray(table.column(name).to_numpy(), np.int64) + first)
        texts = [number[index] for index in table.column("task_index").to_pylist()]
        table = _with(table, "task_index", np.array(texts, np.int64))
        target = folder / _DATA.format(chunk_index=place // 1000, file_index=place % 1000)
        target.parent.mkdir(parents=True, exist_ok=True)
        renamed = table.rename_columns([part.names[name] for name in table.column_names])
        pq.write_table(renamed.replace_schema_metadata(None), target)


def _write_episodes(parts: Sequence[_Part], features: Mapping[str, Any], folder: Path) -> None:
    links = dict[str, int]()
    tables = [_episode_table(part, folder, links) for part in parts]
    kinds: dict[str, set[Any]] = {}
    for table in tables:
        for field in table.schema:
            kinds.setdefault(field.name, set()).add(field.type)
    # A note that the datasets write in different types, such as success, says nothing for all of them.
    tables = [
        table.select([name for name in table.column_names if len(kinds[name]) == 1]) for table in tables
    ]
    target = folder / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    target.parent.mkdir(parents=True)
    pq.write_table(pa.concat_tables(tables, promote_options="default").replace_schema_metadata(None), target)


def _episode_table(part: _Part, folder: Path, links: dict[str, int]) -> Any:
    """The records of a dataset's episodes, as they are in the view; links its videos."""
    records, own = read_episodes(part.meta), cast(Any, part.meta.episodes).data.table
    files = {path: place for place, path in enumerate(table_files(part.meta), start=part.first_file)}
    places = [files.get(path, part.first_file) for path in records.table]
    numbers: dict[str, list[Any]] = {
        "episode_index": [part.first_episode + episode for episode in range(len(records))],
        "dataset_from_index": (records.start + part.first_frame).tolist(),
        "dataset_to_index": (records.end + part.first_frame).tolist(),
        "data/chunk_index": [place // 1000 for place in places],
        "data/file_index": [place % 1000 for place in places],
        "meta/episodes/chunk_index": [0] * len(records),
        "meta/episodes/file_index": [0] * len(records),
    }
    for key, ranges in records.videos.items():
        if key not in part.names:
            continue
        name = part.names[key]
        linked = [_link(path, name, folder, links) for path in ranges.files]
        numbers[f"videos/{name}/chunk_index"] = [linked[file] // 1000 for file in ranges.file]
        numbers[f"videos/{name}/file_index"] = [linked[file] % 1000 for file in ranges.file]
        numbers[f"videos/{name}/from_timestamp"] = ranges.start.tolist()
        numbers[f"videos/{name}/to_timestamp"] = ranges.end.tolist()
    table = own.select([name for name in own.column_names if not name.startswith(("videos/", "stats/"))])
    for name, values in numbers.items():
        table = _with(table, name, values)
    return table


def _with(table: Any, name: str, values: Any) -> Any:
    """The table with a column in place of the one of that name, or as its last."""
    column = pa.array(values)
    if name not in table.column_names:
        return table.append_column(name, column)
    return table.set_column(table.column_names.index(name), name, column)


def _link(path: Path, camera: str, folder: Path, links: dict[str, int]) -> int:
    """Links a video into the view as the next of its camera, and returns which that is."""
    number = links.get(camera, 0)
    links[camera] = number + 1
    target = folder / _VIDEO.format(video_key=camera, chunk_index=number // 1000, file_index=number % 1000)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.symlink_to(path.resolve())
    return number


def _write_statistics(parts: Sequence[_Part], folder: Path) -> None:
    """Those of all frames together, of what every dataset has statistics of."""
    every: list[dict[str, dict[str, Any]]] = []
    for part in parts:
        own: Any = part.meta.stats or {}
        every.append({new: dict(own[old]) for old, new in part.names.items() if old in own})
    shared = [name for name in every[0] if all(name in some for some in every)]
    common = {name: set[str].intersection(*(set(some[name]) for some in every)) for name in shared}
    chosen = [{name: {item: some[name][item] for item in common[name]} for name in shared} for some in every]
    write_stats(chosen[0] if len(chosen) == 1 else aggregate_stats(chosen), folder)
