"""Decoded-frame cache: every camera frame of a dataset as uint8 in one memory-mapped file.

Decoding video for every training batch costs more than the training step itself. The cache is
lossless (JPEG caches cost policy quality) and at the dataset's own resolution.
"""

import io
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
from av.error import FFmpegError
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.video_utils import decode_video_frames
from lerobot.utils.import_utils import get_safe_default_video_backend
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from rabc.errors import InputError
from rabc.hub import derived_folder
from rabc.lock import alone

# LeRobotDataset's own default: how far a decoded frame may be from its timestamp, seconds.
_TOLERANCE = 1e-4
# Episodes that are decoded or waiting to be written at a time.
_AHEAD = 2 * (os.cpu_count() or 1)


def cache_folder(root: Path, fingerprint: str) -> Path:
    """Where the frames of a dataset are cached.

    Args:
        root: dataset folder.
        fingerprint: hexadecimal content hash of the dataset.
    """
    return derived_folder(root) / "frames" / fingerprint[:16]


def cached_frames(
    meta: LeRobotDatasetMetadata, cameras: list[str], folder: Path
) -> dict[str, NDArray[np.uint8]]:
    """Every frame of the dataset, per camera, decoded once and memory-mapped afterwards.

    Args:
        meta: metadata of the dataset.
        cameras: camera keys, e.g. `observation.images.front`.
        folder: cache of this very dataset version (see `cache_folder`); created when missing.

    Returns:
        camera -> (N, H, W, 3) uint8, read-only, indexed by the dataset's `index`. Channels are last
        because that is the layout the convolutions are fastest in.

    Raises:
        InputError: an unknown camera, a video that cannot be decoded, a full or unwritable disk.
    """
    for camera in cameras:
        if camera not in meta.camera_keys:
            there = ", ".join(meta.camera_keys) or "none"
            raise InputError(f"camera {camera}: not in dataset {meta.root}; its cameras: {there}")
    if _missing(meta, cameras, folder):
        _build(meta, cameras, folder)
    return {camera: np.load(_file(folder, camera), mmap_mode="r") for camera in cameras}


def _file(folder: Path, camera: str) -> Path:
    return folder / f"{camera}.npy"


def _shape(meta: LeRobotDatasetMetadata, camera: str) -> tuple[int, int, int, int]:
    feature = meta.features[camera]
    sizes = dict(zip(["height", "width"], feature["shape"], strict=False))
    # Old datasets state channels first; the names say which.
    if feature["names"][0] in ("channel", "channels"):
        sizes = dict(zip(["height", "width"], feature["shape"][1:], strict=True))
    return meta.total_frames, sizes["height"], sizes["width"], 3


def _is_complete(folder: Path, camera: str, shape: tuple[int, ...]) -> bool:
    """Files appear under their name only when finished; shape guards against a foreign one."""
    path = _file(folder, camera)
    if not path.is_file():
        return False
    try:
        array = np.load(path, mmap_mode="r")
    except (OSError, ValueError, EOFError):
        return False
    return array.shape == shape and array.dtype == np.uint8


def _missing(meta: LeRobotDatasetMetadata, cameras: list[str], folder: Path) -> list[str]:
    return [camera for camera in cameras if not _is_complete(folder, camera, _shape(meta, camera))]


def _build(meta: LeRobotDatasetMetadata, cameras: list[str], folder: Path) -> None:
    try:
        with alone(folder / ".lock", f"frame cache {folder}"):
            _build_missing(meta, _missing(meta, cameras, folder), folder)
    except OSError as error:
        # Decoding errors arrive as InputError; what is left is the disk.
        raise InputError(
            f"frame cache {folder}: cannot be written ({error}); check space and permissions"
        ) from error


