"""What an optimizer step leaves behind: its figures, and which samples gave numbers that are not finite.

Nothing here makes the processor wait for a GPU until `StepRecord.read`.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rabc.policies.losses import BatchLoss, LossTerm


@dataclass(frozen=True)
class MicroBatch:
    """What one micro-batch of this process contributed to a step."""

    frames: Tensor
    """(B,) int64 numbers of the frames in the dataset."""
    episodes: Tensor
    """(B,) int64 episodes of the samples."""
    weights: Tensor
    """(B,) float32."""
    loss: BatchLoss
    """Its shares of the step's loss, detached."""
    finite: Tensor
    """(B,) bool: every loss term of the sample is a finite number."""


@dataclass(frozen=True)
class StepRecord:
    """An optimizer step, over all its micro-batches and processes."""

    step: int
    """From 0."""
    learning_rate: float
    """Of the first parameter group."""
    micro_batches: tuple[MicroBatch, ...]
    """Of this process."""
    names: tuple[str, ...]
    """Of the values; the smallest weight is negated, so that one reduction finds all extremes."""
    values: Tensor
    """(len(names),) float32, on its way to the processor's memory."""
    arrived: Any
    """CUDA event after which `values` can be read; None where they are there."""

    def read(self) -> dict[str, float]:
        """The figures by name; waits until they have been computed.

        `loss`, `loss_parts/*`, `weight_mean`, `weight_min`, `weight_max`, `gradient_norm` (before clipping),
        and `stop`: 1 where a process was asked to stop.
        """
        if self.arrived is not None:
            self.arrived.synchronize()
        figures = dict(zip(self.names, self.values.tolist(), strict=True))
        figures["weight_min"] = -figures.pop("-weight_min")
        return figures


@dataclass(frozen=True)
class Culprits:
    """Where a number that is not finite came from."""

    frames: tuple[int, ...]
    """Frames whose own loss is not finite; none where each is and their gradient is not."""
    episodes: tuple[int, ...]
    """Their episodes, or those of all samples of the step."""
    everything: bool
    """No sample of the step had a finite loss."""


def micro_batch(
    batch: dict[str, Any], weights: Tensor, terms: dict[str, LossTerm], loss: BatchLoss
) -> MicroBatch:
    """The record of a batch of `ChunkDataset` that went through the policy; weights (B,)."""
    finite = torch.stack([term.sums.detach() for term in terms.values()]).isfinite().all(dim=0)
    parts = {name: part.detach() for name, part in loss.parts.items()}
    return MicroBatch(
        batch["index"], batch["episode_index"], weights, BatchLoss(loss.total.detach(), parts), finite
    )


def record_step(
    step: int,
    micro_batches: list[MicroBatch],
    gradient_norm: Tensor,
    learning_rate: float,
    stop: bool,
    processes: int,
) -> StepRecord:
    """The record of a step whose gradients are complete; called in all processes that train together.

    Args:
        step: from 0.
        micro_batches: of this process.
        gradient_norm: () before clipping, the same in all processes.
        learning_rate: of the first parameter group.
        stop: this process was asked to stop.
        processes: that train together.
    """
    names = tuple(micro_batches[0].loss.parts)
    weights = torch.cat([batch.weights for batch in micro_batches])
    sums = torch.stack(
        [
            weights.mean() / processes,
            torch.stack([one.loss.total for one in micro_batches]).sum(),
            *(torch.stack([one.loss.parts[name] for one in micro_batches]).sum() for name in names),
        ]
    )
    largest = torch.stack([-weights.min(), weights.max(), weights.new_full((), float(stop))])
    if processes > 1:
        torch.distributed.all_reduce(sums)
        torch.distributed.all_reduce(largest, op=torch.distributed.ReduceOp.MAX)
    values = torch.cat([sums, largest, gradient_norm.detach().float().reshape(1)])
    arrived = None
    if values.is_cuda:
        values = values.to("cpu", non_blocking=True)
        arrived = torch.cuda.Event()
        arrived.record()
    parts = (f"loss_parts/{name}" for name in names)
    figures = ("weight_mean", "loss", *parts, "-weight_min", "weight_max", "stop", "gradient_norm")
    return StepRecord(step, learning_rate, tuple(micro_batches), figures, values, arrived)


def is_finite(figures: dict[str, float]) -> bool:
    """Whether the loss and the gradient of a step are numbers that weights can be changed by."""
    return math.isfinite(figures["loss"]) and math.isfinite(figures["gradient_norm"])


def culprits(record: StepRecord, processes: int) -> Culprits:
    """Which samples of a step that went wrong are to blame; called in all processes that train together."""
    own = [
        np.stack([batch.frames.cpu().numpy(), batch.episodes.cpu().numpy(), batch.finite.cpu().numpy()])
        for batch in record.micro_batches
    ]
    every: list[Any] = [own]
    if processes > 1:
        every = [None] * processes
        torch.distributed.all_gather_object(every, own)
    frames, episodes, finite = np.concatenate([part for parts in every for part in parts], axis=1)
    bad = finite == 0
    chosen = bad if bad.any() else ~bad
    return Culprits(
        tuple(sorted({int(frame) for frame in frames[bad]})),
        tuple(sorted({int(episode) for episode in episodes[chosen]})),
        bool(bad.all()),
    )
