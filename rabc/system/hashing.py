"""Hashes of files, computed once a process for as long as a file's size and time stay the same."""

import hashlib
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple


class Stamp(NamedTuple):
    """A file as it is now: another size or time means another content."""

    path: Path
    size: int
    mtime_ns: int


def stamp(path: Path) -> Stamp:
    """The file's stamp. Raises OSError."""
    found = path.stat()
    return Stamp(path.absolute(), found.st_size, found.st_mtime_ns)


def file_hash(path: Path) -> bytes:
    """SHA-256 of the file's content, 32 bytes. Raises OSError."""
    return _file_hash(stamp(path))


@lru_cache(maxsize=1024)
def _file_hash(of: Stamp) -> bytes:
    with of.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()
