"""Cross-field checks of the configuration: pure, and every problem in one pass.

Each problem is one line, `<key> <value>: <what is wrong>; <remedy>`, and names every key it involves in
full. What only the dataset, the hub or the machine can tell is checked by the stage that meets it.
"""

import math
import operator
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from rabc.config import Config, PolicyConfig

TRACKED_SCORER = "checkpoints/so101-scorer"
"""The one folder under `checkpoints/` that the repository tracks; no run may write there."""

MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Lightning accept."""

AT_LEAST: dict[str, int] = {
    "seed": 0,
    "demonstrations.episodes": 1,
    "demonstrations.image_size": 32,  # a ResNet halves the image five times
    "demonstrations.first_seed": 0,
    "demonstrations.processes": 1,
    "scorer.num_prefixes": 2,  # progress is a difference between prefixes
    "weights.kappa": 0,
    "policy.chunk_size": 1,
    "policy.n_action_steps": 1,
    "policy.dim_model": 4,
    "policy.n_heads": 1,
    "policy.dim_feedforward": 1,
    "policy.n_encoder_layers": 1,
    "policy.n_decoder_layers": 1,
    "policy.kl_weight": 0,
    "policy.dropout": 0,
    "trainer.max_steps": 1,
    "trainer.batch_size": 1,
    "trainer.warmup_steps": 0,
    "trainer.weight_decay": 0,
    "trainer.gradient_clip_norm": 0,
    "trainer.state_noise": 0,
    "trainer.checkpoint_every": 1,
    "trainer.log_every": 1,
    "trainer.threads": 0,
    "rollouts.episodes": 0,
    "rollouts.first_seed": 0,
    "rollouts.max_ticks": 1,
    "rollouts.videos": 0,
    "rollouts.processes": 1,
}
POSITIVE = ("scorer.fps", "weights.epsilon", "weights.tau", "weights.delta_max", "trainer.lr")
NOT_EMPTY = (
    "dataset.path",
    "dataset.revision",
    "scorer.model",
    "scorer.revision",
    "scorer.camera",
    "policy.pretrained_backbone_weights",
)
SHARES = tuple(f"demonstrations.{kind}" for kind in ("clean", "stall", "retry", "drop", "detour", "give_up"))


def validate(config: Config) -> list[str]:
    """Every problem of `config`, one line each, section by section; empty when it is sound."""
    return [*_ranges(config), *_names(config), *_shares(config), *_policy(config), *_trainer(config)]


def _get(config: Config, key: str) -> Any:
    return operator.attrgetter(key)(config)


def _floats(record: Any, prefix: str = "") -> Iterator[tuple[str, float]]:
    for item in fields(record):
        value = getattr(record, item.name)
        if is_dataclass(value):
            yield from _floats(value, f"{item.name}.")
        elif isinstance(value, float):
            yield prefix + item.name, value


def _ranges(config: Config) -> Iterator[str]:
    infinite = {key: value for key, value in _floats(config) if not math.isfinite(value)}
    for key, value in infinite.items():
        yield f"{key} {value}: not a finite number; give a finite one"
    for key, least in AT_LEAST.items():
        value = _get(config, key)
        if key not in infinite and value < least:
            yield f"{key} {value}: too small; give {least} or more"
    for key in POSITIVE:
        value = _get(config, key)
        if key not in infinite and value is not None and value <= 0:
            yield f"{key} {value}: not positive; give a number above 0"
    if config.seed > MAX_SEED:
        yield f"seed {config.seed}: too large; give {MAX_SEED} or less"
    if math.isfinite(config.policy.dropout) and config.policy.dropout >= 1:
        yield f"policy.dropout {config.policy.dropout}: would drop everything; give a number below 1"


def _names(config: Config) -> Iterator[str]:
    for key in NOT_EMPTY:
        value = _get(config, key)
        if value is not None and not value.strip():
            yield f"{key} {value!r}: empty; give a name or leave the key out"
    run, model, camera = config.run, config.scorer.model, config.scorer.camera
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", run):
        yield (
            f"run {run!r}: not the name of one folder; use letters, digits, '.', '_' and '-', "
            "beginning with a letter or a digit"
        )
    elif PurePath("checkpoints", run) in (PurePath(TRACKED_SCORER), PurePath(model)):
        yield f"run {run!r}: checkpoints/{run} holds the scorer; choose another name"
    if camera.startswith("observation."):
        short = camera.rpartition(".")[2]
        yield f"scorer.camera {camera!r}: a whole feature name; give the camera alone: {short}"


def _shares(config: Config) -> Iterator[str]:
    shares = {key: _get(config, key) for key in SHARES}
    outside = {key: value for key, value in shares.items() if not 0 <= value <= 1}
    for key, value in outside.items():
        if math.isfinite(value):
            yield f"{key} {value}: not a share; give a number from 0 to 1"
    total = math.fsum(shares.values())
    if not outside and abs(total - 1) > 1e-6:
        text = " + ".join(f"{key} {value}" for key, value in shares.items())
        yield f"{text}: the shares add up to {total:.6g}; make them add up to 1"


def _policy(config: Config) -> Iterator[str]:
    policy = config.policy
    if policy.n_action_steps > policy.chunk_size:
        yield (
            f"policy.n_action_steps {policy.n_action_steps}: more than policy.chunk_size "
            f"{policy.chunk_size} predicts; give {policy.chunk_size} or less"
        )
    if policy.n_heads >= 1 and policy.dim_model % policy.n_heads:
        yield (
            f"policy.dim_model {policy.dim_model}: does not divide among policy.n_heads {policy.n_heads}; "
            "give a multiple of it"
        )
    # ACT's image positions take half the width for each axis, and a sine and a cosine in each half.
    if policy.dim_model % 4:
        yield f"policy.dim_model {policy.dim_model}: ACT's position embedding needs a multiple of 4; give one"
    backbone, pretrained = policy.vision_backbone, policy.pretrained_backbone_weights
    if not re.fullmatch(r"resnet(18|34|50|101|152)", backbone):
        yield (
            f"policy.vision_backbone {backbone!r}: not a ResNet of torchvision; "
            "give resnet18, resnet34, resnet50, resnet101 or resnet152"
        )
    elif pretrained and not pretrained.lower().startswith(f"{backbone}_weights."):
        yield (
            f"policy.pretrained_backbone_weights {pretrained!r}: not weights of policy.vision_backbone "
            f"{backbone!r}; give some of its own, or null"
        )
    if pretrained and policy.batch_norm == "live":
        yield (
            "policy.batch_norm 'live': retrains the statistics that policy.pretrained_backbone_weights "
            f"{pretrained!r} come with; give frozen, or the weights as null"
        )
    own = {item.name for item in fields(PolicyConfig)}
    for name, value in policy.extra.items():
        if name in own:
            yield f"policy.extra.{name} {value!r}: has a key of its own; set policy.{name}"


def _trainer(config: Config) -> Iterator[str]:
    trainer = config.trainer
    if trainer.warmup_steps >= trainer.max_steps:
        yield (
            f"trainer.warmup_steps {trainer.warmup_steps}: the warm-up takes all of trainer.max_steps "
            f"{trainer.max_steps}; give fewer"
        )
