"""A model with code of its own that the door has overlooked is refused; nobody is asked whether to run it."""

import contextlib
import os
import pty
import shutil
import sys
from collections.abc import Generator
from pathlib import Path

import pytest
from transformers import dynamic_module_utils

from rabc.datasets.metadata import load_meta
from rabc.export.foreign import load_folder
from rabc.policies import door
from rabc.policies.build import build_policy
from tests.policies.test_build import ACT, saved
from tests.policies.test_door import PLANTS


@contextlib.contextmanager
def terminal_that_says_yes() -> Generator[None]:
    """Standard input is a terminal in which somebody has typed `y` already."""
    ours, theirs = pty.openpty()
    before, stdin = os.dup(0), sys.stdin
    os.write(ours, b"y\n" * 9)
    os.dup2(theirs, 0)
    sys.stdin = os.fdopen(0, closefd=False)
    try:
        yield
    finally:
        sys.stdin = stdin
        os.dup2(before, 0)
        for descriptor in (ours, theirs, before):
            os.close(descriptor)


@pytest.fixture
def planted(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[tuple[Path, Path]]:
    """A policy whose tokenizer has code, which the door overlooks; and the canary."""
    monkeypatch.setattr(door, "_names_code", lambda path: False)
    monkeypatch.setattr(dynamic_module_utils, "HF_MODULES_CACHE", str(tmp_path / "modules"))
    monkeypatch.setattr(dynamic_module_utils, "TIME_OUT_REMOTE_CODE", 15)
    monkeypatch.setattr(sys, "path", list(sys.path))
    good = saved(build_policy(ACT, load_meta(recorded_dataset)), recorded_dataset, tmp_path / "good")
    folder = shutil.copytree(good, tmp_path / "policy")
    PLANTS["a tokenizer with code"][0](folder, tmp_path / "canary")
    dynamic_module_utils.TIME_OUT_REMOTE_CODE = 15  # building the good one has set it
    with terminal_that_says_yes():
        yield folder, tmp_path / "canary"


def test_what_is_overlooked_is_refused_without_a_question(
    planted: tuple[Path, Path], capfd: pytest.CaptureFixture[str]
) -> None:
    folder, canary = planted
    with pytest.raises(ValueError, match=r"requires you to execute|contains custom code"):
        load_folder(folder)
    said = capfd.readouterr()
    assert "[y/N]" not in said.out + said.err
    assert not canary.exists()


def test_without_that_somebody_is_asked(
    planted: tuple[Path, Path], capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the code is run where the answer is yes: else the test above could not fail."""
    folder, canary = planted
    monkeypatch.setattr("rabc.export.foreign.never_asks", lambda: None)
    with contextlib.suppress(Exception):  # what it is then is no tokenizer
        load_folder(folder)
    said = capfd.readouterr()
    assert "[y/N]" in said.out + said.err
    assert canary.exists()
