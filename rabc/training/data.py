"""LeRobotDataset -> training and validation batches, which depend on the seed and the step alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from einops import rearrange
from lightning.pytorch import LightningDataModule
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from rabc.datasets.decoding import Frames
from rabc.datasets.tables import FrameTable
from rabc.training.augmentation import Augmentation
from rabc.training.order import BatchOrder
from rabc.training.windows import Timeline, Windows

Batch = dict[str, Any]


@dataclass(frozen=True)
class Share:
    """The part of an optimizer step that one process computes.

    Process r of R takes, of micro-batch m, the samples from (m x R + r) x batch_size on. So one process of
    doubled batch size and two processes see the same samples at a step.
    """

    batch_size: int
    """Samples per process and micro-batch."""
    accumulate: int
    """Micro-batches per step."""
    rank: int
    """Number of the process."""
    world_size: int
    """Processes."""

    @property
    def samples(self) -> int:
        """Samples of a step, of all processes together."""
        return self.batch_size * self.accumulate * self.world_size

    def position(self, micro_batch: int) -> int:
        """Place of the process's first sample of a micro-batch within the step's samples."""
        return (micro_batch * self.world_size + self.rank) * self.batch_size


class ChunkDataset:
    """Samples of observations and the actions that go with them.

    The same content as `LeRobotDataset` with the policy's `delta_timestamps`, but whole batches are gathered
    at once, and pictures stay uint8.
    """

    def __init__(
        self, table: FrameTable, frames: Frames, windows: Windows, timeline: Timeline | None = None
    ) -> None:
        """
        Args:
            table: low-dimensional columns, with `action` among its vectors.
            frames: of the cameras.
            windows: ticks of a sample.
            timeline: of which the samples are windows; by default every episode as it was recorded.
        """
        self.table = table
        self.windows = windows
        self.timeline = timeline or Timeline.whole(table)
        self._frames = frames

    def __len__(self) -> int:
        return len(self.table)

    def batch(self, index: NDArray[np.int64]) -> Batch:
        """The samples of the given frames.

        Args:
            index: (B,) frame numbers.

        Returns:
            Each camera (B, 3, H, W) uint8 in channels-last memory; each observation vector (B, D) float32;
            `action` (B, T, D) float32; `action_is_pad` (B, T) bool; `action_index` (B, T) int64, the frames
            of the actions; `index`, `episode_index`, `frame_index`
            (B,) int64; `task` list of B strings. With an observation window of T ticks the cameras are
            (B, T, 3, H, W), but without T where it is 1, as LeRobot's video reader has it; the vectors are
            (B, T, D); and each has its `..._is_pad` (B, T) bool.
        """
        acted, after = self.timeline.window(index, self.windows.action)
        observed, before = index, None
        if self.windows.observation is not None:
            observed, before = self.timeline.window(index, self.windows.observation)
        pictures = observed[:, 0] if before is not None and observed.shape[1] == 1 else observed
        batch: Batch = {
            camera: rearrange(torch.from_numpy(frames), "... h w c -> ... c h w")
            for camera, frames in self._frames.read(pictures).items()
        }
        for name, values in self.table.vectors.items():
            batch[name] = torch.from_numpy(values[acted if name == "action" else observed])
        if before is not None:
            padding = torch.from_numpy(before)
            batch.update({f"{name}_is_pad": padding for name in list(batch) if name != "action"})
        batch["action_is_pad"] = torch.from_numpy(after)
        batch["action_index"] = torch.from_numpy(acted)
        batch["index"] = torch.from_numpy(index)
        batch["episode_index"] = torch.from_numpy(self.table.episode_index[index])
        batch["frame_index"] = torch.from_numpy(self.table.frame_index[index])
        batch["task"] = self.table.task[index].tolist()
        return batch

    def on(self, timeline: Timeline) -> "ChunkDataset":
        """The same frames as windows of another timeline."""
        return ChunkDataset(self.table, self._frames, self.windows, timeline)

    def valid_ticks(self, index: NDArray[np.int64]) -> int:
        """Actions of the samples (B,) that are no padding."""
        return int((~self.timeline.window(index, self.windows.action)[1]).sum())


class _TrainingBatches(Dataset[Batch]):
    """Item k is micro-batch k % accumulate of step k // accumulate, as one process sees it."""

    def __init__(
        self,
        dataset: ChunkDataset,
        order: BatchOrder,
        share: Share,
        augmentation: Augmentation | None,
    ) -> None:
        self.dataset = dataset
        self._order = order
        self._share = share
        self._augmentation = augmentation

    def __getitem__(self, index: int) -> Batch:
        step, micro_batch = divmod(index, self._share.accumulate)
        samples = self._order.indices(step)
        position = self._share.position(micro_batch)
        batch = self.dataset.batch(samples[position : position + self._share.batch_size])
        if self._augmentation is not None:
            self._augmentation.apply(batch, step, position)
        batch.update(step=step, position=position, step_samples=len(samples))
        batch["step_valid_ticks"] = self.dataset.valid_ticks(samples)
        return _handed_over(batch)


