"""Datasets of the hub: which revision is taken, from where, and what is said where there is none."""

import json
from collections.abc import Generator
from pathlib import Path

import pytest

from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.source import download
from rabc.system.errors import InputError
from tests.support.hub import at, commit, serving


def revision(folder: Path, version: str) -> Path:
    (folder / "meta").mkdir(parents=True)
    (folder / "meta/info.json").write_text(json.dumps({"codebase_version": version}))
    (folder / "videos").mkdir()
    (folder / "videos/file-000.mp4").write_text(str(folder.name))
    return folder


def file_of(path: str, name: str | None = None) -> str:
    root = download(Config(dataset=DatasetConfig(path, revision=name)))
    return (root / "videos/file-000.mp4").read_text()


def refusal(path: str, name: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        file_of(path, name)
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Generator[Path]:
    """Where the revisions are; LeRobot's own folder of datasets is `home` beside it."""
    made = tmp_path / "hub"
    new, old, other = (revision(made / f"{v}-files", v) for v in ("v3.0", "v2.1", "v2.0"))
    branch = revision(made / "branch-files", "v3.0")
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "home")
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HUB_CACHE", tmp_path / "home/hub")
    (made / "nothing").mkdir()
    repositories = {
        "you/pick": {"main": branch, "v3.0": new, "v2.1": old},
        "you/untagged": {"main": branch},
        "you/old": {"main": old, "v2.1": old},
        "you/older": {"main": other, "v2.0": other},
        "you/converted": {"main": branch, "v2.1": old},
        "you/images": {"main": made / "nothing"},
    }
    with serving(repositories):
        yield made


def test_the_revision_that_is_asked_for(hub: Path) -> None:
    assert file_of("you/pick") == "v3.0-files"
    assert file_of("you/pick", "main") == "branch-files"
    assert file_of("you/pick", "v3.0") == "v3.0-files"
    assert file_of("you/pick", commit(hub / "branch-files")) == "branch-files"
    assert file_of("you/untagged", "main") == "branch-files"
    assert file_of("you/converted", "main") == "branch-files"


@pytest.mark.parametrize(
    ("path", "name", "words"),
    [
        ("you/untagged", None, "set dataset.revision main"),
        ("you/old", None, "format 2.1; convert it with `python -m lerobot"),
        ("you/converted", None, "or set dataset.revision main if that is converted already"),
        ("you/pick", "v2.1", "or leave dataset.revision out if it is converted already"),
        ("you/older", "main", "is in a format before 2.1"),
        ("you/pick", "mine", "dataset.revision mine: is no branch, tag or commit of you/pick; give one of"),
        ("you/images", "main", "has no meta/info.json on the hub, so it is no LeRobotDataset"),
        ("you/nobody", None, "no dataset of the hub that you may read; check the name, or log in"),
        ("you/nobody", "main", "no dataset of the hub that you may read; check the name, or log in"),
    ],
)
def test_what_cannot_be_had(hub: Path, path: str, name: str | None, words: str) -> None:
    assert words in refusal(path, name)
    assert not list(hub.parent.glob("home/hub/**/*.mp4"))  # nothing large was downloaded first


@pytest.mark.usefixtures("hub")
def test_without_the_hub_what_was_downloaded_before_serves(capsys: pytest.CaptureFixture[str]) -> None:
    assert file_of("you/pick") == "v3.0-files"
    with at("http://127.0.0.1:9"):  # where nobody answers
        assert file_of("you/pick") == "v3.0-files"
        assert "the hub cannot be reached; what was downloaded before is used" in capsys.readouterr().out
        assert "and that you are online" in refusal("you/untagged", "main")


def test_what_lerobot_recorded_here_comes_first(hub: Path, capsys: pytest.CaptureFixture[str]) -> None:
    revision(hub.parent / "home/you/pick", "v3.0")
    assert file_of("you/pick") == "pick"
    assert file_of("you/pick", "main") == "pick"
    assert "dataset.revision main is not looked for" in capsys.readouterr().out
