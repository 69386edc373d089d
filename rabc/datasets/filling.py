"""Fills the cache of decoded frames: which episodes are worth their room, and the decoding of those."""

import contextlib
import errno
import math
import os
import re
import shutil
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray
from tqdm import tqdm

from rabc.datasets.cache import SUFFIX
from rabc.datasets.cameras import recorded_shape
from rabc.datasets.decoding import decode
from rabc.datasets.fingerprint import pictures_identities
from rabc.system.errors import InputError
from rabc.system.home import CACHE
from rabc.system.lock import alone
from rabc.system.threads import usable_cores

# Decoded frames in memory at a time, for each decoding thread.
_BLOCK_BYTES = 32_000_000
_EARLIER = re.compile(r"[0-9a-f]{16}")
"""Folder of an earlier release's cache, which was thrown away whenever anything of the dataset changed."""
_ALTERNATIVES = (
    f"make room, set {CACHE} to a folder on a disk with room, or set dataset.cache_gb (the rest is decoded "
    "when it is needed), a smaller policy.resize_shape or dataset.cache false"
)


@dataclass(frozen=True)
class EpisodeFile:
    """The place of one episode of one camera in the cache."""

    path: Path
    camera: str
    episode: int
    length: int
    """Frames."""
    shape: tuple[int, int]
    """Height and width, pixels."""

    @property
    def bytes(self) -> int:
        return self.length * math.prod(self.shape) * 3


def fill(
    meta: LeRobotDatasetMetadata,
    files: Sequence[Sequence[EpisodeFile]],
    folder: Path,
    use: NDArray[np.float64],
    budget: float,
) -> NDArray[np.bool_]:
    """Decodes what is worth it and not there yet, removes what is of no use to anybody.

    Args:
        meta: metadata of the dataset.
        files: for each camera those of all E episodes.
        folder: the cache.
        use: (E,) draws per frame of each episode; 0: it stays out.
        budget: bytes that the folder may take.

    Returns:
        (E,) the episodes that are cached, with all cameras.

    Raises:
        InputError: a video that cannot be decoded, a full or unwritable disk.
    """
    sizes = np.sum([[file.bytes for file in some] for some in files], axis=0)
    look = partial(_state, meta, files, folder, sizes, use, budget)
    chosen, lacking = np.zeros(len(use), bool), list[EpisodeFile]()
    try:
        chosen, lacking, gone = look()
        if lacking or gone:
            with alone(folder / ".lock", f"frame cache {folder}"):
                chosen, lacking, gone = look()
                _remove(gone, folder)
                _decode_all(meta, lacking, folder)
    except OSError as error:
        if chosen.any() and not lacking:
            return chosen  # all is there; that the folder cannot be tidied is no reason to stop
        # Decoding errors arrive as InputError; what is left is the disk.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = (
            _ALTERNATIVES
            if full
            else f"check permissions, set {CACHE} to another folder, or set dataset.cache false"
        )
        raise InputError(f"frame cache {folder}: cannot be written ({error}); {remedy}") from error
    left = (use > 0) & ~chosen
    if left.any():
        print(
            f"frame cache {folder}: dataset.cache_gb {budget / 1e9:g} holds {chosen.sum()} episodes; the "
            f"other {left.sum()} that are drawn are decoded when a batch needs them",
            flush=True,
        )
    return chosen


def choose(
    use: NDArray[np.float64], sizes: NDArray[np.int64], there: NDArray[np.bool_], budget: float
) -> NDArray[np.bool_]:
    """Which episodes to keep: those drawn most often for their size, as many as fit.

    Args:
        use: (E,) draws per frame; 0: never kept.
        sizes: (E,) bytes.
        there: (E,) those that are decoded already. Between episodes of nearly the same use, to a tenth of the
            highest, they go first, so that a changed weight does not cost a new decoding.
        budget: bytes.

    Returns:
        (E,) true for those to keep.
    """
    kept, left = np.zeros(len(use), bool), budget
    level = np.ceil(10 * use / max(float(use.max(initial=0)), 1e-300))
    for episode in np.lexsort((np.arange(len(use)), ~there, -level)).tolist():
        if use[episode] > 0 and sizes[episode] <= left:
            kept[episode] = True
            left -= float(sizes[episode])
    return kept


