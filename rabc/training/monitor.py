"""Watches the steps of a training: their figures go to TensorBoard, and one that is not a number ends it."""

import math
import time
from collections import deque
from collections.abc import Callable
from typing import Any, NoReturn

from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.profilers import Profiler

from rabc.system.errors import InputError
from rabc.training.module import WeightedPolicy
from rabc.training.step_record import Culprits, StepRecord, culprits, is_finite

# Steps between the one that a GPU is working on and the one whose figures are read.
_BEHIND = 1


class Waiting(Profiler):
    """Measures the time that training spends waiting for the loader; Lightning calls it around each fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.seconds = 0.0
        """Waited so far."""
        self._since = 0.0

    def start(self, action_name: str) -> None:
        """A fetch begins, or something else, which is ignored."""
        if action_name.endswith("train_dataloader_next"):
            self._since = time.perf_counter()

    def stop(self, action_name: str) -> None:
        """The fetch is over."""
        if action_name.endswith("train_dataloader_next"):
            self.seconds += time.perf_counter() - self._since


class Clock(Callback):
    """Measures throughput, waiting and the time spent in training, over all sessions of a resumed run."""

    def __init__(self, samples_per_step: int) -> None:
        """
        Args:
            samples_per_step: of all processes.
        """
        self.seconds = 0.0
        """Training time so far, seconds; a killed session counts up to its last checkpoint."""
        self.waiting = Waiting()
        """Lightning's profiler for this training."""
        self.samples_per_second = 0.0
        """Throughput over the last steps."""
        self.data_wait = 0.0
        """Share of the last steps' time in which training waited for the loader."""
        self._samples = samples_per_step
        self._last = 0.0
        # When the last steps ended, and how long the loader had been waited for by then.
        self._recent: deque[tuple[float, float]] = deque(maxlen=21)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting."""
        self.leave_out()

    def leave_out(self) -> None:
        """Do not count what was done since the last step: it was no training."""
        self._last = time.perf_counter()
        self._recent.clear()
        self._recent.append((self._last, self.waiting.seconds))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step."""
        if trainer.global_step == batch["step"]:
            return  # a micro-batch before the last of its step
        now = time.perf_counter()
        self.seconds += now - self._last
        self._last = now
        self._recent.append((now, self.waiting.seconds))
        (since, waited), steps = self._recent[0], len(self._recent) - 1
        self.samples_per_second = self._samples * steps / (now - since)
        self.data_wait = (self.waiting.seconds - waited) / (now - since)

    def state_dict(self) -> dict[str, Any]:
        """The time so far goes into the checkpoint."""
        return {"seconds": self.seconds}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from the checkpoint."""
        self.seconds = float(state_dict["seconds"])


class Monitor(Callback):
    """Reads the figures of the steps, a step behind, so that a GPU never waits for it.

    A loss or gradient that is not finite ends the training; every `log_every` steps the figures go to
    TensorBoard.
    """

    def __init__(self, clock: Clock, log_every: int, what_is_left: Callable[[], str]) -> None:
        """
        Args:
            clock: for throughput.
            log_every: steps between points in TensorBoard.
            what_is_left: for the end of an error message: the last good checkpoint.
        """
        self.loss = math.nan
        """Weighted loss of the last step that was read."""
        self.stop = False
        """Some process was asked to stop, and all know it."""
        self._clock = clock
        self._log_every = log_every
        self._what_is_left = what_is_left
        self._pending: deque[StepRecord] = deque()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Take the step's record and read the one before."""
        if trainer.global_step == batch["step"]:
            return  # a micro-batch before the last of its step
        assert isinstance(pl_module, WeightedPolicy)
        assert pl_module.record is not None
        self._pending.append(pl_module.record)
        while len(self._pending) > _BEHIND:
            self._read(trainer, self._pending.popleft())

    def catch_up(self, trainer: Trainer) -> None:
        """Read all steps so far. Raises InputError where one had a loss or gradient that is not finite."""
        while self._pending:
            self._read(trainer, self._pending.popleft())

    def _read(self, trainer: Trainer, record: StepRecord) -> None:
        figures = record.read()
        self.stop = self.stop or bool(figures.pop("stop"))
        if not is_finite(figures):
            found = culprits(record, trainer.world_size)
            end_everywhere(trainer, f"{not_finite(record.step, figures, found)}; {self._what_is_left()}")
        self.loss = figures["loss"]
        if record.step % self._log_every == 0 and trainer.logger is not None:
            figures["learning_rate"] = record.learning_rate
            figures["samples_per_second"] = self._clock.samples_per_second
            figures["data_wait"] = self._clock.data_wait
            trainer.logger.log_metrics(figures, record.step)

    def state_dict(self) -> dict[str, Any]:
        """The loss goes into the checkpoint."""
        return {"loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The loss of the checkpoint's step."""
        self.loss = float(state_dict["loss"])


def end_everywhere(trainer: Trainer, message: str) -> NoReturn:
    """Raise InputError in the first process; the others, which have met the same, exit without a word."""
    if trainer.global_rank > 0:
        raise SystemExit(0)
    raise InputError(message)


def not_finite(step: int, figures: dict[str, float], found: Culprits) -> str:
    """What of a step is not finite, whose fault it is and what to do."""
    what = "gradient_norm" if math.isfinite(figures["loss"]) else "loss"
    episodes = ", ".join(str(episode) for episode in found.episodes)
    if found.everything or not found.frames:
        whose = f"the step's samples are from episodes {episodes}"
        remedy = "training diverged: lower trainer.lr, or check the values of these episodes"
    else:
        frames = ", ".join(str(frame) for frame in found.frames)
        whose = f"it comes from frame {frames} of episode {episodes}"
        remedy = "check the recorded values there, or give these frames weight 0"
    return f"{what} {figures[what]} at step {step}: not finite, and {whose}; {remedy}"
