"""What a training leaves out or takes otherwise than its user may think: said once, before it begins."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from lerobot.configs import FeatureType, NormalizationMode, PreTrainedConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config
from rabc.datasets.features import ACTION, ignored, policy_features, vector_inputs
from rabc.datasets.preflight.names import joint_names
from rabc.policies.build import without_statistics
from rabc.policies.losses import masks_padding
from rabc.policies.still import still
from rabc.training.drawn import SplitFrames, first_tasks
from rabc.training.windows import Windows

_SHOWN = 5


def training_notes(
    config: Config,
    meta: LeRobotDatasetMetadata,
    policy: PreTrainedConfig,
    split: SplitFrames,
    drawn: int,
) -> list[str]:
    """A line for each thing to know.

    Args:
        config: sections `dataset` and `trainer` are used.
        meta: of the dataset.
        policy: LeRobot's configuration of the policy.
        split: what training and validation may draw.
        drawn: frames that training draws.
    """
    found = [
        _left_out(meta, policy),
        _uncounted(meta, policy),
        _motionless(meta, policy),
        _held_out(config, meta, split, drawn),
        _validated(config, split),
        _short(split, Windows.of(policy), policy),
        _never_drawn(split, int(getattr(policy, "drop_n_last_frames", 0))),
        _unlearned_tasks(config, meta, split),
    ]
    return [line for line in found if line]


def _left_out(meta: LeRobotDatasetMetadata, policy: PreTrainedConfig) -> str:
    """Columns that look as if they were inputs."""
    inputs = policy.input_features or {}
    words = [f"{column.name} ({column.what})" for column in ignored(meta)]
    unwanted = [key for key in policy_features(meta) if key != ACTION and key not in inputs]
    words += [f"{key} (not among policy.extra.input_features)" for key in unwanted]
    return f"not trained on: {', '.join(words)}" if words else ""


def _uncounted(meta: LeRobotDatasetMetadata, policy: PreTrainedConfig) -> str:
    """Cameras without statistics, where a pretrained backbone does not bring its own."""
    cameras = without_statistics(policy, meta)
    if not cameras or getattr(policy, "pretrained_backbone_weights", None) is not None:
        return ""
    return f"no statistics of {_listed(cameras)} in meta/stats.json: ImageNet's are taken, as by LeRobot"


def _motionless(meta: LeRobotDatasetMetadata, policy: PreTrainedConfig) -> str:
    """Joints that never move, which say nothing and learn nothing."""
    modes: dict[str, NormalizationMode] = getattr(policy, "normalization_mapping", {})
    inputs = {**(policy.input_features or {}), **(policy.output_features or {})}
    words: list[str] = []
    for key in vector_inputs(meta):
        statistics: dict[str, Any] = (meta.stats or {}).get(key, {})
        kind = inputs[key].type if key in inputs else FeatureType.STATE
        if key not in inputs or modes.get(kind, NormalizationMode.IDENTITY) is NormalizationMode.IDENTITY:
            continue
        places = np.flatnonzero(np.atleast_1d(still(statistics)))
        if len(places):
            names = joint_names(meta, key)
            words.append(f"{_listed([names[place] for place in places])} of {key}")
    if not words:
        return ""
    return (
        f"never moves: {'; '.join(words)}. What a robot reads there is taken in the unit of the joint that "
        "moves most, and is sent what was recorded"
    )


def _held_out(config: Config, meta: LeRobotDatasetMetadata, split: SplitFrames, drawn: int) -> str:
    """What training does not see for validation's sake, whatever it weighs."""
    if not split.held_out:
        return ""
    return (
        f"held out by dataset.eval_split {config.dataset.eval_split:g}: episodes {_listed(split.held_out)}; "
        f"training draws {drawn} of {meta.total_frames} frames"
    )


def _validated(config: Config, split: SplitFrames) -> str:
    """Validations that look at more than training does, as those of all that a large dataset holds out."""
    trainer = config.trainer
    times = trainer.max_steps // trainer.eval_steps if trainer.eval_steps else 0
    looked, learned = times * len(split.validation), trainer.max_steps * trainer.samples_per_step
    if looked <= learned:
        return ""
    return (
        f"validation looks at {len(split.validation)} frames every {trainer.eval_steps} steps, {looked} in "
        f"all: more than the {learned} that training draws; trainer.max_eval_samples bounds them"
    )


def _short(split: SplitFrames, windows: Windows, policy: PreTrainedConfig) -> str:
    """Episodes with fewer frames than the policy looks ahead."""
    chunk = sum(tick >= 0 for tick in windows.action)
    episodes = np.unique(split.table.episode_index[split.allowed])
    lengths = np.bincount(split.table.episode_index)[episodes]
    count = int((lengths < chunk).sum())
    if not count:
        return ""
    padding = (
        "is padding and no target" if masks_padding(policy) else "repeats their last action, as in LeRobot"
    )
    return (
        f"{count} of {len(lengths)} episodes are shorter than a chunk of {chunk}; what lies behind their end "
        f"{padding}"
    )


def _never_drawn(split: SplitFrames, drop_last: int) -> str:
    """Episodes that are all end, of which Diffusion draws nothing."""
    learned = set(split.selected) - set(split.held_out)
    lost = sorted(learned - set(np.unique(split.table.episode_index[split.allowed]).tolist()))
    if not lost:
        return ""
    return (
        f"never drawn: episodes {_listed(lost)}, which have no more than the {drop_last} frames that "
        "policy.extra.drop_n_last_frames leaves out at the end of each"
    )


def _unlearned_tasks(config: Config, meta: LeRobotDatasetMetadata, split: SplitFrames) -> str:
    """Tasks of so few episodes that all of them are held out."""
    tasks = first_tasks(split.table, meta.total_episodes)
    learned = set(split.selected) - set(split.held_out)
    known = {tasks[episode] for episode in learned}
    lost = dict.fromkeys(tasks[episode] for episode in split.held_out if tasks[episode] not in known)
    if not lost:
        return ""
    return (
        f"never trained: {_listed([repr(task) for task in lost])}; dataset.eval_split "
        f"{config.dataset.eval_split:g} holds out at least one episode of each task, and there are no more "
        f"of {'it' if len(lost) == 1 else 'these'}: record some, or set dataset.eval_split 0"
    )


def _listed(things: Sequence[object]) -> str:
    more = f" and {len(things) - _SHOWN} more" if len(things) > _SHOWN else ""
    return ", ".join(str(thing) for thing in things[:_SHOWN]) + more
