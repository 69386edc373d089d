"""The frame cache: sizes, other processes, full disks; and frames that are decoded when they are read."""

import os
import pickle
import re
import resource
import sys
from pathlib import Path

import numpy as np
import pytest
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.frames import CachedFrames, cached_frames, episode_files
from rabc.datasets.metadata import load_meta
from rabc.system.errors import InputError
from tests.support import forked
from tests.support.frame_caches import (
    CAMERAS,
    EPISODE_LENGTHS,
    FRAMES,
    PICTURE,
    SMALL,
    assert_same,
    cached_episodes,
    draws,
    stored,
)  # fmt: skip


@pytest.fixture
def meta(recorded_dataset: Path) -> LeRobotDatasetMetadata:
    return load_meta(recorded_dataset)


@pytest.mark.parametrize("fixture", ["recorded_dataset", "recorded_pictures"])
@pytest.mark.parametrize("shape", [None, SMALL])
@pytest.mark.parametrize("kept", [(0, 1, 2, 3), (0, 2), ()])
def test_frames_decoded_when_read_are_the_cached_ones(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    fixture: str,
    shape: tuple[int, int] | None,
    kept: tuple[int, ...],
) -> None:
    """All cached, some, or none: the pictures are the decoder's, bit for bit."""
    meta = load_meta(request.getfixturevalue(fixture))
    cached = cached_frames(meta, CAMERAS, tmp_path, shape, draws(*kept))
    assert len(stored(tmp_path)) == 2 * len(kept)
    decoded = DecodedFrames(meta, CAMERAS, shape)
    rng = np.random.default_rng(0)
    # Out of order, twice the same, both sides of an episode's end, far apart, with a time axis.
    for index in (np.arange(FRAMES), np.array([49, 3, 3, 11, 12, 0]), rng.integers(0, FRAMES, (4, 2))):
        assert_same(cached, decoded, index)
        assert cached.read(index)[CAMERAS[0]].shape == (*index.shape, *(shape or (32, 32)), 3)
    both = cached.read(np.array([0, 20]))
    assert not np.array_equal(both[CAMERAS[0]][0], both[CAMERAS[0]][1])