def _state(
    meta: LeRobotDatasetMetadata,
    files: Sequence[Sequence[EpisodeFile]],
    folder: Path,
    sizes: NDArray[np.int64],
    use: NDArray[np.float64],
    budget: float,
) -> tuple[NDArray[np.bool_], list[EpisodeFile], dict[Path, str]]:
    """The episodes to keep, the files they lack, and what is to be removed: path -> why."""
    found = _scan(folder)
    # Files get their name only when finished; one that is cut off or foreign is still not taken.
    whole = np.array([[found.get(file.path) == file.bytes for file in some] for some in files], bool)
    chosen = choose(use, sizes, np.logical_and.reduce(whole), budget)
    lacking = {
        file.path: file
        for some, there in zip(files, whole, strict=True)
        for file in some
        if chosen[file.episode] and not there[file.episode]
    }
    gone = {path: "damaged or cut off, made again" for path in lacking if path in found}
    gone |= dict.fromkeys(_earlier(folder), "of an earlier version of this program, removed")
    gone |= dict.fromkeys(strangers(meta, found), "of pictures that the dataset has no more, removed")
    mine = {file.path for some in files for file in some if chosen[file.episode]}
    others = {path: size for path, size in found.items() if path not in mine and path not in gone}
    over = float(sizes[chosen].sum()) + sum(others.values()) - budget
    for path, size in others.items():
        if over <= 0:
            break
        gone[path] = "removed, since dataset.cache_gb is used up"
        over -= size
    # All cameras of an episode together, so that whatever stops the decoding leaves whole ones.
    return chosen, sorted(lacking.values(), key=lambda file: file.episode), gone


def _scan(folder: Path) -> dict[Path, int]:
    """Every file of frames and its size, bytes."""
    found: dict[Path, int] = {}
    for place in sorted(folder.glob("*.*x*/")) if folder.is_dir() else ():
        for entry in os.scandir(place):
            if entry.name.endswith(SUFFIX):
                found[place / entry.name] = entry.stat().st_size
    return found


def strangers(meta: LeRobotDatasetMetadata, found: Iterable[Path]) -> Iterator[Path]:
    """Those of the files `found` in its cache that are of pictures which are not in the dataset."""
    known: dict[str, frozenset[str]] = {}
    for path in found:
        camera = path.parent.name.rpartition(".")[0]
        if camera not in known:
            there = camera in meta.camera_keys
            known[camera] = frozenset(pictures_identities(meta, camera) if there else ())
        if path.name.removesuffix(SUFFIX) not in known[camera]:
            yield path


def _earlier(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return [path for path in folder.iterdir() if _EARLIER.fullmatch(path.name) and path.is_dir()]


def _remove(gone: dict[Path, str], folder: Path) -> None:
    for why in dict.fromkeys(gone.values()):
        paths = [path for path, reason in gone.items() if reason == why]
        files = [file for path in paths for file in ([path] if path.is_file() else path.glob("*"))]
        size = sum(file.stat().st_size for file in files)
        named = str(paths[0]) if len(paths) == 1 else f"{folder}: {len(paths)} files"
        print(f"frame cache {named}: {why} ({size / 1e9:.2f} GB)", flush=True)
        for path in paths:
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


def _decode_all(meta: LeRobotDatasetMetadata, files: Sequence[EpisodeFile], folder: Path) -> None:
    for stale in folder.glob("*/*.partial"):
        stale.unlink()
    if not files:
        return
    needed, free = sum(file.bytes for file in files), shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise InputError(
            f"frame cache {folder}: needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            f"{_ALTERNATIVES}"
        )
    print(f"frame cache {folder}: takes {needed / 1e9:.2f} GB of {free / 1e9:.1f} GB free", flush=True)
    with contextlib.ExitStack() as stack:
        bar = stack.enter_context(
            tqdm(total=sum(file.length for file in files), desc="decoding", unit="frame")
        )
        # Decoding releases the GIL: a thread a core, none of which resizes with threads of its own.
        stack.callback(torch.set_num_threads, torch.get_num_threads())
        torch.set_num_threads(1)
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=usable_cores()))
        stack.callback(pool.shutdown, cancel_futures=True)
        counting = threading.Lock()

        def done(count: int) -> None:
            with counting:
                bar.update(count)

        # An episode at a time: what is decoded stays, whatever stops the rest.
        for finished in as_completed([pool.submit(partial(_decode, meta, file, done)) for file in files]):
            finished.result()


def _decode(meta: LeRobotDatasetMetadata, file: EpisodeFile, done: Callable[[int], None]) -> None:
    file.path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = file.path.with_name(f"{file.path.name}.{os.getpid()}.partial")
    height, width = recorded_shape(meta, file.camera)
    length = max(1, _BLOCK_BYTES // (height * width * 3))
    frames = np.arange(file.length)
    try:
        with unfinished.open("wb") as target:
            _reserve(target, file.bytes)
            for ticks in np.split(frames, range(length, len(frames), length)):
                target.write(decode(meta, file.camera, file.episode, ticks, file.shape).data)
                done(len(ticks))
            target.flush()
            os.fsync(target.fileno())
        os.replace(unfinished, file.path)
    finally:
        unfinished.unlink(missing_ok=True)


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the space now, so that a full disk shows before an episode is decoded."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # file system without it
                raise
