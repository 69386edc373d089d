"""The frame cache: sizes, other processes, full disks, datasets that change, a bound on its size; and frames
that are decoded when they are read."""

import math
import os
import pickle
import re
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config, DatasetConfig, PolicyConfig
from rabc.datasets.cache import cache_cost, cache_folder
from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.filling import choose
from rabc.datasets.frames import CachedFrames, cached_frames, episode_files
from rabc.datasets.metadata import load_meta
from rabc.system.errors import InputError
from tests.support import forked
from tests.support.recordings import EPISODE_LENGTHS, record_dataset

CAMERAS = ("observation.images.front", "observation.images.wrist")
SMALL = (16, 24)
FRAMES = 50
PICTURE = SMALL[0] * SMALL[1] * 3
STARTS = np.cumsum((0, *EPISODE_LENGTHS))


@pytest.fixture
def meta(recorded_dataset: Path) -> LeRobotDatasetMetadata:
    return load_meta(recorded_dataset)


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


def assert_same(ours: CachedFrames, theirs: DecodedFrames, index: np.ndarray) -> None:
    one, other = ours.read(index), theirs.read(index)
    assert list(one) == list(other) == list(CAMERAS)
    for camera in CAMERAS:
        assert one[camera].shape == other[camera].shape
        assert one[camera].dtype == np.uint8
        assert np.array_equal(one[camera], other[camera])


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
            "dataset.cache_folder",
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


# What the cache depends on.


def add_label(root: Path) -> None:
    (path,) = (root / "meta" / "episodes").glob("*/*.parquet")
    pd.read_parquet(path).assign(success=[True, False, True, True]).to_parquet(path)


def change_task(root: Path) -> None:
    tasks = pd.read_parquet(root / "meta" / "tasks.parquet")
    tasks.index = pd.Index([f"{text} Now." for text in tasks.index], name=tasks.index.name)
    tasks.to_parquet(root / "meta" / "tasks.parquet")


def change_statistics(root: Path) -> None:
    path = root / "meta" / "stats.json"
    path.write_text(path.read_text().replace("50", "51"))


def change_actions(root: Path) -> None:
    (path,) = (root / "data").glob("*/*.parquet")
    table = pd.read_parquet(path)
    table["action"] = [value * 0.5 for value in table["action"]]
    table.to_parquet(path)


@pytest.mark.parametrize("change", [add_label, change_task, change_statistics, change_actions])
def test_what_changes_no_picture_keeps_the_cache(
    dataset_copy: Callable[[], Path], tmp_path: Path, change: Callable[[Path], None]
) -> None:
    root = dataset_copy()
    cached_frames(load_meta(root), CAMERAS, tmp_path / "cache", SMALL)
    before = stored(tmp_path / "cache")
    change(root)
    cached_frames(load_meta(root), CAMERAS, tmp_path / "cache", SMALL)
    assert stored(tmp_path / "cache") == before


@pytest.mark.parametrize("storage", ["video", "image"])
def test_another_video_file_costs_its_own_episodes_only(
    recorded_dataset: Path,
    recorded_pictures: Path,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    storage: str,
) -> None:
    """The last two episodes show something else now; those before keep their frames, and no file is left."""
    source = recorded_dataset if storage == "video" else recorded_pictures
    root = shutil.copytree(source, tmp_path / "tiny", ignore=shutil.ignore_patterns(".rabc"))
    folder = tmp_path / "cache"
    if storage == "video":
        other = tmp_path / "other.mp4"
        video = next((root / "videos" / CAMERAS[0]).glob("*/*.mp4"))
        shutil.copy(video, video.with_name("file-001.mp4"))
        (path,) = (root / "meta" / "episodes").glob("*/*.parquet")
        records = pd.read_parquet(path)
        records[f"videos/{CAMERAS[0]}/file_index"] = [0, 0, 1, 1]
        records.to_parquet(path)
    meta = load_meta(root)
    cached_frames(meta, CAMERAS, folder, SMALL)
    before = {camera: episode_files(meta, camera, folder, SMALL) for camera in CAMERAS}
    written = stored(folder)
    if storage == "video":
        other.write_bytes(video.read_bytes() + b"\0" * 8)
        other.replace(video.with_name("file-001.mp4"))
    else:
        (path,) = (root / "data").glob("*/*.parquet")
        table: Any = pd.read_parquet(path)
        pictures = list(table[CAMERAS[0]])
        pictures[STARTS[2] : STARTS[4]] = pictures[STARTS[2] : STARTS[4]][::-1]
        table[CAMERAS[0]] = pictures
        table.to_parquet(path)
    meta = load_meta(root)
    capfd.readouterr()
    frames = cached_frames(meta, CAMERAS, folder, SMALL)
    after = {camera: episode_files(meta, camera, folder, SMALL) for camera in CAMERAS}
    assert [a == b for a, b in zip(before[CAMERAS[0]], after[CAMERAS[0]], strict=True)] == [1, 1, 0, 0]
    assert before[CAMERAS[1]] == after[CAMERAS[1]]
    assert set(stored(folder)) == {path for some in after.values() for path in some}
    kept = [path for path in written if path in stored(folder)]
    assert all(stored(folder)[path] == written[path] for path in kept)
    assert "2 files: of pictures that the dataset has no more, removed" in capfd.readouterr().out
    assert_same(frames, DecodedFrames(meta, CAMERAS, SMALL), np.arange(FRAMES))


