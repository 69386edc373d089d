"""Success rates of rollouts of which a person labelled only some. Pure functions.

The scorer speaks for the others, and the labelled ones say how far it can be believed (prediction-powered
inference, `rabc.statistics.prediction_powered`). Its intervals rest on the spread among the labelled
rollouts, and with few of them there may be none: after 10 successes of 10 the interval would have no width,
and that of a policy which succeeds in 19 of 20 rollouts would miss its rate more often than not. So one
success and one failure are added to the labels, with a prediction that says nothing, as Agresti and Caffo
(2000, The American Statistician 54:280) do for two proportions.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rabc.statistics.intervals import Estimate
from rabc.statistics.prediction_powered import prediction_powered_difference, prediction_powered_mean

MIN_LABELLED = 5
"""Labelled rollouts from which on the intervals keep their level, as its tests simulate."""


@dataclass(frozen=True)
class Sample:
    """Rollouts of one policy, of which L are labelled and U are not."""

    labels: NDArray[np.float64]
    """(L,) success, 0 or 1."""
    predictions: NDArray[np.float64]
    """(L,) what the scorer says of them, 0...1."""
    others: NDArray[np.float64]
    """(U,) what it says of the others."""

    def padded(self) -> "Sample":
        """With one success and one failure more, of which the scorer says what it says on average."""
        average = float(np.concatenate([self.predictions, self.others]).mean())
        return Sample(
            np.append(self.labels, [0.0, 1.0]), np.append(self.predictions, [average, average]), self.others
        )


def estimated_rate(sample: Sample) -> Estimate:
    """Success rate, 0...1."""
    return _joined(_mean(sample), _mean(sample.padded()), 0.0)


def estimated_difference(first: Sample, second: Sample) -> tuple[Estimate, float]:
    """Success rate of the first minus that of the second, -1...1, and the p-value that both are the same."""
    widened = _difference(first.padded(), second.padded())
    p = float(2 * norm.sf(abs(widened.value) / widened.standard_error))
    return _joined(_difference(first, second), widened, -1.0), p


def _mean(sample: Sample) -> Estimate:
    return prediction_powered_mean(sample.labels, sample.predictions, sample.others)


def _difference(first: Sample, second: Sample) -> Estimate:
    return prediction_powered_difference(
        (first.labels, first.predictions, first.others), (second.labels, second.predictions, second.others)
    )


def _joined(plain: Estimate, padded: Estimate, lowest: float) -> Estimate:
    """The plain value in the interval of the padded labels, all within `lowest` ... 1."""
    value, low, high = np.clip([plain.value, padded.low, padded.high], lowest, 1.0).tolist()
    return Estimate(value, min(low, value), max(high, value), padded.standard_error, plain.count)
