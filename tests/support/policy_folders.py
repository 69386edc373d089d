"""Small policies that can do something, in folders, and a dataset of an arm to train them on."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rabc.config.settings import Config, DatasetConfig
from tests.support.training_runs import ACT, DIFFUSION, TRAINER

SIZE, FPS, LENGTHS = 32, 10, (30, 30, 25, 28)
JOINTS = ["shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper"]
CAMERAS = ("front", "wrist")
# Of each joint, degrees, the gripper 0-100.
_MIDDLE = np.array([0.0, -60.0, 70.0, 30.0, -90.0, 40.0])
_SWING = np.array([40.0, 30.0, 50.0, 20.0, 60.0, 35.0])


def record_arm(root: Path, joints: list[str] = JOINTS) -> Path:
    """One smooth motion again and again, each joint a little later; the pictures show where they are."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    picture = {"dtype": "image", "shape": (SIZE, SIZE, 3), "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (6,), "names": [f"{name}.pos" for name in joints]}
    features = {f"observation.images.{name}": picture for name in CAMERAS}
    dataset = LeRobotDataset.create(
        "local/arm", fps=FPS, root=root, robot_type="so101_follower", use_videos=False,
        features={**features, "observation.state": vector, "action": vector},
    )  # fmt: skip
    for episode, length in enumerate(LENGTHS):
        phase = np.arange(length + 1)[:, None] / 12 * 2 * np.pi
        wave = np.sin(phase + episode * 0.3 + np.arange(6))
        position = (_MIDDLE + _SWING * wave).astype(np.float32)
        for t in range(length):
            image = np.zeros((SIZE, SIZE, 3), np.uint8)
            for joint, value in enumerate(wave[t]):
                column = slice(5 * joint + 1, 5 * joint + 5)
                image[: int((value + 1) / 2 * (SIZE - 1)) + 1, column] = 40 + 35 * joint
            dataset.add_frame(
                {
                    "observation.images.front": image,
                    "observation.images.wrist": 255 - image,
                    "observation.state": position[t],
                    "action": position[t + 1],
                    "task": "Wave.",
                }
            )
        dataset.save_episode()
    dataset.finalize()
    return root


def configuration(kind: str, root: Path, **trainer: Any) -> Config:
    """Of a training that learns the motion in seconds; frames go through a resize for `diffusion`."""
    settings = {"max_steps": 250, "batch_size": 8, "lr": 2e-3, "warmup_steps": 10, "checkpoint_every": 250}
    policies = {
        "act": replace(ACT, use_vae=False, dropout=0.0),
        # The U-Net's mean is smooth at once, where noise takes an hour to learn.
        "diffusion": replace(DIFFUSION, prediction_type="sample"),
    }
    return Config(
        run="arm", policy=policies[kind], device="cpu", dataset=DatasetConfig(str(root)),
        trainer=replace(TRAINER, **{**settings, **trainer}),
    )  # fmt: skip


def our_folder(kind: str, root: Path, folder: Path) -> Path:
    """A policy of ours, trained and exported."""
    from rabc.datasets.metadata import load_meta
    from rabc.export.folder import lerobot_train_config, write_policy
    from rabc.training.run import train

    config, meta = configuration(kind, root), load_meta(root)
    parts = train(config, meta, np.ones(sum(LENGTHS)), folder / "training").parts
    return write_policy(parts, folder / "pretrained_model", lerobot_train_config(config, meta, parts.policy))


def lerobots_folder(root: Path, folder: Path) -> Path:
    """An ACT that `lerobot-train` has trained for some steps."""
    options = {
        "dataset.repo_id": "local/arm", "dataset.root": root, "dataset.video_backend": "pyav",
        "policy.type": "act", "policy.device": "cpu", "policy.push_to_hub": "false",
        "policy.pretrained_backbone_weights": "null", "policy.chunk_size": 5, "policy.n_action_steps": 5,
        "policy.dim_model": 32, "policy.n_heads": 4, "policy.dim_feedforward": 64,
        "policy.n_encoder_layers": 1, "policy.use_vae": "false", "policy.dropout": 0,
        "policy.optimizer_lr": "1e-3",
        "output_dir": folder / "run", "steps": 250, "batch_size": 8, "num_workers": 0, "save_freq": 250,
        "log_freq": 200, "wandb.enable": "false",
    }  # fmt: skip
    words = [f"--{name}={value}" for name, value in options.items()]
    done = subprocess.run(
        [sys.executable, "-m", "lerobot.scripts.lerobot_train", *words],
        capture_output=True, text=True, check=False, cwd=folder,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return folder / "run" / "checkpoints" / "last" / "pretrained_model"
