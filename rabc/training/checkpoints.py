"""Checkpoints of a training: written whole, found again, none that cannot be trained on."""

import os
import sys
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rabc.system.atomic import remove_left, whole_file
from rabc.system.errors import InputError
from rabc.training.monitor import Monitor, end_everywhere


def checkpoint_files(folder: Path) -> list[Path]:
    """Checkpoints of a training folder, newest first; their names are `step=<steps>.ckpt`."""
    found = [path for path in folder.glob("step=*.ckpt") if path.stem.removeprefix("step=").isdecimal()]
    return sorted(found, key=checkpoint_step, reverse=True)


def checkpoint_step(path: Path) -> int:
    """Optimizer steps done when the checkpoint was written."""
    return int(path.stem.removeprefix("step="))


def last_good_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint that can be read; None when there is none.

    Files appear only when complete, so an unreadable one means a damaged disk or a foreign hand; the one
    before it then serves.
    """
    for path in checkpoint_files(folder):
        try:
            read_checkpoint(path)
        except ValueError as error:
            print(f"checkpoint {path}: cannot be read ({error}), skipped", file=sys.stderr)
            continue
        return path
    return None


def read_checkpoint(path: Path) -> Any:
    """What a checkpoint holds, tensors on the CPU: numbers and texts, nothing that runs.

    Raises ValueError, in one line, for one that cannot be read.
    """
    if path.exists() and not path.is_file():
        raise ValueError("it is no file")  # a pipe would be waited for
    try:
        return torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except MemoryError:
        raise
    except Exception as error:  # whatever torch stumbles over in a pickle that nobody of ours has written
        raise ValueError((str(error).strip() or type(error).__name__).splitlines()[0]) from error


class Checkpoints(Callback):
    """Writes a checkpoint every few steps and after the last, and keeps the newest.

    Lightning's own callback writes through a temporary file on another file system and moves it, which a
    kill can cut in half. Here a file gets its name only once it is complete and on disk.
    """

    def __init__(self, folder: Path, every: int, keep: int, monitor: Monitor) -> None:
        """
        Args:
            folder: where `step=<steps>.ckpt` goes.
            every: steps between checkpoints.
            keep: how many stay.
            monitor: stops training where a number was not finite, before that is saved.
        """
        self._folder = folder
        self._every = every
        self._keep = keep
        self._monitor = monitor

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when the step is due, and when training stops."""
        step = trainer.global_step
        if step == batch["step"]:
            return  # a micro-batch before the last of its step
        if step % self._every == 0 or step == trainer.max_steps or trainer.should_stop:
            self._monitor.catch_up(trainer)
            name = not_finite_weight(pl_module.state_dict())  # the same in all processes
            if name is not None:
                what = f"weight {name} after step {step}: not finite; training diverged: lower trainer.lr"
                end_everywhere(trainer, f"{what}; {what_is_left(self._folder)}")
            if trainer.is_global_zero:
                self._save(trainer, step)

    def _save(self, trainer: Trainer, step: int) -> None:
        state = trainer._checkpoint_connector.dump_checkpoint()  # pyright: ignore[reportPrivateUsage]
        path = self._folder / f"step={step}.ckpt"
        try:
            remove_left(self._folder)  # half a checkpoint of another step as well: it is large
            with whole_file(path) as partial:
                _write(state, partial)
        except InputError as error:
            raise InputError(f"{error}; {what_is_left(self._folder)}") from error
        for old in checkpoint_files(self._folder)[self._keep :]:
            old.unlink()


def _write(state: dict[str, Any], path: Path) -> None:
    with path.open("wb") as file:
        try:
            torch.save(state, file)
        except RuntimeError as error:
            # What torch makes of a full disk; it then still looks for the end of its archive.
            if isinstance(error.__context__, OSError):
                raise error.__context__ from None
            raise
        file.flush()
        os.fsync(file.fileno())


def not_finite_weight(weights: dict[str, torch.Tensor]) -> str | None:
    """The first weight that holds a number that is not finite."""
    floating = {name: value for name, value in weights.items() if value.is_floating_point()}
    if torch.stack([value.isfinite().all() for value in floating.values()]).all():
        return None
    return next(name for name, value in floating.items() if not value.isfinite().all())


def what_is_left(folder: Path) -> str:
    """For the end of an error message: the last good checkpoint in `folder`."""
    path = last_good_checkpoint(folder)
    return f"the last good checkpoint is {path}" if path else "no checkpoint had been written"
