"""Memory that runs out in a training or a scoring: one line with the keys to turn, exit code 2."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from rabc.scoring.topreward import TOPReward
from rabc.system.errors import InputError
from rabc.system.memory import memory_told
from tests.support import REPO, forked
from tests.training.memory_training import OF_CUDA

SCRIPT = Path(__file__).with_name("memory_training.py")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}
SMALLER = (
    "; give a smaller trainer.batch_size, for the same samples a step --trainer.batch_size 2 "
    "--trainer.accumulate_grad_batches 2; or trainer.precision bf16-mixed, a smaller policy.resize_shape, or "
    "fewer processes beside it"
)


def ended(way: str, dataset: Path, folder: Path, **settings: Any) -> tuple[int, list[str]]:
    """Exit code, and the lines on stderr but for bars."""
    (folder / "config.json").write_text(json.dumps({"policy": "act", "max_steps": 20, **settings}))
    words = (way, folder / "config.json", dataset, folder / "training")
    done = forked.run(SCRIPT, *words, env=ENVIRONMENT)
    return done.returncode, done.stderr.replace("\r", "\n").splitlines()


@pytest.mark.parametrize(
    ("way", "reason"),
    [
        ("of_cuda", "(CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 "),
        ("of_the_machine", "can't allocate memory"),
        ("of_numpy", "(Unable to allocate 1.00 EiB "),
    ],
)
def test_a_training_says_what_to_turn(way: str, reason: str, recorded_dataset: Path, tmp_path: Path) -> None:
    code, lines = ended(way, recorded_dataset, tmp_path)
    assert code == 2, "\n".join(lines[-25:])
    assert not [line for line in lines if "Traceback" in line]
    (error,) = [line for line in lines if line.startswith("error: ")]
    assert error.startswith("error: training: memory ran out (")
    assert reason in error
    assert error.endswith(SMALLER)
    assert len(error) < 500
    assert lines[-1] == error
    # What was trained before is kept.
    assert list((tmp_path / "training" / "checkpoints").glob("step=2.ckpt"))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("way", ["of_cuda", "of_another_process"])
def test_of_two_processes_both_end(way: str, recorded_dataset: Path, tmp_path: Path) -> None:
    code, lines = ended(way, recorded_dataset, tmp_path, devices=2)
    assert code == 2, lines  # also of the first, which has only lost the other: run again, it would end again
    assert "run it again to go on" not in "".join(lines)
    assert [line for line in lines if line.startswith("error: training: memory ran out (CUDA out of memory.")]
    assert not [line for line in lines if "Traceback" in line], lines


def test_loading_processes_without_shared_memory_say_so(recorded_dataset: Path, tmp_path: Path) -> None:
    """In a Python of its own, whose loading processes are forked from it as a command's are."""
    (tmp_path / "config.json").write_text(json.dumps({"policy": "act", "max_steps": 20, "workers": 1}))
    words = [sys.executable, SCRIPT, "of_loading", "config.json", recorded_dataset, "training"]
    done = subprocess.run(words, env=ENVIRONMENT, cwd=tmp_path, capture_output=True, text=True, timeout=120)
    assert done.returncode == 2, done.stderr
    (error,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert error.startswith(
        "error: training: /dev/shm is too small for the loading processes (RuntimeError: "
    )
    more = "or more of it (docker run --shm-size 8g)"
    assert error.endswith(f"give trainer.workers 0, or a smaller trainer.batch_size than 4, {more}")


def test_a_scorer_says_what_to_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    scorer = TOPReward.from_pretrained(str(REPO / "checkpoints" / "so101-scorer"))

    def full(*_: Any, **__: Any) -> None:
        raise torch.OutOfMemoryError(OF_CUDA)

    monkeypatch.setattr(scorer.model, "forward", full)
    monkeypatch.setattr(scorer.model.model, "forward", full)
    monkeypatch.setattr(scorer.model.model.visual, "forward", full)
    frames = torch.zeros(4, 3, 64, 64, dtype=torch.uint8)
    with pytest.raises(
        InputError, match=r"^scoring with so101-scorer: memory ran out \(CUDA out of mem"
    ) as told:
        scorer.score(frames, "Pick up the cube.", 2.0)
    assert "scorer.fps" in str(told.value)
    assert "scorer.dtype bfloat16" in str(told.value)


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"), "x: memory ran out (cuDNN"),
        (MemoryError(), "x: memory ran out (MemoryError); a"),
        (RuntimeError("MPS backend out of memory (MPS allocated: 1 GB)"), "x: memory ran out (MPS backend"),
        (OSError(12, "Cannot allocate memory"), "x: memory ran out ([Errno 12]"),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed. "),
            "x: memory ran out (DataLoader worker (pid 7) is killed by signal: Killed); a",
        ),
        (
            RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error. It is possible ..."),
            "x: /dev/shm is too small for the loading processes (DataLoader worker (pid 7)",
        ),
    ],
)
def test_other_words_for_it(error: Exception, said: str) -> None:
    with pytest.raises(InputError) as told, memory_told("x", "a", "b"):
        raise error
    assert str(told.value).startswith(said)


@pytest.mark.parametrize(
    "error", [RuntimeError("shape"), OSError(28, "No space left on device"), ValueError("x")]
)
def test_any_other_error_stays_what_it_is(error: Exception) -> None:
    with pytest.raises(type(error)) as same, memory_told("x", "a", "b"):
        raise error
    assert same.value is error
