"""The score store under kills, several processes, merges at any time and a full disk: the same bytes."""

import multiprocessing
import os
import resource
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.scoring.base import PrefixScores
from rabc.scoring.camera_store import CameraStore
from rabc.scoring.store_part import EpisodeScores
from rabc.system.errors import InputError

EPISODES = 6
RANKS = 3


def open_store(root: Path) -> CameraStore:
    return CameraStore.open(root, {"scorer": "judge"}, "front", 10.0, (96, 96), 0)


def add(store: CameraStore, episode: int, rank: int) -> None:
    rng = np.random.default_rng(episode)
    scores = PrefixScores(np.arange(1, 4), -rng.random(3), -rng.random(3))
    store.append(EpisodeScores(episode, 5, scores, "Pick up the réd cube.", f"p{episode}"), rank)


def found(store: CameraStore) -> list[int]:
    return sorted(record.episode_index for record in store.read().values())


def missing(store: CameraStore) -> list[int]:
    return sorted(set(range(EPISODES)) - set(found(store)))


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    store = open_store(tmp_path_factory.mktemp("whole"))
    for episode in range(EPISODES):
        add(store, episode, 0)
    store.merge()
    return store.path.read_bytes()


RANK = st.integers(0, RANKS - 1)
ACTIONS = st.one_of(
    st.tuples(
        st.just("score"), st.lists(RANK, min_size=EPISODES, max_size=EPISODES), st.integers(0, EPISODES)
    ),
    st.tuples(st.just("kill"), RANK, st.floats(0, 1)),
    st.tuples(st.just("merge"), st.just(None), st.just(None)),
    st.tuples(st.just("kill in merge"), st.floats(0, 1), st.integers(0, RANKS)),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(ACTIONS, max_size=12))
def test_any_interleaving_gives_the_same_bytes(expected: bytes, actions: list[tuple]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = open_store(Path(folder))
        for name, first, second in actions:
            if name == "score":  # some of the missing episodes, dealt to processes in any way
                for episode in missing(store)[:second]:
                    add(store, episode, first[episode])
            elif name == "kill":  # while a line was being written, or long before the disk had it
                part = store.folder / f"part-{first}.jsonl"
                if part.exists():
                    os.truncate(part, round(second * part.stat().st_size))
            elif name == "merge":
                store.merge()
            else:
                kill_in_merge(store, first, second)
            assert set(found(store)) <= set(range(EPISODES))
        for episode in missing(store):
            add(store, episode, 0)
        store.merge()
        assert store.path.read_bytes() == expected
        assert {path.name for path in store.folder.iterdir()} == {".lock", "meta.json", "scores.jsonl"}


def kill_in_merge(store: CameraStore, share: float, removed: int) -> None:
    """Leaves what a merge leaves that is killed while it writes, or between removing two parts."""
    parts = sorted(store.folder.glob("part-*.jsonl"))
    copies = [(part, part.read_bytes()) for part in parts]
    before = store.path.read_bytes() if store.path.exists() else None
    store.merge()
    written = store.path.read_bytes() if store.path.exists() else b""
    if share < 0.5 and parts:  # before the new file took the place of the old one
        (store.folder / ".partial.scores.jsonl").write_bytes(written[: round(2 * share * len(written))])
        if before is None:
            store.path.unlink()
        else:
            store.path.write_bytes(before)
        removed = 0
    for part, content in copies[removed:]:
        part.write_bytes(content)


def test_a_folder_that_a_kill_left_empty_is_used(tmp_path: Path, expected: bytes) -> None:
    store = open_store(tmp_path)
    store.folder.mkdir()
    (store.folder / ".partial.meta.json").write_text("{")
    again = open_store(tmp_path)
    for episode in range(EPISODES):
        add(again, episode, 0)
    again.merge()
    assert again.path.read_bytes() == expected


def hold(store: CameraStore, ready: Connection) -> None:
    with store.part(1):
        ready.send(True)
        ready.recv()


@contextmanager
def held_part(store: CameraStore) -> Iterator[None]:
    """Another process holds part 1."""
    ours, theirs = multiprocessing.Pipe()
    process = multiprocessing.get_context("fork").Process(target=hold, args=(store, theirs))
    process.start()
    assert ours.recv()
    try:
        yield
    finally:
        ours.send(True)
        process.join()


def test_one_process_writes_a_part_at_a_time(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with held_part(store):
        with pytest.raises(InputError, match=r"part-1\.jsonl: is being scored by another process; wait"):
            add(store, 0, 1)
        add(store, 0, 0)
    add(store, 1, 1)


def test_merging_leaves_a_part_alone_that_is_being_written(tmp_path: Path, expected: bytes) -> None:
    store = open_store(tmp_path)
    for episode in range(EPISODES):
        add(store, episode, episode % 2)
    with held_part(store):
        store.merge()
        assert sorted(path.name for path in store.folder.glob("part-*")) == ["part-1.jsonl"]
        assert missing(store) == []
    store.merge()
    assert store.path.read_bytes() == expected


def test_a_finished_store_is_not_written_again(tmp_path: Path, expected: bytes) -> None:
    store = open_store(tmp_path)
    for episode in range(EPISODES):
        add(store, episode, 0)
    store.merge()
    before = store.path.stat().st_mtime_ns
    store.merge()
    assert store.path.stat().st_mtime_ns == before


@contextmanager
def disk_of(size: int) -> Iterator[None]:
    """No file may grow beyond `size` bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.mark.parametrize("spare", [0, 1, 40])
def test_a_full_disk_loses_nothing(tmp_path: Path, expected: bytes, spare: int) -> None:
    store = open_store(tmp_path)
    for episode in range(2):
        add(store, episode, 0)
    part = store.folder / "part-0.jsonl"
    content = part.read_bytes()
    with (
        disk_of(len(content) + spare),
        pytest.raises(InputError, match=r"cannot be written \(File too large\).*episodes are kept"),
    ):
        add(store, 2, 0)
    assert part.read_bytes() == content
    add(store, 2, 1)
    with disk_of(len(content)), pytest.raises(InputError, match="cannot be written"):
        store.merge()
    assert found(store) == [0, 1, 2]
    for episode in range(3, EPISODES):
        add(store, episode, 0)
    store.merge()
    assert store.path.read_bytes() == expected


def test_copies_of_a_store_agree(tmp_path: Path, expected: bytes) -> None:
    """A part that was copied under another name, as between machines, changes nothing."""
    store = open_store(tmp_path)
    for episode in range(EPISODES):
        add(store, episode, 0)
    shutil.copy(store.folder / "part-0.jsonl", store.folder / "part-7.jsonl")
    store.merge()
    assert store.path.read_bytes() == expected
