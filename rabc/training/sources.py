"""Everything between a dataset and the batches of a training: cache, windows, order, augmentation."""

import contextlib
import os

import numpy as np
from lerobot.configs import PreTrainedConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config
from rabc.datasets.cache import budget, cache_folder
from rabc.datasets.decoding import DecodedFrames, Frames
from rabc.datasets.fingerprint import BELONGS
from rabc.datasets.frames import cached_frames
from rabc.training.augmentation import Augmentation
from rabc.training.data import ChunkDataModule, ChunkDataset
from rabc.training.drawn import TrainingFrames
from rabc.training.order import BatchOrder
from rabc.training.windows import Windows


def open_frames(
    config: Config, meta: LeRobotDatasetMetadata, cameras: list[str], frames: TrainingFrames
) -> Frames:
    """The cameras' frames at the policy's resolution: what `frames` draws from the cache, as far as
    `dataset.cache_gb` goes, the others decoded when they are read (`dataset.cache` false: all)."""
    shape = resize_shape(config)
    if not (config.dataset.cache and cameras):
        return DecodedFrames(meta, cameras, shape)
    draws = np.zeros(len(frames.table))
    draws[frames.drawable] = frames.weights[frames.drawable] if config.apply == "sampler" else 1.0
    if config.trainer.eval_steps:
        draws[frames.validation] += 1.0
    folder = cache_folder(meta.root)
    with contextlib.suppress(OSError):  # disks often do not note when a file was read
        os.utime(folder.parent / BELONGS)
    return cached_frames(meta, cameras, folder, shape, draws, budget(config.dataset))


def resize_shape(config: Config) -> tuple[int, int] | None:
    """Height and width of `policy.resize_shape`."""
    if config.policy.resize_shape is None:
        return None
    height, width = config.policy.resize_shape
    return height, width


def data_module(
    config: Config,
    meta: LeRobotDatasetMetadata,
    policy: PreTrainedConfig,
    frames: TrainingFrames,
    device: str,
    rank: int = 0,
    world_size: int = 1,
) -> ChunkDataModule:
    """What feeds the trainer; see `rabc.training.data.ChunkDataModule` for the batches.

    Args:
        config: sections `dataset`, `policy`, `weights`, `trainer` and `seed` are used.
        meta: metadata of the dataset.
        policy: LeRobot's configuration of the policy: its windows and cameras.
        frames: what to draw.
        device: the torch device that computes.
        rank: of this process.
        world_size: processes.

    Raises:
        InputError: a video that cannot be decoded, a full disk, an augmentation that LeRobot rejects.
    """
    trainer, settings = config.trainer, config.dataset.image_transforms
    cameras = list(policy.image_features)
    on_gpu = device == "cuda"
    sampled = frames.weights[frames.drawable] if config.apply == "sampler" else None
    samples = trainer.batch_size * trainer.accumulate_grad_batches * world_size
    return ChunkDataModule(
        ChunkDataset(
            frames.table, open_frames(config, meta, cameras, frames), Windows.of(policy), frames.timeline
        ),
        BatchOrder(frames.drawable, samples, config.seed, sampled),
        trainer.batch_size,
        accumulate=trainer.accumulate_grad_batches,
        rank=rank,
        world_size=world_size,
        workers=loading_processes(config, device),
        eval_index=frames.validation if trainer.eval_steps else None,
        augmentation=Augmentation(settings, cameras, config.seed) if settings.get("enable") else None,
        pin_memory=on_gpu,
    )


def loading_processes(config: Config, device: str) -> int:
    """`trainer.workers`; by itself none where the network runs on the cores and gathering is quick."""
    if config.trainer.workers >= 0:
        return config.trainer.workers
    decoding = not config.dataset.cache or config.dataset.cache_gb is not None
    return 2 if device == "cuda" or decoding else 0
