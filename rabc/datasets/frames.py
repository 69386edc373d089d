"""Decoded-frame cache: camera frames of a dataset as plain uint8 files, one for each episode and camera.

Decoding video for every training batch costs more than the training step itself. The cache holds what the
policy sees, lossless (JPEG caches cost policy quality): frames at the dataset's own resolution, or resized as
`rabc.datasets.resize` says. A file is named by the identity of its pictures, so that it stays right, and is
found again, whatever else of the dataset changes. What the cache does not hold is decoded when it is read.
"""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cache import SUFFIX, camera_folder
from rabc.datasets.cameras import check_cameras, recorded_shape
from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.episodes import read_episodes
from rabc.datasets.filling import EpisodeFile, fill
from rabc.datasets.fingerprint import pictures_identities


class CachedFrames:
    """Frames from the files of a cache, the rest decoded; none of them stay in the process's memory."""

    def __init__(
        self,
        decoded: DecodedFrames,
        files: dict[str, Sequence[Path | None]],
        starts: NDArray[np.int64],
        shapes: dict[str, tuple[int, int]],
    ) -> None:
        """
        Args:
            decoded: gives the frames that are not cached, of the same cameras at the same sizes.
            files: camera -> file of each episode, None where it is not cached.
            starts: (E,) first frame of each episode.
            shapes: camera -> height and width of its frames, pixels.
        """
        self._decoded = decoded
        self._files = files
        self._starts = starts
        self._shapes = shapes

    def read(self, index: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        """As in `rabc.datasets.decoding.Frames`."""
        frames = index.reshape(-1)
        episodes = np.searchsorted(self._starts, frames, side="right") - 1
        ticks = frames - self._starts[episodes]
        lacking = np.zeros(len(frames), bool)
        batch: dict[str, NDArray[np.uint8]] = {}
        for camera, (height, width) in self._shapes.items():
            pictures = np.empty((len(frames), height, width, 3), np.uint8)
            files = self._files[camera]
            for row, (episode, tick) in enumerate(zip(episodes.tolist(), ticks.tolist(), strict=True)):
                lacking[row] |= not _read(files[episode], tick, pictures[row])
            batch[camera] = pictures
        if lacking.any():
            for camera, pictures in self._decoded.read(frames[lacking]).items():
                batch[camera][lacking] = pictures
        return {camera: pixels.reshape(*index.shape, *pixels.shape[1:]) for camera, pixels in batch.items()}


def _read(path: Path | None, tick: int, picture: NDArray[np.uint8]) -> bool:
    """Read frame `tick` of an episode into `picture`; false where it is not cached (any more).

    Another run may remove files: to make room, or because the dataset changed.
    """
    if path is None:
        return False
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(tick * picture.nbytes)
            # Not mapped: pages of a mapping count as the process's memory, which would grow with each read.
            return file.readinto(memoryview(picture).cast("B")) == picture.nbytes
    except OSError:
        return False


def cached_frames(
    meta: LeRobotDatasetMetadata,
    cameras: Sequence[str],
    folder: Path,
    shape: tuple[int, int] | None = None,
    draws: NDArray[np.floating] | None = None,
    budget: float = math.inf,
) -> CachedFrames:
    """The frames of a dataset, the most useful of them decoded once and read from files afterwards.

    Safe for several processes at once: one decodes, the others wait and take what it made. Episodes are kept
    whole, with all cameras. What the folder holds of pictures that the dataset has no more is removed.

    Args:
        meta: metadata of the dataset.
        cameras: camera keys, e.g. `observation.images.front`.
        folder: cache of this dataset (see `rabc.datasets.cache.cache_folder`); created when missing.
        shape: height and width of the frames, pixels; None: as recorded.
        draws: (N,) how often each frame is drawn, on any scale; episodes that never are stay out. None: all
            equally often.
        budget: bytes that the folder may take.

    Raises:
        InputError: an unknown camera, a video that cannot be decoded, a full or unwritable disk.
    """
    check_cameras(meta, cameras)
    records = read_episodes(meta)
    counts = np.ones(int(records.length.sum())) if draws is None else draws
    drawn = np.array([counts[start:end].sum() for start, end in zip(records.start, records.end, strict=True)])
    shapes = {camera: shape or recorded_shape(meta, camera) for camera in cameras}
    files = [
        [
            EpisodeFile(path, camera, episode, int(length), shapes[camera])
            for episode, (path, length) in enumerate(zip(paths, records.length, strict=True))
        ]
        for camera, paths in (
            (camera, episode_files(meta, camera, folder, shapes[camera])) for camera in cameras
        )
    ]
    kept = fill(meta, files, folder, drawn / np.maximum(records.length, 1), budget)
    paths: dict[str, Sequence[Path | None]] = {
        camera: [file.path if kept[file.episode] else None for file in some]
        for camera, some in zip(cameras, files, strict=True)
    }
    return CachedFrames(DecodedFrames(meta, cameras, shape), paths, records.start, shapes)


def episode_files(
    meta: LeRobotDatasetMetadata, camera: str, folder: Path, shape: tuple[int, int]
) -> list[Path]:
    """The file of each episode in cache `folder`, whether it is there or not, at the size `shape`."""
    place = camera_folder(folder, camera, shape)
    return [place / f"{identity}{SUFFIX}" for identity in pictures_identities(meta, camera)]
