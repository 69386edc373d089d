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

    The bounds are pooled (`dataset_bounds`): 0 is the 5th percentile of the curves' first scores and 1 the
    95th percentile of their highest ones, so that a few odd episodes do not stretch the scale and a failed
    episode ends low. Where the bounds are not in order, every value is 0.
    """
    checked = [_curve(curve) for curve in curves]
    low, high = dataset_bounds(checked)
    if high <= low:
        return [np.zeros_like(curve) for curve in checked]
    return [np.clip((curve - low) / (high - low + epsilon), 0.0, 1.0) for curve in checked]


def dataset_bounds(curves: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """(low, high) of all curves of a dataset: 5th percentile of first scores, 95th of highest ones."""
    if not curves:
        raise ValueError("no curves")
    low = np.percentile([curve[0] for curve in curves], BOUND_PERCENTILES[0])
    high = np.percentile([curve.max() for curve in curves], BOUND_PERCENTILES[1])
    return float(low), float(high)


def logodds_progress(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sigmoid of log p(True) - log p(False), (K,): p(True) among the two answers, in [0, 1].

    Absolute: it needs no other episode, and what the model says besides the two answers cancels.
    """
    curve = _curve(log_odds)
    # Half of tanh is the sigmoid, and overflows nowhere.
    return 0.5 * (1.0 + np.tanh(0.5 * curve))


def subtract_static(curve: NDArray[np.float64], static_curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve (K,) without the rise of the same episode's static curve (K,): r_k - (s_k - s_0).

    The static curve scores the first frame repeated, so that all it can rise with is the length of the clip.
    The first score stays.
    """
    real, static = _curve(curve), _curve(static_curve)
    if real.shape != static.shape:
        raise ValueError(f"curve {real.shape}, static curve {static.shape}: must be of one shape")
    return real - (static - static[0])


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


def rise(log_prob_true: NDArray[np.float64]) -> float:
    """Success score minus the first score of a curve (K,), nats: how far the episode gets."""
    return success_score(log_prob_true) - float(log_prob_true[0])


def von_neumann_ratio(curve: NDArray[np.float64]) -> float:
    """Mean squared step of a curve (K,) over its variance (von Neumann 1941).

    About 2 for independent noise, near 0 for a smooth curve. A constant curve: infinite, as it says nothing.
    """
    checked = _curve(curve)
    variance = float(checked.var())
    # Rounding alone gives a constant curve a variance of this order.
    if len(checked) < 2 or variance <= 1e-24 * float((checked**2).max()):
        return float("inf")
    return float((np.diff(checked) ** 2).mean() / variance)


def stage_progress(
    boundaries: Sequence[int] | NDArray[np.int64], proportions: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Progress of every frame of an annotated episode, (T,), 0 to 1 (SARM, arXiv 2509.25358, Eq. 1-4).

    Args:
        boundaries: (S + 1,) frame at which each of the S stages begins, then T; strictly increasing from 0.
        proportions: (S,) share of the task that each stage is, adding up to 1; SARM takes the mean share of
            the episode's time. Within a stage progress is linear in time.
    """
    edges, shares = np.asarray(boundaries, np.int64), np.asarray(proportions, np.float64)
    if edges.shape != (len(shares) + 1,) or edges[0] != 0 or np.any(np.diff(edges) < 1):
        raise ValueError(f"boundaries {edges}: must increase from 0, one more than {len(shares)} stages")
    if np.any(shares < 0) or not np.isclose(shares.sum(), 1.0):
        raise ValueError(f"proportions {shares}: must not be negative and add up to 1")
    # The last frame is the end of the last stage.
    return np.interp(
        np.arange(edges[-1]), np.r_[edges[:-1], max(edges[-1] - 1, edges[-2])], np.r_[0.0, np.cumsum(shares)]
    )


def stage_error(
    progress: NDArray[np.float64],
    boundaries: Sequence[int] | NDArray[np.int64],
    proportions: NDArray[np.float64],
) -> float:
    """Mean |progress (T,) - stage progress| of each stage, averaged over the stages: 0 to 1.

    Averaged by stage, because a long approach would otherwise drown a short grasp. Arguments as in
    `stage_progress`.
    """
    target = stage_progress(boundaries, proportions)
    measured = _curve(progress)
    if measured.shape != target.shape:
        raise ValueError(f"progress {measured.shape}: the boundaries say {len(target)} frames")
    error = np.abs(measured - target)
    return float(np.mean([part.mean() for part in np.split(error, np.asarray(boundaries)[1:-1])]))


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
