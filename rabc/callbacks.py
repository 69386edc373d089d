"""What happens around training steps: checkpoints, the progress bar, throughput, weight histogram."""

import math
import os
import pickle
import sys
import time
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from rabc import weights

_KEPT = 2


def checkpoint_files(folder: Path) -> list[Path]:
    """Checkpoints of a training folder, newest first; their names are `step=<steps>.ckpt`."""
    found = [path for path in folder.glob("step=*.ckpt") if path.stem.removeprefix("step=").isdigit()]
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
            torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
            reason = (str(error) or type(error).__name__).splitlines()[0]
            print(f"checkpoint {path}: cannot be read ({reason}), skipped", file=sys.stderr)
            continue
        return path
    return None


class Checkpoints(Callback):
    """Writes a checkpoint every few steps and after the last, and keeps the newest two.

    Lightning's own callback writes through a temporary file on another file system and moves it, which a
    kill can cut in half. Here a file gets its name only once it is complete and on disk.
    """

    def __init__(self, folder: Path, every: int) -> None:
        """
        Args:
            folder: where `step=<steps>.ckpt` goes.
            every: steps between checkpoints.
        """
        self._folder = folder
        self._every = every

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save when the step is due."""
        step = trainer.global_step
        if step % self._every == 0 or step == trainer.max_steps:
            self._save(trainer, step)

    def _save(self, trainer: Trainer, step: int) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        for stale in self._folder.glob("*.partial"):
            stale.unlink()
        partial = self._folder / f"step={step}.partial"
        torch.save(trainer._checkpoint_connector.dump_checkpoint(), partial)  # pyright: ignore[reportPrivateUsage]
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        os.replace(partial, self._folder / f"step={step}.ckpt")
        for old in checkpoint_files(self._folder)[_KEPT:]:
            old.unlink()


class Clock(Callback):
    """Measures throughput and the time spent in training, over all sessions of a resumed run."""

    def __init__(self, batch_size: int) -> None:
        """
        Args:
            batch_size: samples per step.
        """
        self.seconds = 0.0
        """Training time so far, seconds; a killed session counts up to its last checkpoint."""
        self.loss = math.nan
        """Weighted loss of the last step."""
        self._batch_size = batch_size
        self._last = 0.0
        self._recent: deque[float] = deque(maxlen=20)

    @property
    def samples_per_second(self) -> float:
        """Throughput over the last steps, samples per second."""
        return self._batch_size * len(self._recent) / sum(self._recent) if self._recent else 0.0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Start counting."""
        self._last = time.perf_counter()

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Count the step."""
        now = time.perf_counter()
        self.seconds += now - self._last
        self._recent.append(now - self._last)
        self._last = now
        self.loss = float(outputs["loss"])
        pl_module.log("samples_per_second", self.samples_per_second)

    def state_dict(self) -> dict[str, Any]:
        """The figures so far go into the checkpoint."""
        return {"seconds": self.seconds, "loss": self.loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on counting from the checkpoint."""
        self.seconds = float(state_dict["seconds"])
        self.loss = float(state_dict["loss"])


class WeightHistogram(Callback):
    """Puts the distribution of the sample weights into TensorBoard, once at the first step of a training."""

    def __init__(self, sample_weights: NDArray[np.floating[Any]]) -> None:
        """
        Args:
            sample_weights: (N,) weight of every frame.
        """
        self._weights = sample_weights

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write it, and the figures of the summary; a resumed training has them already."""
        if trainer.global_step > 0 or not isinstance(trainer.logger, TensorBoardLogger):
            return
        board, described = trainer.logger.experiment, weights.summary(self._weights)
        board.add_histogram("weights", self._weights, 0)
        for name in ("effective_sample_size", "share_zero", "share_saturated"):
            board.add_scalar(f"weights/{name}", getattr(described, name), 0)


class TrainingBar(TQDMProgressBar):
    """One line on stderr: steps of the whole run, loss and samples per second."""

    def __init__(self, clock: Clock) -> None:
        """
        Args:
            clock: where the throughput comes from.
        """
        super().__init__(refresh_rate=1)
        self._clock = clock

    def init_train_tqdm(self) -> Tqdm:
        """Refreshed twice a second on a terminal, every ten seconds in a log file."""
        return Tqdm(
            desc="training",
            total=int(self.trainer.max_steps),
            initial=self.trainer.global_step,
            unit="step",
            mininterval=0.5 if sys.stderr.isatty() else 10.0,
            disable=self.is_disabled,
            dynamic_ncols=True,
            file=sys.stderr,
            smoothing=0.1,
        )

    def on_train_epoch_start(self, trainer: Trainer, *_: Any) -> None:
        """The whole run is one epoch to Lightning; the bar was set up for it already."""

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Advance; tqdm draws when it is due."""
        bar = self.train_progress_bar
        bar.set_postfix_str(self._text(), refresh=False)
        bar.update(trainer.global_step - bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the final figures standing."""
        self.train_progress_bar.set_postfix_str(self._text())

    def _text(self) -> str:
        return f"loss {self._clock.loss:.3f}, {self._clock.samples_per_second:.0f} samples/s"
