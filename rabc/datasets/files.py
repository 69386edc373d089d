"""The files of a dataset, before anything reads one."""

from pathlib import Path

from rabc.system.errors import InputError


def check_files(root: Path) -> None:
    """Raise InputError for a pipe or a device in the place of a file: reading it might never end."""
    for pattern in ("meta/*", "meta/*/*/*", "data/*/*", "videos/*/*/*"):
        for path in sorted(root.glob(pattern)):
            if path.exists() and not (path.is_file() or path.is_dir()):
                raise InputError(
                    f"file {path}: is a pipe or a device, no file; download or record the dataset again"
                )
