"""Builds LeRobot policies and their processors from our configuration and a dataset's facts."""

import dataclasses
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from lerobot.configs import FeatureType, NormalizationMode, PreTrainedConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.policies.pretrained import PreTrainedPolicy
from lerobot.processor import NormalizerProcessorStep, PolicyAction, PolicyProcessorPipeline
from lerobot.utils.constants import IMAGENET_STATS
from lerobot.utils.feature_utils import dataset_to_policy_features
from safetensors import SafetensorError
from torch import nn

from rabc.config.training_settings import PolicyConfig
from rabc.datasets.features import policy_features
from rabc.datasets.metadata import recompute_statistics
from rabc.datasets.resize import with_resize
from rabc.policies.batch_norm import frozen_state
from rabc.policies.door import WEIGHTS
from rabc.policies.settings import policy_settings
from rabc.policies.sizes import check_sizes
from rabc.policies.start import cached_commit
from rabc.policies.still import measurable, with_rare_moves
from rabc.system.errors import InputError
from rabc.system.memory import memory_error
from rabc.system.quiet import never_asks

NEEDED_STATISTICS = {
    NormalizationMode.MEAN_STD: ("mean", "std"),
    NormalizationMode.MIN_MAX: ("min", "max"),
    NormalizationMode.QUANTILES: ("q01", "q99"),
    NormalizationMode.QUANTILE10: ("q10", "q90"),
    NormalizationMode.IDENTITY: (),
}
# Weights that LeRobot would download to overwrite them with those of the folder it loads.
_DOWNLOADS = {"pretrained_backbone_weights": None, "load_vlm_weights": False}


@dataclass(frozen=True)
class PolicyParts:
    """A LeRobot policy with the processors around it, as LeRobot saves them together."""

    policy: PreTrainedPolicy
    """The network; actions in normalised units."""
    preprocessor: PolicyProcessorPipeline[dict[str, Any], dict[str, Any]]
    """Dataset units -> normalised units, batch dimension, device."""
    postprocessor: PolicyProcessorPipeline[PolicyAction, PolicyAction]
    """Normalised actions -> dataset units, on the CPU."""
    resize_shape: tuple[int, int] | None = None
    """Height and width the policy sees, where the cameras give others; training has resized already."""

    def for_robot(self) -> "PolicyParts":
        """As stock LeRobot, in eval mode, with a preprocessor that resizes the cameras' own pictures."""
        preprocessor = self.preprocessor
        if self.resize_shape is not None:
            preprocessor = with_resize(preprocessor, self.resize_shape)
        return PolicyParts(stock_policy(self.policy), preprocessor, self.postprocessor)


def build_policy(config: PolicyConfig, meta: LeRobotDatasetMetadata, device: str = "cpu") -> PolicyParts:
    """A LeRobot policy for a dataset, freshly initialised or pretrained, with its processors.

    Initial weights come from torch's global generator: seed it before.

    Args:
        config: our policy section.
        meta: metadata of the dataset: features, statistics, cameras.
        device: a torch device, e.g. `cpu`.

    Raises:
        InputError: a camera or a statistic that the policy needs is missing, LeRobot rejects a setting, or
            the pretrained policy cannot be loaded, or memory runs out.
    """
    settings = policy_settings(config, meta, device)
    statistics = normalisation_statistics(settings, meta)
    try:
        never_asks()
        kind = get_policy_class(config.type)
        if config.pretrained_path is None:
            policy = kind(cast(Any, settings)).to(device)
        else:
            commit = cached_commit(config.pretrained_path)  # that of the settings, which were just read
            check_sizes(config.pretrained_path, settings, _weights(config.pretrained_path, commit))
            # Strict: LeRobot's default trains on with random weights where the folder has none.
            policy = kind.from_pretrained(
                config.pretrained_path,
                config=settings,
                strict=True,
                revision=commit,
            )
        preprocessor, postprocessor = make_pre_post_processors(settings, dataset_stats=cast(Any, statistics))
        preprocessor = _with_statistics(
            preprocessor, {key: measurable(values) for key, values in statistics.items()}
        )
    # What LeRobot stumbles over in settings that do not fit together, its own or those of a folder.
    except (
        OSError, ValueError, RuntimeError, ImportError, TypeError, KeyError, AttributeError, AssertionError,
        ArithmeticError, MemoryError, SafetensorError,
    ) as error:  # fmt: skip
        told = memory_error(error, f"policy {config.pretrained_path or config.type}", _smaller(config))
        if told is not None:
            raise told from error
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"policy {config.pretrained_path or config.type}: LeRobot cannot build it ({reason}); check "
            "the policy section"
        ) from error
    return PolicyParts(policy, preprocessor, postprocessor, _resize_shape(config, settings, meta))


def _smaller(config: PolicyConfig) -> str:
    """What to give where a policy takes more memory than there is."""
    keys = {"act": "policy.dim_model and policy.dim_feedforward", "diffusion": "policy.down_dims"}
    named = None if config.pretrained_path else keys.get(config.type)  # a pretrained one has its size
    size = f"give smaller {named}" if named else "choose a smaller policy"
    return f"{size}, or end other processes that hold memory"


def _weights(name: str, commit: str | None) -> Path:
    """Where the weights of a pretrained policy lie; those of one on the hub are loaded into the cache."""
    if Path(name).is_dir():
        return Path(name) / WEIGHTS
    from huggingface_hub import hf_hub_download

    return Path(hf_hub_download(name, WEIGHTS, revision=commit))


