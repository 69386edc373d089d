"""Decodes camera frames of a dataset as LeRobotDataset does, at the size the policy sees."""

import io
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol, cast

import numpy as np
import pyarrow.parquet as pq
from av.error import FFmpegError
from einops import rearrange
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.video_utils import decode_video_frames
from numpy.typing import NDArray
from PIL import Image

from rabc.datasets.resize import resize
from rabc.system.errors import InputError

# LeRobotDataset's own default: how far a decoded frame may be from its timestamp, seconds.
_TOLERANCE = 1e-4
# The same pictures on every machine, and safe in threads; torchcodec is there on some machines only, and its
# decoders, which LeRobot shares between threads, are not.
_BACKEND = "pyav"
# Opening a video anew costs about as much as decoding this many frames on the way.
_NEAR = 8


class Frames(Protocol):
    """Camera frames of a dataset at the size the policy sees."""

    def read(self, index: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        """camera -> (..., H, W, 3) for frames `index` (...) of the dataset."""
        ...


class DecodedFrames:
    """Frames decoded whenever they are read: as `rabc.datasets.frames.CachedFrames`, slower, no file."""

    def __init__(
        self, meta: LeRobotDatasetMetadata, cameras: Sequence[str], shape: tuple[int, int] | None = None
    ) -> None:
        """
        Args:
            meta: metadata of the dataset.
            cameras: camera keys, e.g. `observation.images.front`.
            shape: height and width, pixels; None: as recorded.

        Raises:
            InputError: an unknown camera; `read`: a video that cannot be decoded.
        """
        check_cameras(meta, cameras)
        self._meta = meta
        self._cameras = tuple(cameras)
        self._shape = shape
        self._starts = np.asarray(cast(Any, meta.episodes)["dataset_from_index"], np.int64)

    def read(self, index: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        """As in `Frames`; every frame is decoded once, near ones of an episode together."""
        frames, places = np.unique(index, return_inverse=True)
        runs = list(self._runs(frames))

        def decoded(camera: str) -> NDArray[np.uint8]:
            shape = self._shape or recorded_shape(self._meta, camera)
            parts = [decode(self._meta, camera, episode, ticks, shape) for episode, ticks in runs]
            return np.concatenate(parts)[places.reshape(index.shape)]

        with ThreadPoolExecutor(max_workers=len(self._cameras)) as pool:  # decoding releases the GIL
            return dict(zip(self._cameras, pool.map(decoded, self._cameras), strict=True))

    def _runs(self, frames: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """(episode, frame numbers within it) of frames in ascending order, cut where they are far apart."""
        episodes = np.searchsorted(self._starts, frames, side="right") - 1
        cuts = np.flatnonzero((np.diff(frames) > _NEAR) | (np.diff(episodes) > 0)) + 1
        for run, episode in zip(np.split(frames, cuts), np.split(episodes, cuts), strict=True):
            yield int(episode[0]), run - self._starts[episode[0]]


def check_cameras(meta: LeRobotDatasetMetadata, cameras: Sequence[str]) -> None:
    """Raise InputError for a camera that the dataset does not have."""
    for camera in cameras:
        if camera not in meta.camera_keys:
            there = ", ".join(meta.camera_keys) or "none"
            raise InputError(f"camera {camera}: not in dataset {meta.root}; its cameras: {there}")


def recorded_shape(meta: LeRobotDatasetMetadata, camera: str) -> tuple[int, int]:
    """Height and width of a camera's frames in the dataset, pixels."""
    feature = meta.features[camera]
    # Old datasets state channels first; the names say which.
    first = 1 if feature["names"][0] in ("channel", "channels") else 0
    height, width = feature["shape"][first : first + 2]
    return int(height), int(width)


def decode(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64], shape: tuple[int, int]
) -> NDArray[np.uint8]:
    """Some frames of one episode.

    Args:
        meta: metadata of the dataset.
        camera: camera key.
        episode: its number.
        ticks: (T,) frame numbers within the episode, ascending.
        shape: height and width of the result, pixels.

    Returns:
        (T, height, width, 3).

    Raises:
        InputError: the frames are missing, damaged, or of another size than the dataset states.
    """
    decoded = (_video if camera in meta.video_keys else _images)(meta, camera, episode, ticks)
    recorded = (*recorded_shape(meta, camera), 3)
    if decoded.shape[1:] != recorded:
        raise InputError(
            f"camera {camera}: frames are {decoded.shape[1:]}, dataset {meta.root} states {recorded}; "
            "record or download it again"
        )
    return resize(decoded, shape)


def _video(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Frames of a video, at the times LeRobotDataset asks for."""
    path = meta.root / meta.get_video_file_path(episode, camera)
    start = float(cast(Any, meta.episodes)[episode][f"videos/{camera}/from_timestamp"])
    times = [start + int(tick) / meta.fps for tick in ticks]
    try:
        frames = decode_video_frames(path, times, _TOLERANCE, _BACKEND, return_uint8=True)
    except (OSError, ValueError, RuntimeError, FFmpegError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise InputError(
            f"video {path}: episode {episode} cannot be decoded ({reason}); the file is missing, truncated "
            "or damaged: download or record the dataset again"
        ) from error
    return rearrange(frames, "t c h w -> t h w c").contiguous().numpy()


def _images(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Frames that the dataset keeps as pictures inside its tables."""
    path = meta.root / meta.get_data_file_path(episode)
    wanted = [("episode_index", "=", episode), ("frame_index", "in", ticks.tolist())]
    try:
        table = pq.read_table(path, columns=[camera], filters=wanted)
        pictures = [Image.open(io.BytesIO(row["bytes"])) for row in table.column(camera).to_pylist()]
        return np.stack([np.asarray(picture.convert("RGB")) for picture in pictures])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"table {path}: images of episode {episode} cannot be read ({error})") from error
