"""Intervals. Pure functions, SciPy underneath."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

CONFIDENCE = 0.95
RESAMPLES = 1000


@dataclass(frozen=True)
class Proportion:
    """A share of trials with its interval."""

    successes: int
    trials: int
    low: float
    """Lower end of the 95 % Wilson interval."""
    high: float
    """Upper end of the 95 % Wilson interval."""

    @property
    def value(self) -> float:
        """successes / trials."""
        return self.successes / self.trials

    def __str__(self) -> str:
        return (
            f"{self.successes}/{self.trials} = {100 * self.value:.0f} % "
            f"(95 % interval {100 * self.low:.0f}-{100 * self.high:.0f} %)"
        )


def proportion(successes: int, trials: int) -> Proportion:
    """Share with its Wilson score interval (Wilson 1927); `trials` must be positive."""
    interval = binomtest(successes, trials).proportion_ci(CONFIDENCE, method="wilson")
    return Proportion(successes, trials, float(interval.low), float(interval.high))


@dataclass(frozen=True)
class Estimate:
    """A figure over episodes with its uncertainty; NaN where it is not defined."""

    value: float
    low: float
    """Lower end of the 95 % bootstrap interval."""
    high: float
    """Upper end of the 95 % bootstrap interval."""
    standard_error: float
    """Standard deviation of the bootstrap's values."""
    count: int
    """Episodes it rests on."""

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "not defined"
        interval = f" (95 % interval {self.low:.3f} to {self.high:.3f})" if np.isfinite(self.low) else ""
        return f"{self.value:.3f}{interval}"


def bootstrap(figure: Callable[[NDArray[np.int64]], float], count: int, seed: int = 0) -> Estimate:
    """`figure` of all episodes, with a percentile bootstrap over episodes (Efron 1979).

    Args:
        figure: gives the figure of the episodes at some indices, int64 (n,); NaN where it is not defined.
        count: episodes. Below two, nothing says how uncertain the figure is: NaN.
        seed: of the resampling, so that the same scores give the same interval.
    """
    value = figure(np.arange(count)) if count else float("nan")
    if count < 2:
        return Estimate(value, float("nan"), float("nan"), float("nan"), count)
    draws = np.random.default_rng(seed).integers(count, size=(RESAMPLES, count))
    values = np.array([figure(draw) for draw in draws])
    values = values[np.isfinite(values)]
    if len(values) < 2:
        return Estimate(value, float("nan"), float("nan"), float("nan"), count)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(values, [tail, 100 - tail])
    return Estimate(value, float(low), float(high), float(values.std(ddof=1)), count)


def mean(values: NDArray[np.float64]) -> Estimate:
    """Mean of (N,) with its bootstrap interval."""
    return bootstrap(lambda chosen: float(values[chosen].mean()), len(values))
