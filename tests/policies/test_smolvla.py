"""SmolVLA through the same door as ACT and Diffusion, at tiny size: trained, exported, run by LeRobot."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lerobot.policies.factory import get_policy_class, make_pre_post_processors

from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.export.folder import lerobot_train_config, write_policy
from rabc.training.run import train
from tests.support.tiny_policies import make_smolvlm
from tests.support.training_runs import WEIGHTS, checkpoint, scalars, tiny


def test_it_trains_with_weights_and_lerobot_runs_it(recorded_dataset: Path, tmp_path: Path) -> None:
    model = make_smolvlm(tmp_path / "smolvlm")
    policy = PolicyConfig(
        type="smolvla", chunk_size=5, n_action_steps=5, pretrained_backbone_weights=None,
        extra={
            "vlm_model_name": str(model), "num_vlm_layers": 2, "max_state_dim": 6, "max_action_dim": 6,
            "resize_imgs_with_padding": [64, 64],
        },
    )  # fmt: skip
    config, meta = replace(tiny(max_steps=3), policy=policy), load_meta(recorded_dataset)
    trained = train(config, meta, WEIGHTS, tmp_path / "training")
    assert scalars(tmp_path / "training", "weight_max")[0] > 1
    before, after = (checkpoint(tmp_path / "training", step)["state_dict"] for step in (2, 3))
    assert any(not torch.equal(before[name], value) for name, value in after.items())
    record = lerobot_train_config(config, meta, trained.parts.policy)
    folder = write_policy(trained.parts, tmp_path / "pretrained_model", record)
    loaded = get_policy_class("smolvla").from_pretrained(folder)
    pre, post = make_pre_post_processors(loaded.config, pretrained_path=str(folder))
    observation = {
        "observation.state": torch.zeros(6), "task": "Pick up the red cube.",
        **{camera: torch.rand(3, 32, 32) for camera in meta.camera_keys},
    }  # fmt: skip
    with torch.inference_mode():
        action = post(loaded.select_action(pre(observation)))
    assert action.shape == (1, 6)
    assert np.isfinite(action.numpy()).all()
