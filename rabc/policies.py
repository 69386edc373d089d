"""Builds LeRobot policies and their processors from our configuration and a dataset's facts."""

import dataclasses
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import numpy as np
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.policies.act.configuration_act import ACTConfig
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.act.processor_act import make_act_pre_post_processors
from lerobot.processor import PolicyAction, PolicyProcessorPipeline
from lerobot.utils.constants import IMAGENET_STATS
from lerobot.utils.feature_utils import dataset_to_policy_features

from rabc.batch_norm import frozen_state
from rabc.config import PolicyConfig
from rabc.errors import InputError

_NEEDED_STATISTICS = {
    NormalizationMode.MEAN_STD: ("mean", "std"),
    NormalizationMode.MIN_MAX: ("min", "max"),
    NormalizationMode.QUANTILES: ("q01", "q99"),
    NormalizationMode.QUANTILE10: ("q10", "q90"),
    NormalizationMode.IDENTITY: (),
}
# Fields that have a key of their own in the configuration or follow from the dataset or the device.
_NOT_EXTRA = {field.name for field in dataclasses.fields(PolicyConfig)}
_NOT_SETTABLE = {"device", "output_features", "pretrained_path", "pretrained_revision", "use_peft"}


@dataclass(frozen=True)
class PolicyParts:
    """A LeRobot policy with the processors around it, as LeRobot saves them together."""

    policy: ACTPolicy
    """The network; actions in normalised units."""
    preprocessor: PolicyProcessorPipeline[dict[str, Any], dict[str, Any]]
    """Dataset units -> normalised units, batch dimension, device."""
    postprocessor: PolicyProcessorPipeline[PolicyAction, PolicyAction]
    """Normalised actions -> dataset units, on the CPU."""


def build_policy(config: PolicyConfig, meta: LeRobotDatasetMetadata, device: str = "cpu") -> PolicyParts:
    """A freshly initialised stock LeRobot ACT policy for a dataset, with its processors.

    Initial weights come from torch's global generator: seed it before.

    Args:
        config: our policy section.
        meta: metadata of the dataset: features, statistics, cameras.
        device: a torch device, e.g. `cpu`.

    Raises:
        InputError: a camera or a statistic that the policy needs is missing, or an `extra` field
            is unknown to LeRobot or rejected by it.
    """
    act = act_config(config, meta, device)
    statistics = normalisation_statistics(act, meta)
    policy = ACTPolicy(act).to(device)
    preprocessor, postprocessor = make_act_pre_post_processors(act, statistics)
    return PolicyParts(policy, preprocessor, postprocessor)


def stock_policy(trained: ACTPolicy) -> ACTPolicy:
    """LeRobot's own policy, frozen layers included, with the weights of a trained one, in eval mode.

    Its configuration names no pretrained backbone: the weights are complete, and LeRobot would
    otherwise download ImageNet weights on the robot only to overwrite them.

    Args:
        trained: a policy with frozen or live batch normalisation.
    """
    policy = ACTPolicy(dataclasses.replace(deepcopy(trained.config), pretrained_backbone_weights=None))
    policy.load_state_dict(frozen_state(trained))
    return policy.to(next(trained.parameters()).device).eval()


def act_config(config: PolicyConfig, meta: LeRobotDatasetMetadata, device: str) -> ACTConfig:
    """LeRobot's ACT configuration with the features of the dataset; errors as `build_policy`."""
    features: dict[str, PolicyFeature] = dataset_to_policy_features(meta.features)
    outputs = {key: feature for key, feature in features.items() if feature.type is FeatureType.ACTION}
    if "action" not in outputs:
        raise InputError(f"dataset {meta.root}: has no `action` column; record demonstrations with actions")
    inputs = {key: feature for key, feature in features.items() if key not in outputs}
    extra = dict(config.extra)
    wanted = extra.pop("input_features", None)
    if wanted is not None:
        inputs = _wanted_inputs(wanted, inputs)
    if not any(feature.type is FeatureType.VISUAL for feature in inputs.values()):
        raise InputError(f"dataset {meta.root}: has no camera; the policy needs an `observation.images.*`")
    known = {field.name for field in dataclasses.fields(ACTConfig) if field.init}
    for name in extra:
        if name in _NOT_EXTRA:
            raise InputError(f"policy.extra.{name} {extra[name]}: has a key of its own; set policy.{name}")
        if name not in known or name in _NOT_SETTABLE:
            fields = ", ".join(sorted(known - _NOT_EXTRA - _NOT_SETTABLE))
            raise InputError(f"policy.extra.{name} {extra[name]}: cannot be set; LeRobot's ACT has: {fields}")
    if "normalization_mapping" in extra:
        extra["normalization_mapping"] = _normalization_mapping(extra["normalization_mapping"])
    settings: dict[str, Any] = {name: getattr(config, name) for name in known if hasattr(config, name)}
    settings = {"push_to_hub": False, **settings, **extra, "device": device}
    try:
        return ACTConfig(**settings, input_features=inputs, output_features=outputs)
    # ACTConfig answers temporal ensembling with several action steps with a NotImplementedError of its own.
    except (TypeError, ValueError, NotImplementedError) as error:
        raise InputError(f"policy {config.type}: LeRobot rejects the settings: {error}") from error


def normalisation_statistics(config: ACTConfig, meta: LeRobotDatasetMetadata) -> dict[str, dict[str, Any]]:
    """The dataset statistics that the policy's processors will use, checked.

    LeRobot passes features without statistics through unnormalised, which trains a blind policy; here
    that is an error. With a pretrained backbone the cameras get ImageNet's statistics, as in LeRobot.

    Raises:
        InputError: a needed statistic is missing or not finite.
    """
    statistics: dict[str, dict[str, Any]] = deepcopy(dict(meta.stats or {}))
    if config.pretrained_backbone_weights is not None:
        for key in config.image_features:
            imagenet = {name: np.asarray(value, np.float32) for name, value in IMAGENET_STATS.items()}
            statistics[key] = {**statistics.get(key, {}), **imagenet}
    remedy = "recompute meta/stats.json with LeRobot or record the dataset again"
    for key, feature in {**(config.input_features or {}), **(config.output_features or {})}.items():
        mode = config.normalization_mapping.get(feature.type, NormalizationMode.IDENTITY)
        for name in _NEEDED_STATISTICS[mode]:
            value = statistics.get(key, {}).get(name)
            if value is None:
                raise InputError(f"statistic {name} of {key}: missing in the dataset {meta.root}; {remedy}")
            if not np.isfinite(np.asarray(value, np.float64)).all():
                raise InputError(f"statistic {name} of {key} {value}: not finite in {meta.root}; {remedy}")
    return statistics


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
