"""The scorer's figures of merit as torchmetrics classes: they accumulate over batches and processes.

The arithmetic is in `rabc.progress`; here are only the states.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torchmetrics import Metric

from rabc import progress


class VOC(Metric):
    """Mean value-order correlation (GVL, arXiv 2411.04549) over the curves seen so far.

    Spearman's rank correlation of a curve with time, ties sharing their mean rank. A constant curve, or one
    of a single score, says nothing about order and counts as 0. NaN before the first curve.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, curves: Tensor | Sequence[Tensor]) -> None:
        """Add curves: (K,), (B, K), or a sequence of (K_i,)."""
        for curve in _rows(curves):
            self.total += progress.voc(curve)
            self.count += 1

    def compute(self) -> Tensor:
        """Mean so far, scalar float64."""
        return self.total / self.count


class SuccessAUC(Metric):
    """ROC-AUC of final success: the mean of a curve's last three prefixes against the episode's label.

    TOPReward's success detection (arXiv 2602.19313); ties count half. NaN while one of the classes is empty.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    labels: list[Tensor]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("scores", [], dist_reduce_fx="cat")
        self.add_state("labels", [], dist_reduce_fx="cat")

    def update(self, log_prob_true: Tensor | Sequence[Tensor], success: Tensor) -> None:
        """Add curves of log p(True), nats (see `VOC.update`), with a bool label each, (B,) or a scalar."""
        curves, labels = _rows(log_prob_true), success.reshape(-1).bool()
        if len(curves) != len(labels):
            raise ValueError(f"{len(curves)} curves, {len(labels)} labels: must be equal")
        finals = [progress.success_score(curve) for curve in curves]
        self.scores.append(torch.tensor(finals, dtype=torch.float64, device=self.device))
        self.labels.append(labels.to(self.device))

    def compute(self) -> Tensor:
        """AUC so far, scalar float64."""
        # One tensor after a reduction over processes, a list of them before.
        scores, labels = (
            torch.cat([torch.atleast_1d(part) for part in state]) if len(state) else torch.zeros(0)
            for state in (self.scores, self.labels)
        )
        if not len(scores):
            return torch.tensor(float("nan"), dtype=torch.float64)
        return torch.tensor(
            progress.roc_auc(scores.cpu().numpy(), labels.cpu().numpy().astype(bool)), dtype=torch.float64
        )


class StageError(Metric):
    """Stage-aware error of progress against annotated boundaries: mean over episodes, 0 to 1.

    Within an episode the mean absolute error of every stage counts alike, however long the stage is; the
    target is SARM's (arXiv 2509.25358): linear within a stage, each stage worth its share of the task.
    NaN before the first episode.
    """

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    total: Tensor
    count: Tensor

    def __init__(self, proportions: Sequence[float], **kwargs: Any) -> None:
        """
        Args:
            proportions: share of the task that each stage is, adding up to 1.
            kwargs: of `torchmetrics.Metric`.
        """
        super().__init__(**kwargs)
        self.proportions = np.asarray(proportions, dtype=np.float64)
        self.add_state("total", torch.zeros((), dtype=torch.float64), dist_reduce_fx="sum")
        self.add_state("count", torch.zeros((), dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, values: Tensor, boundaries: Sequence[int] | Tensor) -> None:
        """Add an episode: progress (T,), 0 to 1, and the frame at which each stage begins, then T."""
        (curve,) = _rows(values)
        edges = np.asarray([int(edge) for edge in boundaries], dtype=np.int64)
        self.total += progress.stage_error(curve, edges, self.proportions)
        self.count += 1

    def compute(self) -> Tensor:
        """Mean so far, scalar float64."""
        return self.total / self.count


def _rows(curves: Tensor | Sequence[Tensor]) -> list[NDArray[np.float64]]:
    """One (K,) or several as a list of float64 arrays."""
    if isinstance(curves, Tensor):
        curves = list(torch.atleast_2d(curves))
    return [curve.detach().cpu().double().numpy() for curve in curves]
