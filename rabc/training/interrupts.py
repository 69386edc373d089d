"""Ctrl-C and SIGTERM end a training after the step, with a checkpoint."""

import os
import signal
import sys
import threading
from types import FrameType
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rabc.training.module import WeightedPolicy
from rabc.training.monitor import Monitor

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interrupts(Callback):
    """Turns the first signal into a request to stop; the second ends the process at once.

    A context manager around `Trainer.fit`: the loader's processes, which are forked from this one, get Ctrl-C
    as well and have to pass it over.
    """

    def __init__(self, monitor: Monitor) -> None:
        """
        Args:
            monitor: knows when all processes have learned of the request.
        """
        self.received: int | None = None
        """The signal."""
        self._monitor = monitor
        self._module: WeightedPolicy | None = None
        self._owner = os.getpid()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> "Interrupts":
        if threading.current_thread() is threading.main_thread():  # elsewhere Python takes no signals
            self._before = {number: signal.getsignal(number) for number in _SIGNALS}
            self._install()
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take SIGTERM back from Lightning, which would end the training between two steps without a word."""
        assert isinstance(pl_module, WeightedPolicy)
        self._module = pl_module
        pl_module.stop_requested = self.received is not None
        if self._before:
            self._install()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Stop where all processes know; one alone need not wait for its record."""
        alone = trainer.world_size == 1 and self.received is not None
        if trainer.global_step > batch["step"] and (self._monitor.stop or alone):
            trainer.should_stop = True

    def _install(self) -> None:
        for number in _SIGNALS:
            signal.signal(number, self._receive)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if os.getpid() != self._owner:  # a process of the loader
            if number == signal.SIGTERM:
                os._exit(1)
            return
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number
        if self._module is not None:
            self._module.stop_requested = True
            if self._module.global_rank == 0:
                print("\ntraining: stopping after this step, with a checkpoint", file=sys.stderr)
