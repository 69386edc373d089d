"""Files and folders that appear whole or not at all, whatever interrupts the writing and whoever else writes.

What is being written has a hidden name beside its place, which says who writes it: two that write the same
thing at once do not meet, the last one's stays. What a kill leaves there is removed by the next attempt, and
never what somebody still writes.
"""

import contextlib
import errno
import hashlib
import json
import os
import re
import shutil
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rabc.system.errors import InputError
from rabc.system.lock import in_turn

_PARTIAL = re.compile(r"\.partial\.(?:([0-9a-f]{6})-(\d+)-(\d+)(?:-(\d+))?\.)?(.+)", re.DOTALL)
"""Hidden name: machine, process, thread, the process's beginning, and place; earlier releases wrote less."""
_FOREIGN_PATIENCE = 24 * 3600.0  # s; nobody here can see whether a process of another machine lives
_TAIL_BYTES = 180  # of the place's name; names have at most 255 bytes, and its ending says the format


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Gives a path to write; it becomes `path` when the block ends well. Makes the folder.

    Raises InputError where it cannot be written.
    """
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        remove_left(path.parent, path)
        path.exists()  # raises where its name is too long, before the work and not after it
        yield partial
        partial.replace(path)
    except OSError as error:
        raise _unwritable("file", path, error) from error
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write JSON at once or not at all. Raises InputError where the folder cannot be written."""
    with whole_file(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


@contextmanager
def whole_folder(folder: Path) -> Generator[Path]:
    """Gives an empty folder to fill; it takes the place of `folder` when the block ends well.

    The folder that was there before is removed only once the new one stands. Raises InputError where it
    cannot be written.
    """
    partial, old = _partial(folder), folder.with_name(f".old.{folder.name}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with in_turn(folder.parent):
            _finish_swap(folder, old)
        remove_left(folder.parent, folder)
        partial.mkdir()
        yield partial
        with in_turn(folder.parent):
            _finish_swap(folder, old)  # another writer may have been killed meanwhile
            if folder.exists():
                folder.rename(old)
            try:
                partial.rename(folder)
            finally:
                _finish_swap(folder, old)
    except OSError as error:
        raise _unwritable("folder", folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def remove_left(folder: Path, place: Path | None = None) -> None:
    """Remove from `folder` what killed writers of `place` left there; None: of anything.

    Raises OSError where that is not allowed.
    """
    tail = None if place is None else _tail(place.name)
    for entry in os.scandir(folder) if folder.is_dir() else ():
        parts = _PARTIAL.fullmatch(entry.name)
        if parts and tail in (None, parts[5]) and not _lives(Path(entry.path), *parts.groups()[:4]):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                Path(entry.path).unlink(missing_ok=True)  # another may have removed it first


def _partial(place: Path) -> Path:
    writer = f"{_machine()}-{os.getpid()}-{threading.get_native_id()}-{_beginning('self')}"
    return place.with_name(f".partial.{writer}.{_tail(place.name)}")


def _tail(name: str) -> str:
    while len(os.fsencode(name)) > _TAIL_BYTES:
        name = name[1:]
    return name


def _machine() -> str:
    """Where process numbers mean the same as here: containers may share a name and not their processes."""
    where = [os.uname().nodename]
    with contextlib.suppress(OSError):  # Linux alone
        where.append(Path("/proc/sys/kernel/random/boot_id").read_text())
        where.append(os.readlink("/proc/self/ns/pid"))
    return hashlib.sha256("\n".join(where).encode()).hexdigest()[:6]


def _beginning(process: str) -> str:
    """When a process began, in clock ticks since the machine did: its number is given to others after it.

    0: not known here.
    """
    try:
        after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2]
        return after_name.split()[19]
    except (OSError, IndexError):
        return "0"


def _lives(
    path: Path, machine: str | None, process: str | None, thread: str | None, beginning: str | None
) -> bool:
    """Whether somebody may still write the partial `path`; of another machine's only its age can tell."""
    if machine is None or process is None:
        return False
    if machine != _machine():
        try:
            return time.time() - path.stat().st_mtime < _FOREIGN_PATIENCE
        except FileNotFoundError:
            return False
    mine = int(process) == os.getpid()
    now = _beginning("self" if mine else process)
    if beginning not in (None, now) and "0" not in (beginning, now):
        return False
    if mine:
        others = {one.native_id for one in threading.enumerate()} - {threading.get_native_id()}
        return str(thread) in map(str, others)
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        return True
    return True


def _finish_swap(folder: Path, old: Path) -> None:
    """Put `old` back where nothing took its place; remove it where something did."""
    if old.exists():
        if folder.exists():
            shutil.rmtree(old, ignore_errors=True)
        else:
            old.rename(folder)


def _unwritable(what: str, path: Path, error: OSError) -> InputError:
    remedy = "choose a shorter name" if error.errno == errno.ENAMETOOLONG else "check space and permissions"
    return InputError(f"{what} {path}: cannot be written ({error.strerror or error}); {remedy}")
