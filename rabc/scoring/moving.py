"""Takes what earlier versions kept inside a dataset's folder out of it, once: scores and decoded frames.

There it was uploaded, shared and copied with the dataset. A `.rabc` may also have come with a dataset from
others, so that of its scores only those of the dataset's own pictures count; the rest is put aside. One with
a link in it is left as it is.
"""

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from tqdm import tqdm

from rabc.datasets.cache import SUFFIX, cache_folder, made_of
from rabc.datasets.fingerprint import derived_folder, pictures_identities
from rabc.scoring.camera_store import FORMAT, META, CameraStore
from rabc.scoring.store import ScoreStore
from rabc.system.errors import InputError
from rabc.system.hashing import stamp
from rabc.system.home import CACHE
from rabc.system.lock import alone

OLD = ".rabc"
"""Folder in a dataset's where earlier versions kept what they made of it."""
_AGAIN = "hashes*.json", "preflight", ".lock"
"""What is there and made again in seconds."""


def move_out(root: Path, scores: Path) -> None:
    """Moves what lies in `.rabc` of the dataset in `root` to the user's cache, and to `scores`.

    Also of the datasets that it is joined of, and of what LeRobot's edits left as `<name>_old` beside it;
    scores of hub datasets lay in the cache. Says what it moved. Where `.rabc` is a link, holds one or cannot
    be written, nothing is moved. Raises InputError where the new places cannot be written; what is not moved
    by then stays where it was, and the next call goes on.
    """
    for place in (root, *made_of(root), root.with_name(f"{root.name}_old")):
        if not place.is_dir():
            continue
        old, kept = place / OLD, derived_folder(place)
        inside, in_cache = _holds_ours(old, scores), (kept / "scores").is_dir()
        if inside or in_cache:
            try:
                with alone(kept / ".moving.lock", f"folder {old if inside else kept}"):
                    if inside:
                        _empty(place, old, scores)
                    _move_scores(place, kept / "scores", scores)
            except OSError as error:
                raise InputError(
                    f"folder {old if inside else kept}: what an earlier version left cannot be moved to "
                    f"{scores} and {cache_folder(place)} ({error.strerror or error}); make room, mend the "
                    f"permissions or set {CACHE} to a folder on a larger disk; nothing is lost"
                ) from error


def _holds_ours(old: Path, scores: Path) -> bool:
    linked = any(path.is_symlink() for path in (old, *old.rglob("*")))  # which may lead anywhere
    chosen = scores.resolve() == (old / "scores").resolve()
    return old.is_dir() and not linked and not chosen and os.access(old, os.W_OK)


def _empty(root: Path, old: Path, scores: Path) -> None:
    frames = _move_frames(old / "frames", cache_folder(root))
    if frames:
        print(f"dataset {root}: decoded frames ({frames / 1e9:.2f} GB) moved to {cache_folder(root)}")
    _move_scores(root, old / "scores", scores)
    for name in _AGAIN:
        for path in old.glob(name):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    for empty in (old / "frames", old):
        with contextlib.suppress(OSError):  # something else is there, which is not ours to remove
            empty.rmdir()


def _move_scores(root: Path, old: Path, scores: Path) -> None:
    """Copies those that count, and puts the folder aside as it is: nothing of it is lost."""
    if not old.is_dir():
        return
    stores = [store for store in sorted(old.glob("*")) if store.is_dir()]
    taken = {episode for store in stores for episode in _take(root, store, scores)}
    for store in stores:
        with contextlib.suppress(InputError):  # a camera's, or damaged: made again, which takes the scorer
            replace(ScoreStore.reopen(store), root=scores).leave()
    aside = _free(scores / "moved" / root.name)
    aside.parent.mkdir(parents=True, exist_ok=True)
    shutil.move(old, aside)
    print(f"dataset {root}: scores of {len(taken)} episodes moved to {scores}; as they were: {aside}")


def _take(root: Path, folder: Path, scores: Path) -> set[int]:
    """Copies the scores of a camera of the dataset in `root` from an old store; returns of which episodes."""
    from rabc.datasets.metadata import load_meta

    try:
        stamp(folder / META)  # a pipe or a device would be read for ever
        asked = cast(dict[str, Any], json.loads((folder / META).read_text()))
        camera, current = str(asked["camera"]), asked["format"] == FORMAT
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return set()  # what was derived from scores, or damaged
    if not current:
        print(
            f"scores {folder}: of an earlier version, whose scorer did not see the last frames; scored anew"
        )
        return set()
    meta = load_meta(root)
    own = set(pictures_identities(meta, camera)) if camera in meta.camera_keys else set[str]()
    source, target = CameraStore(folder, asked), CameraStore.of(scores, asked)
    known = target.read()
    found = [record for shown, record in source.read().items() if shown.pictures in own - {""}]
    lacking = [record for record in found if record.shown not in known]
    if lacking:
        with target.part(dataset=folder.name) as part:
            for record in lacking:
                part.append(record)
        target.merge()
    return {record.episode_index for record in found}


def _move_frames(old: Path, new: Path) -> int:
    """Moves files of frames where there are none yet, one by one; returns their bytes."""
    for left in (*old.rglob("*.partial"), old / ".lock"):
        left.unlink(missing_ok=True)
    files = [(path, path.stat().st_size) for path in sorted(old.glob(f"*.*x*/*{SUFFIX}"))]
    size = sum(one for _, one in files)
    if not files:
        return 0
    new.mkdir(parents=True, exist_ok=True)
    elsewhere, free = old.stat().st_dev != new.stat().st_dev, shutil.disk_usage(new).free
    if elsewhere and size > free:
        print(
            f"frame cache {old}: {size / 1e9:.2f} GB of an earlier version stay there, since {new} has "
            f"{free / 1e9:.2f} GB free; set {CACHE} to a folder on a larger disk, or delete {old}"
        )
        return 0
    with tqdm(total=size, desc="moving frames", unit="B", unit_scale=True, disable=not elsewhere) as bar:
        for path, one in files:
            _move(path, new / path.parent.name / path.name)
            bar.update(one)
    for folder in _folders(old):
        with contextlib.suppress(OSError):
            folder.rmdir()
    return size


def _move(path: Path, target: Path) -> None:
    """A kill leaves either; on another disk the copy gets its name when it is whole."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists():
        path.unlink()
        return
    try:
        path.rename(target)
    except OSError:  # on another disk
        unfinished = target.with_name(f"{target.name}.{os.getpid()}.partial")
        try:
            shutil.copyfile(path, unfinished)
            unfinished.replace(target)
        finally:
            unfinished.unlink(missing_ok=True)
        path.unlink()


def _folders(folder: Path) -> Iterator[Path]:
    return (path for path in folder.glob("*") if path.is_dir())


def _free(folder: Path) -> Path:
    """`folder`, or the first name after it that is free."""
    names = itertools.chain([folder.name], (f"{folder.name}-{number}" for number in itertools.count(2)))
    return next(path for path in map(folder.with_name, names) if not path.exists())
