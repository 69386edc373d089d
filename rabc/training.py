"""Trains a policy on weighted demonstrations, and goes on where a killed run stopped."""

import dataclasses
import hashlib
import json
import logging
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from numpy.typing import NDArray

from rabc.callbacks import (
    Checkpoints,
    Clock,
    TrainingBar,
    WeightHistogram,
    checkpoint_step,
    last_good_checkpoint,
)
from rabc.config import Config
from rabc.data import BatchOrder, ChunkDataModule, ChunkDataset
from rabc.dataset_fingerprint import fingerprint
from rabc.device import resolve_device, resolve_precision
from rabc.errors import CheckFailed, InputError
from rabc.frames import cache_folder, cached_frames
from rabc.module import WeightedPolicy
from rabc.policies import PolicyParts, build_policy, stock_policy
from rabc.stages import write_json
from rabc.tables import load_meta, read_frames
from rabc.weights import normalise

# Settings that do not change what is learned.
_FREE = ("checkpoint_every", "log_every", "threads")


@dataclass(frozen=True)
class TrainingResult:
    """A finished training."""

    parts: PolicyParts
    """The trained policy as stock LeRobot, in eval mode, with its processors."""
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
) -> TrainingResult:
    """Train the policy that `config` describes; a folder with checkpoints is continued.

    Frames of weight 0 are never drawn, since they would cost a step's time and teach nothing; the
    weights are scaled to mean 1 over the frames that are.

    Sets torch's global generator and, if asked for, its number of threads.

    Args:
        config: sections `policy`, `trainer`, `seed` and `device` are used.
        dataset: folder or metadata of a LeRobotDataset v3.
        weights: (N,) non-negative weight of every frame of the dataset.
        folder: receives `checkpoints/`, `tensorboard/` and `identity.json`.

    Raises:
        InputError: unusable dataset or weights, or the folder belongs to a different training.
    """
    meta = dataset if isinstance(dataset, LeRobotDatasetMetadata) else load_meta(Path(dataset))
    device = resolve_device(config.device)
    weights, drawable = drawable_weights(weights, meta.total_frames)
    version = fingerprint(meta.root)
    _claim(folder, identity(config, version, weights, device))
    if config.trainer.threads > 0:
        torch.set_num_threads(config.trainer.threads)
    torch.manual_seed(config.seed)
    parts = build_policy(config.policy, meta, device)
    # LeRobot's preset gives the backbone a rate of its own; the folder states the one rate that is used here.
    act = parts.policy.config
    act.optimizer_lr = act.optimizer_lr_backbone = config.trainer.lr
    act.optimizer_weight_decay = config.trainer.weight_decay
    module = WeightedPolicy(parts, weights, config.trainer, config.seed, config.policy.batch_norm == "live")
    checkpoint = last_good_checkpoint(folder / "checkpoints")
    if checkpoint is None or checkpoint_step(checkpoint) < config.trainer.max_steps:
        cameras = list(parts.policy.config.image_features)
        vectors = [name for name in parts.policy.config.input_features or {} if name not in cameras]
        dataset_in_memory = ChunkDataset(
            read_frames(meta, [*vectors, "action"]),
            cached_frames(meta, cameras, cache_folder(meta.root, version)),
            config.policy.chunk_size,
        )
        order = BatchOrder(drawable, config.trainer.batch_size, config.seed)
        # On a CPU a loading process would take time from the network; gathering a batch takes milliseconds.
        data = ChunkDataModule(dataset_in_memory, order, workers=2 if device == "cuda" else 0)
        _fit(config, module, data, folder, checkpoint, device)
    return _finished(config, module, folder)


