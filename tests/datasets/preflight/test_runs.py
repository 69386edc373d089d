"""What a check refuses stops a run before anything is done, `--dry_run` as well."""

import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.datasets.preflight.test_metadata import REFUSED
from tests.support import REPO

PLAIN = [
    "--dry_run", "--weights.scheme", "none", "--demonstrations.simulate", "false", "--rollouts.episodes", "0",
    "--policy.chunk_size", "5", "--policy.n_action_steps", "5", "--device", "cpu",
]  # fmt: skip
LATE = (
    "frames dropped inside a video",
    "a stretch behind the end",
    "rows that are gone",
    "a value that is no number",
)
"""A sample of what used to be said by a stage, if at all."""


@pytest.mark.parametrize(
    ("case", "begins"),
    [
        ("a byte-order mark", "error: file {root}/meta/info.json: begins with a byte-order mark"),
        ("a file of the system", "error: file {root}/data/chunk-000/._file-000.parquet: is no table"),
        ("numbers with gaps", "error: dataset {root}: meta/episodes numbers its episodes 0, 1, 4, 5"),
    ],
)
def test_a_refusal_begins_with_the_thing_and_is_said_once(
    train: Callable[..., tuple[int, str]], check: Callable[..., Any], dataset: Path, case: str, begins: str
):
    """Also where pictures cannot be looked at for the same reason."""
    REFUSED[case][0](dataset)
    assert len(check(dataset, quick=False).of("refused")) == 1
    code, err = train(*PLAIN, "--dataset.path", str(dataset))
    assert code == 2
    (line,) = (line for line in err.replace("\r", "\n").splitlines() if line.startswith("error:"))
    assert line.startswith(begins.format(root=dataset))
    assert "more: `" not in line


@pytest.fixture
def train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs `scripts/train.py` in an empty folder; gives its exit code and what it wrote to stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPO / "scripts" / "train.py"), run_name="__main__")
        assert isinstance(ended.value.code, int)
        return ended.value.code, capfd.readouterr().err

    return run


@pytest.mark.parametrize("case", LATE)
def test_a_dry_run_says_what_is_refused(train: Callable[..., tuple[int, str]], dataset: Path, case: str):
    change, words, _ = REFUSED[case]
    change(dataset)
    code, err = train(*PLAIN, "--dataset.path", str(dataset))
    assert code == 2
    (line,) = (line for line in err.replace("\r", "\n").splitlines() if line.startswith("error:"))
    assert next(word for word in words if "frames" in word or "finite" in word or "rows" in word) in line
    assert list(Path.cwd().rglob("*")) == []
