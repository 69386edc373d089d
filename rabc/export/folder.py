"""Leaves a policy as a LeRobot folder that LeRobot loads without us."""

import json
from pathlib import Path
from typing import Any

import draccus
from lerobot.configs.default import DatasetConfig
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.optim import AdamWConfig
from lerobot.optim.schedulers import CosineAnnealingWithWarmupSchedulerConfig
from lerobot.policies.pretrained import PreTrainedPolicy
from safetensors import SafetensorError

from rabc.config.settings import Config
from rabc.datasets.robot_frames import DatasetFrames
from rabc.export.proof import Proof, prove
from rabc.policies.build import PolicyParts
from rabc.system.atomic import whole_folder


def export(
    parts: PolicyParts,
    folder: Path,
    train_config: dict[str, Any],
    frames: DatasetFrames,
    card: str | None = None,
) -> Proof:
    """Write `pretrained_model` with everything `lerobot-rollout` and `from_pretrained` read, and prove it.

    The folder appears complete and proven, or not at all; one that is there is replaced then. Takes as long
    as another process needs to import LeRobot, 10-20 s.

    Args:
        parts: as for the robot (see `PolicyParts.for_robot`).
        folder: the target, by custom named `pretrained_model`.
        train_config: content of `train_config.json` (see `lerobot_train_config`).
        frames: to prove it on (see `rabc.export.proof.proof_frames`).
        card: content of README.md; None: no such file.

    Raises:
        CheckFailed: LeRobot alone acts otherwise than `parts`; then nothing is left.
        InputError: the folder cannot be written.
    """
    with whole_folder(folder) as partial:
        _write(parts, partial, train_config)
        if card is not None:
            (partial / "README.md").write_text(card)
        return prove(partial, parts, frames)


def write_policy(parts: PolicyParts, folder: Path, train_config: dict[str, Any]) -> Path:
    """`export` without the proof, for a folder that this process reads at once; returns `folder`.

    Raises:
        InputError: the folder cannot be written.
    """
    with whole_folder(folder) as partial:
        _write(parts, partial, train_config)
    return folder


def _write(parts: PolicyParts, folder: Path, train_config: dict[str, Any]) -> None:
    try:
        parts.policy.save_pretrained(folder)
        parts.preprocessor.save_pretrained(folder)
        parts.postprocessor.save_pretrained(folder)
    except SafetensorError as error:  # what safetensors makes of a full disk
        raise OSError(str(error).splitlines()[0]) from error
    (folder / "train_config.json").write_text(json.dumps(train_config, indent=4) + "\n")


def lerobot_train_config(
    config: Config, meta: LeRobotDatasetMetadata, policy: PreTrainedPolicy
) -> dict[str, Any]:
    """Our training in LeRobot's own terms, so that its tools can read `train_config.json`.

    What LeRobot has no word for (sample weights, state noise) is left out; it is in the run's summary.

    Args:
        config: the run's configuration.
        meta: metadata of the dataset.
        policy: the trained policy, for its LeRobot configuration.

    Returns:
        JSON values that `TrainPipelineConfig.from_pretrained` accepts.
    """
    trainer = config.trainer
    ours = AdamWConfig(
        lr=trainer.lr, weight_decay=trainer.weight_decay, grad_clip_norm=trainer.gradient_clip_norm
    )
    our_schedule = CosineAnnealingWithWarmupSchedulerConfig(num_warmup_steps=trainer.warmup_steps)
    record = TrainPipelineConfig(
        dataset=DatasetConfig(
            repo_id=meta.repo_id,
            revision=config.dataset.revision,
            use_imagenet_stats=config.policy.pretrained_backbone_weights is not None,
            video_backend="pyav",
        ),
        policy=policy.config,
        job_name=config.run,
        seed=config.seed,
        batch_size=trainer.batch_size,
        steps=trainer.max_steps,
        log_freq=trainer.log_every,
        save_freq=trainer.checkpoint_every,
        env_eval_freq=0,
        use_policy_training_preset=trainer.lerobot_preset,
        optimizer=policy.config.get_optimizer_preset() if trainer.lerobot_preset else ours,
        scheduler=policy.config.get_scheduler_preset() if trainer.lerobot_preset else our_schedule,
    )
    return draccus.encode(record)
