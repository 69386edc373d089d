"""LeRobot's configuration of a policy, from our configuration and a dataset's features."""

import dataclasses
import json
import os
from pathlib import Path
from typing import Any

import draccus
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature, PreTrainedConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.policies.factory import make_policy_config
from lerobot.utils.feature_utils import dataset_to_policy_features

from rabc.config.checks import TYPES_WITH
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.features import (
    ACTION,
    ENVIRONMENT,
    STATE,
    ignored,
    likely_names,
    policy_features,
    renaming,
)
from rabc.policies.door import CONFIG, admitted
from rabc.system.errors import InputError
from rabc.system.terminal import shell_word

# Fields that have a key of their own in the configuration or follow from the dataset or the device.
_NOT_EXTRA = {field.name for field in dataclasses.fields(PolicyConfig)}
_NOT_SETTABLE = {"device", "output_features", "pretrained_path", "pretrained_revision", "use_peft"}
# Ours alone: LeRobot's layers stay frozen in its own policy.
_OURS = {"batch_norm"}


def policy_settings(config: PolicyConfig, meta: LeRobotDatasetMetadata, device: str) -> PreTrainedConfig:
    """LeRobot's policy configuration with the features of the dataset.

    Raises:
        InputError: a camera or another input is missing, an `extra` field is unknown, LeRobot rejects a
            setting, or a pretrained policy is of another type or chunk.
    """
    features: dict[str, PolicyFeature] = dataset_to_policy_features(policy_features(meta))
    outputs = {key: feature for key, feature in features.items() if feature.type is FeatureType.ACTION}
    if "action" not in outputs:
        raise InputError(_without_actions(meta))
    inputs = {key: feature for key, feature in features.items() if key not in outputs}
    extra = dict(config.extra)
    wanted = extra.pop("input_features", None)
    if wanted is not None:
        inputs = _wanted_inputs(wanted, inputs)
    cameras = {key: feature for key, feature in inputs.items() if feature.type is FeatureType.VISUAL}
    _check_observed(config, meta, inputs, cameras)
    if config.resize_shape is not None:
        small = {key: PolicyFeature(FeatureType.VISUAL, (3, *config.resize_shape)) for key in cameras}
        inputs, cameras = {**inputs, **small}, small
    _check_equal_sizes(config, cameras)
    given = {
        "push_to_hub": False,
        **_checked_extra(config, extra),
        "n_action_steps": config.n_action_steps,
        "device": device,
        "input_features": inputs,
        "output_features": outputs,
    }
    if config.pretrained_path is not None:
        return _pretrained_settings(config, given)
    mine = {name for name, types in TYPES_WITH.items() if config.type in types} - _OURS
    ours = {name: getattr(config, name) for name in mine}
    try:
        return make_policy_config(config.type, **_tuples(config.type, {**ours, **given}))
    # LeRobot answers some combinations, such as temporal ensembling with several action steps, with a
    # NotImplementedError of its own.
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"policy {config.type}: LeRobot rejects the settings: {error}") from error


def _check_observed(
    config: PolicyConfig,
    meta: LeRobotDatasetMetadata,
    inputs: dict[str, PolicyFeature],
    cameras: dict[str, PolicyFeature],
) -> None:
    """Raise InputError for what LeRobot's network of this type cannot do without."""
    if not cameras and (ENVIRONMENT not in inputs or config.type not in ("act", "diffusion")):
        left_out = [column for column in ignored(meta) if column.name in meta.camera_keys]
        but = "".join(f"; {column.name} is a {column.what}" for column in left_out)
        remedy = "record one"
        if left_out and not left_out[0].name.startswith("observation."):
            names = json.dumps({left_out[0].name: f"observation.images.{left_out[0].name}"})
            remedy = f"rename it for this program: --dataset.rename_map {shell_word(names)}"
        raise InputError(f"dataset {meta.root}: has no camera that a policy sees{but}; {remedy}")
    # ACT alone is built without; Diffusion, SmolVLA and pi0 read the state in every step.
    if STATE not in inputs and config.type != "act":
        near = [name for name, ours in likely_names(meta).items() if ours == STATE]
        other = f", or rename {near[0]}: {renaming(meta)}" if near else ""
        lacking = "policy.extra.input_features" if STATE in meta.features else f"dataset {meta.root}"
        raise InputError(
            f"input {STATE}: LeRobot's {config.type} cannot do without, and {lacking} has none; set "
            f"policy.type act{other}"
        )


def _without_actions(meta: LeRobotDatasetMetadata) -> str:
    """Why a dataset cannot be learned from that has no column `action`; other recorders call it otherwise."""
    near = [name for name, ours in likely_names(meta).items() if ours == ACTION]
    if not near:
        return f"dataset {meta.root}: has no `action` column; record demonstrations with actions"
    return (
        f"dataset {meta.root}: has no `action` column but `{near[0]}`; rename it for this program: "
        f"{renaming(meta)}"
    )


