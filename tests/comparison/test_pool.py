"""Pooling of finished runs: sums by hand, and what must not be pooled."""

import json
import runpy
import sys
from dataclasses import asdict
from pathlib import Path

import pytest

from rabc.comparison.pool import pooled, read_run
from rabc.config.settings import Config, DemonstrationsConfig
from rabc.sim.scene import Task
from rabc.system.errors import InputError
from tests.support import REPO

SCRIPT = REPO / "scripts" / "pool.py"


def finish(
    outputs: Path, run: str, seed: int, first_seed: int, lifted: int, trials: int = 10, task: Task = "pick"
) -> None:
    (outputs / run).mkdir(parents=True)
    rollouts = {
        "episodes": trials,
        "first_seed": first_seed,
        "success": {"successes": lifted, "trials": trials},
    }
    config = Config(run=run, seed=seed, demonstrations=DemonstrationsConfig(task=task))
    summary = {"config": asdict(config), "rollouts": rollouts if trials else {"episodes": 0}}
    (outputs / run / "summary.json").write_text(json.dumps(summary))


def run_script(*argv: str) -> int:
    sys.argv = [str(SCRIPT), *argv]
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", [])
    finish(tmp_path / "outputs", "a", 0, 3_000_000, 6)
    finish(tmp_path / "outputs", "b", 1, 3_000_010, 3)
    finish(tmp_path / "outputs", "overlapping", 2, 3_000_019, 3)
    finish(tmp_path / "outputs", "none", 0, 0, 0, trials=0)
    finish(tmp_path / "outputs", "placed", 0, 3_000_040, 9, task="place")
    return tmp_path


def test_rates_are_summed(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_script("--runs", "a,b") == 0
    printed = capsys.readouterr().out
    rows = [line.split()[:3] for line in printed.splitlines()]
    assert ["a", "0", "6/10"] in rows
    assert ["b", "1", "3/10"] in rows
    assert ["together", "2", "of"] in rows
    (together,) = [line for line in printed.splitlines() if line.startswith("together")]
    # By Student over the two rates; Wilson's of 20 rollouts would be 26-66 %, as if trainings were alike.
    assert together.endswith("9/20 = 45 % (95 % interval 0-100 %)")


def test_runs_of_one_training_seed_are_one_training(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same policy on other start states: Wilson's interval, since no two trainings can be compared."""
    finish(folder / "outputs", "again", 0, 3_000_100, 3)
    assert run_script("--runs", "a,again") == 0
    assert "9/20 = 45 % (95 % interval 26-66 %)" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("runs", "message"),
    [
        ("a,a", "run a: named twice"),
        ("a,b,overlapping", "runs b, overlapping: both played 1 of their start states"),
        ("a,none", "run none: has no rollouts"),
        ("a,placed", "runs a, placed: demonstrations.task is pick and place; pool runs that differ in their"),
        ("a,missing", "run missing: has no outputs/missing/summary.json"),
        ("torn", "outputs/torn/summary.json: is damaged"),
    ],
)
def test_what_cannot_be_pooled_is_one_line(
    folder: Path, capsys: pytest.CaptureFixture[str], runs: str, message: str
) -> None:
    (folder / "outputs" / "torn").mkdir()
    (folder / "outputs" / "torn" / "summary.json").write_text('{"config": {"seed"')
    assert run_script("--runs", runs) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1


def test_a_summary_of_another_shape_is_named(folder: Path) -> None:
    (folder / "outputs" / "a" / "summary.json").write_text("[]")
    with pytest.raises(InputError, match=r"a/summary\.json: is damaged"):
        pooled([read_run("a", folder / "outputs")])
