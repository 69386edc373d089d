"""Per-sample losses of LeRobot policies and their weighted reduction.

LeRobot's ACT and Diffusion return one number per batch, so samples cannot be weighted there. Here the same
terms are kept per sample; with all weights 1 their reduction is LeRobot's loss.

LeRobot's masked mean runs over the valid elements of the batch: a sample cut short by the end of its
episode counts less than a whole one. The weighted mean keeps that. With e_i the summed error of sample i over
its n_i valid elements, it is

    sum_i w_i e_i / sum_i n_i

or, with a weight for every action of a sample and e_ik its error at tick k,

    sum_i sum_k w_ik e_ik / sum_i n_i

over the whole optimizer step, all micro-batches and processes. The weights are not in the denominator: they
have mean 1 over the dataset, and dividing by their sum would let a step of bad samples count as much as one
of good ones.
"""

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, cast

import torch
from einops import rearrange, reduce
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from lerobot.configs import PreTrainedConfig
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.diffusion.configuration_diffusion import DiffusionConfig
    from lerobot.policies.diffusion.modeling_diffusion import DiffusionPolicy
    from lerobot.policies.pretrained import PreTrainedPolicy

# Policies whose `reduction="none"` averages each sample over its valid ticks; the others average over all.
_MASKED_MEAN = ("smolvla",)


@dataclass(frozen=True)
class StepSize:
    """How much one optimizer step averages over: all micro-batches of all processes."""

    samples: int
    """Samples."""
    valid_ticks: int
    """Action ticks that are inside their episode, over all samples."""


@dataclass(frozen=True)
class LossTerm:
    """One part of a loss, of every sample."""

    errors: Tensor
    """(B, H, D) float32 of every element of every tick, 0 where it does not count; or (B,), summed over what
    it is averaged over, for a part that has no ticks."""
    per: Literal["sample", "valid tick"]
    """What the mean of the step is taken over."""
    elements: int
    """Summed elements per sample or per valid tick."""
    factor: float = 1.0
    """Factor in the total."""

    @property
    def sums(self) -> Tensor:
        """(B,) float32: error summed over what it is averaged over."""
        return self.errors if self.errors.ndim == 1 else reduce(self.errors, "b h d -> b", "sum")

    def mean(self, weights: Tensor, step: StepSize, ticks: Tensor | None = None) -> Tensor:
        """() this batch's share of the step's weighted mean, before `factor`.

        weights: (B,) of the samples; ticks: (B, H) of their actions, which take the place of those where the
        part has ticks.
        """
        units = step.samples if self.per == "sample" else step.valid_ticks
        if ticks is None or self.errors.ndim == 1:
            weighted = weights * self.sums
        else:
            weighted = ticks * reduce(self.errors, "b h d -> b h", "sum")
        return weighted.sum() / max(1, units * self.elements)


@dataclass(frozen=True)
class BatchLoss:
    """Scalars of one batch: its shares of the step's weighted means."""

    total: Tensor
    """() float32: what is minimised."""
    parts: dict[str, Tensor]
    """() float32 each, before their factors: `l1_loss`, `kld_loss`, `mse_loss`, `loss`."""


@dataclass(frozen=True)
class DiffusionNoise:
    """What a diffusion policy learns to remove."""

    noise: Tensor
    """(B, H, D) standard normal."""
    timesteps: Tensor
    """(B,) int64: how far along the diffusion each sample is."""

    def part(self, start: int, count: int) -> "DiffusionNoise":
        """The samples `start ... start + count`."""
        return DiffusionNoise(self.noise[start : start + count], self.timesteps[start : start + count])


def step_noise(
    policy: "PreTrainedPolicy", samples: int, generator: torch.Generator | None = None
) -> DiffusionNoise | None:
    """The noise of `samples` training samples, on the CPU; None for a policy that draws its own.

    Drawn for a whole optimizer step and then cut into `part`s, it does not depend on how the step is divided
    among micro-batches and processes. In LeRobot's order; generator: torch's global one by default.
    """
    if policy.config.type != "diffusion":
        return None
    config = cast(Any, policy.config)
    shape = (samples, config.horizon, config.action_feature.shape[0])
    noise = torch.randn(shape, generator=generator)
    return DiffusionNoise(
        noise, torch.randint(0, config.num_train_timesteps, (samples,), generator=generator)
    )


def masks_padding(policy: "PreTrainedConfig") -> bool:
    """Whether what lies behind an episode's end is left out of the loss; else it repeats the last action."""
    if policy.type == "diffusion":
        return cast("DiffusionConfig", policy).do_mask_loss_for_padding
    return policy.type == "act" or policy.type in _MASKED_MEAN


