"""The score store: what is torn, stale, foreign or incomplete is never used."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rabc.scoring.base import PrefixScores
from rabc.scoring.store import ScoreStore
from rabc.system.errors import InputError

IDENTITY = {"scorer": "judge", "revision": "abc", "prompt": "Is it {instruction}?", "sample_fps": 5.0}
LENGTHS = (7, 4, 9)


def open_store(
    root: Path, fingerprint: str = "f" * 64, camera: str = "front", revision: str = "abc"
) -> ScoreStore:
    identity = {**IDENTITY, "revision": revision}
    return ScoreStore.open(root, fingerprint, identity, [camera], 10.0, [(96, 96)], 15)


def scores(episode: int) -> PrefixScores:
    rng = np.random.default_rng(episode)
    ends = np.array([1, 2, LENGTHS[episode] - 1])
    return PrefixScores(ends, -rng.random(3) * 4, -rng.random(3))


def filled(root: Path) -> ScoreStore:
    store = open_store(root)
    for episode, length in enumerate(LENGTHS):
        store.append(episode, length, scores(episode))
    return store


def test_scores_come_back_exactly(tmp_path: Path) -> None:
    filled(tmp_path)
    found = open_store(tmp_path).read()
    assert sorted(found) == [0, 1, 2]
    for episode, record in found.items():
        assert record.length == LENGTHS[episode]
        assert np.array_equal(record.scores.prefix_lengths, scores(episode).prefix_lengths)
        assert np.array_equal(record.scores.log_prob_true, scores(episode).log_prob_true)
        assert np.array_equal(record.scores.log_prob_false, scores(episode).log_prob_false)


def test_opening_leaves_no_trace_and_meta_is_readable(tmp_path: Path) -> None:
    store = open_store(tmp_path / "scores")
    assert store.missing(range(3)) == [0, 1, 2]
    assert not (tmp_path / "scores").exists()
    store.append(1, LENGTHS[1], scores(1))
    assert store.missing(range(3)) == [0, 2]
    meta = json.loads((store.folder / "meta.json").read_text())
    assert meta["cameras"] == ["front"]
    assert meta["variant"] == "real"
    assert meta["prompt"] == IDENTITY["prompt"]


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_torn_last_line_is_dropped_and_scored_again(tmp_path: Path, cut: int) -> None:
    part = filled(tmp_path).folder / "part-0.jsonl"
    os.truncate(part, part.stat().st_size - cut)
    again = open_store(tmp_path)
    assert again.missing(range(3)) == [2]
    again.append(2, LENGTHS[2], scores(2))
    assert sorted(again.read()) == [0, 1, 2]


def test_a_damaged_line_within_is_named(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.merge()
    lines = store.path.read_text().splitlines()
    store.path.write_text("\n".join([lines[0], lines[1][:20], lines[2]]) + "\n")
    with pytest.raises(InputError, match="line 2 is damaged"):
        store.read()


def test_two_scores_of_one_episode_are_named(tmp_path: Path) -> None:
    store = filled(tmp_path)
    store.append(1, LENGTHS[1], scores(1), rank=1)  # the same again: a merge that was killed leaves this
    assert sorted(store.read()) == [0, 1, 2]
    other = replace(scores(1), log_prob_true=scores(1).log_prob_true - 1)
    store.append(1, LENGTHS[1], other, rank=2)
    with pytest.raises(InputError, match="episode 1 is there twice, with different scores"):
        store.read()


@pytest.mark.parametrize(
    "other",
    [{"fingerprint": "e" * 64}, {"camera": "wrist"}, {"revision": "abd"}],
    ids=lambda o: next(iter(o)),
)
def test_other_questions_have_other_stores(tmp_path: Path, other: dict[str, str]) -> None:
    filled(tmp_path)
    assert open_store(tmp_path, **other).missing(range(3)) == [0, 1, 2]


def test_a_store_with_foreign_meta_is_refused(tmp_path: Path) -> None:
    store = filled(tmp_path)
    assert ScoreStore.reopen(store.folder) == store
    path = store.folder / "meta.json"
    path.write_text(path.read_text().replace("front", "wrist"))
    with pytest.raises(InputError, match="made for something else"):
        open_store(tmp_path)
    with pytest.raises(InputError, match="made for something else"):
        ScoreStore.reopen(store.folder)
    path.unlink()
    with pytest.raises(InputError, match="missing or damaged"):
        open_store(tmp_path)


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    bad = PrefixScores(np.array([1]), np.array([np.nan]), np.array([0.0]))
    with pytest.raises(InputError, match="gave nan"):
        open_store(tmp_path).append(0, 5, bad)


def test_an_unwritable_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        open_store(tmp_path / "file").append(0, LENGTHS[0], scores(0))
