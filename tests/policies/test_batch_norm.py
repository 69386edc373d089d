"""Live batch normalisation is refused where it would train another policy than the robot gets."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rabc.config.checks import validate
from rabc.config.settings import Config
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.policies.build import build_policy
from rabc.system.errors import InputError

ACT = PolicyConfig(
    chunk_size=5, n_action_steps=5, dim_model=32, n_heads=4, dim_feedforward=64, n_encoder_layers=1
)


def test_cameras_of_unequal_size(dataset_copy: Callable[[], Path]) -> None:
    meta = load_meta(dataset_copy())
    meta.features["observation.images.wrist"]["shape"] = (24, 32, 3)
    with pytest.raises(
        InputError, match=r"front 32x32, .*wrist 24x32: differ, and policy\.batch_norm 'live' would"
    ):
        build_policy(ACT, meta)
    for sound in (
        replace(ACT, batch_norm="frozen"),
        replace(ACT, resize_shape=[32, 32]),
        replace(ACT, extra={"input_features": ["observation.state", "observation.images.wrist"]}),
    ):
        build_policy(sound, meta)


def problems(batch_size: int = 8, **policy: Any) -> list[str]:
    config = Config(policy=PolicyConfig(**policy))
    return validate(replace(config, trainer=replace(config.trainer, batch_size=batch_size)))


def test_layers_of_a_pretrained_policy_or_backbone_are_not_thawed() -> None:
    for name in ("pretrained_path", "pretrained_backbone_weights"):
        given: dict[str, Any] = {name: "ResNet18_Weights.IMAGENET1K_V1"}
        (problem,) = problems(**given)
        assert problem.startswith(f"policy.batch_norm 'live': retrains the statistics that policy.{name} ")
        assert "; give frozen" in problem
        assert problems(**given, batch_norm="frozen") == []
    assert problems(pretrained_path="you/diffusion", type="diffusion") == []


def test_a_batch_of_one_sample_is_no_batch() -> None:
    (problem,) = problems(batch_size=1)
    assert problem.startswith(
        "policy.batch_norm 'live': trainer.batch_size 1 normalises every sample by itself"
    )
    assert problems(batch_size=1, batch_norm="frozen") == problems(batch_size=2) == []
    assert problems(batch_size=1, type="diffusion", horizon=16, n_action_steps=8) == []
