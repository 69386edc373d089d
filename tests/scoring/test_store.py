"""The score stores: what is torn, stale, foreign or incomplete is never used, and nobody has to delete it."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rabc.scoring.base import PrefixScores
from rabc.scoring.camera_store import CameraStore
from rabc.scoring.store import EpisodeScores, ScoreStore, Shown
from rabc.scoring.store_part import say
from rabc.system.errors import InputError

IDENTITY = {"scorer": "judge", "revision": "abc", "prompt": "Is it {instruction}?", "sample_fps": 5.0}
LENGTHS = (7, 4, 9)
TASK = "Pour."


def open_store(root: Path, camera: str = "front", revision: str = "abc") -> CameraStore:
    return CameraStore.open(root, {**IDENTITY, "revision": revision}, camera, 10.0, (96, 96), 15)


def scores(episode: int, seed: int = 0) -> PrefixScores:
    rng = np.random.default_rng([episode, seed])
    ends = np.array([1, 2, LENGTHS[episode] - 1])
    return PrefixScores(ends, -rng.random(3) * 4, -rng.random(3))


def record(episode: int, pictures: str = "p", instruction: str = TASK, seed: int = 0) -> EpisodeScores:
    return EpisodeScores(
        episode, LENGTHS[episode], scores(episode, seed), instruction, f"{pictures}{episode}"
    )


def filled(root: Path) -> CameraStore:
    store = open_store(root)
    for episode in range(len(LENGTHS)):
        store.append(record(episode))
    return store


def found(store: CameraStore) -> list[int]:
    return sorted(one.episode_index for one in store.read().values())


@pytest.fixture
def said(capfd: pytest.CaptureFixture[str]):
    """What was said about stores since it was last asked."""
    say.cache_clear()

    def read() -> str:
        return capfd.readouterr().err

    return read


def test_scores_come_back_exactly(tmp_path: Path) -> None:
    filled(tmp_path)
    read = open_store(tmp_path).read()
    assert len(read) == len(LENGTHS)
    for shown, one in read.items():
        expected = record(one.episode_index)
        assert shown == expected.shown == one.shown
        assert np.array_equal(one.scores.prefix_lengths, expected.scores.prefix_lengths)
        assert np.array_equal(one.scores.log_prob_true, expected.scores.log_prob_true)
        assert np.array_equal(one.scores.log_prob_false, expected.scores.log_prob_false)


def test_opening_leaves_no_trace_and_meta_is_readable(tmp_path: Path) -> None:
    store = open_store(tmp_path / "scores")
    assert found(store) == []
    assert not (tmp_path / "scores").exists()
    store.append(record(1))
    assert found(store) == [1]
    meta = json.loads((store.folder / "meta.json").read_text())
    assert (meta["camera"], meta["variant"], meta["prompt"]) == ("front", "real", IDENTITY["prompt"])


@pytest.mark.parametrize("cut", range(1, 40, 6))
def test_a_torn_last_line_is_dropped_and_scored_again(tmp_path: Path, cut: int) -> None:
    part = filled(tmp_path).folder / "part-0.jsonl"
    os.truncate(part, part.stat().st_size - cut)
    again = open_store(tmp_path)
    assert found(again) == [0, 1]
    again.append(record(2))
    assert found(again) == [0, 1, 2]


@pytest.mark.parametrize("damage", ["{", "[]", "\xff\xfe", '{"episode_index": 1}', "NaN"])
def test_a_damaged_line_is_left_out_and_scored_again(tmp_path: Path, said, damage: str) -> None:
    store = filled(tmp_path)
    store.merge()
    lines = store.path.read_bytes().splitlines(keepends=True)
    whole = b"".join(lines)
    spoilt = lines[1].replace(b"[-", b"[NaN, -", 1) if damage == "NaN" else damage.encode("latin1") + b"\n"
    store.path.write_bytes(lines[0] + spoilt + lines[2])
    assert found(store) == [0, 2]
    assert found(store) == [0, 2]
    assert said().count("scores.jsonl: line 2 is damaged and left out; its episode is scored again") == 1
    store.append(record(1))
    store.merge()
    assert store.path.read_bytes() == whole


def test_of_two_scores_the_first_is_kept_and_the_difference_said(tmp_path: Path, said) -> None:
    store = filled(tmp_path)
    store.append(record(1), rank=1)  # the same again: a merge that was killed leaves this
    assert found(store) == [0, 1, 2]
    assert not said()
    moved = scores(1).log_prob_true + np.array([0, 1e-7, 0])
    other = replace(record(1), scores=replace(scores(1), log_prob_true=moved))
    store.append(other, rank=2)
    fewer = PrefixScores(scores(2).prefix_lengths[:2], *np.zeros((2, 2)))
    store.append(replace(record(2), scores=fewer), rank=2)
    for _ in range(2):  # the same before and after they are merged
        kept = {one.episode_index: one.scores for one in store.read().values()}
        assert np.array_equal(kept[1].log_prob_true, scores(1).log_prob_true)
        assert np.array_equal(kept[2].log_prob_true, scores(2).log_prob_true)
        store.merge()
    words = said()
    assert words.count("episode 1 was scored twice, 1e-07 nats apart; the first is kept") == 1
    assert words.count("episode 2 was scored twice, of other prefixes; the first is kept") == 1
    assert "delete" not in words
    store.append(other)
    store.merge()
    assert len(store.path.read_bytes().splitlines()) == 3


@pytest.mark.parametrize("other", [{"camera": "wrist"}, {"revision": "abd"}], ids=lambda o: next(iter(o)))
def test_other_questions_have_other_stores(tmp_path: Path, other: dict[str, str]) -> None:
    filled(tmp_path)
    assert not open_store(tmp_path, **other).read()


@pytest.mark.parametrize("content", [None, "", "{", "\xff"])
def test_a_missing_or_damaged_meta_is_written_again(tmp_path: Path, content: str | None) -> None:
    store = filled(tmp_path)
    meta = store.folder / "meta.json"
    before = meta.read_bytes()
    if content is None:
        meta.unlink()
    else:
        meta.write_bytes(content.encode("latin1"))
    assert found(open_store(tmp_path)) == [0, 1, 2]
    store.merge()
    assert meta.read_bytes() == before


def test_scores_of_another_question_are_set_aside(tmp_path: Path, said) -> None:
    store = filled(tmp_path)
    store.merge()
    meta = store.folder / "meta.json"
    before, content = store.path.read_bytes(), meta.read_text()
    meta.write_text(content.replace("front", "wrist"))
    assert not store.read()
    assert "meta.json: is of another question; the scores beside it are not used" in said()
    store.append(record(0))
    assert found(store) == [0]
    assert meta.read_text() == content
    assert (store.folder / "aside-1" / "scores.jsonl").read_bytes() == before


def test_scores_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    bad = PrefixScores(np.array([1]), np.array([np.nan]), np.array([0.0]))
    with pytest.raises(InputError, match="gave nan"):
        open_store(tmp_path).append(EpisodeScores(0, 5, bad))


def test_an_unwritable_folder_is_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be written"):
        open_store(tmp_path / "file").append(record(0))


def of_dataset(
    root: Path, cameras: str = "front", pictures: str = "p", task: str = TASK, dataset: str = "f"
) -> ScoreStore:
    """What a dataset of the three episodes reads; episode 1 is too short to be judged in `short`."""
    names = cameras.split(",")
    shown = {
        episode: tuple(Shown(length, f"{pictures}{episode}", task) for _ in names)
        for episode, length in enumerate(LENGTHS)
    }
    sizes = [(96, 96)] * len(names)
    return ScoreStore.open(root, dataset, IDENTITY, names, 10.0, sizes, 15, "real", shown)


def test_a_record_counts_where_pictures_length_and_instruction_are_the_datasets(tmp_path: Path) -> None:
    filled(tmp_path)
    assert list(of_dataset(tmp_path).read()) == [0, 1, 2]
    assert list(of_dataset(tmp_path, dataset="e").read()) == [0, 1, 2]  # labels were added, say
    assert of_dataset(tmp_path, pictures="q").missing(range(3)) == [0, 1, 2]
    assert of_dataset(tmp_path, task="Pour it.").missing(range(3)) == [0, 1, 2]
    now = of_dataset(tmp_path)
    longer = {**now.episodes, 2: (replace(now.episodes[2][0], length=10),)}
    assert replace(now, episodes=longer).missing(range(3)) == [2]
    # What was scored for another version stays, and is found when that one is back.
    open_store(tmp_path).append(record(0, pictures="q"))
    open_store(tmp_path).merge()
    assert of_dataset(tmp_path, pictures="q").missing(range(3)) == [1, 2]
    assert of_dataset(tmp_path).missing(range(3)) == []


def test_an_episode_keeps_its_scores_under_another_number(tmp_path: Path) -> None:
    filled(tmp_path)
    before = of_dataset(tmp_path)
    moved = replace(before, episodes={0: before.episodes[1], 1: before.episodes[2]})  # the first is deleted
    read = moved.read()
    assert [read[episode].episode_index for episode in read] == [0, 1]
    assert np.array_equal(read[0].scores.log_prob_true, scores(1).log_prob_true)


def test_cameras_are_averaged_and_share_their_scores(tmp_path: Path) -> None:
    filled(tmp_path)
    both = of_dataset(tmp_path, "front,wrist")
    assert both.missing(range(3)) == [0, 1, 2]
    wrist = open_store(tmp_path, "wrist")
    wrist.append(record(1, seed=5))
    assert both.missing(range(3)) == [0, 2]
    mean = both.read()[1].scores
    assert np.array_equal(mean.log_prob_true, (scores(1).log_prob_true + scores(1, 5).log_prob_true) / 2)
    assert np.array_equal(mean.log_prob_false, (scores(1).log_prob_false + scores(1, 5).log_prob_false) / 2)
    assert of_dataset(tmp_path, "wrist").missing(range(3)) == [0, 2]


def test_what_was_left_is_opened_again_without_the_dataset(tmp_path: Path) -> None:
    filled(tmp_path)
    store = replace(of_dataset(tmp_path), unjudged=(3,))
    store.leave()
    again = ScoreStore.reopen(store.folder)
    assert again == store
    assert again.missing(range(5)) == [4]
    assert again.unjudged == (3,)
    for content in ("", "{", '{"meta": {}, "unjudged": [], "instructions": [], "episodes": [[0, 1, 2, []]]}'):
        store.path.write_text(content)
        with pytest.raises(InputError, match=r"dataset\.json: is missing or damaged; run the same command"):
            ScoreStore.reopen(store.folder)
    other = of_dataset(tmp_path, pictures="q")
    other.leave()
    store.path.write_text(other.path.read_text())
    with pytest.raises(InputError, match="made for something else; run the same command"):
        ScoreStore.reopen(store.folder)


@pytest.mark.parametrize("planted", ["part-0.jsonl", ".lock"])
def test_a_link_in_the_place_of_a_part_is_not_written_through(tmp_path: Path, planted: str) -> None:
    """A score store of somebody else's may hold one to any file of the user's."""
    store, other = open_store(tmp_path / "scores"), tmp_path / "profile"
    store.folder.mkdir(parents=True)
    (store.folder / planted).symlink_to(other)
    with pytest.raises(InputError, match=r"scores .*: cannot be written \(.*links\)"):
        store.append(record(0))
    assert not other.exists()
    other.write_text("export A=1\nexport B=2")
    with pytest.raises(InputError):
        store.append(record(0))
    assert other.read_text() == "export A=1\nexport B=2"


DEEP = "[" * 100_000


@pytest.mark.parametrize("part", ["meta", "unjudged", "instructions", "episodes"])
@pytest.mark.parametrize(
    "content",
    ["null", "[1]", '[[0, 7, 0, [["p"]]], 1]', '{"a": 1}', "1e999", "[1e999]", pytest.param(DEEP, id="deep")],
)
def test_what_was_left_in_another_form_is_one_line(tmp_path: Path, part: str, content: str) -> None:
    store = of_dataset(tmp_path)
    store.leave()
    parts = {name: json.dumps(value) for name, value in json.loads(store.path.read_text()).items()}
    parts[part] = content
    store.path.write_text("{" + ", ".join(f'"{name}": {value}' for name, value in parts.items()) + "}")
    with pytest.raises(InputError, match=r"was made for something else|is missing or damaged"):
        ScoreStore.reopen(store.folder)


def test_a_meta_without_end_is_written_again(tmp_path: Path) -> None:
    store = filled(tmp_path)
    (store.folder / "meta.json").write_text(DEEP)
    assert found(store) == [0, 1, 2]
    store.append(record(0))
    assert json.loads((store.folder / "meta.json").read_text()) == store.meta


def test_a_pipe_or_a_device_in_a_store_is_not_read(tmp_path: Path) -> None:
    """As a link to one that never ends would be; of a pipe the reading never begins."""
    store = filled(tmp_path)
    store.merge()
    (store.folder / "meta.json").unlink()
    os.mkfifo(store.folder / "meta.json")
    assert found(store) == [0, 1, 2]
    store.append(record(0))
    assert json.loads((store.folder / "meta.json").read_text()) == store.meta
    left = of_dataset(tmp_path)
    left.folder.mkdir()
    os.mkfifo(left.path)
    with pytest.raises(InputError, match=r"dataset\.json: is missing or damaged"):
        ScoreStore.reopen(left.folder)
    store.path.unlink()
    store.path.symlink_to("/dev/null")
    with pytest.raises(InputError, match=r"scores\.jsonl: cannot be read \(is a pipe or a device"):
        store.read()


def test_what_was_left_of_a_dataset_without_episodes_to_judge_is_opened_again(tmp_path: Path) -> None:
    store = replace(of_dataset(tmp_path), episodes={}, unjudged=(0, 1))
    store.leave()
    assert ScoreStore.reopen(store.folder) == store