def test_one_folder_holds_several_sizes(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    before = cached_frames(meta, CAMERAS, tmp_path)
    cached_frames(meta, CAMERAS, tmp_path, SMALL)
    assert all(path.is_file() for path in episode_files(meta, CAMERAS[0], tmp_path, SMALL))
    files = stored(tmp_path)
    assert len(files) == 2 * 2 * len(EPISODE_LENGTHS)
    again = cached_frames(meta, CAMERAS, tmp_path, (32, 32))  # the recorded size, stated
    assert stored(tmp_path) == files
    index = np.arange(FRAMES)
    assert np.array_equal(before.read(index)[CAMERAS[1]], again.read(index)[CAMERAS[1]])


def test_another_process_reads_the_same_files(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    """As a loading process that is not forked does."""
    frames = cached_frames(meta, CAMERAS, tmp_path)
    copied = pickle.loads(pickle.dumps(frames))
    index = np.arange(FRAMES)
    assert np.array_equal(frames.read(index)[CAMERAS[0]], copied.read(index)[CAMERAS[0]])


def test_size_is_announced_before_decoding(
    meta: LeRobotDatasetMetadata, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    cached_frames(meta, CAMERAS, tmp_path, (320, 320))
    said, progress = capfd.readouterr()
    gigabytes = 2 * FRAMES * 320 * 320 * 3 / 1e9
    assert said.startswith(f"frame cache {tmp_path}: takes {gigabytes:.2f} GB of ")
    assert "decoding" in progress
    cached_frames(meta, CAMERAS, tmp_path, (320, 320))
    assert capfd.readouterr().out == ""


@pytest.mark.parametrize("left", [0, 40, 1000, 12 * PICTURE - 1])
def test_file_that_is_cut_off_is_made_again(
    meta: LeRobotDatasetMetadata, tmp_path: Path, left: int, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = cached_frames(meta, CAMERAS, tmp_path, SMALL).read(np.arange(FRAMES))
    path = episode_files(meta, CAMERAS[0], tmp_path, SMALL)[0]
    before = stored(tmp_path)
    os.truncate(path, left)
    capfd.readouterr()
    again = cached_frames(meta, CAMERAS, tmp_path, SMALL).read(np.arange(FRAMES))
    assert f"frame cache {path}: damaged or cut off, made again" in capfd.readouterr().out
    assert {one for one, time in stored(tmp_path).items() if before[one] != time} == {path}
    for camera in CAMERAS:
        assert np.array_equal(again[camera], frames[camera])


def fill_disk(root: Path, folder: Path, limit: int) -> None:
    """Builds the cache twice where no file may have more than `limit` bytes."""
    meta = load_meta(root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for turn in range(2):
        with pytest.raises(InputError) as refused:
            cached_frames(meta, CAMERAS, folder, SMALL, draws(0))
        assert refused.value.exit_code == 2
        print(refused.value)
        print("turn", turn, "over", file=sys.stderr)
        if turn == 0:  # a system that cannot reserve space: the disk is full in the middle of a write
            del os.posix_fallocate


def test_full_disk(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    """One line, and nothing is left that could be taken for a cache."""
    ended = forked.run(fill_disk, Path(meta.root), tmp_path, EPISODE_LENGTHS[0] * PICTURE - 500)
    assert ended.returncode == 0, ended
    refusals = [line for line in ended.stdout.splitlines() if "takes" not in line]
    assert len(refusals) == 2, ended
    for line in refusals:
        assert line.startswith(f"frame cache {tmp_path}: cannot be written ([Errno 27] File too large")
        for remedy in (
            "RABC_CACHE",
            "dataset.cache_gb",
            "policy.resize_shape",
            "dataset.cache false",
        ):
            assert remedy in line
    decoded = re.findall(r" (\d+)/24 ", ended.stderr.split("over")[0])
    assert decoded[-1] == "0"  # it said so before it decoded
    assert stored(tmp_path) == {}
    assert not list(tmp_path.rglob("*.partial"))
    assert cached_frames(meta, CAMERAS, tmp_path, SMALL).read(np.array([0]))[CAMERAS[0]].any()


def test_disk_without_room(
    meta: LeRobotDatasetMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rabc.datasets.filling.shutil.disk_usage", _Disk)
    with pytest.raises(InputError, match=r"needs 0.0 GB, 0.0 GB are free; make room.*cache_gb.*cache false"):
        cached_frames(meta, CAMERAS, tmp_path, SMALL)
    assert stored(tmp_path) == {}
    # What fits is taken.
    cached_frames(meta, CAMERAS, tmp_path, SMALL, budget=2 * 9 * PICTURE)
    assert cached_episodes(meta, tmp_path) == [[2], [2]]


class _Disk:
    free = 25_000

    def __init__(self, folder: Path) -> None:
        assert folder.is_dir()


def test_unknown_camera(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    for opened in (lambda: cached_frames(meta, ["top"], tmp_path), lambda: DecodedFrames(meta, ["top"])):
        with pytest.raises(InputError, match=r"camera top: not in dataset .*images\.front"):
            opened()


def resident() -> int:
    """Memory of this process, bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_memory_does_not_grow_with_what_was_read(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    path = tmp_path / "episode.rgb"
    np.ones((600, 200, 300, 3), np.uint8).tofile(path)
    frames = CachedFrames(
        DecodedFrames(meta, CAMERAS), {"camera": [path]}, np.array([0]), {"camera": (200, 300)}
    )
    frames.read(np.arange(4))
    before = resident()
    for start in range(0, 600, 4):
        assert frames.read(np.arange(start, start + 4))["camera"].all()
    assert resident() - before < 10e6  # of 108 MB
