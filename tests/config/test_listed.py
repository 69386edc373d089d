"""Datasets and episodes, one or several, as LeRobot's users write them; and LeRobot's names of our keys."""

from pathlib import Path
from typing import Any

import pytest

from rabc.config import cli, lerobot_keys
from rabc.config.arguments import config_arguments
from rabc.config.settings import Config
from rabc.system.errors import InputError


def parsed(*argv: str) -> Config:
    return cli.parse(argv, "").config


def refusal(*argv: str) -> str:
    with pytest.raises(InputError) as error:
        parsed(*argv)
    return str(error.value)


@pytest.mark.parametrize(
    ("argv", "paths"),
    [
        (["--dataset.path", "a", "--dataset.path", "b"], ("a", "b")),
        (["--dataset.path=[a,b]"], ("a", "b")),
        (["--dataset.path", "[ 'a', \"b\" ]", "--dataset.path=c"], ("a", "b", "c")),
        (["--dataset.path=[a]"], ("a",)),
        (["--dataset.path", "a,b"], ("a,b",)),
        ([], ("data/so101_pick",)),
    ],
)
def test_datasets(argv: list[str], paths: tuple[str, ...]) -> None:
    assert parsed(*argv).dataset.paths == paths


@pytest.mark.parametrize("key", ["episodes", "exclude"])
@pytest.mark.parametrize(
    ("argv", "value"),
    [
        (["[0,1,2]"], [0, 1, 2]),
        (["[ 0, 1 ]"], [0, 1]),
        (["0:50,60"], "0:50,60"),
        (["[0:50,60]"], "0:50,60"),
        (["0:5", "7"], "0:5,7"),
        (["7"], "7"),
        (["null"], None),
    ],
)
def test_episodes(key: str, argv: list[str], value: Any) -> None:
    words = [part for text in argv for part in (f"--dataset.{key}", text)]
    assert getattr(parsed(*words).dataset, key) == value


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("path: [a, b]", "path", ["a", "b"]),
        ("path:\n  - a\n  - b", "path", ["a", "b"]),
        ("path: a", "path", "a"),
        ("episodes: [0, 1, 2]", "episodes", [0, 1, 2]),
        ("episodes: 0:50", "episodes", "0:50"),  # which YAML 1.1 takes for fifty seconds
        ("episodes: 0:50,60", "episodes", "0:50,60"),
        ("episodes: [0:50, 60]", "episodes", "0:50,60"),
        ("exclude: 7", "exclude", "7"),
        ("exclude: null", "exclude", None),
    ],
)
def test_in_yaml_and_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, key: str, value: Any
) -> None:
    path, again = tmp_path / "mine.yaml", tmp_path / "again.yaml"
    path.write_text("dataset:\n" + "".join(f"  {line}\n" for line in text.splitlines()))
    config = parsed("--config", str(path))
    assert getattr(config.dataset, key) == value
    with pytest.raises(SystemExit):
        parsed("--config", str(path), "--print_config")
    again.write_text(capsys.readouterr().out)
    assert parsed("--config", str(again)) == config


def test_the_command_line_takes_the_place_of_the_yaml(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("dataset: {path: [a, b], episodes: [1]}\n")
    dataset = parsed("--config", str(path), "--dataset.path", "c", "--dataset.episodes", "null").dataset
    assert (dataset.path, dataset.episodes) == ("c", None)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            "path: 3",
            "mine.yaml: dataset.path 3: wrong type; give text (in quotes if it looks like a number) or",
        ),
        ("path: [a, 3]", "or a list of texts, e.g. [one, two]"),
        ("path: []", "dataset.path []: empty"),
        ("path: [a, '']", "empty"),
        ("path: null", "dataset.path null: wrong type"),
        ("episodes: [0.5]", "dataset.episodes [0.5]: wrong type"),
        ("episodes: true", "or a list of whole numbers, e.g. [128, 256] or null"),
    ],
)
def test_what_is_neither(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"dataset:\n  {text}\n")
    assert words in refusal("--config", str(path))


def test_the_help_offers_no_option_that_is_not_taken(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parsed("--help")
    assert "+ " not in "".join(line for line in capsys.readouterr().out.splitlines() if "--" in line)


@pytest.mark.parametrize(
    ("key", "ours"),
    [
        ("steps", "trainer.max_steps"),
        ("batch_size", "trainer.batch_size"),
        ("policy.path", "policy.pretrained_path"),
        ("dataset.repo_id", "dataset.path"),
        ("dataset.root", "dataset.path"),
        ("output_dir", "run"),
        ("job_name", "run"),
        ("num_workers", "trainer.workers"),
        ("policy.device", "device"),
    ],
)
def test_lerobots_key_is_told_ours(tmp_path: Path, key: str, ours: str) -> None:
    assert refusal(f"--{key}=5") == f"--{key} 5: is lerobot-train's; here it is {ours}"
    path = tmp_path / "mine.yaml"
    path.write_text(f"{key.replace('.', ':\n  ')}: 5\n")
    assert refusal("--config", str(path)) == f"mine.yaml: {key} 5: is lerobot-train's; here it is {ours}"


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--resume=true"], "--resume true: is lerobot-train's; the same command again goes on"),
        (["--resume"], "--resume: is lerobot-train's; the same command again goes on"),
        (["--wandb.project", "x"], "--wandb.project x: is lerobot-train's; curves are in TensorBoard files"),
        (["--policy.repo_id", "you/act"], "rabc export --push owner/name"),
    ],
)
def test_what_lerobot_has_and_we_have_not(argv: list[str], words: str) -> None:
    assert words in refusal(*argv)


def test_the_keys_named_are_lerobots_and_ours() -> None:
    ours = {item.name for group in config_arguments(Config.__dataclass_fields__).values() for item in group}
    named = dict(lerobot_keys.KEYS)
    assert set(named.values()) - {"config"} <= ours
    assert not set(named) & ours
