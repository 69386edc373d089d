"""One process at a time where several want to make the same thing."""

import fcntl
import os
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path


@contextmanager
def alone(path: Path, what: str) -> Generator[None]:
    """Waits until no other process is in such a block with the lock file `path`, saying so.

    The system lets go of it when a process ends in whatever way. What was waited for may be there then: look
    again. Raises OSError where the file cannot be made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"{what}: waiting for another process that is making it", flush=True)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def in_turn(folder: Path) -> Generator[None]:
    """Waits until nobody else is in such a block with `folder`, for what takes moments; leaves no file.

    Raises OSError where the folder cannot be opened. A file system that locks no folders, as some of several
    machines do, lets everybody in.
    """
    opened = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)
