"""Whatever a YAML holds, it is a configuration or every problem of it is named."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.config.cli import parse
from rabc.system.errors import InputError
from tests.support import REPO
from tests.support.damaged_json import damaged

SHIPPED = sorted((REPO / "configs").glob("*.yaml"))


@settings(max_examples=150, derandomize=True)  # at random: tests/commands/test_fuzz.py
@given(data=st.data(), shipped=st.sampled_from(SHIPPED))
def test_a_damaged_yaml_has_an_answer(
    data: st.DataObject, shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "own.yaml"
    path.write_text(yaml.safe_dump(data.draw(damaged(yaml.safe_load(shipped.read_text())))))
    said = ""
    try:
        parse(["--config", str(path)], "")
    except InputError as error:
        said = str(error)
    assert "Traceback" not in said


def bomb() -> str:
    """Nine lines that are a thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x]"]
    lines += [f"a{n + 1}: &a{n + 1} [{', '.join([f'*a{n}'] * 8)}]" for n in range(9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("run: " + "[" * 5000, "is nested too deeply"),
        ("dataset: &a {path: *a}", "is nested too deeply"),
        ("run: &a [*a]", "is nested too deeply"),
        (bomb(), "holds more than 10000 values, aliases counted"),
        ("seed: 1\nrun: 2024-13-45", "line 2: not valid YAML (2024-13-45 is no date)"),
        ("seed: 0b_", "line 1: not valid YAML (0b_ is no whole number)"),
        ("seed: " + "9" * 5000, f"not valid YAML ({'9' * 40} is no whole number)"),
        ("run: !!binary é", "line 1: not valid YAML"),
        ("run: " + str(["x"] * 5000), "wrong type; give text"),
        (f"no_such: {['x'] * 5000}", "unknown key"),
        (f"trainer: {['x'] * 5000}", "a section, not a value"),
        ('"a\\nb": 1', "a\\nb 1: unknown key"),
        ('"a\\e[31mb": 1', "a\\x1b[31mb 1: unknown key"),
        ("trainer: {max_steps: 1:30}", "trainer.max_steps '1:30': wrong type"),
        ("trainer: {lr: 1:30}", "trainer.lr '1:30': wrong type"),
        ("dataset: {cache_gb: 1:30}", "dataset.cache_gb '1:30': wrong type"),
    ],
)
def test_what_yaml_itself_stumbles_over_is_one_readable_line(text: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text(text)
    with pytest.raises(InputError) as refused:
        parse(["--config", str(path)], "")
    said = str(refused.value)
    assert words in said
    assert "\n" not in said
    assert len(said) < 1000


def lost(path: Path) -> None:
    path.symlink_to("nowhere")


@pytest.mark.parametrize("make", [Path.mkdir, os.mkfifo, lost])
def test_what_is_there_and_no_file_is_not_called_missing(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    make(tmp_path / "own.yaml")
    with pytest.raises(InputError, match="is no file that can be read"):
        parse(["--config", str(tmp_path / "own.yaml")], "")


def test_aliases_that_repeat_a_little_are_read(tmp_path: Path) -> None:
    path = tmp_path / "own.yaml"
    path.write_text("dataset: {path: &p data/a}\nscorer: {model: *p}\n")
    assert parse(["--config", str(path)], "").config.scorer.model == "data/a"
