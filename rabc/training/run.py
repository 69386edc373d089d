"""Trains a policy on weighted demonstrations, and goes on where a killed run stopped."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.metadata import load_meta
from rabc.policies.build import PolicyParts, build_policy
from rabc.policies.settings import policy_settings
from rabc.system.device import resolve_device
from rabc.system.errors import CheckFailed
from rabc.system.lock import alone
from rabc.system.memory import memory_told
from rabc.system.processes import (
    check_started,
    end_with_parent,
    global_rank,
    local_rank,
    started_by_lightning,
)
from rabc.training.checkpoints import checkpoint_step, last_good_checkpoint
from rabc.training.drawn import TrainingFrames, drawn_frames, split_frames, with_equal_weights_plain
from rabc.training.fitting import fit, training_ended
from rabc.training.identity import claim, identity
from rabc.training.last_words import less_memory
from rabc.training.module import WeightedPolicy
from rabc.training.notes import training_notes
from rabc.training.optimizers import state_rates
from rabc.training.sources import data_module


@dataclass(frozen=True)
class TrainingResult:
    """A finished training."""

    parts: PolicyParts
    """The trained policy as stock LeRobot, in eval mode, with its processors; with the average of its weights
    where there is one."""
    steps: int
    """Optimizer steps."""
    seconds: float
    """Time in training steps, over all sessions of the run."""
    samples_per_second: float
    """Throughput over the whole run."""
    loss: float
    """Weighted loss of the last step."""


def train(
    config: Config,
    dataset: Path | LeRobotDatasetMetadata,
    weights: NDArray[np.floating[Any]],
    folder: Path,
    moments: dict[str, NDArray[np.uint8]] | None = None,
) -> TrainingResult:
    """Train the policy that `config` describes; a folder with checkpoints is continued.

    Frames of weight 0 are never drawn, since they would cost a step's time and teach nothing; the
    weights are scaled to mean 1 over the frames that are.

    With several processes, called in each of them; it returns in the first, and the others exit. Sets torch's
    global generator and, if asked for, its number of threads.

    Args:
        config: sections `dataset`, `policy`, `weights`, `trainer`, `seed` and `device` are used; with
            periodic rollouts also `rollouts`.
        dataset: folder or metadata of a LeRobotDataset v3.
        weights: (N,) non-negative weight of every frame of the dataset.
        folder: receives `checkpoints/`, `tensorboard/` and `identity.json`.
        moments: name -> picture (H, W, 3) for TensorBoard, of the moments that count most and least.

    Raises:
        InputError: unusable dataset or weights, a loss that is not finite, memory that runs out, or the
            folder belongs to a different training.
        Stopped: Ctrl-C or SIGTERM; the folder can be continued.
    """
    settings = config.trainer
    check_started(settings.devices, settings.num_nodes)
    rank = global_rank(settings.devices, settings.num_nodes)
    if rank > 0 and started_by_lightning():
        end_with_parent()
    meta = dataset if isinstance(dataset, LeRobotDatasetMetadata) else load_meta(Path(dataset))
    device = resolve_device(config.device)
    policy = policy_settings(config.policy, meta, device)
    split = split_frames(config, meta, policy)
    config = with_equal_weights_plain(config, split, weights)
    frames = drawn_frames(config, policy, split, weights)
    if rank > 0:
        with memory_told("training", *less_memory(settings)):
            return _continued(config, meta, frames, folder, moments or {}, device, rank)
    episodes = None if len(split.selected) == meta.total_episodes else list(split.selected)
    claim(folder, identity(config, fingerprint(meta.root), episodes, frames.weights, device))
    for note in training_notes(config, meta, policy, split, len(frames.drawable)):
        print(note)
    with alone(folder / ".lock", f"training {folder}"), memory_told("training", *less_memory(settings)):
        return _continued(config, meta, frames, folder, moments or {}, device, rank)


def _continued(
    config: Config,
    meta: LeRobotDatasetMetadata,
    frames: TrainingFrames,
    folder: Path,
    moments: dict[str, NDArray[np.uint8]],
    device: str,
    rank: int,
) -> TrainingResult:
    """The rest of the training in its folder, all of it where that is new."""
    settings = config.trainer
    if settings.threads > 0:
        torch.set_num_threads(settings.threads)
    torch.manual_seed(config.seed)
    mine = f"cuda:{local_rank()}" if rank and device == "cuda" else device
    module = training_module(config, meta, frames.weights, mine)
    checkpoint = last_good_checkpoint(folder / "checkpoints")
    if checkpoint is None or not training_ended(checkpoint, settings.max_steps):
        world_size = settings.devices * settings.num_nodes
        data = data_module(config, meta, module.policy.config, frames, device, rank, world_size)
        fit(config, meta, module, data, frames.weights, moments, folder, checkpoint, device)
    if rank > 0:
        raise SystemExit(0)
    return _finished(config, module, folder)


def training_module(
    config: Config, meta: LeRobotDatasetMetadata, weights: NDArray[np.floating[Any]], device: str
) -> WeightedPolicy:
    """What is trained, before its first step or before the state of a checkpoint is loaded.

    Args:
        config: sections `policy`, `weights`, `trainer` and `seed` are used.
        meta: of the dataset.
        weights: (N,) weight of every frame.
        device: a torch device.

    Raises:
        InputError: the policy cannot be built.
    """
    parts = build_policy(config.policy, meta, device)
    if not config.trainer.lerobot_preset:
        state_rates(parts.policy, config.trainer)
    live_norm = config.policy.type == "act" and config.policy.batch_norm == "live"
    return WeightedPolicy(parts, weights, config.trainer, config.seed, live_norm, config.apply)


def _finished(config: Config, module: WeightedPolicy, folder: Path) -> TrainingResult:
    """The result as the last checkpoint has it, so that a run started again gives the same one."""
    path = last_good_checkpoint(folder / "checkpoints")
    if path is None or not training_ended(path, config.trainer.max_steps):
        raise CheckFailed(
            f"training {folder}: ended before step {config.trainer.max_steps}; run it again to go on"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    steps, seconds = checkpoint_step(path), state["callbacks"]["Clock"]["seconds"]
    return TrainingResult(
        parts=module.stock_parts(),
        steps=steps,
        seconds=seconds,
        samples_per_second=steps * config.trainer.samples_per_step / seconds,
        loss=state["callbacks"]["Monitor"]["loss"],
    )
