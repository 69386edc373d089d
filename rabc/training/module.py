"""One training step as a LightningModule: batch -> per-sample losses -> weighted loss."""

import dataclasses
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningModule
from lightning.pytorch.utilities.types import OptimizerLRScheduler
from numpy.typing import NDArray
from torch import Tensor

from rabc.config.training_settings import TrainerConfig
from rabc.datasets.pictures import as_float
from rabc.policies.batch_norm import live_batch_norm
from rabc.policies.build import PolicyParts, image_encoders
from rabc.policies.losses import (
    BatchLoss,
    DiffusionNoise,
    LossTerm,
    StepSize,
    sample_losses,
    step_noise,
    weighted_loss,
)
from rabc.system.errors import InputError
from rabc.training.optimizers import optimization
from rabc.training.step_record import MicroBatch, StepRecord, micro_batch, record_step

# What a stream of random numbers is for; each has its own seed.
_LAYERS, _NOISE, _STATE_NOISE = range(3)
# Validation sees the same noise at every step: that of one that training never reaches.
_VALIDATION_STEP = 2**32 - 1


def sample_weights(weights: Tensor, batch: dict[str, Any], apply: str = "loss") -> dict[str, Tensor]:
    """The weights of a batch's samples, and those of their actions where `apply` is `ticks`.

    Args:
        weights: (N,) weight of every frame of the dataset; NaN where there is none.
        batch: has `index`, (B,) int64, by which they are found; for ticks `action_index` and `action_is_pad`,
            both (B, H).
        apply: as in `weights.apply`.

    Returns:
        `weight`, (B,); for ticks the mean of `tick_weight`, (B, H), over the actions that are no padding.

    Raises:
        InputError: no `index`, or a frame without weight. LeRobot would train on with weight 1.
    """
    if apply != "ticks":
        return {"weight": _looked_up(weights, batch, "index")}
    ticks = _looked_up(weights, batch, "action_index")
    valid = ~batch["action_is_pad"]
    return {"weight": (ticks * valid).sum(1) / valid.sum(1).clamp(min=1), "tick_weight": ticks}


