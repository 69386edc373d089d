"""What an error that ends a training means to the user, and how one of several processes still says it."""

import os
import sys
import time
from subprocess import Popen

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

from rabc.config.training_settings import TrainerConfig
from rabc.system.errors import InputError
from rabc.system.memory import memory_error

_PATIENCE_S = 5.0
"""Until a process whose connection is gone has ended."""


class LastWords(Callback):
    """In every process but the first: says at once what ends it, and ends.

    Its error would reach the command's end only after Lightning has closed its connection: by then the first
    process has ended for that, and this one with it, without a word. The first one ends with the same code.
    """

    def __init__(self, settings: TrainerConfig, first: bool) -> None:
        """first: this is the first of several processes."""
        self._settings, self._first = settings, first
        self.other_code: int | None = None
        """Exit code of a process that has ended with an error, as far as the first one has started it."""

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """Prints an error a user can act on, and exits with its code; other errors go their way."""
        if self._first:
            self.other_code = _code_of_another(trainer) if is_lost(exception) else None
            return
        told = None
        if isinstance(exception, InputError):
            told = InputError(in_its_own_words(exception))
        elif isinstance(exception, Exception):
            told = memory_error(exception, "training", *less_memory(self._settings))
        if told is not None:
            print(f"\nerror: {told}", file=sys.stderr, flush=True)  # the first one's bar stands there
            os._exit(told.exit_code)


def is_lost(error: BaseException) -> bool:
    """Whether another process did not answer any more: what ended that one is told by itself."""
    return isinstance(error, torch.distributed.DistError) or (
        isinstance(error, RuntimeError) and "by peer" in str(error)  # gloo: closed or reset
    )


def _code_of_another(trainer: Trainer) -> int | None:
    started: list[Popen[bytes]] = getattr(trainer.strategy.launcher, "procs", [])
    codes, until = list[int | None](), time.monotonic() + _PATIENCE_S
    while started and not any(codes) and time.monotonic() < until:
        codes = [process.poll() for process in started]
        time.sleep(0.05)
    # Lightning, that watches them now and then, would kill this process before it has ended in good order.
    started.clear()
    return next((code for code in codes if code), None)


def in_its_own_words(error: InputError) -> str:
    """The message of an error; of one in a loading process, torch makes that process's whole traceback."""
    kind = type(error)
    return str(error).rpartition(f"\n{kind.__module__}.{kind.__qualname__}: ")[2].rstrip()


def less_memory(settings: TrainerConfig) -> tuple[str, str]:
    """What to give where memory runs out, and where that of the loading processes does."""
    batch, parts = settings.batch_size, settings.accumulate_grad_batches
    smaller = (
        f"give a smaller trainer.batch_size, for the same samples a step --trainer.batch_size {batch // 2} "
        f"--trainer.accumulate_grad_batches {2 * parts}; or "
        if batch > 1
        else "give "
    )
    return (
        f"{smaller}trainer.precision bf16-mixed, a smaller policy.resize_shape, or fewer processes beside it",
        f"give trainer.workers 0, or a smaller trainer.batch_size than {batch}, or more of it (docker run "
        "--shm-size 8g)",
    )
