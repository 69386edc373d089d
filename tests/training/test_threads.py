"""A training leaves cores alone that others keep busy, and goes on with the numbers of threads it had."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from rabc.system.threads import usable_cores
from rabc.training import fitting
from rabc.training import threads as training_threads
from rabc.training.run import train
from rabc.training.threads import Threads, chosen_here, threads_at
from tests.support import forked
from tests.support.training_runs import TRAINER, WEIGHTS, assert_same_training, checkpoint, tiny
from tests.system.test_threads import busy_processes


def trained(
    dataset: Path, folder: Path, most: int, steps: int, beside: int = 0, trainer: dict[str, Any] | None = None
) -> None:
    """A training whose torch would take `most` threads; writes down with how many it computed each step.

    beside: busy processes.
    """
    found: list[int] = []

    class Noting(Threads):
        def on_train_batch_start(self, *arguments: Any) -> None:
            found.append(torch.get_num_threads())
            super().on_train_batch_start(*arguments)

    fitting.Threads = Noting
    torch.set_num_threads(most)
    with busy_processes(beside):
        train(tiny(max_steps=steps, **(trainer or {})), dataset, WEIGHTS, folder)
    assert torch.get_num_threads() == most, "what comes after the training has all of them again"
    (folder / "computed_with").write_text(json.dumps(found))


def run(*arguments: Any) -> tuple[list[int], str]:
    """Threads of each step, and what was said."""
    done = forked.run(trained, *arguments)
    assert done.returncode == 0, done.stderr
    return json.loads((arguments[1] / "computed_with").read_text()), done.stderr


def test_beside_busy_processes_a_training_takes_one_thread_and_says_so(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    most = max(2, usable_cores())
    computed, said = run(recorded_dataset, tmp_path, most, 4, most)
    assert computed == [1] * 4
    assert json.loads((tmp_path / training_threads.FILE).read_text()) == [[0, 1]]
    lines = [line for line in said.replace("\r", "\n").splitlines() if "thread" in line]
    assert len(lines) == 1
    assert "training: 1 thread instead of" in lines[0]
    assert f"--trainer.threads {most} insists" in lines[0]


def test_a_training_that_goes_on_repeats_its_steps_with_the_threads_they_had(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    changes = [[0, 1], [2, 2], [3, 1]]  # few of two threads, which wait for what else the machine does
    (tmp_path / "whole").mkdir()
    (tmp_path / "whole" / training_threads.FILE).write_text(json.dumps(changes))
    whole, _ = run(recorded_dataset, tmp_path / "whole", 2, 4)
    assert whole == [1, 1, 2, 1]
    shutil.copytree(tmp_path / "whole", tmp_path / "killed")
    # As if it had been killed in step 3, after the checkpoint of step 2.
    (tmp_path / "killed" / "checkpoints" / "step=4.ckpt").unlink()
    rest, _ = run(recorded_dataset, tmp_path / "killed", 2, 4)
    assert rest == whole[2:]
    assert_same_training(checkpoint(tmp_path / "killed", 4), checkpoint(tmp_path / "whole", 4))


def test_which_trainings_choose_their_threads() -> None:
    assert chosen_here(TRAINER, "cpu")
    assert not chosen_here(TRAINER, "cuda")
    for fixed in ({"threads": 2}, {"deterministic": True}, {"devices": 2}, {"num_nodes": 2}):
        assert not chosen_here(replace(TRAINER, **fixed), "cpu")


@pytest.mark.parametrize("content", ["", "[[0, 1], [2", '{"a": 1}', "[[1]]", "[5]", '[["x", 1]]'])
def test_a_damaged_record_of_threads_is_none(content: str, tmp_path: Path) -> None:
    (tmp_path / training_threads.FILE).write_text(content)
    assert training_threads._read(tmp_path / training_threads.FILE) == []  # pyright: ignore[reportPrivateUsage]


def test_threads_of_a_step() -> None:
    changes = [(0, 4), (10, 1), (20, 8)]
    assert [threads_at(changes, step, 4) for step in (0, 9, 10, 19, 20, 99)] == [4, 4, 1, 1, 4, 4]
    assert threads_at([], 5, 3) == 3