class _ValidationBatches(Dataset[Batch]):
    """The validation set in order; the counts are those of the whole set, so its parts add up to the mean."""

    def __init__(self, dataset: ChunkDataset, index: NDArray[np.int64], batch_size: int) -> None:
        self.dataset = dataset
        self._index = index
        self._batch_size = batch_size
        self._valid_ticks = dataset.valid_ticks(index)

    def __len__(self) -> int:
        return -(-len(self._index) // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        position = index * self._batch_size
        batch = self.dataset.batch(self._index[position : position + self._batch_size])
        batch.update(step=index, position=position, step_samples=len(self._index))
        batch["step_valid_ticks"] = self._valid_ticks
        return _handed_over(batch)


def _handed_over(batch: Batch) -> Batch:
    """The batch as a loading process leaves it to the training: its tensors lie in /dev/shm.

    Torch would move them there in a thread whose errors nobody hears: where there is no room, the training
    would wait for ever.
    """
    if get_worker_info() is not None:
        for value in batch.values():
            if isinstance(value, torch.Tensor):
                value.share_memory_()
    return batch


class _From(Sampler[int]):
    """The numbers from `first` on; without an end, which the trainer's `max_steps` sets."""

    def __init__(self, first: int) -> None:
        self._first = first

    def __iter__(self) -> Iterator[int]:
        number = self._first
        while True:
            yield number
            number += 1


class ChunkDataModule(LightningDataModule):
    """Feeds Lightning the batches of `BatchOrder`; after a resume it goes on at the next step.

    A batch is what `ChunkDataset.batch` gives and, as int: `step`; `position`, the place of its first sample
    within the step's; `step_samples` and `step_valid_ticks`, the samples of the whole step, on all devices
    and in all micro-batches, and their actions that are no padding. A validation batch has them too, with the
    whole validation set as one step.
    """

    def __init__(
        self,
        dataset: ChunkDataset,
        order: BatchOrder,
        batch_size: int,
        accumulate: int = 1,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        eval_index: NDArray[np.int64] | None = None,
        augmentation: Augmentation | None = None,
        pin_memory: bool = False,
    ) -> None:
        """
        Args:
            dataset: the samples.
            order: the frames of each step; of `batch_size` x `accumulate` x `world_size` samples.
            batch_size: samples per process and micro-batch.
            accumulate: micro-batches per step.
            rank: of this process.
            world_size: processes.
            workers: loading processes; 0 where the network runs on the same cores.
            eval_index: (V,) frames of the validation set, in order; None or empty: no validation.
            augmentation: of the training pictures; never of validation's.
            pin_memory: copy batches to where a GPU fetches them faster.
        """
        super().__init__()
        self._share = Share(batch_size, accumulate, rank, world_size)
        if order.samples != self._share.samples:
            raise ValueError(f"order of {order.samples} samples a step: batches have {self._share.samples}")
        self.dataset = dataset
        self._order = order
        self._augmentation = augmentation
        self._eval_index = np.empty(0, np.int64) if eval_index is None else eval_index
        self._whole = dataset.on(Timeline.whole(dataset.table))
        self._workers = workers
        self._pin_memory = pin_memory
        self._first_step = 0

    def train_dataloader(self) -> DataLoader[Batch]:
        """An endless loader of ready-made batches."""
        batches = _TrainingBatches(self.dataset, self._order, self._share, self._augmentation)
        return self._loader(batches, _From(self._first_step * self._share.accumulate))

    def val_dataloader(self) -> DataLoader[Batch] | list[DataLoader[Batch]]:
        """Every process's part of the validation set, batch by batch; an empty list where there is none."""
        if len(self._eval_index) == 0:
            return []
        batches = _ValidationBatches(self._whole, self._eval_index, self._share.batch_size)
        return self._loader(batches, range(self._share.rank, len(batches), self._share.world_size))

    def _loader(self, batches: Dataset[Batch], numbers: Sampler[int] | range) -> DataLoader[Batch]:
        return DataLoader(
            batches,
            batch_size=None,
            sampler=numbers,
            num_workers=self._workers,
            pin_memory=self._pin_memory,
            generator=torch.Generator(),  # else starting to load draws from the global one
        )

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps: the number of finished steps."""
        return {"step": self.trainer.global_step if self.trainer else 0}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the checkpoint's last step."""
        self._first_step = int(state_dict["step"])


def spread(index: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    """`count` of the frames (V,), evenly spread over them; all for 0 or where there are no more."""
    if count == 0 or len(index) <= count:
        return index
    return index[np.linspace(0, len(index) - 1, count).round().astype(np.int64)]
