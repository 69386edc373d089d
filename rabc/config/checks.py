"""Cross-field checks of the configuration: pure, and every problem in one pass.

Each problem is one line, `<key> <value>: <what is wrong>; <remedy>`, and names every key it involves in
full. What only the dataset, the hub or the machine can tell is checked by the stage that meets it.
"""

import json
import math
import operator
import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from pathlib import PurePath
from typing import Any

from rabc.config.dataset_checks import data_problems
from rabc.config.names import folder_name_problem
from rabc.config.norm_checks import norm_problems
from rabc.config.settings import Config
from rabc.config.trainer_checks import trainer_problems
from rabc.config.training_settings import PolicyConfig
from rabc.config.weight_checks import weight_problems
from rabc.system.shipped import SCORERS

TYPES_WITH: dict[str, tuple[str, ...]] = {
    "chunk_size": ("act", "smolvla", "pi0", "pi05"),
    **dict.fromkeys(("vision_backbone", "pretrained_backbone_weights"), ("act", "diffusion")),
    **dict.fromkeys(
        ("batch_norm", "dim_model", "n_heads", "dim_feedforward", "n_encoder_layers", "n_decoder_layers"),
        ("act",),
    ),
    **dict.fromkeys(("use_vae", "kl_weight", "dropout"), ("act",)),
    **dict.fromkeys(
        ("horizon", "n_obs_steps", "down_dims", "use_group_norm", "use_separate_rgb_encoder_per_camera"),
        ("diffusion",),
    ),
    **dict.fromkeys(
        ("noise_scheduler_type", "num_inference_steps", "prediction_type", "do_mask_loss_for_padding"),
        ("diffusion",),
    ),
}
"""Policy settings that only some policy types have."""

MAX_SEED = 2**32 - 1
"""Largest seed that NumPy and Lightning accept."""

AT_LEAST: dict[str, int] = {
    "seed": 0,
    "demonstrations.episodes": 1,
    "demonstrations.image_size": 32,  # a ResNet halves the image five times
    "demonstrations.first_seed": 0,
    "demonstrations.processes": 1,
    "scorer.num_prefixes": 0,
    "paper.episodes": 0,
    "diagnostics.episodes": 0,
    "weights.kappa": 0,
    "policy.chunk_size": 1,
    "policy.n_action_steps": 1,
    "policy.dim_model": 4,
    "policy.n_heads": 1,
    "policy.dim_feedforward": 1,
    "policy.n_encoder_layers": 1,
    "policy.n_decoder_layers": 1,
    "policy.kl_weight": 0,
    "policy.horizon": 1,
    "policy.n_obs_steps": 1,
    "policy.num_inference_steps": 1,
    "policy.dropout": 0,
    "trainer.max_steps": 1,
    "trainer.batch_size": 1,
    "trainer.warmup_steps": 0,
    "trainer.weight_decay": 0,
    "trainer.gradient_clip_norm": 0,
    "trainer.state_noise": 0,
    "trainer.accumulate_grad_batches": 1,
    "trainer.devices": 1,
    "trainer.num_nodes": 1,
    "trainer.keep_checkpoints": 1,
    "trainer.eval_steps": 0,
    "trainer.max_eval_samples": 0,
    "trainer.patience": 0,
    "trainer.rollout_every": 0,
    "trainer.rollout_episodes": 1,
    "trainer.checkpoint_every": 1,
    "trainer.log_every": 1,
    "trainer.threads": 0,
    "trainer.workers": -1,
    "rollouts.episodes": 0,
    "rollouts.first_seed": 0,
    "rollouts.max_ticks": 1,
    "rollouts.videos": 0,
    "rollouts.processes": 1,
    "comparison.jobs": 0,
}
POSITIVE = (
    "dataset.cache_gb",
    "scorer.fps",
    "weights.epsilon",
    "weights.tau",
    "weights.delta_max",
    "weights.beta",
    "weights.weight_max",
    "trainer.lr",
)
BETWEEN: dict[str, tuple[float, float]] = {
    "dataset.eval_split": (0, 0.9),
    "weights.min_delta": (-1, 1),
    "weights.drop_share": (0, 0.99),  # something must be left to train on
    "weights.drop_below": (0, 1),
    "trainer.ema_decay": (0, 0.999999),
}
NOT_EMPTY = (
    "dataset.path",
    "dataset.revision",
    "scorer.model",
    "scorer.revision",
    "scorer.camera",
    "scorer.scores_folder",
    "diagnostics.wrong_instruction",
    "weights.progress_file",
    "weights.weights_file",
    "policy.pretrained_path",
    "policy.pretrained_backbone_weights",
)
SHARES = tuple(
    f"demonstrations.{kind}"
    for kind in ("clean", "stall", "retry", "drop", "detour", "give_up", "slow", "pause")
)


