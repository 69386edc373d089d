"""Lightning's loop with everything that hangs on it, against the loop one writes without it."""

import copy
import itertools
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from lightning.pytorch import LightningDataModule

from rabc.benchmarks.lines import synchronise
from rabc.config.settings import Config
from rabc.datasets.metadata import load_meta
from rabc.policies.build import build_policy
from rabc.training.drawn import training_frames
from rabc.training.fitting import fit
from rabc.training.module import WeightedPolicy
from rabc.training.optimizers import optimization
from rabc.training.sources import data_module

IN_MEMORY = 16
"""Batches that both loops go through again and again."""


class BareLoop:
    """Forward, backward, clipping, optimizer and schedule, and nothing else."""

    def __init__(self, module: WeightedPolicy, config: Config, device: str) -> None:
        """Trains a copy of what `module` trains, with the optimizer that `config` gives it."""
        self._policy = copy.deepcopy(module.policy).train()
        self._preprocessor = module.parts.preprocessor
        self._chosen = optimization(self._policy, config.trainer)
        self._device = device

    def step(self, batch: dict[str, Any]) -> None:
        """One batch of `ChunkDataset`."""
        moved = {
            key: value.to(self._device) if isinstance(value, torch.Tensor) else value
            for key, value in batch.items()
        }
        for camera in self._policy.config.image_features:
            moved[camera] = moved[camera].to(torch.float32) / 255.0
        loss = cast(Any, self._policy)(self._preprocessor(moved))[0]
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self._policy.parameters(), self._chosen.clip_norm)
        self._chosen.optimizer.step()
        self._chosen.optimizer.zero_grad()
        if self._chosen.schedule is not None:
            self._chosen.schedule.step()


class TakingTurns(LightningDataModule):
    """Feeds Lightning batches in memory and, after every block of steps, lets the bare loop do a block.

    Lightning asks for a batch at the same point of every step, so that the time from one block's first
    request to the next one's is that of its steps.
    """

    def __init__(
        self, batches: Sequence[dict[str, Any]], bare: BareLoop, steps: int, blocks: int, device: str
    ) -> None:
        """
        Args:
            batches: as the loader gives them.
            bare: the other loop.
            steps: of a block.
            blocks: that are timed, of each loop; one more of each goes before, untimed.
            device: both loops compute on it.
        """
        super().__init__()
        self.lightning: list[float] = []
        """Seconds of a step, block by block."""
        self.bare: list[float] = []
        """The same of the bare loop."""
        self._batches = batches
        self._loop = bare
        self._steps = steps
        self._blocks = blocks
        self._device = device

    @property
    def max_steps(self) -> int:
        """Steps of Lightning after which all blocks are timed."""
        return (self._blocks + 1) * self._steps + 2

    def train_dataloader(self) -> "TakingTurns":
        """Itself."""
        return self

    def __iter__(self) -> Iterator[dict[str, Any]]:
        start = self._now()
        for step in itertools.count():
            if step > 0 and step % self._steps == 0:
                end = self._now()
                for number in range(step - self._steps, step):
                    self._loop.step(self._batches[number % len(self._batches)])
                resumed = self._now()
                if step > self._steps and len(self.bare) < self._blocks:
                    self.lightning.append((end - start) / self._steps)
                    self.bare.append((resumed - end) / self._steps)
                    print(
                        f"  a step: Lightning {self.lightning[-1] * 1e3:.1f} ms, bare "
                        f"{self.bare[-1] * 1e3:.1f} ms ({len(self.bare)}/{self._blocks})",
                        flush=True,
                    )
                start = resumed
            yield {**self._batches[step % len(self._batches)], "step": step}

    def _now(self) -> float:
        synchronise(self._device)
        return time.perf_counter()


def step_times(config: Config, device: str, folder: Path, steps: int, blocks: int) -> TakingTurns:
    """Blocks of steps of the training that `config` describes, in turn with a bare loop's.

    config: without state noise, which the bare loop does not add. folder: receives the training's files.
    """
    meta = load_meta(Path(config.dataset.paths[0]))
    torch.manual_seed(config.seed)
    parts = build_policy(config.policy, meta, device)
    ones = np.ones(meta.total_frames, np.float32)
    live = config.policy.type == "act" and config.policy.batch_norm == "live"
    module = WeightedPolicy(parts, ones, config.trainer, config.seed, live)
    frames = training_frames(config, meta, parts.policy.config, ones)
    loader = data_module(config, meta, parts.policy.config, frames, device).train_dataloader()
    batches = list(itertools.islice(iter(loader), IN_MEMORY))
    turns = TakingTurns(batches, BareLoop(module, config, device), steps, blocks, device)
    fit(config, meta, module, cast(Any, turns), ones, {}, folder, None, device)
    return turns