def stock_policy(trained: PreTrainedPolicy) -> PreTrainedPolicy:
    """LeRobot's own policy, frozen layers included, with the weights of a trained one, in eval mode.

    Its configuration names no pretrained weights: it has its own, and LeRobot would otherwise download some
    on the robot only to overwrite them.

    Args:
        trained: a policy with frozen or live batch normalisation.
    """
    settings = deepcopy(trained.config)
    for name, value in _DOWNLOADS.items():
        if hasattr(settings, name):
            setattr(settings, name, value)
    policy = type(trained)(cast(Any, settings))
    policy.load_state_dict(frozen_state(trained))
    return policy.to(next(trained.parameters()).device).eval()


def image_encoders(policy: PreTrainedPolicy) -> list[nn.Module]:
    """The convolutional networks that see the cameras, for a memory format; none for other policies."""
    if not policy.config.image_features:
        return []
    if policy.config.type == "act":
        return [cast(Any, policy).model.backbone]
    return [cast(Any, policy).diffusion.rgb_encoder] if policy.config.type == "diffusion" else []


def _with_statistics(
    preprocessor: PolicyProcessorPipeline[dict[str, Any], dict[str, Any]], statistics: dict[str, Any]
) -> PolicyProcessorPipeline[dict[str, Any], dict[str, Any]]:
    """The preprocessor that normalises by these statistics."""
    steps: list[Any] = [
        dataclasses.replace(cast(Any, step), stats=statistics)
        if isinstance(step, NormalizerProcessorStep)
        else step
        for step in preprocessor.steps
    ]
    return dataclasses.replace(preprocessor, steps=steps)


def _resize_shape(
    config: PolicyConfig, settings: PreTrainedConfig, meta: LeRobotDatasetMetadata
) -> tuple[int, int] | None:
    if config.resize_shape is None:
        return None
    height, width = config.resize_shape
    cameras = dataset_to_policy_features(policy_features(meta))
    same = all(cameras[key].shape[1:] == (height, width) for key in settings.image_features)
    return None if same else (height, width)


def without_statistics(config: PreTrainedConfig, meta: LeRobotDatasetMetadata) -> list[str]:
    """The policy's cameras that are to be normalised by mean and deviation, and have none in the dataset.

    LeRobot's recorder counts its pictures, other tools do not, and LeRobot's own training takes ImageNet's
    for every camera by default.
    """
    if _modes(config).get(FeatureType.VISUAL) is not NormalizationMode.MEAN_STD:
        return []
    stats: dict[str, dict[str, Any]] = cast(Any, meta.stats) or {}
    return [key for key in config.image_features if not {"mean", "std"} <= set(stats.get(key, {}))]


def _modes(config: PreTrainedConfig) -> dict[str, NormalizationMode]:
    """A field of every policy's own configuration; its keys are strings, which feature types are, too."""
    return cast(Any, config).normalization_mapping


def normalisation_statistics(
    config: PreTrainedConfig, meta: LeRobotDatasetMetadata
) -> dict[str, dict[str, Any]]:
    """The dataset statistics that the policy's processors are made with, checked.

    LeRobot passes features without statistics through unnormalised, which trains a blind policy; here
    that is an error. With a pretrained backbone the cameras get ImageNet's statistics, as in LeRobot; and a
    camera that the dataset has none of, which no command of LeRobot computes (`without_statistics`). What
    never moves is as the dataset has it: see `rabc.policies.still`.

    Raises:
        InputError: a needed statistic is missing, not finite or of another size than its feature.
    """
    statistics: dict[str, dict[str, Any]] = deepcopy(dict(meta.stats or {}))
    pretrained = getattr(config, "pretrained_backbone_weights", None) is not None
    for key in config.image_features if pretrained else without_statistics(config, meta):
        imagenet = {name: np.asarray(value, np.float32) for name, value in IMAGENET_STATS.items()}
        statistics[key] = {**statistics.get(key, {}), **imagenet}
    modes = _modes(config)
    remedy = f"compute it: `{recompute_statistics(meta.root)}`"
    for key, feature in {**(config.input_features or {}), **(config.output_features or {})}.items():
        mode = modes.get(feature.type, NormalizationMode.IDENTITY)
        for name in NEEDED_STATISTICS[mode]:
            value = statistics.get(key, {}).get(name)
            if value is None:
                if key in config.image_features:
                    remedy = "set policy.extra.normalization_mapping with VISUAL: MEAN_STD or IDENTITY"
                raise InputError(f"statistic {name} of {key}: missing in the dataset {meta.root}; {remedy}")
            problem = _unfit(value, None if key in config.image_features else tuple(feature.shape))
            if problem is not None:
                raise InputError(
                    f"statistic {name} of {key} {value!s:.80}: {problem} in {meta.root}; {remedy}"
                )
    return {key: with_rare_moves(values) for key, values in statistics.items()}


def _unfit(value: Any, shape: tuple[int, ...] | None) -> str | None:
    """Why a statistic cannot be one of a feature; shape: the feature's, None: not compared."""
    try:
        numbers = np.asarray(value, np.float64)
    except (ValueError, TypeError):
        return "no numbers"
    if not np.isfinite(numbers).all():
        return "not finite"
    if shape is not None and numbers.shape != shape:
        return f"{numbers.size} numbers for {'x'.join(map(str, shape))}"
    return None
