"""Everything between a dataset and the batches of a training: cache, windows, split, order, augmentation."""

import contextlib
import os
from dataclasses import dataclass

import numpy as np
from lerobot.configs import PreTrainedConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.datasets.cache import budget, cache_folder
from rabc.datasets.decoding import DecodedFrames, Frames
from rabc.datasets.fingerprint import BELONGS
from rabc.datasets.frames import cached_frames
from rabc.datasets.selection import selected_episodes
from rabc.datasets.tables import FrameTable, read_frames
from rabc.training.augmentation import Augmentation
from rabc.training.data import ChunkDataModule, ChunkDataset, spread
from rabc.training.order import BatchOrder, frames_of, held_out_episodes
from rabc.training.windows import Windows


@dataclass(frozen=True)
class TrainingFrames:
    """Which frames training and validation draw, and what they weigh."""

    table: FrameTable
    """The dataset's low-dimensional columns."""
    weights: NDArray[np.float32]
    """(N,) mean 1 over `drawable`."""
    drawable: NDArray[np.int64]
    """(M,) frames that training draws."""
    validation: NDArray[np.int64]
    """(V,) frames that validation draws."""


@dataclass(frozen=True)
class SplitFrames:
    """Which frames training and validation may draw, whatever they weigh."""

    table: FrameTable
    """The dataset's low-dimensional columns."""
    allowed: NDArray[np.bool_]
    """(N,) frames that training may draw."""
    validation: NDArray[np.int64]
    """(V,) frames that validation draws."""
    selected: tuple[int, ...]
    """Episodes that are looked at (`dataset.episodes`, `dataset.exclude`)."""
    held_out: tuple[int, ...]
    """Those of them that training does not see (`dataset.eval_split`)."""


def split_frames(config: Config, meta: LeRobotDatasetMetadata, policy: PreTrainedConfig) -> SplitFrames:
    """Split the dataset by episode and leave out what the policy does not train on.

    Args:
        config: sections `dataset`, `policy` and `trainer` are used.
        meta: metadata of the dataset.
        policy: LeRobot's configuration of the policy: its features and `drop_n_last_frames`.

    Raises:
        InputError: unusable dataset, nothing left to train on.
    """
    cameras = set(policy.image_features)
    selected = selected_episodes(config.dataset, meta.total_episodes)
    table = read_frames(
        meta, [*(n for n in policy.input_features or {} if n not in cameras), "action"], selected
    )
    tasks = np.array(first_tasks(table, meta.total_episodes), object)
    held_out, learned = (np.zeros(meta.total_episodes, bool) for _ in range(2))
    held_out[selected] = held_out_episodes(tasks[selected].tolist(), config.dataset.eval_split)
    learned[selected] = ~held_out[selected]
    drop_last = int(getattr(policy, "drop_n_last_frames", 0))
    validation = np.flatnonzero(frames_of(table, held_out, drop_last))
    return SplitFrames(
        table,
        frames_of(table, learned, drop_last),
        spread(validation, config.trainer.max_eval_samples),
        tuple(selected),
        tuple(np.flatnonzero(held_out).tolist()),
    )


def open_frames(
    config: Config, meta: LeRobotDatasetMetadata, cameras: list[str], frames: TrainingFrames
) -> Frames:
    """The cameras' frames at the policy's resolution: what `frames` draws from the cache, as far as
    `dataset.cache_gb` goes, the others decoded when they are read (`dataset.cache` false: all)."""
    shape = resize_shape(config)
    if not (config.dataset.cache and cameras):
        return DecodedFrames(meta, cameras, shape)
    draws = np.zeros(len(frames.table))
    draws[frames.drawable] = frames.weights[frames.drawable] if config.weights.apply == "sampler" else 1.0
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
    sampled = frames.weights[frames.drawable] if config.weights.apply == "sampler" else None
    samples = trainer.batch_size * trainer.accumulate_grad_batches * world_size
    return ChunkDataModule(
        ChunkDataset(frames.table, open_frames(config, meta, cameras, frames), Windows.of(policy)),
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


def first_tasks(table: FrameTable, episodes: int) -> list[str]:
    """Instruction of each episode: that of its first frame."""
    first = np.searchsorted(table.episode_index, np.arange(episodes))
    return table.task[first].tolist()
