"""Optimizer, learning rate schedule and clipping: ours, or LeRobot's preset for the policy."""

import math
from dataclasses import dataclass
from typing import Any, cast

import torch
from lerobot.policies.pretrained import PreTrainedPolicy
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from rabc.config.training_settings import TrainerConfig


@dataclass(frozen=True)
class Optimization:
    """How the gradients change the weights."""

    optimizer: Optimizer
    schedule: LRScheduler | None
    """Advanced once an optimizer step."""
    clip_norm: float
    """Largest gradient norm; infinity: no clipping."""


def optimization(policy: PreTrainedPolicy, settings: TrainerConfig) -> Optimization:
    """What `settings` ask for, over the policy's trainable parameters."""
    return _preset(policy, settings) if settings.lerobot_preset else _ours(policy, settings)


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


def state_rates(policy: PreTrainedPolicy, settings: TrainerConfig) -> None:
    """Write the one learning rate and the weight decay that are used into the policy's configuration.

    LeRobot's ACT preset gives the backbone a rate of its own, which is stated in the exported folder.
    """
    config = cast(Any, policy.config)
    values = {
        "optimizer_lr": settings.lr,
        "optimizer_lr_backbone": settings.lr,
        "optimizer_weight_decay": settings.weight_decay,
    }
    for name, value in values.items():
        if hasattr(config, name):
            setattr(config, name, value)


def _ours(policy: PreTrainedPolicy, settings: TrainerConfig) -> Optimization:
    """AdamW with linear warm-up and cosine decay, at one learning rate for all.

    LeRobot's ACT preset gives the backbone a rate of its own (`optimizer_lr_backbone`), which here would
    leave a backbone without pretrained weights behind.
    """
    parameters = [parameter for parameter in policy.parameters() if parameter.requires_grad]
    optimizer = torch.optim.AdamW(
        parameters,
        lr=settings.lr,
        weight_decay=settings.weight_decay,
        fused=parameters[0].device.type in ("cpu", "cuda"),
    )

    def factor(step: int) -> float:
        return learning_rate_factor(step, settings.warmup_steps, settings.max_steps)

    return Optimization(optimizer, LambdaLR(optimizer, factor), settings.gradient_clip_norm or math.inf)


def _preset(policy: PreTrainedPolicy, settings: TrainerConfig) -> Optimization:
    """As `lerobot-train` builds them (`lerobot.optim.factory`)."""
    chosen = policy.config.get_optimizer_preset()
    optimizer = cast(Optimizer, chosen.build(policy.get_optim_params()))
    schedule = policy.config.get_scheduler_preset()
    return Optimization(
        optimizer,
        None if schedule is None else schedule.build(optimizer, settings.max_steps),
        chosen.grad_clip_norm or math.inf,
    )
