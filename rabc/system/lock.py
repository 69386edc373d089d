"""One process at a time where several want to make the same thing."""

import fcntl
import json
import os
import socket
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path

from rabc.system.errors import InputError

_PATIENCE_S = 2.0
"""Trainings whose comparison was killed end a moment after it."""


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


@contextmanager
def held(path: Path, what: str, remedy: str) -> Generator[None]:
    """Refuses to enter while another process is in such a block with the lock file `path`, and says who.

    A lock of the process and not of the open file: what a killed process leaves running holds nothing, and
    no process that it starts does. Not for two such blocks in one process. Raises InputError where another
    process holds it, or the file cannot be made. A file system that locks no files lets everybody in.

    Args:
        path: of the lock file, which stays and names the last who held it.
        what: is being worked on.
        remedy: what to do beside waiting.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise InputError(
            f"lock {path}: cannot be made ({error.strerror or error}); check space and permissions"
        ) from error
    try:
        if not _locked(opened):
            raise InputError(f"{what}: {_holder(path)} is at work on it ({path}); {remedy}")
        with suppress(OSError):  # a full disk: nobody will be named
            os.ftruncate(opened, 0)
            since = time.strftime("%Y-%m-%d %H:%M:%S")
            own = {"process": os.getpid(), "machine": socket.gethostname(), "since": since}
            os.pwrite(opened, json.dumps(own).encode(), 0)
        yield
    finally:
        os.close(opened)


def _locked(opened: int) -> bool:
    """Whether this process has the lock now, after waiting a little for one that is about to end."""
    until = time.monotonic() + _PATIENCE_S
    while True:
        try:
            fcntl.lockf(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except (BlockingIOError, PermissionError):  # which of them is the system's choice
            if time.monotonic() > until:
                return False
            time.sleep(0.1)
        except OSError:  # a file system without locks
            return True
        else:
            return True


def _holder(path: Path) -> str:
    """Who holds the lock file, as far as it says."""
    for _ in range(20):  # it may have been locked this moment, and not been written yet
        with suppress(OSError, ValueError, KeyError, TypeError):
            own = json.loads(path.read_text())
            return f"process {own['process']} on {own['machine']}, since {own['since']},"
        time.sleep(0.05)
    return "another process"
