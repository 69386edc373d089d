"""Two independent samples, against published tables and brute force."""

from itertools import product
from math import comb

import numpy as np
import pytest
from scipy.stats import ttest_ind

from rabc.statistics.intervals import proportion
from rabc.statistics.unpaired import difference_of_means, difference_of_proportions, fisher

NEWCOMBE = (
    (56, 70, 48, 80, 0.0524, 0.3339),
    (9, 10, 3, 10, 0.1705, 0.8090),
    (6, 7, 2, 7, 0.0582, 0.8062),
    (5, 56, 0, 29, -0.0381, 0.1926),
    (0, 10, 0, 20, -0.1611, 0.2775),
    (0, 10, 0, 10, -0.2775, 0.2775),
    (10, 10, 0, 20, 0.6791, 1.0),
    (10, 10, 0, 10, 0.6075, 1.0),
)
"""Newcombe (1998), Table II, method 10: successes and trials of both, interval."""


@pytest.mark.parametrize(("k", "n", "other_k", "other_n", "low", "high"), NEWCOMBE)
def test_interval_of_a_difference_is_newcombes(
    k: int, n: int, other_k: int, other_n: int, low: float, high: float
) -> None:
    found = difference_of_proportions(proportion(k, n), proportion(other_k, other_n))
    assert found.value == pytest.approx(k / n - other_k / other_n)
    assert (found.low, found.high) == (pytest.approx(low, abs=5e-5), pytest.approx(high, abs=5e-5))
    assert found.count == n + other_n


def test_the_standard_error_of_a_difference_is_that_of_two_independent_rates() -> None:
    found = difference_of_proportions(proportion(3, 15), proportion(27, 30))
    assert found.standard_error == pytest.approx(np.sqrt(0.2 * 0.8 / 15 + 0.9 * 0.1 / 30))


def test_interval_of_a_difference_holds_the_truth_often_enough() -> None:
    """By the exact distribution of 15 and 20 trials, not by simulation."""
    for p, q in ((0.5, 0.5), (0.9, 0.6), (0.2, 0.05)):
        covered = 0.0
        for k, m in product(range(16), range(21)):
            found = difference_of_proportions(proportion(k, 15), proportion(m, 20))
            chance = comb(15, k) * p**k * (1 - p) ** (15 - k) * comb(20, m) * q**m * (1 - q) ** (20 - m)
            covered += chance * (found.low <= p - q <= found.high)
        assert 0.93 < covered < 0.99


def test_fishers_p_value_is_that_of_all_tables_as_unlikely() -> None:
    for k, n, m, o in ((7, 10, 10, 10), (16, 20, 9, 20), (3, 9, 3, 9), (0, 5, 0, 7)):
        chances = [comb(n, i) * comb(o, k + m - i) for i in range(max(0, k + m - o), min(n, k + m) + 1)]
        seen = comb(n, k) * comb(o, m)
        expected = sum(chance for chance in chances if chance <= seen) / sum(chances)
        assert fisher(proportion(k, n), proportion(m, o)) == pytest.approx(expected)
    assert fisher(proportion(7, 10), proportion(10, 10)) == pytest.approx(0.2105, abs=1e-4)


def test_difference_of_means_is_welchs() -> None:
    rng = np.random.default_rng(0)
    for sizes, spreads in (((6, 6), (1, 1)), ((3, 40), (5, 0.1)), ((2, 9), (0, 2))):
        first, second = (rng.normal(i, s, n) for i, (n, s) in enumerate(zip(sizes, spreads, strict=True)))
        found, p = difference_of_means(first, second)
        test = ttest_ind(first, second, equal_var=False)
        interval = test.confidence_interval(0.95)
        assert found.value == pytest.approx(first.mean() - second.mean())
        assert p == pytest.approx(test.pvalue)
        assert (found.low, found.high) == (pytest.approx(interval.low), pytest.approx(interval.high))
        assert found.standard_error == pytest.approx(abs(found.value / test.statistic))
        assert found.count == sum(sizes)
        assert (p < 0.05) == (found.low > 0 or found.high < 0)


def test_a_difference_of_means_that_nothing_is_known_about() -> None:
    for first, second in (([1.0], [2.0, 3.0]), ([1.0, 1.0], [2.0, 2.0])):
        found, p = difference_of_means(np.array(first), np.array(second))
        assert found.value == np.mean(first) - np.mean(second)
        assert np.isnan([found.low, found.high, found.standard_error, p]).all()
        assert found.count == len(first) + len(second)
