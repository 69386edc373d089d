"""What takes long to make and is made once for all test processes of a run."""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path

import pytest


def base(factory: pytest.TempPathFactory) -> Path:
    """Folder that all test processes of a run have in common."""
    own = factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


def made_once(factory: pytest.TempPathFactory, name: str, make: Callable[[Path], object]) -> Path:
    """Folder `name`, made with `make(folder)` by the first test process that asks; copy it to change it."""
    shared = base(factory)
    folder, partial = shared / name, shared / f"{name}.unfinished"
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            make(partial)
            partial.replace(folder)
    return folder
