"""What is recorded and played in simulation where a dataset was named, and where none was."""

from pathlib import Path

import pytest

from rabc.config import cli
from rabc.config.settings import Config
from rabc.config.simulated import GROUND_TRUTH, RECORDING
from rabc.system.hub import is_hub_id


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder; the simulator recorded its datasets `data/mine` and `you/pick`, and not `real`."""
    monkeypatch.chdir(tmp_path)
    for name in ("data/mine", "real", "you/pick"):
        (tmp_path / name / "meta").mkdir(parents=True)
        (tmp_path / name / "meta" / "info.json").touch()
    for name in ("data/mine", "you/pick"):
        (tmp_path / name / GROUND_TRUTH).mkdir()
        (tmp_path / name / GROUND_TRUTH / RECORDING).touch()
    return tmp_path


def parsed(*words: str) -> Config:
    return cli.parse(words, None).config


@pytest.mark.parametrize(
    ("words", "simulate", "rollouts"),
    [
        ([], True, 40),
        (["--config", "so101_pick.yaml"], True, 40),
        (["--config", "so101_place.yaml"], True, 40),
        (["--config", "so101_pick_diffusion.yaml"], True, 100),
        (["--config", "so101_real.yaml"], False, 0),
        (["--dataset.path", "data/mine"], True, 40),
        (["--dataset.path", "data/mine", "--demonstrations.simulate", "false"], False, 40),
        (["--dataset.path", "data/other"], False, 0),
        (["--dataset.path", "data/other", "--demonstrations.simulate", "true"], True, 40),
        (["--dataset.path", "lerobot/svla_so101_pickplace"], False, 0),
        (["--dataset.path", "real"], False, 0),
        (["--dataset.path", "real", "--rollouts.episodes", "5"], False, 5),
        (["--dataset.path", "you/pick"], False, 40),  # named like one of the hub
        (["--dataset.path", "./you/pick"], True, 40),
        (["--dataset.path=[data/mine,real]"], False, 0),
        (["--dataset.path=[data/mine,./you/pick]"], False, 40),
        (["--dataset.path", "data/mine", "--dataset.rename_map", "{actions: action}"], False, 40),
    ],
)
def test_a_dataset_that_was_named_is_what_lies_there(words: list[str], simulate: bool, rollouts: int) -> None:
    config = parsed(*words)
    assert (config.demonstrations.simulate, config.rollouts.episodes) == (simulate, rollouts)


def test_a_named_dataset_in_a_file_counts_as_on_the_command_line(folder: Path) -> None:
    (folder / "mine.yaml").write_text("dataset: {path: real}\n")
    assert not parsed("--config", "mine.yaml").demonstrations.simulate


def test_what_is_left_out_is_said_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    parsed("--dataset.path", "real")
    assert capsys.readouterr().err == (
        "rollouts: none, because dataset real is not one that this program's simulator recorded\n"
    )
    for words in (["--rollouts.episodes", "0"], ["--rollouts.episodes", "3"]):
        parsed("--dataset.path", "real", *words)
    parsed("--dataset.path", "data/mine")
    cli.parse(["--dataset.path", "real"], None, sections=("dataset",))
    assert capsys.readouterr().err == ""


def test_a_printed_configuration_is_yaml_and_means_the_same(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parsed("--dataset.path", "real", "--print_config")
    (folder / "printed.yaml").write_text(capsys.readouterr().out)
    assert parsed("--config", "printed.yaml") == parsed("--dataset.path", "real")


def test_the_folder_of_datasets_is_no_owner_on_the_hub(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path / "empty")
    assert not is_hub_id("data/so101_pick")
    assert is_hub_id("database/so101_pick")
    assert not is_hub_id("./you/pick")
