"""Which names are of the hub where folders of the same name lie beside one's work."""

from pathlib import Path

import pytest

from rabc.config import cli
from rabc.system.hub import is_hub_id


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("file", [".git/HEAD", "pyproject.toml", "setup.py"])
def test_a_clone_of_lerobot_takes_no_names_of_the_hub(file: str, here: Path) -> None:
    (here / "lerobot" / file).parent.mkdir(parents=True)
    (here / "lerobot" / file).touch()
    assert is_hub_id("lerobot/svla_so101_pickplace")
    config = cli.parse(
        ["--policy.type", "smolvla", "--policy.pretrained_path", "lerobot/smolvla_base"], ""
    ).config
    assert config.policy.pretrained_path == "lerobot/smolvla_base"
    # What really lies in it is a folder, and stays one.
    (here / "lerobot" / "pusht" / "meta").mkdir(parents=True)
    assert not is_hub_id("lerobot/pusht")
    assert is_hub_id("lerobot/aloha")


def test_a_folder_of_ones_own_datasets_is_one(here: Path) -> None:
    """A name in it with a slip of the pen is a path that is not there, and no minute's wait for the hub."""
    (here / "recordings" / "pick" / "meta").mkdir(parents=True)
    assert not is_hub_id("recordings/pik")
    assert is_hub_id("you/pick")


def test_home_is_replaced_in_paths_of_lists_and_of_options(
    here: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(here))
    for key in ("scorer.scores_folder", "scorer.model", "dataset.path"):
        config = cli.parse([f"--{key}", "~/x"], "").config
        section, name = key.split(".")
        assert getattr(getattr(config, section), name) == f"{here}/x"
