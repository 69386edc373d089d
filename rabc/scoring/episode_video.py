"""What a scorer reads of an episode's pictures, as small as it looks at them."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import batched

import numpy as np
import torch
from einops import rearrange
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cameras import camera_key
from rabc.datasets.decoding import recorded_pictures
from rabc.datasets.episodes import read_episodes
from rabc.datasets.times import half_frame, video_times
from rabc.scoring.base import Scorer
from rabc.scoring.video import decode_at
from rabc.system.errors import InputError

FRAMES_AT_ONCE = 32
"""Frames held in full size; with 480x640 pixels these are 30 MB."""


def camera_keys(meta: LeRobotDatasetMetadata, cameras: Sequence[str]) -> list[str]:
    """The dataset's keys of the scorer's `cameras`.

    Raises InputError for one that it does not have, a depth camera, or two names of one camera.
    """
    keys = [camera_key(meta, camera, "scorer.camera") for camera in cameras]
    for place, key in enumerate(keys):
        if key in keys[:place]:
            raise InputError(f"scorer.camera {','.join(cameras)}: names camera {key} twice; name it once")
    return keys


def sampled_frames(
    meta: LeRobotDatasetMetadata,
    key: str,
    episode: int,
    indices: NDArray[np.int64],
    scorer: Scorer,
    count: int,
) -> torch.Tensor:
    """Frames (S, 3, h, w) uint8 at `indices` of the episode, as `scorer` sees those of a clip of `count`.

    Raises InputError for pictures that cannot be decoded.
    """
    return resized(frames_at(meta, key, episode, indices), scorer, count)


def resized(frames: Iterable[NDArray[np.uint8]], scorer: Scorer, count: int) -> torch.Tensor:
    """Frames (H, W, 3) as `scorer` sees those of a clip of `count`, (S, 3, h, w); few are held full size."""
    return torch.cat([scorer.resize(_as_tensor(some), count) for some in batched(frames, FRAMES_AT_ONCE)])


def frames_at(
    meta: LeRobotDatasetMetadata, key: str, episode: int, indices: NDArray[np.int64]
) -> Iterator[NDArray[np.uint8]]:
    """Frames (H, W, 3) at ascending `indices` of the episode, from its video or the pictures in its tables.

    Raises InputError for what cannot be decoded.
    """
    if key not in meta.video_keys:
        for some in batched(indices.tolist(), FRAMES_AT_ONCE):
            yield from recorded_pictures(meta, key, episode, np.array(some))
        return
    ranges = read_episodes(meta).videos[key]
    times = video_times(meta, key, episode, indices).tolist()
    path = ranges.files[ranges.file[episode]]
    yield from decode_at(path, times, half_frame(meta), f"episode {episode}")


def _as_tensor(frames: Sequence[NDArray[np.uint8]]) -> torch.Tensor:
    return rearrange(torch.from_numpy(np.stack(frames)), "t h w c -> t c h w")