def _looked_up(weights: Tensor, batch: dict[str, Any], key: str) -> Tensor:
    if key not in batch:
        raise InputError(
            f"batch {sorted(batch)}: has no `{key}` to find weights by; read it from the dataset"
        )
    index = batch[key]
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

    All randomness of a step follows from (seed, step), so a run that was killed and resumed ends with the
    same weights as one that was not. The noise that is added to a sample also follows from the sample's place
    in the step, however that is divided among micro-batches and processes; dropout, ACT's latent and
    Diffusion's random crop do not.
    """

    def __init__(
        self,
        parts: PolicyParts,
        weights: NDArray[np.floating[Any]],
        trainer: TrainerConfig,
        seed: int,
        live_norm: bool,
        apply: str = "loss",
    ) -> None:
        """
        Args:
            parts: a stock policy and its processors; the policy is trained in place.
            weights: (N,) weight of every frame; of the action there, where `apply` is `ticks`.
            trainer: optimisation settings.
            seed: of the training noise.
            live_norm: train batch normalisation (see `rabc.policies.batch_norm`).
            apply: as in `weights.apply`; with `sampler` frames are drawn in proportion to their weights, so
                each sample counts once in the loss.
        """
        super().__init__()
        self.parts = parts
        self.policy = parts.policy
        self.weights = torch.tensor(weights, dtype=torch.float32)
        """(N,) float32 weight of every frame, on the CPU."""
        self.stop_requested = False
        """This process was asked to stop; the others learn it with the record of the step."""
        self.record: StepRecord | None = None
        """Of the last optimizer step."""
        self._settings = trainer
        self._seed = seed
        self._applied = apply
        self._clip_norm = 0.0
        self._micro_batches: list[MicroBatch] = []
        if live_norm:
            live_batch_norm(self.policy)
        for encoder in image_encoders(self.policy):
            # The frame cache delivers channels-last pictures; convolutions are faster in it.
            cast(Any, encoder).to(memory_format=torch.channels_last)

    def on_before_batch_transfer(self, batch: dict[str, Any], dataloader_idx: int) -> dict[str, Any]:
        """Adds `sample_weights`, while the frame numbers are on the CPU and looking them up stops nothing."""
        return {**batch, **self.weigh(batch)}

    def weigh(self, batch: dict[str, Any]) -> dict[str, Tensor]:
        """`sample_weights` of a batch that is on the CPU."""
        return sample_weights(self.weights, batch, self._applied)

    def prepare(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A batch of `ChunkDataset` in the policy's units, on its device, as `lerobot-train` does it."""
        batch = dict(batch)
        for key in self.policy.config.image_features:
            if batch[key].dtype == torch.uint8:
                batch[key] = as_float(batch[key])
        return self.parts.preprocessor(batch)

    def losses(self, batch: dict[str, Any], step: int) -> dict[str, LossTerm]:
        """The loss terms of a training batch.

        Args:
            batch: from the loader.
            step: optimizer steps done, from which the noise follows; seeds torch's global generator.
        """
        torch.manual_seed(self._stream(_LAYERS, step, batch["position"]))
        return self._losses(batch, step, self._settings.state_noise)

    def validation_losses(self, batch: dict[str, Any]) -> dict[str, LossTerm]:
        """The loss terms of a validation batch, as the policy is evaluated: without dropout and state noise.

        Seeds torch's global generator.
        """
        torch.manual_seed(self._stream(_LAYERS, _VALIDATION_STEP, batch["position"]))
        with torch.no_grad():
            return self._losses(batch, _VALIDATION_STEP, state_noise=0.0)

    def stock_parts(self) -> PolicyParts:
        """The policy as stock LeRobot, in eval mode, with its processors as the robot needs them."""
        return dataclasses.replace(self.parts, policy=self.policy).for_robot()

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The weighted loss of one micro-batch."""
        step = self.global_step
        if batch["step"] != step:
            raise RuntimeError(f"batch of step {batch['step']} arrived at step {step}")
        terms = self.losses(batch, step)
        weights = torch.ones_like(batch["weight"]) if self._applied == "sampler" else batch["weight"]
        loss = self.weighted_loss(batch, terms, weights, batch.get("tick_weight"))
        self._micro_batches.append(micro_batch(batch, batch["weight"], terms, loss))
        # The shares of a step add up to its loss; Lightning divides by the one, DDP by the other.
        return loss.total * (self._settings.accumulate_grad_batches * self.trainer.world_size)

    def weighted_loss(
        self, batch: dict[str, Any], terms: dict[str, LossTerm], weights: Tensor, ticks: Tensor | None = None
    ) -> BatchLoss:
        """The batch's share of the weighted loss of what it is a part of; weights (B,), ticks (B, H)."""
        size = StepSize(batch["step_samples"], batch["step_valid_ticks"])
        return weighted_loss(terms, weights, size, ticks)

    def configure_gradient_clipping(
        self,
        optimizer: Any,
        gradient_clip_val: int | float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """Clip by the global norm, as LeRobot does, and record the step."""
        norm = torch.nn.utils.clip_grad_norm_(self.policy.parameters(), self._clip_norm)
        self.record = record_step(
            self.global_step,
            self._micro_batches,
            norm,
            float(optimizer.param_groups[0]["lr"]),
            self.stop_requested,
            self.trainer.world_size,
        )
        self._micro_batches = []

    def configure_optimizers(self) -> OptimizerLRScheduler:
        """See `rabc.training.optimizers`."""
        chosen = optimization(self.policy, self._settings)
        self._clip_norm = chosen.clip_norm
        configured: dict[str, Any] = {"optimizer": chosen.optimizer}
        if chosen.schedule is not None:
            configured["lr_scheduler"] = {"scheduler": chosen.schedule, "interval": "step"}
        return cast(OptimizerLRScheduler, configured)

    def _losses(self, batch: dict[str, Any], step: int, state_noise: float) -> dict[str, LossTerm]:
        start, count = batch["position"], len(batch["index"])
        noise = self._diffusion_noise(batch["step_samples"], step)
        prepared = self.prepare(batch)
        if state_noise > 0 and "observation.state" in prepared:
            state = prepared["observation.state"]
            drawn = torch.randn(
                (batch["step_samples"], *state.shape[1:]), generator=self._generator(_STATE_NOISE, step)
            )
            prepared["observation.state"] = state + state_noise * drawn[start : start + count].to(state)
        return sample_losses(self.policy, prepared, noise and noise.part(start, count))

    def _diffusion_noise(self, samples: int, step: int) -> DiffusionNoise | None:
        if self.policy.config.type != "diffusion":
            return None
        return step_noise(self.policy, samples, self._generator(_NOISE, step))

    def _generator(self, purpose: int, step: int) -> torch.Generator:
        return torch.Generator().manual_seed(self._stream(purpose, step))

    def _stream(self, *numbers: int) -> int:
        return int(np.random.SeedSequence([self._seed, *numbers]).generate_state(1, np.uint64)[0])
