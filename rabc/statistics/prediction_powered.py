"""Mean of labels of which only some are known, with predictions for all (prediction-powered inference). Pure.

Angelopoulos et al. 2023, "Prediction-powered inference", Science 382: the mean prediction of the unlabelled
items, corrected by how far the labelled ones are from theirs. With the power tuning of Angelopoulos, Duchi &
Zrnic 2023, "PPI++" (arXiv 2311.01453) predictions count as much as they are worth: useless ones leave the
mean of the labels, and the scale does not matter.

What it assumes: the labelled items were chosen at random (not those that were easy to judge), items are
independent, and no label had a part in the predictions. The interval is the normal one. It is right for many
labels, from about fifty on. With few, predictions help only where their correlation with the labels is above
1 / sqrt(n - 2) (Mani et al. 2025, arXiv 2505.20178), the interval is too narrow, and where all labels are
equal it may have no width: `rabc.comparison.recorded.estimated_success` is for those.
"""

import math

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from rabc.statistics.intervals import CONFIDENCE, Estimate

Values = NDArray[np.float64]


def prediction_powered_mean(labels: Values, predictions: Values, others: Values) -> Estimate:
    """Mean label of all items; NaN where there is no label, and without an interval where there is one.

    Without unlabelled items it is the mean of the labels with its normal interval. `standard_error` is the
    asymptotic one, `count` the number of items.

    Args:
        labels: (n,).
        predictions: of the labelled items, (n,).
        others: predictions of the unlabelled items, (m,).
    """
    if labels.shape != predictions.shape:
        raise ValueError(f"labels {labels.shape}, predictions {predictions.shape}: one of each is needed")
    count = len(labels) + len(others)
    if len(labels) < 2:
        return Estimate(float(labels[0]) if len(labels) else math.nan, math.nan, math.nan, math.nan, count)
    weight = prediction_weight(labels, predictions, others)
    corrected = labels - weight * predictions
    value, variance = corrected.mean(), corrected.var(ddof=1) / len(labels)
    if weight:
        value += weight * others.mean()
        variance += weight**2 * _variance(predictions, others) / len(others)
    return _normal(float(value), math.sqrt(variance), count)


def prediction_powered_difference(
    first: tuple[Values, Values, Values], second: tuple[Values, Values, Values]
) -> Estimate:
    """Mean of the first less that of the second, which share no item.

    first, second: what `prediction_powered_mean` takes.
    """
    one, other = prediction_powered_mean(*first), prediction_powered_mean(*second)
    error = math.hypot(one.standard_error, other.standard_error)
    return _normal(one.value - other.value, error, one.count + other.count)


def prediction_weight(labels: Values, predictions: Values, others: Values) -> float:
    """How much a prediction counts: the weight of the least variance (PPI++, section 6), at least 0.

    cov(label, prediction) / ((1 + n / m) var(prediction)). Predictions that fall where labels rise are not
    turned round but left out; so are those that are all equal.
    """
    if not len(others) or len(labels) < 2:
        return 0.0
    variance = _variance(predictions, others)
    if variance == 0:
        return 0.0
    covariance = float(np.cov(labels, predictions)[0, 1])
    return max(0.0, covariance / ((1 + len(labels) / len(others)) * variance))


def _variance(predictions: Values, others: Values) -> float:
    return float(np.concatenate([predictions, others]).var(ddof=1))


def _normal(value: float, error: float, count: int) -> Estimate:
    reach = float(norm.isf((1 - CONFIDENCE) / 2)) * error
    return Estimate(value, value - reach, value + reach, error, count)
