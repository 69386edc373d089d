"""What a scorer reads of an episode's videos, as small as it looks at them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.scoring.base import Scorer
from rabc.scoring.video import decode_at, end_time
from rabc.system.errors import InputError

CAMERA_PREFIX = "observation.images."
FRAMES_AT_ONCE = 32
"""Frames held in full size; with 480x640 pixels these are 30 MB."""


def camera_keys(meta: LeRobotDatasetMetadata, cameras: Sequence[str]) -> list[str]:
    """The dataset's names of `cameras`. Raises InputError for one that it has no video of."""
    keys = [CAMERA_PREFIX + camera for camera in cameras]
    there = [name.removeprefix(CAMERA_PREFIX) for name in meta.video_keys]
    for camera, key in zip(cameras, keys, strict=True):
        if key not in meta.video_keys:
            raise InputError(
                f"scorer.camera {camera}: dataset {meta.root} has no video of it; "
                f"choose one of {', '.join(there) or '(it has none)'}"
            )
    return keys


def image_size(meta: LeRobotDatasetMetadata, key: str) -> tuple[int, int]:
    """Height and width of a camera's frames, pixels."""
    feature: Any = meta.features[key]
    sizes = dict(zip(feature["names"], feature["shape"], strict=True))
    return int(sizes["height"]), int(sizes["width"])


def episode_length(meta: LeRobotDatasetMetadata, episode: int) -> int:
    """Frames of an episode."""
    return int(_record(meta, episode)["length"])


def check_lengths(meta: LeRobotDatasetMetadata, keys: Sequence[str], episodes: Iterable[int]) -> None:
    """Raise InputError for an episode that is too short to score, or whose videos are shorter than it."""
    ends: dict[Path, float] = {}
    for episode in episodes:
        length = episode_length(meta, episode)
        if length < 2:
            what = "has no frames" if length < 1 else "has one frame: progress needs at least two"
            raise InputError(f"episode {episode} of dataset {meta.root}: {what}; remove the episode")
        for key in keys:
            path = _video(meta, key, episode)
            if path not in ends:
                ends[path] = end_time(path, f"episode {episode}") or float("inf")
        # The two clocks of metadata and file agree to far less than a frame.
        frames = {key: min(length, round(_seconds(meta, key, episode, ends) * meta.fps)) for key in keys}
        if len(set(frames.values())) > 1:
            named = ", ".join(
                f"{key.removeprefix(CAMERA_PREFIX)} has {n} frames" for key, n in frames.items()
            )
            raise InputError(
                f"episode {episode} of dataset {meta.root}: its cameras are of different length ({named}); "
                "choose one with scorer.camera, or record the episode again"
            )
        if frames[keys[0]] < length:
            raise InputError(
                f"video {_video(meta, keys[0], episode)}: has {frames[keys[0]]} of the {length} frames of "
                f"episode {episode}; download or record the dataset again"
            )


def sampled_frames(
    meta: LeRobotDatasetMetadata,
    key: str,
    episode: int,
    indices: NDArray[np.int64],
    scorer: Scorer,
    count: int,
) -> torch.Tensor:
    """Frames (S, 3, h, w) uint8 at `indices` of the episode, as `scorer` sees those of a clip of `count`.

    Raises InputError for a video that cannot be decoded.
    """
    return resized(frames_at(meta, key, episode, indices), scorer, count)


def resized(frames: Iterable[NDArray[np.uint8]], scorer: Scorer, count: int) -> torch.Tensor:
    """Frames (H, W, 3) as `scorer` sees those of a clip of `count`, (S, 3, h, w); few are held full size."""
    return torch.cat([scorer.resize(_as_tensor(some), count) for some in batched(frames, FRAMES_AT_ONCE)])


def frames_at(
    meta: LeRobotDatasetMetadata, key: str, episode: int, indices: NDArray[np.int64]
) -> Iterator[NDArray[np.uint8]]:
    """Frames (H, W, 3) at ascending `indices` of the episode.

    Raises InputError for a video that cannot be decoded.
    """
    start = float(_record(meta, episode)[f"videos/{key}/from_timestamp"])
    times = [start + int(i) / meta.fps for i in indices]
    return decode_at(_video(meta, key, episode), times, f"episode {episode}")


def _as_tensor(frames: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    return rearrange(torch.from_numpy(np.stack(frames)), "t h w c -> t c h w")


def _seconds(meta: LeRobotDatasetMetadata, key: str, episode: int, ends: dict[Path, float]) -> float:
    record = _record(meta, episode)
    stop = min(float(record[f"videos/{key}/to_timestamp"]), ends[_video(meta, key, episode)])
    return stop - float(record[f"videos/{key}/from_timestamp"])


def _video(meta: LeRobotDatasetMetadata, key: str, episode: int) -> Path:
    return Path(meta.root) / meta.get_video_file_path(episode, key)


def _record(meta: LeRobotDatasetMetadata, episode: int) -> dict[str, Any]:
    episodes: Any = meta.episodes
    return episodes[episode]
