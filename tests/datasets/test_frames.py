"""The frame cache: sizes, other processes, disks that are full; and frames that are decoded when read."""

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
from rabc.datasets.frames import CachedFrames, cache_file, cached_frames
from rabc.datasets.metadata import load_meta
from rabc.system.errors import InputError
from tests.support import forked

CAMERAS = ("observation.images.front", "observation.images.wrist")
SMALL = (16, 24)
FRAMES = 50
BYTES = FRAMES * SMALL[0] * SMALL[1] * 3


@pytest.fixture
def meta(recorded_dataset: Path) -> LeRobotDatasetMetadata:
    return load_meta(recorded_dataset)


@pytest.mark.parametrize("fixture", ["recorded_dataset", "recorded_pictures"])
@pytest.mark.parametrize("shape", [None, SMALL])
def test_frames_decoded_when_read_are_the_cached_ones(
    request: pytest.FixtureRequest, tmp_path: Path, fixture: str, shape: tuple[int, int] | None
) -> None:
    meta = load_meta(request.getfixturevalue(fixture))
    cached = cached_frames(meta, CAMERAS, tmp_path, shape)
    decoded = DecodedFrames(meta, CAMERAS, shape)
    rng = np.random.default_rng(0)
    # Out of order, twice the same, both sides of an episode's end, far apart, with a time axis.
    for index in (np.arange(FRAMES), np.array([49, 3, 3, 11, 12, 0]), rng.integers(0, FRAMES, (4, 2))):
        ours, theirs = cached.read(index), decoded.read(index)
        assert list(ours) == list(theirs) == list(CAMERAS)
        for camera in CAMERAS:
            assert ours[camera].shape == (*index.shape, *(shape or (32, 32)), 3)
            assert ours[camera].dtype == np.uint8
            assert np.array_equal(ours[camera], theirs[camera])
    both = cached.read(np.array([0, 20]))
    assert not np.array_equal(both[CAMERAS[0]][0], both[CAMERAS[0]][1])


def test_one_folder_holds_several_sizes(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    before = cached_frames(meta, CAMERAS, tmp_path)
    cached_frames(meta, CAMERAS, tmp_path, SMALL)
    assert cache_file(tmp_path, CAMERAS[0], SMALL).is_file()
    files = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")}
    assert len(files) == 4
    again = cached_frames(meta, CAMERAS, tmp_path, (32, 32))  # the recorded size, stated
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("*.npy")} == files
    index = np.arange(FRAMES)
    assert np.array_equal(before.read(index)[CAMERAS[1]], again.read(index)[CAMERAS[1]])


def test_another_process_maps_the_same_files(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
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


@pytest.mark.parametrize("left", [0, 40, 1000, BYTES])
def test_file_that_is_cut_off_is_made_again(
    meta: LeRobotDatasetMetadata, tmp_path: Path, left: int, capfd: pytest.CaptureFixture[str]
) -> None:
    frames = cached_frames(meta, CAMERAS, tmp_path, SMALL).read(np.arange(FRAMES))
    path = cache_file(tmp_path, CAMERAS[0], SMALL)
    os.truncate(path, left)
    capfd.readouterr()
    again = cached_frames(meta, CAMERAS, tmp_path, SMALL).read(np.arange(FRAMES))
    assert f"frame cache {path}: damaged or cut off, made again\n" in capfd.readouterr().out
    for camera in CAMERAS:
        assert np.array_equal(again[camera], frames[camera])


def fill_disk(root: Path, folder: Path, limit: int) -> None:
    """Builds the cache twice where no file may have more than `limit` bytes."""
    meta = load_meta(root)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    for turn in range(2):
        with pytest.raises(InputError) as refused:
            cached_frames(meta, CAMERAS, folder, SMALL)
        assert refused.value.exit_code == 2
        print(refused.value)
        print("turn", turn, "over", file=sys.stderr)
        if turn == 0:  # a system that cannot reserve space: the disk is full in the middle of a write
            del os.posix_fallocate


def test_full_disk(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    """One line, and nothing is left that could be taken for a cache."""
    ended = forked.run(fill_disk, Path(meta.root), tmp_path, BYTES - 500)
    assert ended.returncode == 0, ended
    refusals = [line for line in ended.stdout.splitlines() if "takes" not in line]
    assert len(refusals) == 2, ended
    for line in refusals:
        assert line.startswith(f"frame cache {tmp_path}: cannot be written ([Errno 27] File too large")
        assert "policy.resize_shape" in line
        assert "dataset.cache false" in line
    decoded = [re.findall(r" (\d+)/100 ", part)[-1] for part in ended.stderr.split("over")[:2]]
    assert decoded[0] == "0"  # it said so before it decoded
    assert int(decoded[1]) > 0
    assert list(tmp_path.glob("[!.]*")) == []
    assert cached_frames(meta, CAMERAS, tmp_path, SMALL).read(np.array([0]))[CAMERAS[0]].any()


def test_disk_without_room(
    meta: LeRobotDatasetMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("rabc.datasets.frames.shutil.disk_usage", _Disk)
    with pytest.raises(InputError, match=r"needs 0.0 GB, 0.0 GB are free; make room.*resize_shape.*cache"):
        cached_frames(meta, CAMERAS, tmp_path, SMALL)
    assert not list(tmp_path.glob("*.npy"))


class _Disk:
    free = 1000

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
def test_memory_does_not_grow_with_what_was_read(tmp_path: Path) -> None:
    np.save(tmp_path / "camera.npy", np.ones((600, 200, 300, 3), np.uint8))
    frames = CachedFrames({"camera": tmp_path / "camera.npy"})
    frames.read(np.arange(4))
    before = resident()
    for start in range(0, 600, 4):
        frames.read(np.arange(start, start + 4))
    assert resident() - before < 10e6  # of 108 MB
