"""Trainings of tiny real policies on the small dataset, for the tests of the training loop.

    python training_runs.py CONFIG DATASET FOLDER

trains as a YAML says, in a process of its own: Lightning starts further processes by running it again.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rabc.config.settings import Config, WeightsConfig
from rabc.config.training_settings import PolicyConfig, TrainerConfig
from tests.support import small_resnet

SCRIPT = Path(__file__)
FRAMES = 50
# The longest sum: a filter of the first layer, over a batch of 8, 2 cameras and 16x16 places.
TERMS = 8 * 2 * 16 * 16
# A loss: at most 8 samples, 8 ticks, 6 joints, none of which can cancel another.
ELEMENTS = 8 * 8 * 6
# Some frames are never drawn and the others count differently.
WEIGHTS = np.resize([0.0, 0.5, 1.0, 2.5], FRAMES)
LONG_STRETCHES = np.resize([0.0, 0.5, 1.0, 2.5, 1.0, 0.5, 1.0, 2.0, 1.0, 1.5], FRAMES)
"""For cuts: a stretch needs more frames than those at its end that Diffusion does not train on."""
ACT = PolicyConfig(
    vision_backbone=small_resnet.NAME,
    chunk_size=5,
    n_action_steps=5,
    dim_model=32,
    n_heads=4,
    dim_feedforward=64,
    n_encoder_layers=1,
    extra={"latent_dim": 8, "n_vae_encoder_layers": 1},
)
DIFFUSION = PolicyConfig(
    type="diffusion",
    vision_backbone=small_resnet.NAME,
    horizon=8,
    n_action_steps=4,
    down_dims=[16, 32],
    use_separate_rgb_encoder_per_camera=False,
    extra={
        "n_groups": 4,
        "diffusion_step_embed_dim": 16,
        "spatial_softmax_num_keypoints": 4,
        "drop_n_last_frames": 3,
    },
)
# Without anything that depends on how a step is divided.
STEADY_ACT = replace(ACT, dropout=0.0, use_vae=False, batch_norm="frozen")
POLICIES = {"act": ACT, "diffusion": DIFFUSION, "steady act": STEADY_ACT}
TRAINER = TrainerConfig(
    max_steps=4, batch_size=4, warmup_steps=1, checkpoint_every=2, log_every=1, precision="32-true"
)


def tiny(policy: str = "act", apply: Any = "loss", **trainer: Any) -> Config:
    """A configuration with the given settings of the trainer, and weights that act so."""
    weights = WeightsConfig(scheme="rabc", apply=apply)
    return Config(policy=POLICIES[policy], trainer=replace(TRAINER, **trainer), weights=weights, device="cpu")


def with_resnet18(config: Config) -> Config:
    """The same with an encoder that LeRobot knows without us: for what it is to load by itself."""
    return replace(config, policy=replace(config.policy, vision_backbone="resnet18"))


def scalars(folder: Path, name: str) -> dict[int, float]:
    """Step -> value in TensorBoard; the last one written where a step was made twice."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload()
    return {event.step: event.value for event in events.Scalars(name)}


def checkpoint(folder: Path, step: int) -> dict[str, Any]:
    import torch

    return torch.load(folder / "checkpoints" / f"step={step}.ckpt", weights_only=True)


def differing(a: dict[str, Any], b: dict[str, Any]) -> list[str]:
    """What of two trainings is not bitwise the same."""
    try:
        assert_same_training(a, b)
    except AssertionError as error:
        return [str(error) or "something"]
    return []


def assert_same(a: Any, b: Any, where: str = "") -> None:
    """Bitwise equality of nested checkpoint contents."""
    import torch

    if isinstance(a, torch.Tensor):
        assert torch.equal(a, b), where
    elif isinstance(a, dict):
        assert a.keys() == b.keys(), where
        for key in a:
            assert_same(a[key], b[key], f"{where}/{key}")
    elif isinstance(a, list):
        assert len(a) == len(b), where
        for i, (x, y) in enumerate(zip(a, b, strict=True)):
            assert_same(x, y, f"{where}/{i}")
    else:
        assert a == b, where


def assert_same_training(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Bitwise equality of everything two checkpoints hold but the time they took."""
    parts = ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "callbacks")
    averaged = ("current_model_state", "averaging_state")
    for part in (*parts, *(name for name in averaged if name in a)):
        x, y = a[part], b[part]
        if part == "callbacks":
            x, y = ({k: v for k, v in one.items() if k != "Clock"} for one in (x, y))
        assert_same(x, y, part)


if __name__ == "__main__":
    from rabc.config import cli
    from rabc.system.quiet import quiet_libraries

    def main(argv: Any) -> None:
        from rabc.training.run import train

        config, dataset, folder = argv
        settings = json.loads(Path(config).read_text())
        quiet_libraries()
        train(tiny(settings.pop("policy"), **settings), Path(dataset), WEIGHTS, Path(folder))

    cli.run(main)
