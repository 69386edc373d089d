"""`rabc cache`: what lies in the user's cache, and that it removes what nothing needs and nothing else."""

import json
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rabc.commands import cache as command
from rabc.datasets.cache import cache_folder, made_of
from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.frames import cached_frames
from rabc.datasets.housekeeping import entries
from rabc.datasets.metadata import load_meta
from rabc.datasets.view import view
from rabc.system.errors import InputError
from tests.support.frame_caches import CAMERAS, SMALL


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, scores: Path) -> Path:
    """The cache of this test alone."""
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))
    scores.mkdir(parents=True)
    (scores / "scores.jsonl").write_text("1")
    return tmp_path / "cache"


@pytest.fixture
def dataset(cache: Path, dataset_copy: Callable[[], Path]) -> Path:
    """A dataset with its frames in the cache."""
    root = dataset_copy()
    cached_frames(load_meta(root), CAMERAS, cache_folder(root), SMALL)
    return root


def there(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if path.is_file()}


def test_what_is_needed_stays(
    dataset: Path, cache: Path, scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    joined = view([dataset, shutil.copytree(dataset, dataset.with_name("other"))], {})
    (cache / "mine").mkdir()  # a cache folder that other things lie in as well
    (cache / "mine" / "thesis.tex").write_text("x")
    before = there(cache)
    command.main(["--remove"])
    out = capsys.readouterr().out
    assert there(cache) == before
    assert "removed: 0.00 MB" in out
    assert str(dataset) in out
    assert f"{dataset} + {dataset.with_name('other')}" in out
    assert "thesis" not in out
    assert joined.exists()
    assert f"scores {scores}: 0.00 MB; no command removes them" in out


def test_what_nothing_needs_is_named_and_removed(
    dataset: Path, cache: Path, scores: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    kept = there(cache)
    old = cache_folder(dataset) / f"{CAMERAS[0]}.{SMALL[0]}x{SMALL[1]}" / "0123456789abcdef.rgb"
    old.write_bytes(bytes(20_000_000))
    other = shutil.copytree(dataset, dataset.with_name("other"))
    derived_folder(other)
    view([dataset, other], {})
    capsys.readouterr()
    shutil.rmtree(other)
    command.main([])
    out = capsys.readouterr().out
    assert "0.02 GB: frames of pictures that the dataset has no more" in out
    assert "the dataset is gone" in out
    assert f"{other} is gone" in out
    assert "nothing needs 0.02 GB of the cache any more; `rabc cache --remove` removes that" in out
    assert old.exists()
    command.main(["--remove"])
    assert "removed: 0.02 GB" in capsys.readouterr().out
    left = {path for path in there(cache) if path.name != ".lock" and not path.name.endswith(".lock")}
    assert left <= kept
    assert not old.exists()
    assert len(list(cache_folder(dataset).rglob("*.rgb"))) == 8
    assert (scores / "scores.jsonl").exists()
    assert (dataset / "meta" / "info.json").exists()


def test_of_a_disk_that_is_not_mounted_nothing_is_removed(dataset: Path, cache: Path) -> None:
    note = derived_folder(dataset) / "dataset.json"
    said = json.loads(note.read_text())
    assert os.path.ismount(said["disk"])
    shutil.rmtree(dataset)
    assert [entry.whole for entry in entries(cache)] == [True]
    note.write_text(json.dumps({**said, "disk": str(cache)}))
    (entry,) = entries(cache)
    assert not entry.unneeded
    assert entry.why == f"{cache}, where the dataset is, is not mounted"


def test_a_view_of_a_disk_that_is_not_mounted_stays_since_its_frames_would_follow_it(
    dataset: Path, cache: Path
) -> None:
    other = shutil.copytree(dataset, dataset.with_name("other"))
    joined = view([dataset, other], {})
    note = derived_folder(other) / "dataset.json"
    note.write_text(json.dumps({"dataset": str(other), "disk": str(cache)}))
    shutil.rmtree(other)
    entry = next(entry for entry in entries(cache) if entry.folder == joined)
    assert not entry.unneeded
    assert entry.why == f"{cache}, where the dataset is, is not mounted"


def test_labels_leave_a_view_as_it_is(dataset: Path, cache: Path) -> None:
    other = shutil.copytree(dataset, dataset.with_name("other"))
    joined = view([dataset, other], {})
    later = time.time() + 60
    for path in (other / "meta" / "episodes").rglob("*.parquet"):
        os.utime(path, (later, later))
    assert not any(entry.unneeded for entry in entries(cache))
    os.utime(other / "meta" / "info.json", (later, later))
    (entry,) = (entry for entry in entries(cache) if entry.unneeded)
    assert (entry.folder, entry.why) == (joined, "a dataset has changed since")


def test_a_dataset_that_calls_itself_a_view_is_none(dataset: Path, cache: Path) -> None:
    """The file may have come with it, and would have other folders of the user's tidied."""
    parts = dataset / "parts.json"
    parts.write_text(json.dumps([str(dataset.parent)]))
    assert made_of(dataset) == []
    joined = view([dataset, shutil.copytree(dataset, dataset.with_name("other"))], {})
    assert len(made_of(joined)) == 2
    (joined / "parts.json").write_text("5")
    assert made_of(joined) == []


def test_what_is_moved_meanwhile_is_no_error(
    dataset: Path, cache: Path, scores: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A training decodes, a scoring merges."""
    found = Path.rglob

    def and_gone(path: Path, pattern: str) -> list[Path]:
        return [*found(path, pattern), path / "half.rgb.partial"]

    monkeypatch.setattr(Path, "rglob", and_gone)
    monkeypatch.setattr(Path, "is_file", Path.is_absolute)  # it was there a moment ago
    command.main([])


def test_what_was_not_used_for_long_is_removed_where_asked(
    dataset: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command.main(["--remove", "--unused_for", "30"])
    assert list(cache_folder(dataset).rglob("*.rgb"))
    past = time.time() - 31 * 24 * 3600
    for path in there(cache):
        os.utime(path, (past, past))
    command.main([])
    assert "31 days ago" in capsys.readouterr().out
    command.main(["--remove", "--unused_for", "30"])
    assert not entries(cache)
    assert load_meta(dataset).total_episodes == 4


@pytest.mark.parametrize("argv", [["--unused_for", "3"], ["--remove", "--unused_for", "-1"]])
def test_days_belong_to_removing(argv: list[str], cache: Path) -> None:
    with pytest.raises(InputError, match=r"--unused_for .*: is for --remove, and 0 or more days"):
        command.main(argv)


def test_scores_that_an_earlier_version_kept_there_are_not_removed(
    dataset: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """They are moved when the dataset is next scored, and its folder may be gone until then."""
    old = derived_folder(dataset) / "scores" / "0123" / "scores.jsonl"
    joined = view([dataset, shutil.copytree(dataset, dataset.with_name("other"))], {})
    of_view = joined / ".rabc" / "scores" / "0123" / "scores.jsonl"
    for path in (old, of_view):
        path.parent.mkdir(parents=True)
        path.write_text("hours")
    shutil.rmtree(dataset)
    command.main(["--remove"])
    command.main(["--remove", "--unused_for", "0"])
    assert old.read_text() == of_view.read_text() == "hours"
    assert "holds scores of an earlier version" in capsys.readouterr().out
    shutil.rmtree(old.parents[1])
    command.main(["--remove"])
    assert not derived_folder(dataset).joinpath("frames").exists()
