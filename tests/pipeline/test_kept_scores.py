"""What was scored stays scored: whatever is added to a dataset, wherever it goes, whoever scored it."""

import errno
import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from rabc.datasets.cache import cache_folder
from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.frames import cached_frames
from rabc.datasets.housekeeping import entries
from rabc.datasets.metadata import load_meta
from rabc.scoring.moving import move_out
from rabc.scoring.store import ScoreStore
from rabc.system.errors import InputError
from rabc.system.home import user_cache
from tests.support import REPO, hub
from tests.support.frame_caches import CAMERAS, SMALL
from tests.support.recordings import record_dataset

ADDED = 10


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """Scores a dataset with `scripts/score.py`; gives everything it said."""

    def run(root: Path, *argv: str) -> str:
        settings = ["--scorer.num_prefixes", "3", "--diagnostics.episodes", "2", "--device", "cpu"]
        monkeypatch.setattr(sys, "argv", ["score.py", "--dataset.path", str(root), *settings, *argv])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPO / "scripts" / "score.py"), run_name="__main__")
        out, err = capsys.readouterr()
        assert ended.value.code == 0, err
        return out + err

    return run


def lines(scores: Path) -> set[bytes]:
    """Every scored episode of every variant, as it stands in the files that count."""
    return {
        path.parent.name.encode() + line
        for path in scores.glob("*/scores.jsonl")
        for line in path.read_bytes().splitlines()
    }


def real(scores: Path) -> int:
    """Episodes with scores as they are."""
    (folder,) = (
        meta.parent
        for meta in scores.glob("*/meta.json")
        if json.loads(meta.read_text())["variant"] == "real"
    )
    return len((folder / "scores.jsonl").read_bytes().splitlines())


def add_episodes(root: Path) -> None:
    """As recording goes on with LeRobot."""
    dataset, rng = LeRobotDataset.resume("local/tiny", root=root), np.random.default_rng(1)
    for _ in range(ADDED):
        for _ in range(9):
            vector = rng.normal(0, 5, 6).astype(np.float32)
            pictures = {camera: rng.integers(0, 255, (32, 32, 3), dtype=np.uint8) for camera in CAMERAS}
            dataset.add_frame(
                {**pictures, "observation.state": vector, "action": vector, "task": "Pick up the red cube."}
            )
        dataset.save_episode()
    dataset.finalize()


def add_labels(root: Path) -> None:
    for path in (root / "meta" / "episodes").glob("*/*.parquet"):
        table = pd.read_parquet(path)
        table.assign(success=[number % 2 == 0 for number in range(len(table))]).to_parquet(path)


def recompute_statistics(root: Path) -> None:
    path = root / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"]["mean"] = [value + 0.5 for value in statistics["action"]["mean"]]
    path.write_text(json.dumps(statistics))


def add_file(root: Path) -> None:
    (root / "videos" / "notes.txt").write_text("The third one was hard.")


def test_only_what_is_new_is_scored(tmp_path: Path, scored: Callable[..., str], scores: Path) -> None:
    root = record_dataset(tmp_path / "arm")
    assert "4/4" in scored(root)
    before = lines(scores)
    for change in (add_labels, recompute_statistics, add_file):
        change(root)
        assert "scoring" not in scored(root), change
        assert lines(scores) == before
    add_episodes(root)
    scored(root)
    assert real(scores) == 4 + ADDED
    assert before <= lines(scores)
    moved = root.rename(tmp_path / "elsewhere")
    copied = shutil.copytree(moved, tmp_path / "copy")
    for place in (moved, copied):
        assert "scoring" not in scored(place)
    assert not list(tmp_path.glob("*/.rabc"))


def test_the_hub_gets_the_dataset_and_nothing_of_ours(
    tmp_path: Path, scored: Callable[..., str], scores: Path
) -> None:
    root = record_dataset(tmp_path / "arm")
    recorded = {path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file()}
    scored(root)
    cached_frames(load_meta(root), CAMERAS, cache_folder(root), SMALL)
    assert list(scores.rglob("scores.jsonl"))
    assert list(cache_folder(root).rglob("*.rgb"))
    with hub.receiving() as received:
        LeRobotDataset("local/tiny", root=root, video_backend="pyav").push_to_hub(private=True)
    assert set(received) == recorded | {"README.md"}
    # Asked for, they go with it.
    scored(root, "--scorer.scores_folder", str(root / "scores"))
    with hub.receiving() as received:
        LeRobotDataset("local/tiny", root=root, video_backend="pyav").push_to_hub()
    assert any(name.startswith("scores/") and name.endswith("scores.jsonl") for name in received)


@pytest.fixture
def earlier(
    tmp_path: Path, scored: Callable[..., str], scores: Path, monkeypatch: pytest.MonkeyPatch
) -> tuple[Path, set[bytes], dict[str, bytes]]:
    """A dataset with its scores and frames inside it, as earlier versions left them; both of these."""
    root = record_dataset(tmp_path / "arm")
    scored(root)
    cached_frames(load_meta(root), CAMERAS, cache_folder(root), SMALL)
    kept = lines(scores)
    frames = {path.name: path.read_bytes() for path in cache_folder(root).rglob("*.rgb")}
    old = root / ".rabc"
    shutil.copytree(derived_folder(root), old)
    shutil.move(scores, old / "scores")
    (old / "dataset.json").unlink()
    (old / "frames" / "half.rgb.123.partial").write_bytes(b"1")
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "new cache"))
    return root, kept, frames


