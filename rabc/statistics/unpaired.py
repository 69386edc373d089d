"""Two independent samples, such as two sets of rollouts recorded on an arm. Pure functions, SciPy underneath.

Rollouts that start from the same states are pairs, and pairs say more: `rabc.statistics.significance`.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import fisher_exact
from scipy.stats import t as student

from rabc.statistics.intervals import CONFIDENCE, Estimate, Proportion


def difference_of_proportions(first: Proportion, second: Proportion) -> Estimate:
    """First minus second, with the interval of Newcombe (1998, Statistics in Medicine 17:873, method 10).

    It joins the two Wilson intervals, and so stays within -1...1 and keeps its level with few trials and near
    0 and 1, where the textbook's interval does not.
    """
    p, q = first.value, second.value
    return Estimate(
        value=p - q,
        low=p - q - math.hypot(p - first.low, second.high - q),
        high=p - q + math.hypot(first.high - p, q - second.low),
        standard_error=math.sqrt(p * (1 - p) / first.trials + q * (1 - q) / second.trials),
        count=first.trials + second.trials,
    )


def fisher(first: Proportion, second: Proportion) -> float:
    """Two-sided p-value of Fisher's exact test that both have the same rate of success."""
    counts = [[one.successes, one.trials - one.successes] for one in (first, second)]
    test: Any = fisher_exact(counts)
    return float(test.pvalue)


def difference_of_means(first: NDArray[np.float64], second: NDArray[np.float64]) -> tuple[Estimate, float]:
    """Mean of first (N,) minus mean of second (M,), with Welch's (1947) interval and two-sided p-value.

    It lets the two spread differently. Interval and p-value are NaN where nothing spreads, or a sample has
    one value.
    """
    value, count = float(first.mean() - second.mean()), len(first) + len(second)
    if min(len(first), len(second)) < 2 or (np.ptp(first) == 0 and np.ptp(second) == 0):
        return Estimate(value, math.nan, math.nan, math.nan, count), math.nan
    variances = np.array([one.var(ddof=1) / len(one) for one in (first, second)])
    error = math.sqrt(variances.sum())
    freedom = variances.sum() ** 2 / (variances**2 / [len(first) - 1, len(second) - 1]).sum()
    reach = error * float(student.isf((1 - CONFIDENCE) / 2, freedom))
    p = 2 * float(student.sf(abs(value) / error, freedom))
    return Estimate(value, value - reach, value + reach, error, count), p
