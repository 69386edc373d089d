"""A disk that is full in the middle of a training: one line that says so, and what is left."""

import resource
import signal
from pathlib import Path
from typing import Any

import pytest

from rabc.config import cli
from rabc.training import fitting
from rabc.training.run import train
from rabc.training.threads import Threads
from tests.support import forked
from tests.support.training_runs import WEIGHTS, tiny

FULL = 3000
"""Bytes of a file from which on the disk is full: more than is said on stderr, less than there are curves."""


def trained(dataset: Path, folder: Path, full_from: int, trainer: dict[str, Any]) -> None:
    """A training as a command runs it, on a disk that takes no more from a step on."""

    class Filling(Threads):
        def on_train_batch_start(self, trainer: Any, *arguments: Any) -> None:
            if trainer.global_step == full_from:
                resource.setrlimit(resource.RLIMIT_FSIZE, (FULL, resource.RLIM_INFINITY))
            super().on_train_batch_start(trainer, *arguments)

    fitting.Threads = Filling
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as in any Python: an OSError
    cli.run(lambda _: _train(dataset, folder, trainer), [])


def _train(dataset: Path, folder: Path, trainer: dict[str, Any]) -> None:
    try:
        train(tiny(max_steps=40, **trainer), dataset, WEIGHTS, folder)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))


@pytest.mark.parametrize(
    ("every", "full_from", "message"),
    [
        (100, 2, "error: curves {0}/tensorboard: cannot be written (File too large); check space and "
         "permissions; no checkpoint had been written"),
        # Whichever comes first, the curves or the checkpoint.
        (2, 1, "(File too large); check space and permissions; no checkpoint had been written"),
        (4, 5, "; the last good checkpoint is {0}/checkpoints/step=4.ckpt"),
    ],
)  # fmt: skip
def test_a_full_disk_is_told_in_one_line(
    every: int, full_from: int, message: str, recorded_dataset: Path, tmp_path: Path
) -> None:
    done = forked.run(trained, recorded_dataset, tmp_path, full_from, {"checkpoint_every": every})
    assert done.returncode == 2, done.stderr
    lines = done.stderr.replace("\r", "\n").splitlines()
    assert not [line for line in lines if "Traceback" in line or "Exception" in line]
    errors = [line for line in lines if line.startswith("error: ")]
    assert len(errors) == 1
    assert lines[-1] == errors[0]
    assert message.format(tmp_path) in errors[0]
