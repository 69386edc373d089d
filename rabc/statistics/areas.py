"""ROC-AUC with an interval that holds with few items and near 1. Pure."""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t as student

from rabc.statistics.curves import roc_auc
from rabc.statistics.intervals import CONFIDENCE, Estimate


def area(
    scores: NDArray[np.float64],
    success: NDArray[np.bool_],
    strata: NDArray[np.int64] | None = None,
    clusters: NDArray[np.int64] | None = None,
) -> Estimate:
    """Chance that a success scores above a failure of its stratum, ties counted half; NaN without a pair.

    The variance is DeLong's (DeLong, DeLong & Clarke-Pearson 1988), the interval Student's on the logit scale
    with Brunner and Munzel's (2000) degrees of freedom: it stays below 1, and keeps its level with five of
    each kind. There is none where no success is below a failure, or none above one: such data cannot say by
    how much they might be elsewhere; nor where a stratum has a single success or failure, of which nobody
    knows how it varies.

    Args:
        scores: (N,).
        success: (N,).
        strata: (N,) what only items of the same number are compared within, such as the task; None: all.
        clusters: (N,) items of the same number are not independent (Obuchowski 1997); None: all are.
    """
    groups = np.zeros(len(scores), np.int64) if strata is None else strata
    influence, pairs, above = np.zeros(len(scores)), 0, 0.0
    parts: list[NDArray[np.int64]] = []
    for stratum in np.unique(groups):
        kinds = [np.flatnonzero((groups == stratum) & (success == wanted)) for wanted in (True, False)]
        if min(map(len, kinds)) == 0:
            continue
        count = len(kinds[0]) * len(kinds[1])
        above += roc_auc(scores[np.concatenate(kinds)], success[np.concatenate(kinds)]) * count
        pairs += count
        # Won less lost, half of it: up to what is the same of all pairs, which its mean takes away.
        wins = np.sign(scores[kinds[0]][:, None] - scores[kinds[1]]) / 2
        # A high success and a low failure raise the area; a start state that lifts both does not.
        for mine, won in zip(kinds, (wins.sum(axis=1), wins.sum(axis=0)), strict=True):
            # Divided by what a variance of few values falls short by.
            influence[mine] = (won - won.mean()) * math.sqrt(len(mine) / max(len(mine) - 1, 1))
            parts.append(mine)
    compared = sum(map(len, parts))
    if not pairs:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    value = above / pairs
    influence /= pairs
    variances = np.array([float((influence[part] ** 2).sum()) for part in parts])
    freedoms = np.array([len(part) - 1 for part in parts])
    if freedoms.min() == 0 or not 0 < value < 1 or not variances.sum() > 0:
        return Estimate(value, math.nan, math.nan, math.nan, compared)
    freedom = float(variances.sum() ** 2 / (variances**2 / freedoms).sum())
    variance = float(variances.sum())
    if clusters is not None:
        sums = np.bincount(np.unique(clusters, return_inverse=True)[1], influence)
        variance, freedom = float((sums**2).sum()), min(freedom, float(np.count_nonzero(sums) - 1))
    if not variance > 0 or freedom < 1:
        return Estimate(value, math.nan, math.nan, math.nan, compared)
    error = math.sqrt(variance)
    reach = float(student.isf((1 - CONFIDENCE) / 2, freedom)) * error / (value * (1 - value))
    low, high = (float(expit(logit(value) + side * reach)) for side in (-1, 1))
    return Estimate(value, low, high, error, compared)
