"""One training step as a LightningModule: batch -> per-sample losses -> weighted loss."""

import math
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor

from rabc.batch_norm import live_batch_norm
from rabc.config import TrainerConfig
from rabc.errors import CheckFailed, InputError
from rabc.losses import BatchLoss, sample_losses, weighted_loss
from rabc.policies import PolicyParts


def learning_rate_factor(step: int, warmup_steps: int, max_steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then half a cosine down to zero.

    Args:
        step: optimizer steps done, from 0.
        warmup_steps: steps until the peak is reached.
        max_steps: steps of the whole run.
    """
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    decay = (step - warmup_steps) / max(1, max_steps - warmup_steps)
    return 0.5 * (1.0 + math.cos(math.pi * min(1.0, decay)))


def sample_weights(weights: Tensor, batch: dict[str, Any]) -> Tensor:
    """The weights of a batch's samples, found by its `index`.

    Args:
        weights: (N,) weight of every frame of the dataset; NaN where there is none.
        batch: has `index`, (B,) int64.

    Returns:
        (B,) weights.

    Raises:
        InputError: no `index`, or a frame without weight. LeRobot would train on with weight 1.
    """
    if "index" not in batch:
        raise InputError(
            f"batch {sorted(batch)}: has no `index` to find weights by; read it from the dataset"
        )
    index = batch["index"]
    outside = (index < 0) | (index >= len(weights))
    if outside.any():
        frame = int(index[outside][0])
        raise InputError(f"frame {frame}: has no weight, there are {len(weights)}; weight this dataset")
    found = weights[index]
    if found.isnan().any():
        frame = int(index[found.isnan()][0])
        raise InputError(f"frame {frame}: has no weight; score and weight every episode")
    return found


class WeightedPolicy(LightningModule):
    """LeRobot's policy in training, with a weight per sample.

    All randomness of a step (dropout, latent, state noise) follows from (seed, step), so a run that
    was killed and resumed ends with the same weights as one that was not.
    """

    def __init__(
        self,
        parts: PolicyParts,
        weights: NDArray[np.floating[Any]],
        trainer: TrainerConfig,
        seed: int,
        live_norm: bool,
    ) -> None:
        """
        Args:
            parts: a stock policy and its processors; the policy is trained in place.
            weights: (N,) weight of every frame.
            trainer: optimisation settings.
            seed: of the training noise.
            live_norm: train batch normalisation (see `rabc.batch_norm`).
        """
        super().__init__()
        self.parts = parts
        self.policy = parts.policy
        self._settings = trainer
        self._seed = seed
        if live_norm:
            live_batch_norm(self.policy)
        if self.policy.config.image_features:
            # The frame cache delivers channels-last pictures; convolutions are faster in it.
            cast(Any, self.policy.model.backbone).to(memory_format=torch.channels_last)
        self.weights: Tensor
        """(N,) float32 weight of every frame."""
        self.register_buffer("weights", torch.tensor(weights, dtype=torch.float32), persistent=False)

    def prepare(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch of `ChunkDataset` in the policy's units, on its device, as `lerobot-train` does it."""
        batch = dict(batch)
        for key in self.policy.config.image_features:
            if batch[key].dtype == torch.uint8:
                batch[key] = batch[key].to(torch.float32) / 255.0
        return self.parts.preprocessor(batch)

    def losses(self, batch: dict[str, Any], step: int) -> tuple[BatchLoss, Tensor]:
        """The weighted loss of one batch and the weights of its samples, (B,).

        Args:
            batch: from `ChunkDataset`.
            step: optimizer steps done, from which the noise follows; seeds torch's global generator.
        """
        weights = sample_weights(self.weights, batch)
        torch.manual_seed(int(np.random.SeedSequence([self._seed, step]).generate_state(1, np.uint64)[0]))
        batch = self.prepare(batch)
        if self._settings.state_noise > 0 and "observation.state" in batch:
            state = batch["observation.state"]
            batch["observation.state"] = state + self._settings.state_noise * torch.randn_like(state)
        return weighted_loss(sample_losses(self.policy, batch), weights), weights

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The weighted loss of one batch."""
        step = self.global_step
        if batch["step"] != step:
            raise RuntimeError(f"batch of step {batch['step']} arrived at step {step}")
        loss, weights = self.losses(batch, step)
        if not torch.isfinite(loss.total):
            raise CheckFailed(f"loss {loss.total.item()} at step {step}: training diverged; lower trainer.lr")
        self.log("loss", loss.total)
        self.log("loss_parts/reconstruction", loss.reconstruction)
        self.log("loss_parts/regularisation", loss.regularisation)
        self.log("weight_mean", weights.mean())
        return loss.total

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the global norm, as LeRobot does (0: no limit), and log the norm before clipping."""
        limit = self._settings.gradient_clip_norm or math.inf
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), limit)
        self.log("gradient_norm", norm)
        self.log("learning_rate", float(optimizer.param_groups[0]["lr"]))

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """AdamW with linear warm-up and cosine decay, at one learning rate for all.

        LeRobot's ACT preset gives the backbone a rate of its own (`optimizer_lr_backbone`), which here would
        leave a backbone without pretrained weights behind.
        """
        settings = self._settings
        optimizer = torch.optim.AdamW(
            [parameter for parameter in self.policy.parameters() if parameter.requires_grad],
            lr=settings.lr,
            weight_decay=settings.weight_decay,
            fused=self.device.type in ("cpu", "cuda"),
        )

        def factor(step: int) -> float:
            return learning_rate_factor(step, settings.warmup_steps, settings.max_steps)

        scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, factor)
        return cast(
            OptimizerLRScheduler,
            {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, "interval": "step"}},
        )