def _fit(
    config: Config,
    module: WeightedPolicy,
    data: ChunkDataModule,
    folder: Path,
    checkpoint: Path | None,
    device: str,
) -> None:
    clock = Clock(config.trainer.batch_size)
    callbacks: list[Callback] = [
        clock,  # before the checkpoints, so that they hold the time of the step that is saved
        Checkpoints(folder / "checkpoints", config.trainer.checkpoint_every),
        WeightHistogram(module.weights.cpu().numpy()),
        TrainingBar(clock),
    ]
    with _quiet_lightning():
        trainer = Trainer(
            accelerator={"cuda": "gpu"}.get(device, device),
            devices=1,
            precision=resolve_precision(config.trainer.precision, device),
            max_steps=config.trainer.max_steps,
            max_epochs=-1,
            # Points after the checkpoint come from a session that was killed; they are made again.
            logger=TensorBoardLogger(
                folder,
                name="",
                version="tensorboard",
                purge_step=checkpoint_step(checkpoint) if checkpoint else 0,
            ),
            log_every_n_steps=config.trainer.log_every,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_model_summary=False,
        )
        trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)


def _finished(config: Config, module: WeightedPolicy, folder: Path) -> TrainingResult:
    """The result as the last checkpoint has it, so that a run started again gives the same one."""
    path = last_good_checkpoint(folder / "checkpoints")
    if path is None or checkpoint_step(path) < config.trainer.max_steps:
        raise CheckFailed(
            f"training {folder}: ended before step {config.trainer.max_steps}; run it again to go on"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)
    module.load_state_dict(state["state_dict"])
    clock = state["callbacks"]["Clock"]
    steps = checkpoint_step(path)
    return TrainingResult(
        parts=dataclasses.replace(module.parts, policy=stock_policy(module.policy)),
        steps=steps,
        seconds=clock["seconds"],
        samples_per_second=steps * config.trainer.batch_size / clock["seconds"],
        loss=clock["loss"],
    )


def drawable_weights(
    weights: NDArray[np.floating[Any]], frames: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Check weights and scale them to mean 1 over the frames that training draws.

    Args:
        weights: (N,) one per frame.
        frames: N of the dataset.

    Returns:
        (N,) scaled weights, and (M,) the frames of positive weight.

    Raises:
        InputError: a missing, negative or non-finite weight, or no positive one.
    """
    weights = np.asarray(weights, np.float64)
    if weights.shape != (frames,):
        raise InputError(f"weights {weights.shape}: the dataset has {frames} frames; weight every frame once")
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise InputError(
            f"weight {weights[bad[0]]} of frame {bad[0]}: not a non-negative number ({len(bad)} such "
            "frames); score and weight every episode"
        )
    return normalise(weights).astype(np.float32), np.flatnonzero(weights > 0)


def identity(config: Config, dataset: str, weights: NDArray[np.floating[Any]], device: str) -> dict[str, Any]:
    """Everything the trained weights depend on, as plain JSON values.

    Args:
        config: the run's configuration.
        dataset: its fingerprint.
        weights: (N,) weight of every frame.
        device: the torch device, which decides what precision `auto` is.
    """
    trainer = {k: v for k, v in dataclasses.asdict(config.trainer).items() if k not in _FREE}
    trainer["precision"] = resolve_precision(config.trainer.precision, device)
    return {
        "seed": config.seed,
        "policy": dataclasses.asdict(config.policy),
        "trainer": trainer,
        "dataset": dataset,
        "weights": hashlib.sha256(np.ascontiguousarray(weights, np.float32).tobytes()).hexdigest(),
    }


def _claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Mark the folder as this training's; one that belongs to another is not mixed with it."""
    path = folder / "identity.json"
    try:
        if path.is_file():
            found = json.loads(path.read_text())
            changed = [name for name in _flat(wanted) if _flat(found).get(name) != _flat(wanted)[name]]
            if changed:
                raise InputError(
                    f"folder {folder}: holds a training with other {', '.join(changed)}; remove it or choose "
                    "another run name"
                )
            return
    except (OSError, ValueError) as error:
        raise InputError(
            f"folder {folder}: cannot be used ({error}); check its permissions and content"
        ) from error
    write_json(path, wanted)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = _flat(cast(dict[str, Any], value), f"{prefix}{name}.") if isinstance(value, dict) else None
        flat.update(nested if nested else {f"{prefix}{name}": value})
    return flat


@contextmanager
def _quiet_lightning() -> Generator[None]:
    """Without Lightning's notes on hardware, workers and tips, which nobody can act on here."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
            yield
    finally:
        logger.setLevel(level)
