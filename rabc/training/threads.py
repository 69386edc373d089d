"""How many threads a training on a CPU computes with, step by step.

The last bits of a step depend on the number of its threads, and that on what else the machine does. So the
number is written down before it is used, and a training that was killed goes on with the numbers it had: with
the same bits.
"""

import contextlib
import json
import sys
import time
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from rabc.config.training_settings import TrainerConfig
from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.threads import FreeCores, usable_cores

FILE = "threads.json"
"""In the training's folder: [first step, threads from there on], one for every change."""
_BETWEEN_STEPS = 1.0
"""Seconds after which something else than fetching a batch has run between two steps."""


def chosen_here(settings: TrainerConfig, device: str) -> bool:
    """Whether the number of threads is ours to choose.

    Not where it is configured, where the same bits are asked for every time, where a GPU computes, and where
    several processes have shared the cores among them.
    """
    alone = settings.devices * settings.num_nodes == 1
    return device == "cpu" and alone and not settings.threads and not settings.deterministic


class Threads(Callback):
    """Leaves the cores alone that other processes keep busy."""

    def __init__(self, folder: Path) -> None:
        """folder: of the training."""
        self._file = folder / FILE
        self._most = torch.get_num_threads()
        self._cores = FreeCores(self._most)
        self._changes = _read(self._file)
        self._ended = time.monotonic()
        self._told = False

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Choose for the first step, or go on as the step was computed before."""
        if not self._changes and self._most > 1:
            self._change(trainer.global_step, self._cores.look())
        self._follow(trainer.global_step)

    def on_train_batch_start(
        self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int
    ) -> None:
        """Validation and rollouts between two steps are nobody else's work."""
        if time.monotonic() - self._ended > _BETWEEN_STEPS:
            self._cores.forget()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Choose for the next step; where it has been computed before, as it was then."""
        self._ended = time.monotonic()
        step = trainer.global_step
        if step == batch["step"] or self._most == 1:
            return  # a micro-batch before the last of its step
        if step > self._changes[-1][0]:
            self._change(step, self._cores.threads(torch.get_num_threads()))
        self._follow(step)

    def teardown(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """What comes after the training has all threads again."""
        if torch.get_num_threads() != self._most:
            torch.set_num_threads(self._most)

    def _change(self, step: int, wanted: int) -> None:
        before = self._changes[-1][1] if self._changes else None
        if wanted == before:
            return
        self._changes.append((step, wanted))
        with contextlib.suppress(InputError):  # of a full disk the next checkpoint tells, with what is left
            write_json(self._file, self._changes)
        if wanted < (before or self._most) and not self._told:
            self._told = True
            count = f"{wanted} thread{'s' if wanted > 1 else ''} instead of {before or self._most}"
            others = f"other processes keep {self._cores.others:.1f} of {usable_cores()} cores busy"
            tqdm.write(
                f"training: {count} while {others}, which is faster; --trainer.threads {self._most} insists",
                file=sys.stderr,
            )

    def _follow(self, step: int) -> None:
        wanted = threads_at(self._changes, step, self._most)
        if torch.get_num_threads() != wanted:
            torch.set_num_threads(wanted)


def threads_at(changes: list[tuple[int, int]], step: int, most: int) -> int:
    """Threads of a step: of the last change up to it, `most` before the first, and never more than those."""
    before = [threads for first, threads in changes if first <= step]
    return min(most, before[-1]) if before else most


def _read(file: Path) -> list[tuple[int, int]]:
    """The changes so far; none where nothing readable is there, since only last bits hang on them."""
    try:
        return [(int(step), int(threads)) for step, threads in json.loads(file.read_text())]
    except (OSError, ValueError, TypeError):
        return []
