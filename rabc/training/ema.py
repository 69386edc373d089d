"""An exponential moving average of the weights, which smooths what the last few batches did to them."""

from typing import Any, cast

import torch
from diffusers.training_utils import EMAModel
from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor

from rabc.training.module import WeightedPolicy


class Averaging(WeightAveraging):
    """Lightning's averaging with the growing decay of diffusers' EMAModel, as Diffusion Policy is trained.

    The decay is min(decay, (1 + t) / (10 + t)) after t updates: small while the weights still move far.

    Buffers are averaged like weights: the running statistics of a live BatchNorm belong to the weights that
    made them, and averages of both match better than averaged weights and the latest statistics. Counters are
    copied.

    Checkpoints hold the average as `state_dict` and the weights in training as `current_model_state`.
    """

    def __init__(self, decay: float) -> None:
        """
        Args:
            decay: what the decay grows to.
        """
        super().__init__(use_buffers=True, multi_avg_fn=self._average)
        self._schedule = EMAModel([], decay=decay)

    @property
    def averaged(self) -> WeightedPolicy:
        """The module with the averaged weights; made when training begins."""
        assert self._average_model is not None
        module = self._average_model.module
        assert isinstance(module, WeightedPolicy)
        return module

    def setup(self, trainer: Trainer, pl_module: LightningModule, stage: str) -> None:
        """Copies the module."""
        super().setup(trainer, pl_module, stage)
        if self._average_model is not None:
            # Its value is asked for at every step, and on a GPU that would wait for all that is queued.
            self._average_model.n_averaged = self._average_model.n_averaged.cpu()

    def _average(self, averaged: Any, current: Any, updates: Tensor | int) -> None:
        assert self._average_model is not None
        # It counts this update, too.
        decay = self._schedule.get_decay(int(self._average_model.n_averaged) + 1)
        if averaged[0].is_floating_point():
            cast(Any, torch)._foreach_lerp_(averaged, current, 1 - decay)
        else:
            cast(Any, torch)._foreach_copy_(averaged, current)


def policy_to_evaluate(trainer: Trainer) -> WeightedPolicy:
    """The module whose weights count: the average's where there is one, else the one in training."""
    for callback in trainer.callbacks:  # pyright: ignore[reportAttributeAccessIssue]
        if isinstance(callback, Averaging):
            return callback.averaged
    module = trainer.lightning_module
    assert isinstance(module, WeightedPolicy)
    return module
