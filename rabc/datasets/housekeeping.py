"""What lies in the user's cache: of which dataset, how much, since when unused, and what nothing needs."""

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from rabc.datasets.cache import SUFFIX, VIEWS, cache_folder, made_of
from rabc.datasets.fingerprint import BELONGS
from rabc.system.errors import InputError

_DAY_S = 24 * 3600.0
_SCORES = "scores", ".rabc/scores"
"""Where earlier versions kept those of a hub dataset and of a view (see `rabc.scoring.moving`)."""
_HOLDS_SCORES = "holds scores of an earlier version; scoring the dataset moves them"


@dataclass(frozen=True)
class Entry:
    """What is kept of one dataset."""

    folder: Path
    """In the cache."""
    dataset: str
    """Folder that it was made of; several, joined by ` + `, for a view of them."""
    size: int
    """Bytes."""
    used: float
    """When a file of it was last read or written, seconds since 1970."""
    unneeded: tuple[Path, ...]
    """What of it nothing needs any more: files, or `folder` itself."""
    freed: int
    """Bytes of these."""
    why: str
    """Why nothing needs them, or nothing can be said; empty where all is needed."""

    @property
    def whole(self) -> bool:
        """Whether nothing of it is needed."""
        return self.unneeded == (self.folder,)

    def idle_days(self) -> float:
        """Days since it was last used."""
        return max(0.0, time.time() - self.used) / _DAY_S


def entries(cache: Path) -> list[Entry]:
    """What the folder `cache` (see `rabc.system.home.user_cache`) holds of datasets, the largest first.

    Only what says itself which dataset it is of: whatever else lies there is not this program's to judge.
    """
    notes = {note: said for note in sorted(cache.glob(f"*/{BELONGS}")) if (said := _said(note))}
    found = [*_of_datasets(notes), *_views(cache / VIEWS, dict(notes.values()))]
    return sorted(found, key=lambda entry: (-entry.size, str(entry.folder)))


def bytes_of(folder: Path) -> int:
    """Bytes of the files in a folder, which others may be writing; 0 where there is none."""
    return sum(found.st_size for path in folder.rglob("*") if (found := _file(path)))


def remove(entry: Entry, whole: bool = False) -> int:
    """Removes what of it nothing needs, or all; returns the bytes. Raises InputError where it cannot.

    Nothing where there are scores of an earlier version.
    """
    if _holds_scores(entry.folder):
        return 0
    gone = (entry.folder,) if whole else entry.unneeded
    try:
        for path in gone:
            if path == entry.folder:
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)  # a training that reads it decodes what it lacks
    except OSError as error:
        raise InputError(
            f"cache {entry.folder}: cannot be removed ({error.strerror or error}); mend the permissions"
        ) from error
    return entry.size if whole else entry.freed


def _said(note: Path) -> tuple[Path, str] | None:
    """The dataset that a note names and where its disk is mounted; None where it cannot be read."""
    try:
        said = json.loads(note.read_text())
        return Path(str(said["dataset"])), str(said["disk"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _of_datasets(notes: Mapping[Path, tuple[Path, str]]) -> Iterator[Entry]:
    for note, (root, disk) in notes.items():
        unneeded, why = _unneeded(root, disk, note.parent)
        yield _entry(note.parent, str(root), unneeded, why)


def _views(folder: Path, disks: Mapping[Path, str]) -> Iterator[Entry]:
    """disks: dataset -> where its disk was mounted."""
    for view in sorted(path for path in folder.glob("*") if path.is_dir()):
        parts = made_of(view)
        if not parts:
            continue
        mounts = [disks[part.resolve()] for part in parts if part.resolve() in disks]
        away = next((disk for disk in mounts if not os.path.ismount(disk)), None)
        lost = next((part for part in parts if not part.exists()), None)  # made again in seconds
        made = _file(view / "meta" / "info.json")
        # Not those of the episodes: labels are added there, and change no view.
        says = [found for part in parts for path in (part / "meta").glob("*.*") if (found := _file(path))]
        changed = made is None or any(found.st_mtime > made.st_mtime for found in says)
        why = f"{lost} is gone" if lost else "a dataset has changed since" if changed else ""
        # The frames of a view would go after it.
        unneeded = (view,) if why and away is None else ()
        yield _entry(view, " + ".join(map(str, parts)), unneeded, why if away is None else _not_mounted(away))


def _not_mounted(disk: str) -> str:
    return f"{disk}, where the dataset is, is not mounted"


def _entry(folder: Path, dataset: str, unneeded: Sequence[Path], why: str) -> Entry:
    files = {path: found for path in folder.rglob("*") if (found := _file(path))}
    sizes = {path: found.st_size for path, found in files.items()}
    size = sum(sizes.values())
    freed = size if tuple(unneeded) == (folder,) else sum(sizes.get(path, 0) for path in unneeded)
    # Read by a training are frames alone, and the other files by this command as well.
    times = [max(of.st_mtime, of.st_atime * (path.suffix == SUFFIX)) for path, of in files.items()]
    return Entry(folder, dataset, size, max(times, default=0.0), tuple(unneeded), freed, why)


def _file(path: Path) -> os.stat_result | None:
    """What the disk says of a file; None where it is none, or none any more: a training may be at work."""
    with contextlib.suppress(OSError):
        found = path.lstat()
        return found if stat.S_ISREG(found.st_mode) else None
    return None


def _holds_scores(folder: Path) -> bool:
    return any((folder / name).exists() for name in _SCORES)


def _unneeded(root: Path, disk: str, folder: Path) -> tuple[Sequence[Path], str]:
    if _holds_scores(folder):
        return (), _HOLDS_SCORES
    if not os.path.ismount(disk):
        return (), _not_mounted(disk)
    if not root.exists():
        return (folder,), "the dataset is gone"
    frames = sorted(cache_folder(root).glob(f"*.*x*/*{SUFFIX}"))
    if not frames:
        return (), ""
    from rabc.datasets.filling import strangers
    from rabc.datasets.metadata import load_meta

    try:
        old = tuple(strangers(load_meta(root), frames))
    except InputError:
        return (), "the dataset cannot be read"
    return old, "frames of pictures that the dataset has no more" if old else ""
