"""`rabc benchmark data`: samples a second of our loader with its cache, and of LeRobot's."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader

from rabc.benchmarks.lines import Line, at_least, synchronise
from rabc.benchmarks.recordings import CAMERAS, record_cameras
from rabc.config.settings import Config, DatasetConfig
from rabc.config.training_settings import PolicyConfig, TrainerConfig
from rabc.datasets.metadata import load_meta
from rabc.datasets.pictures import as_float
from rabc.policies.settings import policy_settings
from rabc.training.drawn import training_frames
from rabc.training.sources import data_module

REPOSITORY = "local/benchmark"
BATCH_SIZE, WORKERS = 8, 2
Conversion = Callable[[Tensor], Tensor]
"""Of uint8 pictures to float32."""


@dataclass(frozen=True)
class Sizes:
    """How much is measured."""

    episodes: int = 6
    frames: int = 200
    """Of an episode, at 30 fps."""
    camera: tuple[int, int] = (480, 640)
    """Height and width of the recorded pictures."""
    small: tuple[int, int] = (96, 96)
    """Height and width of the pictures that a policy with `resize_shape` sees."""
    chunk: int = 100
    seconds: float = 10.0
    """Of a block of batches."""


QUICK = Sizes(2, 12, (64, 96), (32, 32), 10, 0.2)
"""Shows that everything runs; its figures mean nothing."""


def loading(
    folder: Path, pictures: Sequence[str], device: str, repeats: int, sizes: Sizes
) -> tuple[list[Line], dict[str, Any]]:
    """LeRobotDataset with DataLoader against ours, from the loader to float32 pictures on the device.

    pictures: `small`, `full` or both: the resolutions that the policy sees.
    """
    print(f"  recording {sizes.episodes} episodes of {sizes.frames} frames", flush=True)
    root = record_cameras(folder / "cameras", sizes.episodes, sizes.frames, sizes.camera)
    frames = load_meta(root).total_frames
    shapes = {"small": list(sizes.small), "full": None}
    configs = {
        name: _config(root, shapes[name], sizes.chunk) for name in ("small", "full") if name in pictures
    }
    build = {name: _build_seconds(config, device) for name, config in configs.items()}
    names = ("LeRobot", *configs)
    rates: dict[str, list[float]] = {name: [] for name in names}
    alone: dict[str, list[float]] = {name: [] for name in names}
    for repeat in range(repeats):  # in turn, so that all meet the same state of the machine
        for name in names:
            theirs = name == "LeRobot"
            loader = (
                lerobot_loader(root, sizes.chunk, device) if theirs else our_loader(configs[name], device)
            )
            convert = lerobot_as_float if theirs else as_float
            for found, conversion in ((rates, convert), (alone, None)):
                found[name].append(BATCH_SIZE * batches_per_second(loader, device, sizes.seconds, conversion))
            del loader  # and its processes
            done = f"{rates[name][-1]:.1f} samples/s, {alone[name][-1]:.1f} left as uint8"
            print(f"  {name}: {done} ({repeat + 1}/{repeats})", flush=True)
    return _lines(rates, alone, build, frames, sizes), {
        "frames": frames, "samples_per_second": rates, "samples_per_second_uint8": alone,
        "build_seconds": build,
    }  # fmt: skip


def our_loader(config: Config, device: str) -> DataLoader[Any]:
    """The training loader that a run of `config` has."""
    meta = load_meta(Path(config.dataset.paths[0]))
    policy = policy_settings(config.policy, meta, device)
    frames = training_frames(config, meta, policy, np.ones(meta.total_frames))
    return data_module(config, meta, policy, frames, device).train_dataloader()


def lerobot_loader(root: Path, chunk: int, device: str) -> DataLoader[Any]:
    """The training loader that `lerobot-train` makes for ACT (`lerobot.scripts.lerobot_train.train`)."""
    from lerobot.configs.default import DatasetConfig as LeRobotDatasetConfig
    from lerobot.configs.train import TrainPipelineConfig
    from lerobot.datasets import EpisodeAwareSampler
    from lerobot.datasets.factory import make_dataset

    policy = policy_settings(PolicyConfig(chunk_size=chunk, n_action_steps=1), load_meta(root), device)
    config = TrainPipelineConfig(
        LeRobotDatasetConfig(REPOSITORY, root=str(root)),
        policy=policy,
        num_workers=WORKERS,
        batch_size=BATCH_SIZE,
    )
    dataset: Any = make_dataset(config)
    sampler = EpisodeAwareSampler(
        dataset.meta.episodes["dataset_from_index"],
        dataset.meta.episodes["dataset_to_index"],
        shuffle=True,
        seed=config.seed or 0,
    )
    return DataLoader(
        dataset,
        num_workers=config.num_workers,
        batch_size=config.batch_size,
        sampler=sampler,
        pin_memory=torch.device(device).type == "cuda",
        prefetch_factor=config.prefetch_factor,
        persistent_workers=config.persistent_workers,
        multiprocessing_context=config.dataloader_multiprocessing_context,
    )


def lerobot_as_float(pictures: Tensor) -> Tensor:
    """uint8 pictures as `lerobot_train.py` makes them float32."""
    return pictures.to(dtype=torch.float32) / 255.0


def batches_per_second(
    loader: DataLoader[Any], device: str, seconds: float, conversion: Conversion | None = None
) -> float:
    """Throughput over so many seconds, once what was prefetched at first is used up.

    conversion: makes the pictures float32; None: they are left as the loader gives them.
    """
    batches = _endless(loader)
    for _ in range(2 * WORKERS * (loader.prefetch_factor or 1)):
        on_device(next(batches), device, conversion)
    synchronise(device)
    count, start = 0, time.perf_counter()
    while time.perf_counter() - start < seconds:
        on_device(next(batches), device, conversion)
        count += 1
    synchronise(device)
    return count / (time.perf_counter() - start)


def on_device(batch: Mapping[str, Any], device: str, conversion: Conversion | None = None) -> dict[str, Any]:
    """What the preprocessor of the policy gets: float32 pictures from 0 to 1, as its trainer makes them.

    conversion: None leaves the pictures uint8.
    """
    moved = {
        key: value.to(device, non_blocking=True) if isinstance(value, torch.Tensor) else value
        for key, value in batch.items()
    }
    if conversion is None:
        return moved
    return {**moved, **{camera: conversion(moved[camera]) for camera in CAMERAS}}


def payback(build_seconds: float, their_epoch: float, our_epoch: float) -> float:
    """Epochs after which a cache that took so long to build has saved as much time; infinite: never.

    their_epoch, our_epoch: seconds.
    """
    saved = their_epoch - our_epoch
    return build_seconds / saved if saved > 0 else float("inf")


def _endless(loader: DataLoader[Any]) -> Iterator[Any]:
    while True:
        yield from loader


def _config(root: Path, shape: list[int] | None, chunk: int) -> Config:
    return Config(
        dataset=DatasetConfig(path=str(root)),
        policy=PolicyConfig(chunk_size=chunk, n_action_steps=1, resize_shape=shape),
        trainer=TrainerConfig(batch_size=BATCH_SIZE, workers=WORKERS),
    )


def _build_seconds(config: Config, device: str) -> float:
    """Seconds until the frames can be read, with what else is needed to open the dataset."""
    start = time.perf_counter()
    our_loader(config, device)
    return time.perf_counter() - start


def _lines(
    rates: dict[str, list[float]],
    alone: dict[str, list[float]],
    build: dict[str, float],
    frames: int,
    sizes: Sizes,
) -> list[Line]:
    rate, raw = ({name: float(np.median(each)) for name, each in some.items()} for some in (rates, alone))
    blocks = f"{len(rates['LeRobot'])} blocks of {sizes.seconds:g} s each"
    words = {"small": "{}x{}".format(*sizes.small), "full": "{}x{}".format(*sizes.camera)}
    theirs, theirs_raw = rate.pop("LeRobot"), raw.pop("LeRobot")
    lines = [Line(f"LeRobotDataset + DataLoader, {words['full']}", theirs, "samples/s", detail=blocks)]
    for name, ours in rate.items():
        detail = f"{ours:.1f} / {theirs:.1f} samples/s, {blocks}"
        left = f"{raw[name]:.1f} / {theirs_raw:.1f} samples/s"
        lines += [
            at_least(
                f"our loader with its cache, {words[name]} / LeRobot's", ours / theirs, 10.0, "x", detail
            ),
            Line(
                "the same, pictures left as uint8 as both give them", raw[name] / theirs_raw, "x", detail=left
            ),
            Line(f"cache of {frames} frames of two cameras, {words[name]}: built in", build[name], "s"),
            Line(
                f"cache of {words[name]} has paid for itself after",
                payback(build[name], frames / theirs, frames / ours),
                "epochs",
                detail=f"an epoch of loading: LeRobot {frames / theirs:.1f} s, ours {frames / ours:.1f} s",
            ),
        ]
    return one_holds(lines)


def one_holds(lines: Sequence[Line]) -> list[Line]:
    """The lines; where a bound holds at one resolution alone, the other says so."""
    bounds = [line for line in lines if line.holds is not None]
    held = [line.what for line in bounds if line.holds]
    if not held or len(held) == len(bounds):
        return list(lines)
    note = f"; holds only for: {', '.join(held)}"
    return [replace(line, detail=line.detail + note) if line.holds is False else line for line in lines]
