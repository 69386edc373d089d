"""What a person watching a training sees: the progress bar, and the weights in TensorBoard."""

import sys
import time
from typing import Any

import numpy as np
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from lightning.pytorch.callbacks.progress.tqdm_progress import Tqdm
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from rabc.training.monitor import Clock, Monitor
from rabc.weighting import schemes

_SECONDS_BETWEEN_TEXTS = 0.5


class WeightPictures(Callback):
    """Puts the sample weights into TensorBoard, once at the first step of a training.

    Their distribution, the figures of the summary, and the moments that count most and least.
    """

    def __init__(
        self, sample_weights: NDArray[np.floating[Any]], moments: dict[str, NDArray[np.uint8]]
    ) -> None:
        """
        Args:
            sample_weights: (N,) weight of every frame.
            moments: name -> picture (H, W, 3).
        """
        self._weights = sample_weights
        self._moments = moments

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write them; a resumed training has them already."""
        logger = trainer.logger
        if trainer.global_step > 0 or not trainer.is_global_zero or not isinstance(logger, TensorBoardLogger):
            return
        board, described = logger.experiment, schemes.summary(self._weights)
        board.add_histogram("weights", self._weights, 0)
        for name in ("effective_sample_size", "share_zero", "share_saturated"):
            board.add_scalar(f"weights/{name}", getattr(described, name), 0)
        for name, picture in self._moments.items():
            board.add_image(f"weights/{name}", picture, 0, dataformats="HWC")


class TrainingBar(TQDMProgressBar):
    """One line on stderr: steps of the whole run, loss and samples per second."""

    def __init__(self, clock: Clock, monitor: Monitor) -> None:
        """
        Args:
            clock: where the throughput comes from.
            monitor: where the loss comes from.
        """
        super().__init__(refresh_rate=1)
        self._clock = clock
        self._monitor = monitor
        self._written = 0.0

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
        bar, now = self.train_progress_bar, time.perf_counter()
        if now - self._written > _SECONDS_BETWEEN_TEXTS:
            bar.set_postfix_str(self._text(), refresh=False)
            self._written = now
        bar.update(trainer.global_step - bar.n)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Leave the final figures standing."""
        self.train_progress_bar.set_postfix_str(self._text())

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """End the line, so that the error stands on one of its own."""
        if self._train_progress_bar is not None:
            self.train_progress_bar.close()

    def _text(self) -> str:
        return f"loss {self._monitor.loss:.3f}, {self._clock.samples_per_second:.0f} samples/s"
