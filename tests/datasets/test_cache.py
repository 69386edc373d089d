"""What the frame cache depends on when a dataset changes, the bound on its size, its place, its cost."""

import math
import os
import shutil
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config, DatasetConfig
from rabc.config.training_settings import PolicyConfig, TrainerConfig
from rabc.datasets.cache import cache_cost, cache_folder
from rabc.datasets.decoding import DecodedFrames, decode
from rabc.datasets.filling import choose
from rabc.datasets.frames import cached_frames, episode_files
from rabc.datasets.metadata import load_meta
from rabc.policies.settings import policy_settings
from rabc.system.errors import InputError
from rabc.training.drawn import training_frames
from rabc.training.sources import open_frames
from tests.support.frame_caches import (
    CAMERAS,
    FRAMES,
    PICTURE,
    SMALL,
    STARTS,
    assert_same,
    cached_episodes,
    draws,
    stored,
)  # fmt: skip
from tests.support.recordings import record_dataset


@pytest.fixture
def meta(recorded_dataset: Path) -> LeRobotDatasetMetadata:
    return load_meta(recorded_dataset)


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
    root = shutil.copytree(source, tmp_path / "tiny")
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


def test_a_core_has_one_thread_however_many_torch_would_take(
    meta: LeRobotDatasetMetadata, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Decoding threads, each with torch's own for its resizing, were hundreds on sixteen cores."""
    seen: list[tuple[str, int]] = []

    def decoding(*arguments: Any) -> Any:
        seen.append((threading.current_thread().name, torch.get_num_threads()))
        return decode(*arguments)

    monkeypatch.setattr("rabc.datasets.filling.decode", decoding)
    monkeypatch.setattr("rabc.datasets.filling.usable_cores", lambda: 3)
    before = torch.get_num_threads()
    torch.set_num_threads(4)
    try:
        cached_frames(meta, CAMERAS, tmp_path, SMALL)
        assert torch.get_num_threads() == 4
    finally:
        torch.set_num_threads(before)
    assert {count for _, count in seen} == {1}
    assert 1 <= len({name for name, _ in seen}) <= 3


def test_nothing_fits(meta: LeRobotDatasetMetadata, tmp_path: Path) -> None:
    frames = cached_frames(meta, CAMERAS, tmp_path, SMALL, budget=0)
    assert stored(tmp_path) == {}
    assert_same(frames, DecodedFrames(meta, CAMERAS, SMALL), np.arange(0, FRAMES, 7))


@given(
    use=st.lists(st.floats(0, 5, allow_subnormal=False), min_size=1, max_size=12),
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


@pytest.mark.parametrize("validated", [False, True])
def test_a_training_caches_what_it_draws(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, validated: bool
) -> None:
    """Not what is excluded, held out and never validated, or of weight 0; on the disk of one's choice."""
    monkeypatch.setenv("RABC_CACHE", str(tmp_path))
    config = Config(
        dataset=DatasetConfig(str(recorded_dataset), exclude="0", eval_split=0.1),
        policy=PolicyConfig(chunk_size=5, n_action_steps=5, resize_shape=[*SMALL]),
        trainer=TrainerConfig(batch_size=2, eval_steps=2 if validated else 0),
        device="cpu",
    )
    meta = load_meta(recorded_dataset)
    policy = policy_settings(config.policy, meta, "cpu")
    weights = np.ones(FRAMES)
    frames = training_frames(config, meta, policy, weights)
    # Episodes 0 and 2 are of one task, 1 and 3 of the other; the last of each is held out.
    assert set(frames.table.episode_index[frames.drawable]) == {1}
    opened = open_frames(config, meta, [*CAMERAS], frames)
    (folder,) = tmp_path.glob("tiny-*/frames")
    note = folder.parent / "dataset.json"
    os.utime(note, (0, 0))
    open_frames(config, meta, [*CAMERAS], frames)
    assert note.stat().st_mtime > 1e9  # that they were used, on a disk that does not note it
    assert cached_episodes(meta, folder) == ([[1, 2, 3]] if validated else [[1]]) * 2
    index = np.arange(STARTS[1], FRAMES)
    assert_same(opened, DecodedFrames(meta, CAMERAS, SMALL), index)


# Where it lies, and what it will take.


def test_a_folder_of_ones_choice_has_one_for_each_dataset(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RABC_CACHE", "~/fast")
    one, other = (cache_folder(tmp_path / name / "pick").parent for name in ("a", "b"))
    assert one.parent == other.parent == tmp_path / "fast"
    assert one != other
    assert one.name.startswith("pick-")


def test_cost_is_known_without_decoding(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "fast"))
    config = Config(
        dataset=DatasetConfig(str(recorded_dataset)),
        policy=PolicyConfig(resize_shape=[*SMALL]),
    )
    cost = cache_cost(config, recorded_dataset)
    assert cost is not None
    assert (cost.needed, cost.there, cost.to_decode) == (2 * FRAMES * PICTURE, 0, 2 * FRAMES * PICTURE)
    assert str(cost).startswith(f"frame cache {tmp_path}/fast/tiny-")
    assert not cost.folder.exists()
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


def test_a_folder_that_cannot_be_written_is_known_beforehand(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "file"))
    with pytest.raises(InputError, match=r"frame cache .*file/tiny-.*: cannot be written.*RABC_CACHE"):
        cache_cost(Config(dataset=DatasetConfig(str(recorded_dataset))), recorded_dataset)