def _build_missing(meta: LeRobotDatasetMetadata, cameras: list[str], folder: Path) -> None:
    needed = sum(int(np.prod(_shape(meta, camera))) for camera in cameras)
    if cameras:
        for stale in folder.glob("*.partial"):
            stale.unlink()
        free = shutil.disk_usage(folder).free
        if free < needed * 1.05:
            raise InputError(
                f"frame cache {folder}: needs {needed / 1e9:.1f} GB, {free / 1e9:.1f} GB are free; make room"
            )
        with tqdm(total=meta.total_episodes * len(cameras), desc="decoding", unit="ep") as bar:
            for camera in cameras:
                _build_camera(meta, camera, folder, bar.update)


def _build_camera(
    meta: LeRobotDatasetMetadata, camera: str, folder: Path, done: Callable[[], object]
) -> None:
    unfinished = folder / f"{camera}.{os.getpid()}.partial"
    shape = _shape(meta, camera)
    frames = np.lib.format.open_memmap(unfinished, mode="w+", dtype=np.uint8, shape=shape)
    try:
        # Asked once: each time LeRobot tries to load torchcodec, and reports at length where it cannot.
        decode = (
            partial(_decode_video, get_safe_default_video_backend())
            if camera in meta.video_keys
            else _decode_images
        )
        # Decoding releases the GIL, so threads use all cores.
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            decoded = _in_order(pool, partial(decode, meta, camera), meta.total_episodes)
            for start, images in _placed(meta, decoded):
                if images.shape[1:] != shape[1:]:
                    raise InputError(
                        f"camera {camera}: frames are {images.shape[1:]}, dataset {meta.root} states "
                        f"{shape[1:]}; record or download it again"
                    )
                frames[start : start + len(images)] = images
                done()
        frames.flush()
        os.replace(unfinished, _file(folder, camera))
    finally:
        unfinished.unlink(missing_ok=True)


def _episode(meta: LeRobotDatasetMetadata, episode: int) -> dict[str, Any]:
    return cast(Any, meta.episodes)[episode]


def _in_order[T](pool: ThreadPoolExecutor, function: Callable[[int], T], count: int) -> Iterator[T]:
    """`function` of 0 ... count - 1, in order; few of the results are in memory at any time."""
    pending: deque[Future[T]] = deque()
    for number in range(count):
        pending.append(pool.submit(function, number))
        if len(pending) >= _AHEAD:
            yield pending.popleft().result()
    while pending:
        yield pending.popleft().result()


def _placed(
    meta: LeRobotDatasetMetadata, decoded: Iterator[NDArray[np.uint8]]
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    for episode, images in enumerate(decoded):
        yield int(_episode(meta, episode)["dataset_from_index"]), images


def _decode_video(backend: str, meta: LeRobotDatasetMetadata, camera: str, episode: int) -> NDArray[np.uint8]:
    """(T, H, W, 3) frames of one episode, at the times LeRobotDataset asks for."""
    record = _episode(meta, episode)
    path = meta.root / meta.get_video_file_path(episode, camera)
    start = float(record[f"videos/{camera}/from_timestamp"])
    times = [start + frame / meta.fps for frame in range(int(record["length"]))]
    try:
        frames = decode_video_frames(path, times, _TOLERANCE, backend, return_uint8=True)
    except (OSError, ValueError, RuntimeError, FFmpegError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"video {path}: episode {episode} cannot be decoded ({reason}); the file is missing, truncated "
            "or damaged: download or record the dataset again"
        ) from error
    return frames.permute(0, 2, 3, 1).contiguous().numpy()


def _decode_images(meta: LeRobotDatasetMetadata, camera: str, episode: int) -> NDArray[np.uint8]:
    """(T, H, W, 3) frames of one episode that the dataset keeps as pictures inside its tables."""
    path = meta.root / meta.get_data_file_path(episode)
    try:
        table = pq.read_table(path, columns=[camera], filters=[("episode_index", "=", episode)])
        pictures = [Image.open(io.BytesIO(row["bytes"])) for row in table.column(camera).to_pylist()]
        return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"table {path}: images of episode {episode} cannot be read ({error})") from error