def validate(config: Config) -> list[str]:
    """Every problem of `config`, one line each, section by section; empty when it is sound.

    Of a value that is out of its range nothing else is said: how it goes with others follows from that.
    """
    alone = list(_ranges(config))
    impossible = "|".join(re.escape(problem.split()[0]) for problem in alone)
    about_impossible = re.compile(rf"(?<![\w.])({impossible})(?![\w.])" if alone else r"(?!)")
    sections = (_names, _shares, weight_problems, _policy, data_problems, trainer_problems)
    between = [problem for section in sections for problem in section(config)]
    return [*alone, *(problem for problem in between if not about_impossible.search(problem))]


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
    for key, (low, high) in BETWEEN.items():
        value = _get(config, key)
        if key not in infinite and value is not None and not low <= value <= high:
            yield f"{key} {value}: out of range; give a number from {low} to {high}"
    if config.seed > MAX_SEED:
        yield f"seed {config.seed}: too large; give {MAX_SEED} or less"
    if config.scorer.num_prefixes == 1:
        yield (
            "scorer.num_prefixes 1: progress is a difference between prefixes; give 2 or more, or 0 for "
            "every sampled frame"
        )
    answers = [word.strip() for word in config.scorer.answers.split(",")]
    if len(answers) != 2 or not all(answers) or answers[0] == answers[1]:
        yield f"scorer.answers {config.scorer.answers!r}: not two different words; write them as True,False"
    for name, figure in config.paper.datasets.items():
        if figure is not None and type(figure) not in (int, float):
            yield f"paper.datasets {name} {figure!r:.60}: no number; give the paper's figure, or null"
    stray = [name for name in config.paper.failed if name not in config.paper.datasets]
    for name in stray:
        yield f"paper.failed {name!r}: is not among paper.datasets; name the dataset of its successes"
    if math.isfinite(config.policy.dropout) and config.policy.dropout >= 1:
        yield f"policy.dropout {config.policy.dropout}: would drop everything; give a number below 1"


def _names(config: Config) -> Iterator[str]:
    for key in NOT_EMPTY:
        value = _get(config, key)
        texts = value if isinstance(value, list) else [value]
        if value is not None and not all(text.strip() for text in texts or [""]):
            yield f"{key} {value!r}: empty; give a name or leave the key out"
    run, model = config.run, config.scorer.model
    problem = folder_name_problem(run)
    if problem is not None:
        yield f"run {run!r}: {problem}"
    elif run in SCORERS or PurePath("checkpoints", run) == PurePath(model):
        yield f"run {run!r}: checkpoints/{run} holds the scorer; choose another name"
    cameras = config.scorer.cameras
    if len(cameras) > 1 and not all(cameras):
        yield f"scorer.camera {config.scorer.camera!r}: one of its names is empty; write them as front,wrist"
    elif len(set(cameras)) < len(cameras):
        yield f"scorer.camera {config.scorer.camera!r}: names a camera twice; name each once"
    for camera in cameras:
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
    yield from _foreign_settings(policy)
    yield from norm_problems(config)
    if policy.n_action_steps > policy.chunk:
        yield (
            f"policy.n_action_steps {policy.n_action_steps}: more than {policy.chunk_key} "
            f"{getattr(policy, policy.chunk_key.partition('.')[2])} predicts; give {policy.chunk} or less"
        )
    if policy.type == "act":
        yield from _act(policy)
    elif policy.type == "diffusion":
        yield from _diffusion(policy)
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
    own = {item.name for item in fields(PolicyConfig)}
    for name, value in policy.extra.items():
        if name in own:
            yield f"policy.extra.{name} {value!r}: has a key of its own; set policy.{name}"
        elif not _is_json(value):
            yield (
                f"policy.extra.{name} {value!r}: cannot be written into LeRobot's config.json; give a text, "
                "a number, true, false, null, a list or a mapping of these"
            )
    ensembling = policy.extra.get("temporal_ensemble_coeff")
    if ensembling is not None and config.rollouts.episodes:
        yield (
            f"policy.extra.temporal_ensemble_coeff {ensembling!r}: rollouts.episodes "
            f"{config.rollouts.episodes} would play the policy chunk by chunk, without it; set "
            "rollouts.episodes 0 or leave it out"
        )


def _foreign_settings(policy: PolicyConfig) -> Iterator[str]:
    default = PolicyConfig()
    for name, types in TYPES_WITH.items():
        value = getattr(policy, name)
        if value != getattr(default, name) and policy.type not in types:
            yield (
                f"policy.{name} {value!r}: policy.type {policy.type} has no such setting, only "
                f"{', '.join(types)}; leave it out"
            )


def _act(policy: PolicyConfig) -> Iterator[str]:
    if policy.n_heads >= 1 and policy.dim_model % policy.n_heads:
        yield (
            f"policy.dim_model {policy.dim_model}: does not divide among policy.n_heads {policy.n_heads}; "
            "give a multiple of it"
        )
    # ACT's image positions take half the width for each axis, and a sine and a cosine in each half.
    if policy.dim_model % 4:
        yield f"policy.dim_model {policy.dim_model}: ACT's position embedding needs a multiple of 4; give one"


def _diffusion(policy: PolicyConfig) -> Iterator[str]:
    if not policy.down_dims or any(width < 1 for width in policy.down_dims):
        yield f"policy.down_dims {policy.down_dims}: not positive widths; give e.g. [128, 256, 512]"
        return
    divisor = 2 ** len(policy.down_dims)
    if policy.horizon % divisor:
        nearest = max(divisor, round(policy.horizon / divisor) * divisor)
        yield (
            f"policy.horizon {policy.horizon}: not divisible by {divisor}, as the {len(policy.down_dims)} "
            f"resolutions of policy.down_dims {policy.down_dims} need it; give e.g. {nearest}"
        )
    if policy.use_group_norm and policy.pretrained_backbone_weights:
        yield (
            "policy.use_group_norm true: would replace the layers that policy.pretrained_backbone_weights "
            f"{policy.pretrained_backbone_weights!r} were trained with; give false, or the weights as null"
        )
    steps = policy.extra.get("num_train_timesteps", 100)
    if isinstance(steps, int) and policy.num_inference_steps > steps:
        yield (
            f"policy.num_inference_steps {policy.num_inference_steps}: more than the {steps} steps of "
            f"training; give {steps} or less"
        )


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError):
        return False
    return True
