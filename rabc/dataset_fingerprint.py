"""Identity of a LeRobotDataset's content, by which everything derived from it is keyed."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from rabc.errors import InputError

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
    digest = hashlib.sha256()
    try:
        for path in sorted(whole):
            _add(digest, root, path)
            with path.open("rb") as file:
                digest.update(hashlib.file_digest(file, "sha256").digest())
        for path in sorted(root.glob("videos/**/*.mp4")):
            _add(digest, root, path)
            with path.open("rb") as file:
                digest.update(file.read(EDGE_BYTES))
                file.seek(max(EDGE_BYTES, path.stat().st_size - EDGE_BYTES))
                digest.update(file.read(EDGE_BYTES))
    except OSError as error:
        raise InputError(f"dataset {root}: {error}; check the files' permissions") from error
    return digest.hexdigest()


def _add(digest: "HASH", root: Path, path: Path) -> None:
    # Lengths in front keep two different lists of files from giving the same bytes.
    name = path.relative_to(root).as_posix().encode()
    digest.update(f"{len(name)}:{path.stat().st_size}:".encode() + name)
