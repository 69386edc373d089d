"""Intervals. Pure functions, SciPy underneath."""

from dataclasses import dataclass

from scipy.stats import binomtest

CONFIDENCE = 0.95


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
