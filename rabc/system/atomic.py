"""Files and folders that appear whole or not at all, whatever interrupts the writing.

What is being written has a fixed hidden name beside its place, so that what a kill leaves there is removed by
the next attempt.
"""

import contextlib
import json
import shutil
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rabc.system.errors import InputError


@contextmanager
def whole_file(path: Path) -> Generator[Path]:
    """Gives a path to write; it becomes `path` when the block ends well. Makes the folder.

    Raises InputError where it cannot be written.
    """
    partial = path.with_name(f".partial.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
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
    partial, old = (folder.with_name(f".{what}.{folder.name}") for what in ("partial", "old"))
    try:
        if old.exists() and not folder.exists():  # killed between the two renames below
            old.rename(folder)
        for left in (partial, old):
            if left.exists():
                shutil.rmtree(left)
        partial.mkdir(parents=True)
        yield partial
        if folder.exists():
            folder.rename(old)
        try:
            partial.rename(folder)
        except OSError:
            if old.exists():
                old.rename(folder)
            raise
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        raise _unwritable("folder", folder, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _unwritable(what: str, path: Path, error: OSError) -> InputError:
    return InputError(
        f"{what} {path}: cannot be written ({error.strerror or error}); check space and permissions"
    )
