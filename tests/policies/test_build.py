"""Policies of every type from our configuration and a recorded dataset, and what is refused."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rabc.config.checks import validate
from rabc.config.settings import Config
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.export.folder import lerobot_train_config, write_policy
from rabc.policies.build import PolicyParts, build_policy, image_encoders, stock_policy
from rabc.system.errors import InputError
from tests.support.training_runs import POLICIES

Copy = Callable[[], Path]
DIFFUSION = PolicyConfig(
    type="diffusion", horizon=8, n_action_steps=4, down_dims=[16, 32],
    extra={"n_groups": 4, "spatial_softmax_num_keypoints": 4, "crop_shape": [28, 28]},
)  # fmt: skip
ACT = PolicyConfig(
    chunk_size=5, n_action_steps=5, dim_model=32, n_heads=4, dim_feedforward=64, n_encoder_layers=1
)


def saved(parts: PolicyParts, dataset: Path, folder: Path) -> Path:
    meta = load_meta(dataset)
    policy = stock_policy(parts.policy)
    record = lerobot_train_config(Config(policy=DIFFUSION), meta, policy)
    return write_policy(dataclasses.replace(parts, policy=policy), folder, record)


@pytest.mark.parametrize(
    "config", [ACT, DIFFUSION, dataclasses.replace(DIFFUSION, n_obs_steps=1)], ids=["act", "2", "1"]
)
def test_a_built_policy_is_saved_and_loaded_by_lerobot(
    config: PolicyConfig, recorded_dataset: Path, tmp_path: Path
) -> None:
    parts = build_policy(config, load_meta(recorded_dataset))
    folder = saved(parts, recorded_dataset, tmp_path / "policy")
    loaded = type(parts.policy).from_pretrained(folder)
    assert loaded.config.type == config.type
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, parts.policy.state_dict()[name]), name
    assert len(image_encoders(parts.policy)) == 1
    # What a sample teaches from its own tick on.
    assert config.chunk == sum(tick >= 0 for tick in parts.policy.config.action_delta_indices)


def test_lists_of_the_yaml_become_what_lerobot_can_save(recorded_dataset: Path) -> None:
    settings: Any = build_policy(DIFFUSION, load_meta(recorded_dataset)).policy.config
    assert settings.down_dims == (16, 32)
    assert settings.crop_shape == (28, 28)


def test_the_robots_pictures_are_resized_as_in_training(recorded_dataset: Path) -> None:
    meta = load_meta(recorded_dataset)
    batch = {
        "observation.state": torch.zeros(6),
        **{camera: torch.rand(3, 32, 32) for camera in meta.camera_keys},
    }
    for shape, seen in (([24, 40], (24, 40)), ([32, 32], (32, 32)), (None, (32, 32))):
        parts = build_policy(dataclasses.replace(ACT, resize_shape=shape), meta).for_robot()
        pictures = parts.preprocessor(dict(batch))
        assert {tuple(pictures[camera].shape) for camera in meta.camera_keys} == {(1, 3, *seen)}
        names = [type(step).__name__ for step in parts.preprocessor.steps]
        assert ("ImageCropResizeProcessorStep" in names) == (shape == [24, 40])
        with torch.inference_mode():
            assert parts.policy.predict_action_chunk(pictures).shape == (1, 5, 6)


def test_a_pretrained_policy_starts_with_its_own_weights_and_settings(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    meta = load_meta(recorded_dataset)
    torch.manual_seed(1)
    first = build_policy(ACT, meta)
    folder = saved(first, recorded_dataset, tmp_path / "policy")
    torch.manual_seed(2)
    again = build_policy(PolicyConfig(pretrained_path=str(folder), chunk_size=5, n_action_steps=3), meta)
    settings: Any = again.policy.config
    assert (settings.dim_model, settings.n_action_steps) == (32, 3)
    for name, value in first.policy.state_dict().items():
        assert torch.equal(value, again.policy.state_dict()[name]), name


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"chunk_size": 20}, r"policy.chunk_size 20: .*has 5; set policy.chunk_size 5"),
        ({"type": "diffusion"}, r"is a policy of type act; set policy.type act"),
    ],
)
def test_a_pretrained_policy_of_another_shape_is_refused(
    changes: dict[str, Any], message: str, recorded_dataset: Path, tmp_path: Path
) -> None:
    meta = load_meta(recorded_dataset)
    folder = saved(build_policy(ACT, meta), recorded_dataset, tmp_path / "policy")
    settings = {"pretrained_path": str(folder), "chunk_size": 5, "n_action_steps": 3, **changes}
    with pytest.raises(InputError, match=message):
        build_policy(PolicyConfig(**settings), meta)


def test_a_pretrained_policy_without_some_of_its_weights_is_refused(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    """LeRobot would go on with random weights in their place."""
    from safetensors.torch import load_file, save_file

    meta = load_meta(recorded_dataset)
    folder = saved(build_policy(ACT, meta), recorded_dataset, tmp_path / "policy")
    weights = load_file(folder / "model.safetensors")
    del weights["model.action_head.weight"]
    save_file(weights, folder / "model.safetensors")
    with pytest.raises(InputError, match="LeRobot cannot build it"):
        build_policy(PolicyConfig(pretrained_path=str(folder), chunk_size=5, n_action_steps=3), meta)


@pytest.mark.parametrize(
    ("settings", "remedy"),
    [
        (dataclasses.replace(ACT, dim_feedforward=2**50), "policy.dim_model and policy.dim_feedforward"),
        (dataclasses.replace(POLICIES["diffusion"], down_dims=[2**45, 2**46]), "policy.down_dims"),
    ],
    ids=["act", "diffusion"],
)
def test_a_policy_larger_than_the_memory(settings: PolicyConfig, remedy: str, recorded_dataset: Path) -> None:
    """It is no setting that LeRobot rejects."""
    with pytest.raises(InputError) as told:
        build_policy(settings, load_meta(recorded_dataset))
    assert str(told.value).startswith(f"policy {settings.type}: memory ran out (")
    assert str(told.value).endswith(f"; give smaller {remedy}, or end other processes that hold memory")
    assert "\n" not in str(told.value)


def test_no_folder_of_a_pretrained_policy(recorded_dataset: Path, tmp_path: Path) -> None:
    config = PolicyConfig(pretrained_path=str(tmp_path), chunk_size=5, n_action_steps=3)
    with pytest.raises(InputError, match=r"policy.pretrained_path .*cannot be read .*config.json not found"):
        build_policy(config, load_meta(recorded_dataset))


def test_cameras_of_different_sizes(dataset_copy: Copy) -> None:
    meta = load_meta(dataset_copy())
    meta.features["observation.images.wrist"]["shape"] = (24, 32, 3)
    with pytest.raises(InputError, match=r"wrist 24x32: differ, .*set policy.resize_shape"):
        build_policy(DIFFUSION, meta)
    build_policy(dataclasses.replace(DIFFUSION, resize_shape=[32, 32]), meta)  # makes them equal


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "statistic min of action: missing"),
        ({"min": [0.0] * 6, "max": [np.inf] * 6}, "statistic max of action .*inf.*not finite"),
    ],
)
def test_unusable_statistics_of_diffusion(change: dict[str, Any], message: str, dataset_copy: Copy) -> None:
    meta = load_meta(dataset_copy())
    meta.stats = {**meta.stats, "action": change}
    with pytest.raises(InputError, match=message):
        build_policy(DIFFUSION, meta)


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"horizon": 12}, "policy.horizon 12: not divisible by 8"),
        ({"horizon": 16, "n_action_steps": 16}, "policy.n_action_steps 16: more than policy.horizon 16"),
        ({"down_dims": []}, "policy.down_dims []: not positive widths"),
        ({"pretrained_backbone_weights": "ResNet18_Weights.DEFAULT"}, "policy.use_group_norm true"),
        ({"num_inference_steps": 101}, "policy.num_inference_steps 101: more than the 100 steps"),
        ({"dim_model": 64}, "policy.dim_model 64: policy.type diffusion has no such setting, only act"),
    ],
)
def test_impossible_diffusion_settings(changes: dict[str, Any], named: str) -> None:
    config = Config(policy=PolicyConfig(**{"type": "diffusion", "n_action_steps": 8, **changes}))
    assert any(problem.startswith(named) for problem in validate(config)), validate(config)


def test_settings_of_diffusion_are_errors_for_act() -> None:
    problems = validate(Config(policy=PolicyConfig(horizon=32)))
    assert problems == [
        "policy.horizon 32: policy.type act has no such setting, only diffusion; leave it out"
    ]
