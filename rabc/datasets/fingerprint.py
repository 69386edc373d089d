"""Identity of what a LeRobotDataset says and shows, by which everything derived from it is keyed.

Two identities, each of what its users depend on and of nothing else: `fingerprint` of all that a training
sees, and `pictures_identity` of the pictures of one episode. How a file is laid out, what lies beside it and
which notes are added to it, such as success labels (`annotations`), is no part of either.
"""

import contextlib
import hashlib
import json
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.hashing import Stamp, kept, kept_hashes, stamp
from rabc.system.home import user_cache

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

EDGE_BYTES = 1 << 20
_HASHES = "hashes.json"
BELONGS = "dataset.json"
"""File in the folder of what is made from a dataset: which that is, and where its disk is mounted."""
_USED = ("episode_index", "dataset_from_index", "dataset_to_index", "length", "tasks")
_USED_PREFIXES = ("data/", "videos/")
# Left out of the facts of info.json: sizes that only a recorder asks for, and what LeRobot derives.
_LAYOUT = ("chunks_size", "data_files_size_in_mb", "video_files_size_in_mb", "splits", "tools")


def fingerprint(root: Path) -> str:
    """SHA-256 (64 hex digits) of what the dataset in folder `root` means.

    Covers the facts of meta/info.json, meta/stats.json and meta/tasks.parquet, where each episode lies, the
    content of the parquet files under data/, and of each video its name, size and first and last megabyte:
    reading whole videos of a large dataset would take minutes. A file is read once; what came out is kept
    in the user's cache and taken for as long as the file's size and time stay the same. Raises InputError if
    there is no LeRobotDataset v3 in `root` or a file cannot be read.
    """
    if not (root / "meta" / "info.json").is_file():
        raise InputError(f"dataset {root}: has no meta/info.json; give the folder of a LeRobotDataset v3")
    try:
        meta = _stamps([*root.glob("meta/*.json"), *_below(root / "meta", ".parquet")])
        tables = _stamps(_below(root / "data", ".parquet"))
        videos = _stamps(_below(root / "videos", ".mp4"))
        return _fingerprint(root.absolute(), meta, tables, videos)
    except OSError as error:
        raise InputError(f"dataset {root}: {error}; check the files' permissions") from error


@lru_cache(maxsize=8)
def _fingerprint(
    root: Path, meta: tuple[Stamp, ...], tables: tuple[Stamp, ...], videos: tuple[Stamp, ...]
) -> str:
    hashes = kept_hashes(
        derived_folder(root) / _HASHES,
        root,
        dict.fromkeys(tables) | dict.fromkeys(videos, EDGE_BYTES),
    )
    files = [[file.path.relative_to(root).as_posix(), hashes[file]] for file in (*tables, *videos)]
    facts = [_info(root), _statistics(root), _tasks(root), _episodes(root, used=True), files]
    return hashlib.sha256(_canonical(facts)).hexdigest()


def annotations(root: Path) -> str:
    """Short hash (16 hex digits) of what meta/episodes says beyond where the episodes lie: labels, stages."""
    return hashlib.sha256(_canonical(_episodes(root, used=False))).hexdigest()[:16]


def pictures_identity(meta: "LeRobotDatasetMetadata", camera: str, episode: int) -> str:
    """Short hash (16 hex digits) of the pictures that a camera shows in an episode.

    Of a video: the content of its file (size, first and last megabyte) and the times of the frames in it; of
    pictures in tables: those. So it stays where labels, tasks or other episodes are added.
    """
    return pictures_identities(meta, camera)[episode]


@lru_cache(maxsize=32)
def pictures_identities(meta: "LeRobotDatasetMetadata", camera: str) -> tuple[str, ...]:
    """`pictures_identity` of every episode. Raises InputError for a file that is missing or damaged."""
    from rabc.datasets.episodes import read_episodes
    from rabc.datasets.tables import table_files
    from rabc.datasets.times import row_times

    root, records = Path(meta.root).absolute(), read_episodes(meta)
    ranges = records.videos[camera] if camera in meta.video_keys else None
    try:
        files = [stamp(path) for path in (table_files(meta) if ranges is None else ranges.files)]
        if ranges is None:
            return _identities_in_tables(root, files, camera, len(records))
        hashes = kept_hashes(derived_folder(root) / _HASHES, root, dict.fromkeys(files, EDGE_BYTES))
    except (OSError, pa.ArrowException, KeyError, TypeError) as error:
        raise InputError(
            f"dataset {root}: pictures of {camera}: {error}; download or record the dataset again"
        ) from error
    times, found = row_times(meta), list[str]()
    for episode in range(len(records)):
        shown = ranges.start[episode] + times[records.start[episode] : records.end[episode]]
        # To a tenth of a millisecond: LeRobot's tools round times otherwise when they write them anew.
        ticks = np.round(shown * 1e4).astype(np.int64).tobytes()
        content = hashes[files[ranges.file[episode]]].encode()
        found.append(hashlib.sha256(content + ticks).hexdigest()[:16])
    return tuple(found)


