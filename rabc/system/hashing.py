"""Hashes of files and what else is read from them, once for as long as their size and time stay the same."""

import contextlib
import errno
import hashlib
import json
import stat
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, cast

from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.lock import in_turn


class Stamp(NamedTuple):
    """A file as it is now: another size or time means another content."""

    path: Path
    size: int
    mtime_ns: int


def stamp(path: Path) -> Stamp:
    """The file's stamp. Raises OSError, also for a pipe or a device, whose reading might never end."""
    found = path.stat()
    if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
        raise OSError(errno.EINVAL, "is a pipe or a device, no file", str(path))
    return Stamp(path.absolute(), found.st_size, found.st_mtime_ns)


def file_hash(path: Path) -> bytes:
    """SHA-256 of the file's content, 32 bytes. Raises OSError."""
    return _file_hash(stamp(path))


def folder_hash(folder: Path) -> str:
    """SHA-256 (hex) of everything in a model folder that what it says can depend on. Raises OSError."""
    digest = hashlib.sha256()
    # A model card or a picture in the folder changes nothing.
    for path in sorted(
        p for p in folder.iterdir() if p.suffix in (".json", ".safetensors", ".jinja", ".txt")
    ):
        digest.update(path.name.encode() + b"\0" + file_hash(path))
    return digest.hexdigest()


@lru_cache(maxsize=1024)
def _file_hash(of: Stamp) -> bytes:
    with of.path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def kept_hashes(store: Path, root: Path, files: Mapping[Stamp, int | None]) -> dict[Stamp, str]:
    """SHA-256 (hex) of several files, remembered between processes.

    Args:
        store: as in `kept`.
        root: as in `kept`.
        files: file -> bytes at its beginning and at its end that are read, beside its size; None: all of it.

    Raises:
        OSError: a file cannot be read.
    """

    def hashed(file: Stamp) -> str:
        edge = files[file]
        return _file_hash(file).hex() if edge is None else _edge_hash(file, edge)

    return kept(store, root, files, hashed)


def kept[Fact](
    store: Path, root: Path, files: Mapping[Stamp, int | str | None], find: Callable[[Stamp], Fact]
) -> dict[Stamp, Fact]:
    """What `find` says of each file, remembered between processes for as long as the file stays the same.

    Args:
        store: JSON that remembers it; where it cannot be written everything is found anew each time.
        root: folder that the files' names are relative to in it.
        files: file -> what else the answer depends on.
        find: gives a JSON value; what it raises is passed on.
    """
    known = _remembered(store)
    found: dict[Stamp, Fact] = {}
    fresh: dict[str, list[object]] = {}
    for file, how in files.items():
        inside = file.path.is_relative_to(root)
        name = (file.path.relative_to(root) if inside else file.path).as_posix()
        as_it_was: list[object] = [file.size, file.mtime_ns, how]
        entry = known.get(name)
        if entry is not None and entry[:3] == as_it_was:
            found[file] = cast(Fact, entry[3])
            continue
        found[file] = find(file)
        fresh[name] = [*as_it_was, found[file]]
    if fresh:
        with contextlib.suppress(InputError, OSError):
            store.parent.mkdir(parents=True, exist_ok=True)
            with in_turn(store.parent):  # between reading and writing, what others found would be lost
                write_json(store, _remembered(store) | fresh)
    return found


def _remembered(store: Path) -> dict[str, list[object]]:
    try:
        content = json.loads(store.read_text())
        return {name: entry for name, entry in content.items() if len(entry) == 4}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _edge_hash(file: Stamp, edge: int) -> str:
    digest = hashlib.sha256(f"{file.size}:".encode())
    with file.path.open("rb") as content:
        digest.update(content.read(edge))
        content.seek(max(edge, file.size - edge))
        digest.update(content.read(edge))
    return digest.hexdigest()
