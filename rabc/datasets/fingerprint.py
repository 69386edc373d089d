"""Identity of a LeRobotDataset's content, by which everything derived from it is keyed."""

import hashlib
import os
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from rabc.system.errors import InputError
from rabc.system.hashing import Stamp, file_hash, stamp

if TYPE_CHECKING:
    from hashlib import _Hash as HASH  # pyright: ignore[reportPrivateUsage]

EDGE_BYTES = 1 << 20


def fingerprint(root: Path) -> str:
    """SHA-256 (64 hex digits) of the dataset in folder `root`.

    Covers the content of meta/*.json and of the parquet files under meta/ and data/, and of each video its
    name, size and first and last megabyte: reading whole videos of a large dataset would take minutes.
    Whatever else lies in the folder, such as a progress file or a cache, does not count. Raises InputError if
    there is no LeRobotDataset v3 in `root` or a file cannot be read.
    """
    if not (root / "meta" / "info.json").is_file():
        raise InputError(f"dataset {root}: has no meta/info.json; give the folder of a LeRobotDataset v3")
    whole = [*root.glob("meta/*.json"), *root.glob("meta/**/*.parquet"), *root.glob("data/**/*.parquet")]
    try:
        stamps = [tuple(map(stamp, sorted(paths))) for paths in (whole, root.glob("videos/**/*.mp4"))]
        return _fingerprint(root.absolute(), *stamps)
    except OSError as error:
        raise InputError(f"dataset {root}: {error}; check the files' permissions") from error


@lru_cache(maxsize=8)
def _fingerprint(root: Path, whole: tuple[Stamp, ...], videos: tuple[Stamp, ...]) -> str:
    digest = hashlib.sha256()
    for file in whole:
        _add(digest, root, file)
        digest.update(file_hash(file.path))
    for video in videos:
        _add(digest, root, video)
        with video.path.open("rb") as content:
            digest.update(content.read(EDGE_BYTES))
            content.seek(max(EDGE_BYTES, video.size - EDGE_BYTES))
            digest.update(content.read(EDGE_BYTES))
    return digest.hexdigest()


def _add(digest: "HASH", root: Path, file: Stamp) -> None:
    # Lengths in front keep two different lists of files from giving the same bytes.
    name = file.path.relative_to(root).as_posix().encode()
    digest.update(f"{len(name)}:{file.size}:".encode() + name)


def derived_folder(dataset_root: Path) -> Path:
    """Where what is made from a dataset is kept: decoded frames, scores.

    Beside the dataset; for a hub dataset in the user's cache, because the hub's snapshots are shared.
    """
    from lerobot.utils.constants import HF_LEROBOT_HOME

    root = dataset_root.resolve()
    if not root.is_relative_to(Path(HF_LEROBOT_HOME).resolve()):
        return root / ".rabc"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rabc"
