"""Success rates from few labels: intervals that hold the truth, where those of the plain estimate do not."""

import numpy as np
import pytest

from rabc.comparison.recorded.estimated_success import (
    MIN_LABELLED,
    Sample,
    estimated_difference,
    estimated_rate,
)
from rabc.statistics.prediction_powered import prediction_powered_mean

TRIALS = 400


def drawn(rng: np.random.Generator, rate: float, labelled: int, total: int, separation: float) -> Sample:
    """Rollouts of a policy with this success rate, watched by a scorer that tells them apart so well."""
    success = rng.random(total) < rate
    scores = np.clip((rng.normal(size=total) + separation * success + 1) / (separation + 2), 0, 1)
    return Sample(success[:labelled].astype(np.float64), scores[:labelled], scores[labelled:])


@pytest.mark.parametrize("separation", [0.0, 2.0, 6.0])
@pytest.mark.parametrize(
    ("rate", "labelled", "total"), [(0.5, 5, 20), (0.95, 5, 20), (0.95, 10, 50), (0.8, 20, 60)]
)
def test_intervals_hold_the_truth(rate: float, labelled: int, total: int, separation: float) -> None:
    rng = np.random.default_rng(0)
    assert labelled >= MIN_LABELLED
    rates = differences = rejected = 0
    for _ in range(TRIALS):
        one, other, rival = (drawn(rng, r, labelled, total, separation) for r in (rate, 0.5, rate))
        found = estimated_rate(one)
        rates += found.low <= rate <= found.high
        difference, _ = estimated_difference(one, other)
        differences += difference.low <= rate - 0.5 <= difference.high
        rejected += estimated_difference(one, rival)[1] < 0.05
    # Three standard errors of 400 trials are 3 points.
    assert rates / TRIALS > 0.91
    assert differences / TRIALS > 0.91
    assert rejected / TRIALS < 0.09


def test_the_plain_interval_does_not() -> None:
    """Why labels are added: else the test above would fail."""
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(TRIALS):
        sample = drawn(rng, 0.95, 10, 50, 2.0)
        found = prediction_powered_mean(sample.labels, sample.predictions, sample.others)
        held += found.low <= 0.95 <= found.high
    assert held / TRIALS < 0.7


def test_a_scorer_that_knows_makes_the_interval_narrower() -> None:
    rng = np.random.default_rng(1)
    widths = {}
    for separation in (0.0, 6.0):
        found = [estimated_rate(drawn(rng, 0.5, 20, 200, separation)) for _ in range(50)]
        widths[separation] = np.mean([one.high - one.low for one in found])
    assert widths[6.0] < 0.75 * widths[0.0]


def test_values_are_the_plain_ones_within_the_possible() -> None:
    rng = np.random.default_rng(2)
    one, other = drawn(rng, 0.7, 8, 30, 2.0), drawn(rng, 0.4, 8, 30, 2.0)
    found, rival = estimated_rate(one), estimated_rate(other)
    assert found.value == pytest.approx(
        prediction_powered_mean(one.labels, one.predictions, one.others).value
    )
    assert estimated_difference(one, other)[0].value == pytest.approx(found.value - rival.value)
    sure = Sample(np.ones(5), np.ones(5), np.ones(20))
    found = estimated_rate(sure)
    assert (found.value, found.high) == (1.0, 1.0)
    assert 0.3 < found.low < 0.9
    nothing = Sample(np.zeros(5), np.ones(5), np.ones(20))
    difference, p = estimated_difference(sure, nothing)
    assert (difference.value, difference.high) == (1.0, 1.0)
    assert 0 < difference.low < 0.6
    assert 1e-4 < p < 0.05


def test_all_labelled_is_agresti_and_caffos_interval() -> None:
    """56 of 70 against 48 of 80: (57/72 - 49/82) -+ 1.96 sqrt(.)."""
    one, other = (
        Sample(np.repeat([1.0, 0.0], [k, n - k]), np.full(n, 0.5), np.zeros(0))
        for k, n in ((56, 70), (48, 80))
    )
    found, _ = estimated_difference(one, other)
    p, q = 57 / 72, 49 / 82
    # The spread is estimated with n - 1 where they divide by n.
    error = np.sqrt(p * (1 - p) / 71 + q * (1 - q) / 81)
    assert found.value == pytest.approx(0.2)
    assert (found.low, found.high) == (
        pytest.approx(p - q - 1.96 * error, abs=2e-3),
        pytest.approx(p - q + 1.96 * error, abs=2e-3),
    )