def test_what_an_earlier_version_left_in_the_dataset_is_moved_once(
    earlier: tuple[Path, set[bytes], dict[str, bytes]], scored: Callable[..., str], scores: Path
) -> None:
    root, kept, frames = earlier
    assert not lines(scores)
    said = scored(root)
    assert "scoring" not in said
    assert f"scores of 4 episodes moved to {scores}" in said  # each in several variants
    assert f"moved to {cache_folder(root)}" in said
    assert lines(scores) == kept
    assert {path.name: path.read_bytes() for path in cache_folder(root).rglob("*.rgb")} == frames
    assert not (root / ".rabc").exists()
    assert "moved" not in scored(root)
    assert [entry.dataset for entry in entries(user_cache())] == [str(root)]


def test_a_run_that_was_finished_before_finds_its_scores_without_the_scorer(
    earlier: tuple[Path, set[bytes], dict[str, bytes]], scores: Path
) -> None:
    """What it noted is where they were; the scorer may be one that this machine cannot load."""
    root, *_ = earlier
    noted = [path.parent for path in (root / ".rabc" / "scores").glob("*/dataset.json")]
    move_out(root, scores)
    found = [ScoreStore.reopen(folder, scores) for folder in noted]
    (store,) = (one for one in found if one.meta["variant"] == "real")
    assert store.root == scores
    assert store.missing(store.episodes) == []


def test_scores_of_other_pictures_that_came_with_a_dataset_do_not_count(
    earlier: tuple[Path, set[bytes], dict[str, bytes]], scores: Path
) -> None:
    """They could be made up for another dataset, and would be believed there."""
    root, kept, _ = earlier
    (path, *_) = (root / ".rabc" / "scores").glob("*/scores.jsonl")
    line = json.loads(path.read_bytes().splitlines()[0])
    foreign = json.dumps({**line, "pictures": "0123456789abcdef"}).encode()
    path.write_bytes(path.read_bytes() + foreign + b"\n")
    move_out(root, scores)
    assert lines(scores) == kept
    (aside,) = (scores / "moved" / "arm").rglob(f"{path.parent.name}/scores.jsonl")
    assert foreign in aside.read_bytes()


def test_a_move_that_was_stopped_goes_on(
    earlier: tuple[Path, set[bytes], dict[str, bytes]], scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """On another disk, where files are copied; it fills up, is stopped, and goes on."""
    root, kept, frames = earlier
    copy, copied = shutil.copyfile, list[Path]()

    def copying(source: Path, target: Path) -> None:
        if len(copied) == 3:
            Path(target).write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        copied.append(source)
        copy(source, target)

    def renaming(path: Path, target: Path) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    with monkeypatch.context() as patched:
        patched.setattr("rabc.scoring.moving.shutil.copyfile", copying)
        patched.setattr(Path, "rename", renaming)
        with pytest.raises(
            InputError, match=r"cannot be moved to .*No space left.*RABC_CACHE.*nothing is lost"
        ):
            move_out(root, scores)
    moved = [path.name for path in cache_folder(root).rglob("*.rgb")]
    left = [path.name for path in (root / ".rabc").rglob("*.rgb")]
    assert (len(moved), sorted(moved + left)) == (3, sorted(frames))
    move_out(root, scores)
    assert {path.name: path.read_bytes() for path in cache_folder(root).rglob("*.rgb")} == frames
    assert not list(cache_folder(root).rglob("*.partial"))
    assert lines(scores) == kept


def test_scores_of_a_hub_dataset_leave_the_cache(
    earlier: tuple[Path, set[bytes], dict[str, bytes]], scored: Callable[..., str], scores: Path
) -> None:
    """There earlier versions kept them, and a cache may be removed."""
    root, kept, frames = earlier
    shutil.rmtree(derived_folder(root))
    (root / ".rabc").rename(derived_folder(root))
    assert "scoring" not in scored(root)
    assert lines(scores) == kept
    assert not (derived_folder(root) / "scores").exists()
    assert len(list(cache_folder(root).rglob("*.rgb"))) == len(frames)


def test_what_the_user_keeps_beside_the_dataset_stays(
    earlier: tuple[Path, set[bytes], dict[str, bytes]], scored: Callable[..., str], scores: Path
) -> None:
    root, kept, _ = earlier
    beside = root / ".rabc" / "scores"
    assert "scoring" not in scored(root, "--scorer.scores_folder", str(beside))
    assert lines(beside) == kept
    assert not lines(scores)


@pytest.mark.parametrize(
    "linked", ["frames/observation.images.front.9x9", "frames/a.9x9/b.rgb", "scores/0123456789abcdef"]
)
def test_links_that_came_with_a_dataset_are_not_followed(tmp_path: Path, scores: Path, linked: str) -> None:
    """Else they would have files of the user's moved, or read without end."""
    root, own = record_dataset(tmp_path / "arm"), tmp_path / "own"
    own.mkdir()
    (own / "picture.rgb").write_bytes(b"mine")
    link = root / ".rabc" / linked
    link.parent.mkdir(parents=True)
    link.symlink_to(own)
    move_out(root, scores)
    assert (own / "picture.rgb").read_bytes() == b"mine"
    assert link.is_symlink()
    assert not scores.exists()
    assert not list(cache_folder(root).rglob("*.rgb"))
