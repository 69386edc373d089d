"""Whether a policy folder's configuration asks for more than its weights hold: asked before it is built."""

from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from lerobot.configs import PreTrainedConfig
from lerobot.policies.factory import get_policy_class
from safetensors import safe_open

from rabc.policies.door import CONFIG, WEIGHTS
from rabc.system.errors import InputError

_SPARE = 2**22
"""Numbers that may be missing (16 MiB): of few it is LeRobot that says which."""
_WHOLE = ("act", "diffusion", "vqbet", "tdmpc")
"""Policies that are all their own; of the others most is a language model, as large as its folder says."""


def check_sizes(name: str, settings: PreTrainedConfig, weights: Path) -> None:
    """Raise InputError where the policy of `settings` would have far more numbers than `weights` holds.

    A configuration of some kilobytes would otherwise fill the memory. Nothing is allocated to find that out.

    Args:
        name: of the policy, for messages.
        settings: as LeRobot has read them.
        weights: a safetensors file; one that is missing or damaged is for others to tell.
    """
    if settings.type not in _WHOLE or not weights.is_file():
        return
    held = _held(weights)
    for what, count in (("its tables", _of_tables), ("its network", _of_network)):
        asked = count(settings)
        if asked > held + _SPARE:
            raise InputError(
                f"policy {name}: {CONFIG} gives {what} {asked:,} numbers, and {WEIGHTS} holds {held:,}; it "
                "is not loaded"
            )


def _held(weights: Path) -> int:
    total = 0
    with safe_open(weights, framework="pt") as file:
        for key in file.keys():  # noqa: SIM118  (not a dictionary)
            total += torch.Size(file.get_slice(key).get_shape()).numel()
    return total


def _of_tables(settings: PreTrainedConfig) -> int:
    """Of what ACT computes in Python while it is built: a place for each action of a chunk."""
    return cast(Any, settings).chunk_size * cast(Any, settings).dim_model if settings.type == "act" else 0


def _of_network(settings: PreTrainedConfig) -> int:
    """Of parameters and buffers, counted on torch's device that holds nothing."""
    own: Any = deepcopy(settings)
    if hasattr(own, "pretrained_backbone_weights"):
        own.pretrained_backbone_weights = None  # they are in the file, too
    with torch.random.fork_rng(devices=[]), torch.device("meta"):
        kind: Callable[[Any], torch.nn.Module] = get_policy_class(settings.type)
        policy = kind(own)
    return sum(value.numel() for part in (policy.parameters(), policy.buffers()) for value in part)
