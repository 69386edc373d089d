"""What tests of the frame cache look at: the small dataset of `recordings`, and what a cache of it holds."""

from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.decoding import DecodedFrames, Frames
from rabc.datasets.frames import episode_files
from tests.support.recordings import CAMERAS, EPISODE_LENGTHS

SMALL = (16, 24)
FRAMES = 50
PICTURE = SMALL[0] * SMALL[1] * 3
STARTS = np.cumsum((0, *EPISODE_LENGTHS))


def stored(folder: Path) -> dict[Path, int]:
    """Every file of frames, and when it was written."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*.rgb")}


def cached_episodes(meta: LeRobotDatasetMetadata, folder: Path) -> list[list[int]]:
    """For each camera the episodes that are on disk."""
    files = [episode_files(meta, camera, folder, SMALL) for camera in CAMERAS]
    return [[episode for episode, path in enumerate(some) if path.exists()] for some in files]


def draws(*episodes: int) -> np.ndarray:
    """Each frame of these episodes once."""
    found = np.zeros(FRAMES)
    for episode in episodes:
        found[STARTS[episode] : STARTS[episode + 1]] = 1
    return found


def assert_same(ours: Frames, theirs: DecodedFrames, index: np.ndarray) -> None:
    one, other = ours.read(index), theirs.read(index)
    assert list(one) == list(other) == list(CAMERAS)
    for camera in CAMERAS:
        assert one[camera].shape == other[camera].shape
        assert one[camera].dtype == np.uint8
        assert np.array_equal(one[camera], other[camera])
