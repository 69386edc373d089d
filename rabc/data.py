"""LeRobotDataset -> training batches, in an order that depends on the seed and the step alone."""

from collections.abc import Iterator
from functools import lru_cache
from typing import Any

import numpy as np
import torch
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from rabc.errors import InputError
from rabc.tables import FrameTable, check_chunk


class ChunkDataset:
    """Samples of one observation and the chunk of actions that follows it.

    The same content as `LeRobotDataset` with `delta_timestamps` for the actions, but whole batches
    are gathered at once from memory, and pictures stay uint8.
    """

    def __init__(self, table: FrameTable, frames: dict[str, NDArray[np.uint8]], chunk: int) -> None:
        """
        Args:
            table: low-dimensional columns, with `action` among its vectors.
            frames: camera -> (N, H, W, 3) uint8.
            chunk: actions per sample, control ticks.

        Raises:
            InputError: an episode is shorter than a chunk.
        """
        check_chunk(np.bincount(table.episode_index), chunk)
        self.table = table
        self.frames = frames
        self.chunk = chunk

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, index: NDArray[np.int64]) -> dict[str, Any]:
        """The samples of the given frames.

        Args:
            index: (B,) frame numbers.

        Returns:
            Each camera (B, 3, H, W) uint8 in channels-last memory; each observation vector (B, D)
            and `action` (B, chunk, D) float32; `action_is_pad` (B, chunk) bool; `index`,
            `episode_index`, `frame_index` (B,) int64; `task` list of B strings.
        """
        window = index[:, None] + np.arange(self.chunk)
        end = self.table.episode_end[index][:, None]
        batch: dict[str, Any] = {
            camera: torch.from_numpy(frames[index]).permute(0, 3, 1, 2)
            for camera, frames in self.frames.items()
        }
        for name, values in self.table.vectors.items():
            # Past the end LeRobot repeats the last action of the episode and marks it as padding.
            rows = np.minimum(window, end - 1) if name == "action" else index
            batch[name] = torch.from_numpy(values[rows])
        batch["action_is_pad"] = torch.from_numpy(window >= end)
        batch["index"] = torch.from_numpy(index)
        batch["episode_index"] = torch.from_numpy(self.table.episode_index[index])
        batch["frame_index"] = torch.from_numpy(self.table.frame_index[index])
        batch["task"] = self.table.task[index].tolist()
        return batch


class BatchOrder:
    """Which frames make up the batch of a step: a pure function of (seed, step).

    Frames are drawn without replacement, epoch after epoch; a batch may span two epochs.
    """

    def __init__(self, drawable: NDArray[np.int64], batch_size: int, seed: int) -> None:
        """
        Args:
            drawable: (M,) frames that training may draw.
            batch_size: samples per step.
            seed: of the order.
        """
        if len(drawable) == 0:
            raise InputError("weights 0: no frame can be drawn; choose another weights.scheme")
        self._drawable = drawable
        self._batch_size = batch_size
        self._seed = seed
        self._epoch = lru_cache(maxsize=2)(self._permutation)

    def indices(self, step: int) -> NDArray[np.int64]:
        """(batch_size,) frames of the batch of `step` (counted from 0)."""
        positions = np.arange(step * self._batch_size, (step + 1) * self._batch_size)
        epochs, places = np.divmod(positions, len(self._drawable))
        parts = [self._epoch(int(epoch))[places[epochs == epoch]] for epoch in np.unique(epochs)]
        return np.concatenate(parts)

    def _permutation(self, epoch: int) -> NDArray[np.int64]:
        return np.random.default_rng([self._seed, epoch]).permutation(self._drawable)


class _StepBatches(Dataset[dict[str, Any]]):
    """Item k is the whole batch of step k."""

    def __init__(self, dataset: ChunkDataset, order: BatchOrder) -> None:
        self._dataset = dataset
        self._order = order

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {**self._dataset.batch(self._order.indices(index)), "step": index}


class _StepsFrom(Sampler[int]):
    """The steps from `first` on; without an end, which the trainer's `max_steps` sets."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        step = self._first
        while True:
            yield step
            step += 1


class ChunkDataModule(LightningDataModule):
    """Feeds Lightning the batches of `BatchOrder`; after a resume it goes on at the next step."""

    def __init__(self, dataset: ChunkDataset, order: BatchOrder, workers: int = 0) -> None:
        """
        Args:
            dataset: the samples.
            order: the frames of each step.
            workers: loading processes; 0 where the network runs on the same cores.
        """
        super().__init__()
        self._dataset = dataset
        self._order = order
        self._workers = workers
        self._first_step = 0

    def train_dataloader(self) -> DataLoader[dict[str, Any]]:
        """An endless loader of ready-made batches."""
        return DataLoader(
            _StepBatches(self._dataset, self._order),
            batch_size=None,
            sampler=_StepsFrom(self._first_step),
            num_workers=self._workers,
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the number of finished steps."""
        return {"step": self.trainer.global_step if self.trainer else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the checkpoint's last step."""
        self._first_step = int(state_dict["step"])
