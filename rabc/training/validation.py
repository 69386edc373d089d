"""The loss on episodes that training does not see."""

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torchmetrics import SumMetric

from rabc.training.data import ChunkDataModule
from rabc.training.ema import policy_to_evaluate
from rabc.training.module import WeightedPolicy
from rabc.training.monitor import Clock

LOSSES = ("validation_loss", "validation_loss_weighted")
"""What a validation measures: with all weights 1, and with the sample weights."""


class Validation(Callback):
    """Every few steps, the loss of the policy as it would be exported, with the same noise each time.

    `validation_loss` is unweighted: the loss of plain behavior cloning, so that runs with different weights
    can be compared. `validation_loss_weighted` is what training minimises. Training stops where `patience`
    validations in a row have found no new lowest `validation_loss`.
    """

    def __init__(
        self,
        data: ChunkDataModule,
        every: int,
        patience: int,
        clock: Clock,
    ) -> None:
        """
        Args:
            data: the held-out frames, this process's part of them.
            every: steps between validations.
            patience: validations without progress until training stops; 0: it never does.
            clock: does not count the time as training.
        """
        self.stopped = False
        """Patience ended the training."""
        self._data = data
        self._every = every
        self._patience = patience
        self._clock = clock
        self._best = math.inf
        self._in_vain = 0

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate when the step is due."""
        step = trainer.global_step
        if step == batch["step"] or step % self._every:
            return
        losses = self._validate(trainer)
        if trainer.logger is not None:
            trainer.logger.log_metrics(losses, step - 1)
        if losses["validation_loss"] < self._best:
            self._best, self._in_vain = losses["validation_loss"], 0
        else:
            self._in_vain += 1
        if self._patience and self._in_vain >= self._patience:
            self.stopped = trainer.should_stop = True
            if trainer.is_global_zero:
                print(
                    f"training: stopped after step {step}, since {self._in_vain} validations found no "
                    f"loss below {self._best:.4g}"
                )
        self._clock.leave_out()

    def _validate(self, trainer: Trainer) -> dict[str, float]:
        module = policy_to_evaluate(trainer)
        modes = {part: part.training for part in module.modules()}
        module.eval()
        with trainer.precision_plugin.val_step_context():
            # A loss that is not a number has to stay one.
            sums = [SumMetric("disable").to(trainer.strategy.root_device) for _ in LOSSES]
            for batch in cast(Iterable[dict[str, Any]], self._data.val_dataloader()):
                for total, loss in zip(sums, self._losses(trainer, module, batch), strict=True):
                    total.update(loss)
        for part, mode in modes.items():
            part.training = mode
        return {name: float(total.compute()) for name, total in zip(LOSSES, sums, strict=True)}

    def _losses(self, trainer: Trainer, module: WeightedPolicy, batch: dict[str, Any]) -> list[torch.Tensor]:
        batch = trainer.strategy.batch_to_device({**batch, **module.weigh(batch)})
        terms, weights = module.validation_losses(batch), batch["weight"]
        plain = module.weighted_loss(batch, terms, torch.ones_like(weights))
        weighted = module.weighted_loss(batch, terms, weights, batch.get("tick_weight"))
        return [plain.total, weighted.total]

    def state_dict(self) -> dict[str, Any]:
        """What patience has seen goes into the checkpoint."""
        return {"best": self._best, "in_vain": self._in_vain, "stopped": self.stopped}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on waiting from the checkpoint."""
        self._best = float(state_dict["best"])
        self._in_vain = int(state_dict["in_vain"])
        self.stopped = bool(state_dict["stopped"])
