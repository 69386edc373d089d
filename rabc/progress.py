"""From scores to progress, and how good they are. Pure functions over arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

BOUND_PERCENTILES = (5.0, 95.0)


def episode_progress(log_prob_true: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Min-max of one episode's curve (K,): (r - min r) / (max r - min r + epsilon), in [0, 1].

    TOPReward (arXiv 2602.19313) Eq. 2. It maps a failed episode onto [0, 1] like a success;
    `dataset_progress` does not. A constant curve gives zeros.
    """
    r = _curve(log_prob_true)
    return (r - r.min()) / (r.max() - r.min() + epsilon)


def dataset_progress(curves: Sequence[NDArray[np.float64]], epsilon: float) -> list[NDArray[np.float64]]:
    """All curves of a dataset, (K_i,) each, on one scale, clipped to [0, 1].

    The bounds are pooled: 0 is the 5th percentile of the curves' first scores and 1 the 95th percentile of
    their highest ones, so that a few odd episodes do not stretch the scale and a failed episode ends low.
    Where the bounds are not in order, every value is 0.
    """
    checked = [_curve(curve) for curve in curves]
    if not checked:
        raise ValueError("no curves")
    low = np.percentile([curve[0] for curve in checked], BOUND_PERCENTILES[0])
    high = np.percentile([curve.max() for curve in checked], BOUND_PERCENTILES[1])
    if high <= low:
        return [np.zeros_like(curve) for curve in checked]
    return [np.clip((curve - low) / (high - low + epsilon), 0.0, 1.0) for curve in checked]


def per_frame(
    prefix_lengths: NDArray[np.int64], values: NDArray[np.float64], num_frames: int
) -> NDArray[np.float64]:
    """Value at every frame, (num_frames,): linear between prefixes (K,), constant before the first and after
    the last.

    The value of a prefix of n frames belongs to frame n - 1, its last.
    """
    if len(prefix_lengths) != len(values) or len(values) == 0:
        raise ValueError(f"{len(prefix_lengths)} prefixes, {len(values)} values: must be equal and positive")
    if prefix_lengths[0] < 1 or prefix_lengths[-1] > num_frames or np.any(np.diff(prefix_lengths) <= 0):
        raise ValueError(f"prefix lengths {prefix_lengths}: must increase within 1..{num_frames}")
    return np.interp(np.arange(num_frames), np.asarray(prefix_lengths) - 1, values)


def voc(scores: NDArray[np.float64]) -> float:
    """Value-order correlation (GVL, arXiv 2411.04549): Spearman's rank correlation of scores (K,) with time.

    Ties share their mean rank. A constant curve, or a single score, says nothing about order: 0.
    """
    ranks = rankdata(_curve(scores))
    time = np.arange(len(ranks), dtype=np.float64)
    ranks -= ranks.mean()
    time -= time.mean()
    norm = np.sqrt((ranks @ ranks) * (time @ time))
    return float(np.clip(ranks @ time / norm, -1.0, 1.0)) if norm > 0 else 0.0


def success_score(log_prob_true: NDArray[np.float64]) -> float:
    """Mean log-probability of the last 3 prefixes (all, if fewer), nats: TOPReward's success detection."""
    return float(_curve(log_prob_true)[-3:].mean())


def roc_auc(scores: NDArray[np.float64], success: NDArray[np.bool_]) -> float:
    """Chance that a success (bool (N,)) scores above a failure, ties counted half.

    Mann-Whitney's U over the number of pairs. NaN if one of the classes is empty: there is nothing to
    compare.
    """
    labels = np.asarray(success, dtype=bool)
    positive, negative = int(labels.sum()), int((~labels).sum())
    if positive == 0 or negative == 0:
        return float("nan")
    ranks = rankdata(_curve(scores))
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    curve = np.asarray(values, dtype=np.float64)
    if curve.ndim != 1 or len(curve) == 0 or not np.isfinite(curve).all():
        raise ValueError(f"curve of shape {curve.shape}: must be one-dimensional, finite and not empty")
    return curve
