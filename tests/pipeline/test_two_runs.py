"""Two commands that would work on one run: the second says who is at it, and a killed one blocks nobody."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from rabc.comparison.arms import standard_arms
from rabc.comparison.run import compare
from rabc.config.settings import Config, DatasetConfig
from rabc.system.errors import InputError
from rabc.system.lock import held
from tests.pipeline.test_plain import PLAIN
from tests.support import forked


def wait_for(folder: Path, pattern: str, process: forked.Forked) -> None:
    deadline = time.monotonic() + 120
    while not list(folder.glob(pattern)):
        assert process.poll() is None, process.stderr
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_the_second_run_of_a_name_is_refused_and_a_killed_one_goes_on(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    def start(steps: int, *argv: str) -> forked.Forked:
        words = [*PLAIN, "--dataset.path", str(recorded_dataset), "--trainer.max_steps", str(steps)]
        checkpoints = ("--trainer.checkpoint_every", "2")
        return forked.start("train", *words, *checkpoints, *argv, cwd=tmp_path)

    first = start(100_000)
    wait_for(tmp_path, "outputs/plain/training-*/checkpoints/step=2.ckpt", first)
    before = (tmp_path / "outputs" / "plain" / "config.json").read_bytes()
    second = start(4)
    assert second.wait() == 2
    (error,) = [line for line in second.stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith(f"error: run plain: process {first.pid} on ")
    assert "(outputs/plain/.lock); wait for it, end it, or give another --run" in error
    assert (tmp_path / "outputs" / "plain" / "config.json").read_bytes() == before
    dry = start(4, "--dry_run")  # writes nothing
    assert dry.wait() == 0, dry.stderr
    first.killpg(signal.SIGKILL)
    assert first.wait() == -signal.SIGKILL
    third = start(4)
    assert third.wait() == 0, third.stderr


def hold(path: Path, inside: Path) -> None:
    with held(path, "", ""):
        inside.touch()
        time.sleep(600)


@pytest.fixture
def busy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Holds the lock of a folder in `outputs` from another process, until the end of the test."""
    monkeypatch.chdir(tmp_path)
    holders: list[forked.Forked] = []

    def holding(name: str) -> forked.Forked:
        holder = forked.start(hold, tmp_path / "outputs" / name / ".lock", tmp_path / f"{name}.inside")
        holders.append(holder)
        wait_for(tmp_path, f"{name}.inside", holder)
        return holder

    yield holding
    for holder in holders:
        holder.kill()
        holder.wait()


def test_a_comparison_is_refused_while_another_is_at_it(busy: Any, recorded_dataset: Path) -> None:
    config = Config(run="two", dataset=DatasetConfig("data/none"), device="cpu")
    holder = busy("two-comparison")
    with pytest.raises(InputError, match=rf"^comparison two: process {holder.pid} on "):
        compare(config, list(standard_arms(config).values()), 1, sequential=False)


def test_a_comparison_is_refused_while_one_of_its_runs_is_trained(busy: Any) -> None:
    config = Config(run="two", dataset=DatasetConfig("data/none"), device="cpu")
    holder = busy("two-weighted-s0")
    with pytest.raises(InputError, match=rf"^run two-weighted-s0: process {holder.pid} on "):
        compare(config, list(standard_arms(config).values()), 1, sequential=False)


def test_a_loop_is_refused_while_its_first_round_is_trained(busy: Any, tmp_path: Path) -> None:
    holder = busy("two")
    words = ["--run", "two", "--dataset.path", str(tmp_path / "none"), "--device", "cpu", "--episodes", "2"]
    words += ["--demonstrations.simulate", "true"]
    done = forked.run("closed_loop", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert f"error: run two: process {holder.pid} on " in done.stderr