def sample_losses(
    policy: "PreTrainedPolicy", batch: dict[str, Tensor], noise: DiffusionNoise | None = None
) -> dict[str, LossTerm]:
    """Run the policy's own network and keep its loss terms per sample.

    Args:
        policy: LeRobot's ACT or Diffusion policy, or any that offers `forward(batch, reduction="none")`
            (SmolVLA, pi0, pi0.5). In training mode for ACT's variational encoder to run.
        batch: preprocessed: cameras (B, 3, H, W) or (B, n_obs_steps, 3, H, W), `observation.state`, `action`
            (B, H, D) and `action_is_pad` (B, H).
        noise: of a diffusion policy; drawn from torch's global generator by default.
    """
    kind = policy.config.type
    if kind == "act":
        return _act_terms(cast("ACTPolicy", policy), batch)
    if kind == "diffusion":
        return _diffusion_terms(cast("DiffusionPolicy", policy), batch, noise)
    if "reduction" in inspect.signature(policy.forward).parameters:
        return _own_terms(policy, batch)
    raise ValueError(f"policy {kind}: LeRobot gives no losses per sample for it")


def weighted_loss(
    losses: dict[str, LossTerm], weights: Tensor, step: StepSize, ticks: Tensor | None = None
) -> BatchLoss:
    """The batch's share of the step's weighted mean of every term; the shares of all batches add up to it.

    Args:
        losses: terms per sample.
        weights: (B,) non-negative, mean 1 over the frames that are drawn.
        step: of which the batch is a part; of the batch alone where that is the whole step.
        ticks: (B, H) non-negative, of every action, mean 1 over those of the frames that are drawn; None:
            every action has the weight of its sample.
    """
    parts = {name: term.mean(weights, step, ticks) for name, term in losses.items()}
    total = torch.stack([losses[name].factor * part for name, part in parts.items()]).sum()
    return BatchLoss(total, parts)


def valid_errors(error: Tensor, is_pad: Tensor) -> Tensor:
    """(B, H, D) error, 0 at the ticks that `is_pad` (B, H) marks."""
    return error * ~rearrange(is_pad, "b h -> b h 1")


def latent_divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) (Kingma & Welling 2014, App. B).

    Args:
        mean: (B, L) latent means.
        log_variance: (B, L) logarithms of the latent variances.

    Returns:
        (B,) nats.
    """
    return (-0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp())).sum(-1)


def _act_terms(policy: "ACTPolicy", batch: dict[str, Tensor]) -> dict[str, LossTerm]:
    """L1 over valid elements and the KL term per sample, as `ACTPolicy.forward`."""
    # The network asks the state for its device, also where it is no input.
    inputs: dict[str, Any] = {"observation.state": batch["action"], **batch}
    if policy.config.image_features:
        inputs["observation.images"] = [batch[key] for key in policy.config.image_features]
    predicted, (mean, log_variance) = policy.model(inputs)
    # float() is a no-op in float32; under bfloat16 autocast the sums below need the precision.
    error = (batch["action"] - predicted.float()).abs()
    terms = {
        "l1_loss": LossTerm(
            valid_errors(error, batch["action_is_pad"]), "valid tick", batch["action"].shape[-1]
        )
    }
    if mean is not None and log_variance is not None:
        divergences = latent_divergences(mean.float(), log_variance.float())
        terms["kld_loss"] = LossTerm(divergences, "sample", 1, float(policy.config.kl_weight))
    return terms


def _diffusion_terms(
    policy: "DiffusionPolicy", batch: dict[str, Tensor], noise: DiffusionNoise | None
) -> dict[str, LossTerm]:
    """Squared error of the predicted noise or action, as `DiffusionModel.compute_loss`.

    Diffusion Policy (arXiv 2303.04137), Eq. 5.
    """
    model, config, actions = policy.diffusion, policy.config, batch["action"]
    if config.image_features:
        # A time axis of one is added where the loader left it out, as DiffusionPolicy.forward does.
        cameras = [batch[key] for key in config.image_features]
        cameras = [
            rearrange(camera, "b c h w -> b 1 c h w") if camera.ndim == 4 else camera for camera in cameras
        ]
        batch = {**batch, "observation.images": torch.stack(cameras, dim=-4)}
    condition = model._prepare_global_conditioning(batch)  # pyright: ignore[reportPrivateUsage]
    drawn = noise or cast(DiffusionNoise, step_noise(policy, len(actions)))
    target, timesteps = drawn.noise.to(actions.device), drawn.timesteps.to(actions.device)
    noisy = model.noise_scheduler.add_noise(actions, cast(Any, target), cast(Any, timesteps))
    predicted = model.unet(noisy, timesteps, global_cond=condition)
    if config.prediction_type == "sample":
        target = actions
    error = functional.mse_loss(predicted.float(), target, reduction="none")
    if masks_padding(config):
        valid = valid_errors(error, batch["action_is_pad"])
        return {"mse_loss": LossTerm(valid, "valid tick", actions.shape[-1])}
    return {"mse_loss": LossTerm(error, "sample", actions.shape[1] * actions.shape[2])}


def _own_terms(policy: "PreTrainedPolicy", batch: dict[str, Tensor]) -> dict[str, LossTerm]:
    """The policy's own losses per sample."""
    losses = cast(Any, policy.forward)(batch, reduction="none")[0].float()
    if policy.config.type in _MASKED_MEAN and "action_is_pad" in batch:
        # Times its valid ticks, a sample counts in the step's mean as in the policy's own mean of a batch.
        return {"loss": LossTerm(losses * (~batch["action_is_pad"]).sum(dim=1), "valid tick", 1)}
    return {"loss": LossTerm(losses, "sample", 1)}
