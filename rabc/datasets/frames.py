"""Decoded-frame cache: every camera frame of a dataset as uint8 in one memory-mapped file.

Decoding video for every training batch costs more than the training step itself. The cache holds what the
policy sees, lossless (JPEG caches cost policy quality): frames at the dataset's own resolution, or resized as
`rabc.datasets.resize` says.
"""

import contextlib
import errno
import math
import mmap
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.lib import format as npy
from numpy.typing import NDArray
from tqdm import tqdm

from rabc.datasets.cameras import check_cameras, recorded_shape
from rabc.datasets.decoding import decode
from rabc.datasets.episodes import read_episodes
from rabc.datasets.fingerprint import derived_folder
from rabc.system.errors import InputError
from rabc.system.lock import alone

# Decoded frames in memory at a time: one block for each decoding thread and two that wait to be written.
_BLOCK_BYTES = 32_000_000
_THREADS = os.cpu_count() or 1
_ALTERNATIVES = "make room, use a disk with room, or set a smaller policy.resize_shape or dataset.cache false"


class CachedFrames:
    """Frames in memory-mapped files; reading them leaves none of them in the process's own memory."""

    def __init__(self, paths: dict[str, Path]) -> None:
        """
        Args:
            paths: camera -> complete file, as `cached_frames` makes it.
        """
        self._paths = paths
        self._mapped = {camera: _map(path) for camera, path in paths.items()}

    def __reduce__(self) -> tuple[type["CachedFrames"], tuple[dict[str, Path]]]:
        """A loading process that is started anew maps the files itself."""
        return CachedFrames, (self._paths,)

    def read(self, index: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        """As in `rabc.datasets.decoding.Frames`."""
        batch: dict[str, NDArray[np.uint8]] = {}
        for camera, (mapping, frames) in self._mapped.items():
            batch[camera] = frames[index]
            # Mapped pages count as the process's memory once they are touched, so that it would grow to the
            # size of the dataset. The pages stay in the system's cache.
            mapping.madvise(mmap.MADV_DONTNEED)
        return batch


def cache_folder(root: Path, fingerprint: str) -> Path:
    """Where the frames of a dataset are cached.

    Args:
        root: dataset folder.
        fingerprint: hexadecimal content hash of the dataset.
    """
    return derived_folder(root) / "frames" / fingerprint[:16]


def cache_file(folder: Path, camera: str, shape: tuple[int, int]) -> Path:
    """The file of a camera's frames at the size `shape`, height and width in pixels."""
    return folder / f"{camera}.{shape[0]}x{shape[1]}.npy"


def cached_frames(
    meta: LeRobotDatasetMetadata,
    cameras: Sequence[str],
    folder: Path,
    shape: tuple[int, int] | None = None,
) -> CachedFrames:
    """Every frame of the dataset, per camera, decoded once and memory-mapped afterwards.

    Safe for several processes at once: one decodes, the others wait and take what it made.

    Args:
        meta: metadata of the dataset.
        cameras: camera keys, e.g. `observation.images.front`.
        folder: cache of this very dataset version (see `cache_folder`); created when missing.
        shape: height and width of the frames, pixels; None: as recorded.

    Raises:
        InputError: an unknown camera, a video that cannot be decoded, a full or unwritable disk.
    """
    check_cameras(meta, cameras)
    files = [_CameraFile.of(meta, camera, folder, shape) for camera in cameras]
    if not all(file.is_complete() for file in files):
        _build(meta, files, folder)
    return CachedFrames({file.camera: file.path for file in files})


@dataclass(frozen=True)
class _CameraFile:
    """One file of the cache."""

    camera: str
    path: Path
    shape: tuple[int, int, int, int]
    """N, height, width, 3."""

    @classmethod
    def of(
        cls, meta: LeRobotDatasetMetadata, camera: str, folder: Path, shape: tuple[int, int] | None
    ) -> "_CameraFile":
        size = shape or recorded_shape(meta, camera)
        return cls(camera, cache_file(folder, camera, size), (meta.total_frames, *size, 3))

    @property
    def bytes(self) -> int:
        return math.prod(self.shape)

    def is_complete(self) -> bool:
        """Files get their name only when finished; one that is cut off or foreign is still not taken."""
        try:
            with self.path.open("rb") as file:
                shape, offset = _header(file)
                return shape == self.shape and self.path.stat().st_size == offset + self.bytes
        except (OSError, ValueError):
            return False


def _header(file: BinaryIO) -> tuple[tuple[int, ...], int]:
    """Shape of an npy file of uint8 in C order, and where its values begin. Raises ValueError for another."""
    npy.read_magic(file)
    shape, fortran_order, dtype = npy.read_array_header_1_0(file)
    if fortran_order or dtype != np.uint8:
        raise ValueError(f"{dtype}, Fortran order {fortran_order}: not uint8 in C order")
    return shape, file.tell()


def _map(path: Path) -> tuple[mmap.mmap, NDArray[np.uint8]]:
    with path.open("rb") as file:
        shape, offset = _header(file)
        mapping = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    return mapping, np.frombuffer(mapping, np.uint8, offset=offset).reshape(shape)


def _build(meta: LeRobotDatasetMetadata, files: list[_CameraFile], folder: Path) -> None:
    try:
        with alone(folder / ".lock", f"frame cache {folder}"):
            _build_missing(meta, [file for file in files if not file.is_complete()], folder)
    except OSError as error:
        # Decoding errors arrive as InputError; what is left is the disk.
        full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
        remedy = _ALTERNATIVES if full else "check permissions, or set dataset.cache false"
        raise InputError(f"frame cache {folder}: cannot be written ({error}); {remedy}") from error


def _build_missing(meta: LeRobotDatasetMetadata, files: list[_CameraFile], folder: Path) -> None:
    if not files:
        return
    for stale in folder.glob("*.partial"):
        stale.unlink()
    for file in files:
        if file.path.exists():
            print(f"frame cache {file.path}: damaged or cut off, made again", flush=True)
            file.path.unlink()
    needed, free = sum(file.bytes for file in files), shutil.disk_usage(folder).free
    if free < needed * 1.05:
        raise InputError(
            f"frame cache {folder}: needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; "
            f"{_ALTERNATIVES}"
        )
    print(f"frame cache {folder}: takes {needed / 1e9:.2f} GB of {free / 1e9:.1f} GB free", flush=True)
    with tqdm(total=meta.total_frames * len(files), desc="decoding", unit="frame") as bar:
        for file in files:
            _build_camera(meta, file, bar.update)


def _build_camera(meta: LeRobotDatasetMetadata, file: _CameraFile, done: Callable[[int], object]) -> None:
    unfinished = file.path.with_name(f"{file.path.name}.{os.getpid()}.partial")
    picture = math.prod(file.shape[1:])
    try:
        with unfinished.open("wb") as target:
            head: dict[str, Any] = {"descr": "|u1", "fortran_order": False, "shape": file.shape}
            npy.write_array_header_1_0(target, head)
            offset = target.tell()
            _reserve(target, offset + file.bytes)
            for start, frames in _blocks(meta, file):
                target.seek(offset + start * picture)
                target.write(frames.data)
                done(len(frames))
            target.flush()
            os.fsync(target.fileno())
        os.replace(unfinished, file.path)
    finally:
        unfinished.unlink(missing_ok=True)


def _reserve(file: BinaryIO, size: int) -> None:
    """Take the space now, so that a full disk shows before hours of decoding."""
    if hasattr(os, "posix_fallocate"):  # not on macOS
        try:
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP, errno.ENOSYS):  # file system without it
                raise


def _blocks(meta: LeRobotDatasetMetadata, file: _CameraFile) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """(first frame, frames) of all episodes in order; few blocks are in memory at any time."""
    height, width = recorded_shape(meta, file.camera)
    length = max(1, _BLOCK_BYTES // (height * width * 3))
    pending: deque[tuple[int, Future[NDArray[np.uint8]]]] = deque()
    with contextlib.ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(max_workers=_THREADS))  # decoding releases the GIL
        stack.callback(pool.shutdown, cancel_futures=True)
        records = read_episodes(meta)
        for episode in range(len(records)):
            frames = np.arange(records.length[episode])
            for ticks in np.split(frames, range(length, len(frames), length)):
                job = partial(decode, meta, file.camera, episode, ticks, file.shape[1:3])
                pending.append((int(records.start[episode]) + int(ticks[0]), pool.submit(job)))
                if len(pending) >= _THREADS + 2:
                    start, block = pending.popleft()
                    yield start, block.result()
        while pending:
            start, block = pending.popleft()
            yield start, block.result()