def test_a_dataset_that_grew_keeps_its_cache(tmp_path: Path) -> None:
    """Pictures in tables: a row of another episode behind them is no other picture."""
    root = record_dataset(tmp_path / "one", "image", lengths=(5, 6))
    folder = tmp_path / "cache"
    cached_frames(load_meta(root), CAMERAS, folder)
    before = stored(folder)
    shutil.rmtree(root)
    record_dataset(root, "image", lengths=(5, 6, 4))  # the first two as before, from the same seed
    cached_frames(load_meta(root), CAMERAS, folder)
    after = stored(folder)
    assert len(after) == 6
    assert {path: after.get(path) for path in before} == before


def test_a_cache_of_an_earlier_version_is_removed(
    meta: LeRobotDatasetMetadata, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "0123456789abcdef"
    old.mkdir()
    (old / f"{CAMERAS[0]}.32x32.npy").write_bytes(b"0" * 20_000_000)
    (tmp_path / "notes.txt").write_text("of somebody else")
    cached_frames(meta, CAMERAS, tmp_path, SMALL)
    assert (
        f"frame cache {old}: of an earlier version of this program, removed (0.02 GB)"
        in capfd.readouterr().out
    )
    assert not old.exists()
    assert (tmp_path / "notes.txt").exists()


# A bound on its size.


def test_only_episodes_that_are_drawn_are_cached(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    one = draws(1)
    one[STARTS[3]] = 1  # a single frame of the last one
    frames = cached_frames(meta, CAMERAS, tmp_path, SMALL, one)
    assert cached_episodes(meta, tmp_path) == [[1, 3], [1, 3]]
    assert_same(frames, DecodedFrames(meta, CAMERAS, SMALL), np.arange(FRAMES)[::-1])


def test_the_most_useful_episodes_take_the_room_there_is(
    meta: LeRobotDatasetMetadata, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    often = draws(0, 1, 2, 3)
    often[STARTS[3] : STARTS[4]] = 3
    often[STARTS[0] : STARTS[1]] = 2
    budget = 2 * (14 + 12 + 10) * PICTURE
    frames = cached_frames(meta, CAMERAS, tmp_path, SMALL, often, budget)
    assert cached_episodes(meta, tmp_path) == [[0, 2, 3], [0, 2, 3]]
    assert sum(path.stat().st_size for path in stored(tmp_path)) <= budget
    assert "holds 3 episodes; the other 1 that are drawn are decoded" in capfd.readouterr().out
    assert_same(frames, DecodedFrames(meta, CAMERAS, SMALL), np.arange(FRAMES))
    before = stored(tmp_path)
    cached_frames(meta, CAMERAS, tmp_path, SMALL, often * 1.01 + 0.01, budget)
    assert stored(tmp_path) == before


def test_a_smaller_bound_makes_room_and_a_reader_does_not_notice(
    meta: LeRobotDatasetMetadata, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other_size = cached_frames(meta, CAMERAS, tmp_path)
    all_of_it = cached_frames(meta, CAMERAS, tmp_path, SMALL)
    budget = 2 * 30 * PICTURE
    cached_frames(meta, CAMERAS, tmp_path, SMALL, budget=budget)
    assert sum(path.stat().st_size for path in stored(tmp_path)) <= budget
    assert "removed, since dataset.cache_gb is used up" in capfd.readouterr().out
    assert cached_episodes(meta, tmp_path) == [[0, 1], [0, 1]]
    assert_same(all_of_it, DecodedFrames(meta, CAMERAS, SMALL), np.arange(FRAMES))
    assert_same(other_size, DecodedFrames(meta, CAMERAS), np.arange(FRAMES))


def test_nothing_fits(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    frames = cached_frames(meta, CAMERAS, tmp_path, SMALL, budget=0)
    assert stored(tmp_path) == {}
    assert_same(frames, DecodedFrames(meta, CAMERAS, SMALL), np.arange(0, FRAMES, 7))


@given(
    use=st.lists(st.floats(0, 5), min_size=1, max_size=12),
    budget=st.one_of(st.just(math.inf), st.integers(0, 60)),
    data=st.data(),
)
def test_choice(use: list[float], budget: float, data: st.DataObject) -> None:
    count = len(use)
    sizes = np.array(data.draw(st.lists(st.integers(1, 20), min_size=count, max_size=count)))
    there = np.array(data.draw(st.lists(st.booleans(), min_size=count, max_size=count)))
    kept = choose(np.array(use), sizes, there, budget)
    assert sizes[kept].sum() <= budget
    assert not kept[np.array(use) == 0].any()
    # Whatever is left out and drawn does not fit beside what is kept and as useful.
    for episode in np.flatnonzero(~kept & (np.array(use) > 0)):
        better = kept & (np.array(use) > use[episode] - 0.1 * max(use))
        assert sizes[better].sum() + sizes[episode] > budget
    # What is there by then is the choice of the next one, too.
    assert np.array_equal(choose(np.array(use), sizes, kept, budget), kept)


# Where it lies, and what it will take.


def test_a_folder_of_ones_choice_has_one_for_each_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    config = DatasetConfig(cache_folder="~/fast")
    one, other = (cache_folder(tmp_path / name / "pick", config) for name in ("a", "b"))
    assert one.parent == other.parent == tmp_path / "fast"
    assert one != other
    assert one.name.startswith("pick-")


def test_cost_is_known_without_decoding(recorded_dataset: Path, tmp_path: Path) -> None:
    config = Config(
        dataset=DatasetConfig(str(recorded_dataset), cache_folder=str(tmp_path / "fast")),
        policy=PolicyConfig(resize_shape=[*SMALL]),
    )
    cost = cache_cost(config, recorded_dataset)
    assert cost is not None
    assert (cost.needed, cost.there, cost.to_decode) == (2 * FRAMES * PICTURE, 0, 2 * FRAMES * PICTURE)
    assert str(cost).startswith(f"frame cache {tmp_path}/fast/tiny-")
    assert not (tmp_path / "fast").exists()
    meta = load_meta(recorded_dataset)
    cached_frames(meta, CAMERAS, cost.folder, SMALL, draws(2))
    again = cache_cost(config, recorded_dataset)
    assert again is not None
    assert (again.needed, again.there) == (cost.needed, 2 * 9 * PICTURE)

    def of(**changes: Any) -> int:
        found = cache_cost(replace(config, dataset=replace(config.dataset, **changes)), recorded_dataset)
        return 0 if found is None else found.needed

    assert of(episodes="1:3") == 2 * (15 + 9) * PICTURE
    assert of(exclude=[0]) == 2 * (FRAMES - 12) * PICTURE
    assert of(cache_gb=1e-6) == 1000
    assert of(cache=False) == 0


def test_a_folder_that_cannot_be_written_is_known_beforehand(recorded_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    config = Config(dataset=DatasetConfig(str(recorded_dataset), cache_folder=str(tmp_path / "file")))
    with pytest.raises(
        InputError, match=r"frame cache .*file/tiny-.*: cannot be written.*dataset.cache_folder"
    ):
        cache_cost(config, recorded_dataset)