def _identities_in_tables(root: Path, files: list[Stamp], camera: str, episodes: int) -> tuple[str, ...]:
    """Of pictures in tables; a file is read once, whole, and what it holds of each episode is remembered."""

    def pictures(file: Stamp) -> dict[str, str]:
        digests: dict[int, Any] = {}
        table = pq.ParquetFile(file.path)
        for batch in table.iter_batches(batch_size=64, columns=["episode_index", camera]):
            rows: Any = zip(batch["episode_index"].to_pylist(), batch[camera].to_pylist(), strict=True)
            for episode, picture in rows:
                content = picture["bytes"] or str(picture["path"]).encode()
                digest = digests.setdefault(episode, hashlib.sha256())
                digest.update(len(content).to_bytes(8, "little") + content)
        return {str(episode): digest.hexdigest() for episode, digest in digests.items()}

    store = derived_folder(root) / f"hashes.{camera}.json"
    found = kept(store, root, dict.fromkeys(files, camera), pictures)
    parts = ["".join(found[file].get(str(episode), "") for file in files) for episode in range(episodes)]
    return tuple(hashlib.sha256(part.encode()).hexdigest()[:16] for part in parts)


def derived_folder(dataset_root: Path) -> Path:
    """Where what can be made again of a dataset is kept: decoded frames, hashes, what its check found.

    In the user's cache and never in the dataset's own folder, which others upload, share and copy. It says in
    `BELONGS` which dataset that is. Raises InputError where there is no folder for a cache.
    """
    return _derived(user_cache(), dataset_root.resolve())


@lru_cache(maxsize=256)
def _derived(cache: Path, root: Path) -> Path:
    # Names that are not equal by chance: datasets of the same name lie in many folders.
    folder = cache / f"{root.name}-{hashlib.sha256(str(root).encode()).hexdigest()[:8]}"
    with contextlib.suppress(InputError, OSError):  # whoever needs it to be written says so
        if not (folder / BELONGS).exists():
            disk = next(place for place in (root, *root.parents) if place.is_mount())
            write_json(folder / BELONGS, {"dataset": str(root), "disk": str(disk)})
    return folder


def _below(folder: Path, suffix: str) -> Iterator[Path]:
    """Files of that kind in the folder and in those below it, also where they are links to folders elsewhere.

    LeRobot reads through such links, and `**` of a glob does not. A link to a folder that it lies in leads to
    what is found anyway.
    """
    inside = {folder: {folder.resolve()}}  # folder -> it and all above it, as they are without links
    for place, folders, files in folder.walk(follow_symlinks=True):
        above = inside.pop(place)
        for name in [*folders]:
            target = (place / name).resolve()
            if target in above:
                folders.remove(name)
            else:
                inside[place / name] = above | {target}
        yield from (place / name for name in files if name.endswith(suffix))


def _stamps(paths: Iterable[Path]) -> tuple[Stamp, ...]:
    return tuple(stamp(path) for path in sorted(paths))


def _info(root: Path) -> Any:
    facts = read_json(root / "meta" / "info.json")
    return {name: value for name, value in facts.items() if name not in _LAYOUT}


def _statistics(root: Path) -> Any:
    path = root / "meta" / "stats.json"
    return read_json(path) if path.exists() else None


def read_json(path: Path) -> Any:
    """Content of a JSON file in `meta/`. Raises InputError where it cannot be read, with the cause."""
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError, RecursionError) as error:
        from rabc.datasets.metadata import check_marks  # imports LeRobot, which takes most of a start

        check_marks(path.parents[1])
        raise InputError(
            f"file {path}: cannot be read ({error}); download or record the dataset again"
        ) from error


def _tasks(root: Path) -> Any:
    path = root / "meta" / "tasks.parquet"
    return _rows(path, None) if path.exists() else None


def _episodes(root: Path, used: bool) -> Any:
    """The columns of meta/episodes that say where episodes lie; not `used`: those that LeRobot ignores."""
    return [_rows(path, used) for path in sorted((root / "meta" / "episodes").glob("*/*.parquet"))]


def _rows(path: Path, used: bool | None) -> Any:
    try:
        names = [name for name in pq.read_schema(path).names if used is None or _counts(name, used)]
        return pq.read_table(path, columns=names).to_pydict()
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(
            f"table {path}: cannot be read ({error}); download or record the dataset again"
        ) from error


def _counts(name: str, used: bool) -> bool:
    if name.startswith(("stats/", "meta/episodes/")):
        return False
    return used == (name in _USED or name.startswith(_USED_PREFIXES))


def _canonical(facts: Any) -> bytes:
    """One way of writing: keys in order, and numbers that are whole without a decimal point."""
    return json.dumps(_plain(facts), sort_keys=True, separators=(",", ":"), default=str).encode()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]  # pyright: ignore[reportUnknownVariableType]
    return int(value) if isinstance(value, float) and value.is_integer() else value
