"""Per-sample losses and their weighted reduction.

LeRobot's ACT returns one number per batch, so samples cannot be weighted there. Here the
same terms are kept per sample; with all weights 1 their reduction is LeRobot's loss.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lerobot.policies.act.modeling_act import ACTPolicy


@dataclass(frozen=True)
class SampleLosses:
    """Loss terms of one batch, one value per sample."""

    reconstruction: Tensor
    """(B,) float32: L1 error of the sample's valid actions in normalised units, scaled so that the
    mean over the batch is LeRobot's masked mean over all valid action elements."""
    regularisation: Tensor
    """(B,) float32: KL divergence of the latent from a standard normal, nats; zero without the VAE."""
    regularisation_weight: float
    """Factor of the regularisation in the total (ACT's `kl_weight`)."""


@dataclass(frozen=True)
class BatchLoss:
    """Scalars of one batch, each a weighted mean over its samples."""

    total: Tensor
    """() float32: what is minimised."""
    reconstruction: Tensor
    """() float32: weighted L1 part."""
    regularisation: Tensor
    """() float32: weighted KL part, before `regularisation_weight`."""


def reconstruction_losses(predicted: Tensor, actions: Tensor, action_is_pad: Tensor) -> Tensor:
    """L1 error per sample over the actions that are inside the episode.

    LeRobot averages over the valid elements of the whole batch, so a sample cut short by the
    end of its episode counts less than a full one. Dividing by the batch's mean number of valid
    elements per sample keeps that.

    Args:
        predicted: (B, H, D) actions of the policy, normalised units.
        actions: (B, H, D) demonstrated actions, normalised units.
        action_is_pad: (B, H) bool, true past the episode's end.

    Returns:
        (B,) float32; the mean is `ACTPolicy.forward`'s `l1_loss`.
    """
    valid = ~action_is_pad.unsqueeze(-1)
    error = ((actions - predicted).abs() * valid).sum(dim=(1, 2))
    elements = (valid.sum() * actions.shape[-1]).clamp_min(1)
    return error * (len(actions) / elements)


def latent_divergences(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL divergence of N(mean, exp(log_variance)) from N(0, 1) (Kingma & Welling 2014, App. B).

    Args:
        mean: (B, L) latent means.
        log_variance: (B, L) logarithms of the latent variances.

    Returns:
        (B,) nats.
    """
    return (-0.5 * (1 + log_variance - mean.pow(2) - log_variance.exp())).sum(-1)


def sample_losses(policy: "ACTPolicy", batch: dict[str, Tensor]) -> SampleLosses:
    """Run the policy's own network and keep its loss terms per sample.

    Args:
        policy: LeRobot's ACT policy, in training mode for the variational encoder to run.
        batch: preprocessed batch: camera keys (B, 3, H, W), `observation.state` (B, S),
            `action` (B, H, D) and `action_is_pad` (B, H).
    """
    if policy.config.image_features:
        # As ACTPolicy.forward does: the network wants the cameras as a list.
        cameras = [batch[key] for key in policy.config.image_features]
        batch = {**batch, "observation.images": cameras}  # pyright: ignore[reportAssignmentType]
    predicted, (mean, log_variance) = policy.model(batch)
    # float() is a no-op in float32; under bfloat16 autocast the sums below need the precision.
    reconstruction = reconstruction_losses(predicted.float(), batch["action"], batch["action_is_pad"])
    if mean is None or log_variance is None:
        regularisation = torch.zeros_like(reconstruction)
    else:
        regularisation = latent_divergences(mean.float(), log_variance.float())
    return SampleLosses(reconstruction, regularisation, float(policy.config.kl_weight))


def weighted_loss(losses: SampleLosses, weights: Tensor) -> BatchLoss:
    """Mean over the batch of weight times loss; weights of 1 give LeRobot's ACT loss.

    The divisor is the batch size, not the sum of weights: normalising within the batch would let
    a batch of bad samples count as much as one of good samples.

    Args:
        losses: terms per sample.
        weights: (B,) non-negative, mean 1 over the frames that are drawn.
    """
    reconstruction = (weights * losses.reconstruction).mean()
    regularisation = (weights * losses.regularisation).mean()
    total = reconstruction + losses.regularisation_weight * regularisation
    return BatchLoss(total, reconstruction, regularisation)
