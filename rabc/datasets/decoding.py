"""Decodes camera frames of a dataset as LeRobotDataset does, at the size the policy sees."""

import io
import struct
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from av.error import FFmpegError
from einops import rearrange
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.video_utils import decode_video_frames
from numpy.typing import NDArray
from PIL import Image

from rabc.datasets.cameras import check_cameras, recorded_shape
from rabc.datasets.episodes import read_episodes
from rabc.datasets.metadata import AGAIN, first_line
from rabc.datasets.resize import resize
from rabc.datasets.tables import table_files
from rabc.datasets.times import half_frame, video_times
from rabc.system.errors import InputError

# The same pictures on every machine, and safe in threads; torchcodec is there on some machines only, and its
# decoders, which LeRobot shares between threads, are not.
_BACKEND = "pyav"
# Opening a video anew costs about as much as decoding this many frames on the way.
_NEAR = 8
_FORMATS = ("PNG", "JPEG", "TIFF", "WEBP", "BMP", "PPM", "GIF")
"""What is let into Pillow, which starts other programs for some."""


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
        self._starts = read_episodes(meta).start

    def read(self, index: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        """As in `Frames`; every frame is decoded once, near ones of an episode together."""
        if not self._cameras:
            return {}
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
    decoded = (_video if camera in meta.video_keys else recorded_pictures)(meta, camera, episode, ticks)
    recorded = (*recorded_shape(meta, camera), 3)
    if decoded.shape[1:] != recorded:
        raise InputError(
            f"camera {camera}: frames of episode {episode} are {decoded.shape[1:]}, but "
            f"{meta.root}/meta/info.json says {recorded}; write their size there"
        )
    return resize(decoded, shape)


def _video(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Frames of a video, at the times LeRobotDataset asks for; the nearest one, within half a frame."""
    ranges = read_episodes(meta).videos[camera]
    path = ranges.files[ranges.file[episode]]
    times = video_times(meta, camera, episode, ticks).tolist()
    try:
        frames = decode_video_frames(path, times, half_frame(meta), _BACKEND, return_uint8=True)
    except (OSError, ValueError, RuntimeError, FFmpegError) as error:
        raise InputError(
            f"video {path}: episode {episode} cannot be decoded ({first_line(error)}); the file is missing, "
            f"truncated or damaged: {AGAIN}"
        ) from error
    return rearrange(frames, "t c h w -> t h w c").contiguous().numpy()


def recorded_pictures(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """Frames (T, H, W, 3) that the dataset keeps as pictures inside its tables.

    Found by their `index`, as LeRobot does, since the file that `meta/episodes` names may be another one.
    Raises InputError for pictures that are missing or damaged.
    """
    wanted = read_episodes(meta).start[episode] + ticks
    try:
        pictures = _pictures_by_index(meta, camera, wanted)
    except (
        OSError, ValueError, KeyError, TypeError, pa.ArrowException, SyntaxError, EOFError, struct.error,
        Image.DecompressionBombError,
    ) as error:  # fmt: skip
        raise InputError(
            f"dataset {meta.root}: pictures {camera} of episode {episode} cannot be read "
            f"({first_line(error)}); {AGAIN}"
        ) from error
    if len(pictures) != len(wanted):
        raise InputError(
            f"dataset {meta.root}: data/ has {len(pictures)} of the {len(wanted)} pictures {camera} of "
            f"episode {episode}; {AGAIN}"
        )
    return np.stack(pictures)


def _pictures_by_index(
    meta: LeRobotDatasetMetadata, camera: str, wanted: NDArray[np.int64]
) -> list[NDArray[np.uint8]]:
    found: dict[int, NDArray[np.uint8]] = {}
    for path, (first, last) in _indices(meta).items():
        if last < wanted[0] or first > wanted[-1]:
            continue
        rows = pq.read_table(path, columns=["index", camera], filters=[("index", "in", wanted.tolist())])
        for number, picture in zip(
            rows.column("index").to_pylist(), rows.column(camera).to_pylist(), strict=True
        ):
            found[number] = np.asarray(_opened(meta.root, picture).convert("RGB"))
    return [found[number] for number in wanted.tolist() if number in found]


def _opened(root: Path, picture: Any) -> Image.Image:
    """A picture as LeRobot keeps it: its bytes, or the path of a file of the dataset.

    Pillow would start Ghostscript for a picture in PostScript, and open any file of this machine.
    """
    if picture["bytes"] is not None:
        return Image.open(io.BytesIO(picture["bytes"]), formats=_FORMATS)
    path = Path(picture["path"])
    if path.is_absolute() or ".." in path.parts:
        raise ValueError(f"{str(path)!r:.80} is a path out of the dataset")
    if not (root / path).is_file():  # of a pipe the reading never begins
        raise ValueError(f"{str(path)!r:.80} is no file")
    return Image.open(root / path, formats=_FORMATS)


@lru_cache(maxsize=8)
def _indices(meta: LeRobotDatasetMetadata) -> dict[Path, tuple[int, int]]:
    """The first and the last `index` in each file of `data/`."""
    ranges: dict[Path, tuple[int, int]] = {}
    for path in table_files(meta):
        index = pq.read_table(path, columns=["index"]).column("index").to_numpy()
        if len(index):
            ranges[path] = int(index.min()), int(index.max())
    return ranges
