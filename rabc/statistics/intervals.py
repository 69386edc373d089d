"""Rates, means and differences with their intervals. Pure functions, SciPy underneath."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest
from scipy.stats import t as student

CONFIDENCE = 0.95
MIN_ORACLE_GAIN = 0.1
"""A share of a smaller gain than this is not computed: it would divide noise by noise."""
_ALIKE = 1e-12
"""Values that differ by no more than rounding."""

Outcomes = NDArray[np.bool_]
"""Success of each training seed (rows) from each start state (columns): (S, N)."""


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
    """Lower end of the 95 % interval; NaN where nothing supports one."""
    high: float
    """Upper end of the 95 % interval."""
    standard_error: float
    """Of `value`, in its unit."""
    count: int
    """Episodes it rests on."""

    @property
    def limits(self) -> dict[str, float | None]:
        """`low` and `high` for JSON, which knows no NaN: None where the interval is not defined."""
        ends = {"low": self.low, "high": self.high}
        return {name: float(end) if np.isfinite(end) else None for name, end in ends.items()}

    def __str__(self) -> str:
        if not np.isfinite(self.value):
            return "not defined"
        interval = f" (95 % interval {self.low:.3f} to {self.high:.3f})" if np.isfinite(self.low) else ""
        return f"{self.value:.3f}{interval}"


def mean(values: NDArray[np.float64], within: tuple[float, float] = (-math.inf, math.inf)) -> Estimate:
    """Mean of (N,) with Student's interval (Student 1908), which holds with few values as well.

    Resampling a handful of values finds too little of what they vary: a percentile bootstrap of eight holds
    the truth in 90 % of data sets, not in 95. Without an interval below two values, and where all are alike:
    that says that they are few, not that the mean is sure.

    within: what a mean can be; the interval ends there.
    """
    count = len(values)
    value = float(values.mean()) if count else math.nan
    if count < 2:
        return Estimate(value, math.nan, math.nan, math.nan, count)
    found = _student(value, float(values.std(ddof=1)) / math.sqrt(count), count - 1, count)
    return _within(found, *within)


def ratio_of_means(part: NDArray[np.float64], whole: NDArray[np.float64]) -> Estimate:
    """Mean of part (N,) over mean of whole (N,), with Fieller's interval (1954), Student's of a ratio.

    A mean of ratios would follow the smallest wholes. All is NaN where the mean whole is not above 0. There
    is no interval where it is not shown to differ from 0, since the ratio may be anything then.
    """
    count = len(part)
    below = float(whole.mean()) if count else math.nan
    if not below > 0:
        return Estimate(math.nan, math.nan, math.nan, math.nan, count)
    above = float(part.mean())
    value = above / below
    if count < 2:
        return Estimate(value, math.nan, math.nan, math.nan, count)
    (part_variance, both), (_, whole_variance) = (np.cov(part, whole) / count).tolist()
    reach = float(student.isf((1 - CONFIDENCE) / 2, count - 1)) ** 2
    error = math.sqrt(max(0.0, part_variance - 2 * value * both + value**2 * whole_variance)) / below
    # All r with which part - r * whole is not shown to differ from 0: between a parabola's roots.
    square, middle = below**2 - reach * whole_variance, above * below - reach * both
    root = middle**2 - square * (above**2 - reach * part_variance)
    if square <= 0 or root <= _ALIKE * middle**2:
        return Estimate(value, math.nan, math.nan, error, count)
    low, high = ((middle + side * math.sqrt(root)) / square for side in (-1, 1))
    return Estimate(value, low, high, error, count)


def share(marks: NDArray[np.bool_]) -> Estimate:
    """Share of true marks (N,) with its Wilson interval, as an `Estimate`; NaN of none."""
    count = len(marks)
    if not count:
        return Estimate(math.nan, math.nan, math.nan, math.nan, 0)
    found = proportion(int(marks.sum()), count)
    error = math.sqrt(found.value * (1 - found.value) / count)
    return Estimate(found.value, found.low, found.high, error, count)


def proportion_over_seeds(successes: Sequence[int], trials: Sequence[int]) -> Proportion:
    """Share of the trials of several trainings that succeeded, each training seed's given by itself.

    What another training would give is not known better for more trials of these few: the seeds are the unit.
    The interval is Student's over their rates, which is wide with two or three; it is never narrower than
    Wilson's of all trials, for seeds may agree by chance. Where rates vary by 10 points from seed to seed,
    Wilson's alone holds the truth in six experiments of ten. Of one training seed it is Wilson's, and speaks
    of that policy.
    """
    together = proportion(sum(successes), sum(trials))
    over_seeds = mean(np.array(successes) / np.array(trials))
    if math.isnan(over_seeds.low):
        return together
    return Proportion(
        together.successes,
        together.trials,
        max(0.0, min(together.low, over_seeds.low)),
        min(1.0, max(together.high, over_seeds.high)),
    )


def paired_difference(first: Outcomes, second: Outcomes) -> Estimate:
    """Success rate of `first` minus that of `second`, with its interval for other start states.

    It speaks of these trained policies; `difference_over_seeds` is for trainings yet to come. The interval is
    Bonett and Price's (2012, Statistics in Medicine 31:1187) for paired proportions: one start state is added
    that only the first solves and one that only the second does, so that few start states, or all ending
    alike, do not look sure. Student's quantile in place of the normal one keeps 94.5 % or more from three
    start states on, where a bootstrap's interval holds the truth in 75 to 90 experiments of 100 with ten. Of
    several training seeds each start state gives the mean of their differences, the unit being what varies.
    Its ends are NaN with a single start state.
    """
    each = outcome_differences(first, second).mean(axis=0)
    value, states = float(each.mean()), len(each)
    if states < 2:
        return Estimate(value, math.nan, math.nan, math.nan, first.size)
    centre = float(each.sum()) / (states + 2)
    variance = float((each**2).sum() + 2) / (states + 2) - centre**2
    found = _student(centre, math.sqrt(variance / (states + 2)), states - 1, first.size)
    return replace(_within(found, -1.0, 1.0), value=value)


def difference_over_seeds(first: Outcomes, second: Outcomes, comparisons: int = 1) -> Estimate:
    """`paired_difference` with Student's interval over training seeds, for trainings yet to come.

    Each training seed gives one difference of success rates on these start states; the interval takes
    nothing but how these vary from seed to seed (Student 1908), so it holds with two as well, and is wide.
    It is for trainings yet to come on these same start states, and ends at -1 and 1. Its ends are NaN with
    one seed, and where all seeds differ by the same.

    comparisons: of which this is one and all of whose intervals shall hold together (Bonferroni).
    """
    each = outcome_differences(first, second).mean(axis=1)
    value, seeds = float(each.mean()), len(each)
    if seeds < 2:
        return Estimate(value, math.nan, math.nan, math.nan, seeds)
    found = _student(value, float(each.std(ddof=1)) / math.sqrt(seeds), seeds - 1, seeds, comparisons)
    return _within(found, -1.0, 1.0)


def gain_ratio(arm: Outcomes, plain: Outcomes, oracle: Outcomes) -> Estimate:
    """Gain of `arm` over `plain` as a share of the gain of `oracle` over `plain`, all (S, N).

    The interval is Fieller's over start states (see `ratio_of_means`), and so speaks of these trained
    policies. There is none where oracle's gain is not shown to differ from 0. All is NaN where oracle gains
    less than MIN_ORACLE_GAIN.
    """
    gain, whole = (outcome_differences(one, plain).mean(axis=0) for one in (arm, oracle))
    if whole.mean() < MIN_ORACLE_GAIN:
        return Estimate(math.nan, math.nan, math.nan, math.nan, arm.size)
    return replace(ratio_of_means(gain, whole), count=arm.size)


def outcome_differences(first: Outcomes, second: Outcomes) -> NDArray[np.float64]:
    """first - second, -1, 0 or 1, (S, N)."""
    if first.ndim != 2 or first.shape != second.shape or not first.size:
        raise ValueError(f"outcomes {first.shape} and {second.shape}: one shape (S, N) is needed")
    return first.astype(np.float64) - second.astype(np.float64)


def _student(value: float, error: float, freedom: float, count: int, comparisons: int = 1) -> Estimate:
    """Student's interval of a value with this standard error; none where nothing varied."""
    if error < _ALIKE:
        return Estimate(value, math.nan, math.nan, 0.0, count)
    reach = float(student.isf((1 - CONFIDENCE) / comparisons / 2, freedom)) * error
    return Estimate(value, value - reach, value + reach, error, count)


def _within(found: Estimate, least: float, most: float) -> Estimate:
    """`found` with its interval, where it has one, cut off at what the figure can be."""
    if math.isnan(found.low):
        return found
    return replace(found, low=max(found.low, least), high=min(found.high, most))
