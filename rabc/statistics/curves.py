"""How good a curve of scores or progress is: order, rise, smoothness, success, stages. Pure functions."""

import math
from collections.abc import Sequence
from itertools import permutations

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


def voc(scores: NDArray[np.float64]) -> float:
    """Value-order correlation (GVL, arXiv 2411.04549): Spearman's rank correlation of scores (K,) with time.

    Ties share their mean rank. A constant curve, or a single score, says nothing about order: 0.
    """
    ranks = rankdata(checked_curve(scores))
    time = np.arange(len(ranks), dtype=np.float64)
    ranks -= ranks.mean()
    time -= time.mean()
    norm = np.sqrt((ranks @ ranks) * (time @ time))
    return float(ranks @ time / norm) if norm > 0 else 0.0


def rank_correlation(first: Sequence[float], second: Sequence[float]) -> tuple[float, float]:
    """Spearman's rank correlation of (K,) with (K,), 2 <= K <= 9, and its exact two-sided p.

    Ties share their mean rank; where one of them is constant: 0 and 1. p is the share of the K! orders of
    `second` that correlate at least as strongly, ties of the correlation among them.
    """
    if len(first) != len(second) or not 2 <= len(first) <= 9:
        raise ValueError(f"{len(first)} and {len(second)} values: must be as many, 2 to 9")
    ranks = np.stack([rankdata(first), rankdata(second)])
    one, other = ranks - ranks.mean(axis=1, keepdims=True)
    norm = np.sqrt((one @ one) * (other @ other))
    if not norm > 0:
        return 0.0, 1.0
    found = one @ other
    orders = np.array([*permutations(other)]) @ one
    return float(found / norm), float(np.mean(np.abs(orders) >= abs(found) - 1e-9))


def success_score(log_prob_true: NDArray[np.float64]) -> float:
    """Mean log-probability of the last 3 prefixes (all, if fewer), nats: TOPReward's success detection."""
    return float(checked_curve(log_prob_true)[-3:].mean())


def rise(log_prob_true: NDArray[np.float64]) -> float:
    """Success score minus the first score of a curve (K,), nats: how far the episode gets."""
    return success_score(log_prob_true) - float(log_prob_true[0])


def von_neumann_ratio(curve: NDArray[np.float64]) -> float:
    """Mean squared step of a curve (K,) over its variance (von Neumann 1941).

    About 2 for independent noise, near 0 for a smooth curve. A constant curve: infinite, as it says nothing.
    """
    checked = checked_curve(curve)
    variance = float(checked.var())
    # Rounding alone gives a constant curve a variance of this order.
    if len(checked) < 2 or variance <= 1e-24 * float((checked**2).max()):
        return math.inf
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
    return np.interp(np.arange(edges[-1]), np.r_[edges[:-1], edges[-1] - 1], np.r_[0.0, np.cumsum(shares)])


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
    measured = checked_curve(progress)
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
        return math.nan
    ranks = rankdata(checked_curve(scores))
    return float((ranks[labels].sum() - positive * (positive + 1) / 2) / (positive * negative))


def checked_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` as float64; ValueError unless they are one-dimensional, finite and not empty."""
    curve = np.asarray(values, dtype=np.float64)
    if curve.ndim != 1 or len(curve) == 0 or not np.isfinite(curve).all():
        raise ValueError(f"curve of shape {curve.shape}: must be one-dimensional, finite and not empty")
    return curve
