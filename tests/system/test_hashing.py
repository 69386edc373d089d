"""What is known of files is kept between processes, also where several find it at the same time."""

import multiprocessing
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pytest

from rabc.system.hashing import Stamp, kept, kept_hashes, stamp

FORKED = multiprocessing.get_context("fork")
EACH = 60


def files(folder: Path, writer: int) -> list[Stamp]:
    return [stamp(folder / f"{writer}-{number}") for number in range(EACH)]


def find_one_by_one(folder: Path, writer: int, together: Barrier) -> None:
    together.wait(30)
    for file in files(folder, writer):
        kept_hashes(folder / "notes" / "hashes.json", folder, {file: None})


def test_two_that_remember_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    for writer in range(2):
        for number in range(EACH):
            (tmp_path / f"{writer}-{number}").write_text(f"{writer} {number}")
    together = FORKED.Barrier(2)
    others = [FORKED.Process(target=find_one_by_one, args=(tmp_path, one, together)) for one in range(2)]
    for other in others:
        other.start()
    for other in others:
        other.join(60)
    assert [other.exitcode for other in others] == [0, 0]
    anew: list[str] = []
    every = {file: None for writer in range(2) for file in files(tmp_path, writer)}
    kept(tmp_path / "notes" / "hashes.json", tmp_path, every, lambda file: anew.append(file.path.name) or "")
    assert anew == []


def test_a_file_that_changed_is_found_anew_and_the_others_are_not(tmp_path: Path) -> None:
    for name in ("one", "other"):
        (tmp_path / name).write_text("before")
    store = tmp_path / "hashes.json"
    before = kept_hashes(store, tmp_path, {stamp(tmp_path / name): None for name in ("one", "other")})
    (tmp_path / "one").write_text("after it")
    asked: list[str] = []
    now = {stamp(tmp_path / name): None for name in ("one", "other")}
    found = kept(store, tmp_path, now, lambda file: asked.append(file.path.name) or "new")
    assert asked == ["one"]
    assert sorted(found.values()) == sorted(["new", before[stamp(tmp_path / "other")]])


@pytest.mark.parametrize("content", ["", "[1]", '{"one": 3}', '{"one": [1, 2]}'])
def test_a_damaged_or_unwritable_memory_stops_nothing(content: str, tmp_path: Path) -> None:
    (tmp_path / "one").write_text("x")
    file = stamp(tmp_path / "one")
    expected = kept_hashes(tmp_path / "hashes.json", tmp_path, {file: None})
    (tmp_path / "hashes.json").write_text(content)
    assert kept_hashes(tmp_path / "hashes.json", tmp_path, {file: None}) == expected
    assert kept_hashes(tmp_path / "one" / "no folder" / "hashes.json", tmp_path, {file: None}) == expected