def _pretrained_settings(config: PolicyConfig, given: dict[str, Any]) -> PreTrainedConfig:
    path = str(config.pretrained_path)
    try:
        with admitted(_local(path), path) as folder:
            settings = PreTrainedConfig.from_pretrained(folder)
        if settings.type == config.type:
            settings = dataclasses.replace(settings, **_tuples(config.type, given))
    except (
        OSError, TypeError, ValueError, KeyError, AttributeError, ArithmeticError, NotImplementedError,
        draccus.ParsingError, SystemExit,
    ) as error:  # fmt: skip
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"policy.pretrained_path {path}: cannot be read ({reason}); give a LeRobot policy folder or "
            "a hub id"
        ) from error
    if settings.type != config.type:
        raise InputError(
            f"policy.pretrained_path {path}: is a policy of type {settings.type}; set policy.type "
            f"{settings.type}"
        )
    # The weights of the frames are made for the chunk that the configuration states.
    for name in ("horizon", "n_obs_steps") if config.type == "diffusion" else ("chunk_size",):
        if getattr(settings, name) != getattr(config, name):
            raise InputError(
                f"policy.{name} {getattr(config, name)}: {path} has {getattr(settings, name)}; set "
                f"policy.{name} {getattr(settings, name)}"
            )
    return settings


def _local(path: str) -> Path:
    """The folder of a policy; of one on the hub that in the cache, with its configuration and no more of it.

    Raises OSError or ValueError where there is none.
    """
    if Path(path).is_dir():
        if not os.path.lexists(Path(path) / CONFIG):
            raise FileNotFoundError(f"{CONFIG} not found in {path}")
        return Path(path)
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(path, CONFIG)).parent


def _fields(kind: str) -> set[str]:
    """Names of the settable fields of LeRobot's configuration of a policy type."""
    return {field.name for field in dataclasses.fields(PreTrainedConfig.get_choice_class(kind)) if field.init}


def _tuples(kind: str, settings: dict[str, Any]) -> dict[str, Any]:
    """YAML has lists where LeRobot's configuration has tuples, and can be saved only with tuples."""
    types = {
        field.name: str(field.type) for field in dataclasses.fields(PreTrainedConfig.get_choice_class(kind))
    }
    return {
        name: tuple(value) if isinstance(value, list) and "tuple" in types.get(name, "") else value
        for name, value in settings.items()
    }


def _checked_extra(config: PolicyConfig, extra: dict[str, Any]) -> dict[str, Any]:
    known = _fields(config.type)
    for name in extra:
        if name in _NOT_EXTRA:
            raise InputError(f"policy.extra.{name} {extra[name]}: has a key of its own; set policy.{name}")
        if name not in known or name in _NOT_SETTABLE:
            fields = ", ".join(sorted(known - _NOT_EXTRA - _NOT_SETTABLE))
            raise InputError(
                f"policy.extra.{name} {extra[name]}: cannot be set; LeRobot's {config.type} has: {fields}"
            )
    if "normalization_mapping" in extra:
        return {**extra, "normalization_mapping": _normalization_mapping(extra["normalization_mapping"])}
    return extra


def _check_equal_sizes(config: PolicyConfig, cameras: dict[str, PolicyFeature]) -> None:
    """Diffusion stacks its cameras, and live batch normalisation sees all of them in one pass.

    One after the other, each would be normalised by itself in training and by the average of all afterwards.
    """
    sizes = {key: feature.shape[1:] for key, feature in cameras.items()}
    named = ", ".join(f"{key} {height}x{width}" for key, (height, width) in sizes.items())
    if config.type == "diffusion" and len(set(sizes.values())) > 1:
        raise InputError(
            f"camera sizes {named}: differ, and Diffusion needs equal ones; set policy.resize_shape, "
            "e.g. [96, 96]"
        )
    if config.type == "act" and config.batch_norm == "live" and len(set(sizes.values())) > 1:
        raise InputError(
            f"camera sizes {named}: differ, and policy.batch_norm 'live' would normalise each camera "
            "otherwise in training than on the robot; set policy.resize_shape, e.g. [96, 96], or "
            "policy.batch_norm frozen"
        )


def _wanted_inputs(wanted: Any, available: dict[str, PolicyFeature]) -> dict[str, PolicyFeature]:
    """The inputs named by `policy.extra.input_features` (names, or LeRobot's name -> feature)."""
    if not isinstance(wanted, list | dict) or not all(isinstance(key, str) for key in wanted):
        raise InputError(f"policy.extra.input_features {wanted}: not a list of feature names; list names")
    names = [str(key) for key in wanted]
    for name in names:
        if name not in available:
            kind = "camera" if name.startswith("observation.images.") else "input"
            raise InputError(
                f"{kind} {name}: needed by the policy but not in the dataset, which has "
                f"{', '.join(available)}; record it or change policy.extra.input_features"
            )
    return {name: available[name] for name in names}


def _normalization_mapping(value: Any) -> dict[FeatureType, NormalizationMode]:
    try:
        return {FeatureType(key): NormalizationMode(mode) for key, mode in dict(value).items()}
    except (TypeError, ValueError) as error:
        raise InputError(
            f"policy.extra.normalization_mapping {value}: {error}; use e.g. VISUAL: MEAN_STD"
        ) from error
