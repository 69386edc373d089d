"""Intervals claim what their data support: against published figures, by hand, and by how often they hold."""

import math
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np
import pytest
from scipy.stats import binom, norm, ttest_1samp

from rabc.statistics.areas import area
from rabc.statistics.intervals import (
    Estimate,
    Proportion,
    mean,
    proportion,
    proportion_over_seeds,
    ratio_of_means,
    share,
)


def holds(intervals: Iterable[Estimate | Proportion], truth: float) -> tuple[float, int]:
    """Share of the defined intervals that hold the truth, and how many are not defined."""
    kept = [one for one in intervals if not math.isnan(one.low)]
    return float(np.mean([one.low <= truth <= one.high for one in kept])), len(kept)


def is_95_percent(found: float, experiments: int, at_most: float = 1.0) -> bool:
    """Whether so many of them are within what chance leaves of 95 % (or more, where cautious)."""
    low, high = binom.interval(0.999, experiments, 0.95)
    return low / experiments <= found <= max(high / experiments, at_most)


def test_the_interval_of_a_mean_is_students() -> None:
    values = np.array([1.0, 2.0, 4.0, 7.0])
    found = mean(values)
    test: Any = ttest_1samp(values, 0)
    expected = test.confidence_interval()
    assert (found.value, found.count) == (3.5, 4)
    assert (found.low, found.high) == (pytest.approx(expected.low), pytest.approx(expected.high))
    assert found.standard_error == pytest.approx(values.std(ddof=1) / 2)


def test_the_interval_of_a_mean_ends_where_a_mean_can() -> None:
    values = np.array([0.0, 1.0])
    plain, cut = mean(values), mean(values, (-1, 3))
    # 0.5 +- 12.7062 * 0.5.
    assert (plain.low, plain.high) == pytest.approx((-5.8531, 6.8531))
    assert (cut.low, cut.high) == (-1, 3)
    assert (cut.value, cut.standard_error, cut.count) == (plain.value, plain.standard_error, 2)
    assert (mean(values, (-9, 9)).low, mean(values, (-9, 9)).high) == (plain.low, plain.high)


@pytest.mark.parametrize("count", [3, 8, 32])
def test_it_holds_with_few_values_as_well(count: int) -> None:
    rng = np.random.default_rng(count)
    found, kept = holds((mean(rng.normal(2, 3, count)) for _ in range(2000)), 2.0)
    assert is_95_percent(found, kept, 0.0)


def test_what_resampling_cannot_support_has_no_interval() -> None:
    assert undefined(mean(np.full(1, 3.0)), 3.0, 1)
    with warnings.catch_warnings(action="error"):
        assert undefined(mean(np.ones(0)), math.nan, 0)
    alike = mean(np.full(5, 0.1))
    assert (alike.value, alike.standard_error, alike.count) == (pytest.approx(0.1), 0, 5)
    assert np.isnan([alike.low, alike.high]).all()
    separated = np.arange(10, dtype=np.float64)
    for success in (separated > 4, separated < 5):
        found = area(separated, success)
        assert found.value in (0, 1)
        assert math.isnan(found.low)
    single = area(np.array([0.0, 2.0, 1.0, 3.0]), np.array([True, False, False, False]))
    assert math.isnan(single.low)


def test_the_interval_of_a_ratio_of_means_is_fiellers() -> None:
    """All ratios that a t-test of part - ratio * whole does not refuse."""
    rng = np.random.default_rng(0)
    whole = rng.normal(3, 1, 9)
    part = 0.3 * whole + rng.normal(0, 0.4, 9)
    found = ratio_of_means(part, whole)
    assert found.value == pytest.approx(part.mean() / whole.mean())
    for end in (found.low, found.high):
        test: Any = ttest_1samp(part - end * whole, 0)
        assert test.pvalue == pytest.approx(0.05)
    # First order of the ratio in both means.
    ratio = part.mean() / whole.mean()
    error = (part - ratio * whole).std(ddof=1) / 3 / whole.mean()
    assert (found.standard_error, found.count) == (pytest.approx(error), 9)


def test_the_ratio_of_two_pairs_has_an_interval() -> None:
    part, whole = np.array([4.0, 6.0]), np.array([10.0, 10.5])
    found = ratio_of_means(part, whole)
    assert (found.value, found.count) == (pytest.approx(10 / 20.5), 2)
    for end in (found.low, found.high):
        test: Any = ttest_1samp(part - end * whole, 0)
        assert test.pvalue == pytest.approx(0.05)


@pytest.mark.parametrize("scale", [1e-9, 1e-6, 1.0, 1e6])
def test_a_ratio_has_the_scale_of_its_parts(scale: float) -> None:
    """Also where it hardly varies; not at all is another matter."""
    whole = np.array([13.0, 11.0, 14.0, 12.0])
    part = whole / 4 * (1 + 1e-4 * np.array([1.0, -1.0, -1.0, 2.0]))
    plain, found = ratio_of_means(part, whole), ratio_of_means(scale * part, whole)
    assert math.isfinite(plain.low)
    assert (found.low / scale, found.high / scale) == pytest.approx((plain.low, plain.high), rel=1e-9)
    nothing = ratio_of_means(np.zeros(4), whole)
    assert (nothing.value, nothing.standard_error) == (0, 0)
    assert np.isnan([nothing.low, nothing.high]).all()


def test_a_ratio_that_may_be_anything_has_no_interval() -> None:
    part, whole = np.array([1.0, 2.0, 2.5, 0.5]), np.array([3.0, 1.0, 4.0, 2.0])
    assert undefined(ratio_of_means(part, -whole), math.nan, 4)
    assert undefined(ratio_of_means(part, whole - whole.mean()), math.nan, 4)
    with warnings.catch_warnings(action="error"):
        assert undefined(ratio_of_means(part[:0], whole[:0]), math.nan, 0)
    assert undefined(ratio_of_means(part[:1], whole[:1]), 1 / 3, 1)
    # Student's test of the whole against 0 says whether its mean might be 0: p is 0.0500 at the border.
    spread = whole - whole.mean()
    border = 3.182446 * spread.std(ddof=1) / 2
    for centre, defined in ((1.0001 * border, True), (0.9999 * border, False)):
        found = ratio_of_means(part, spread + centre)
        error = (part - found.value * (spread + centre)).std(ddof=1) / 2 / centre
        assert (found.value, found.standard_error) == pytest.approx((1.5 / centre, error))
        assert [math.isfinite(end) for end in (found.low, found.high)] == [defined, defined]
        assert found.count == 4
    # Always the same share of the whole: nothing varied.
    same = ratio_of_means(whole / 4, whole)
    assert (same.value, same.standard_error) == (0.25, pytest.approx(0, abs=1e-9))
    assert np.isnan([same.low, same.high]).all()


def test_it_holds_where_a_ratio_of_few_episodes_is_uncertain() -> None:
    rng = np.random.default_rng(1)
    wholes = rng.normal(3, 1, (2000, 8))
    parts = 0.2 * wholes + rng.normal(0, 0.4, (2000, 8))
    found, kept = holds(map(ratio_of_means, parts, wholes), 0.2)
    assert kept > 1900
    assert is_95_percent(found, kept, 0.0)


def undefined(found: Estimate, value: float, count: int) -> bool:
    """Whether it is `value` (NaN: not defined either) of `count`, with nothing to say of how sure that is."""
    same = found.value == value or (math.isnan(found.value) and math.isnan(value))
    return same and np.isnan([found.low, found.high, found.standard_error]).all() and found.count == count


def test_a_share_of_episodes_is_wilsons() -> None:
    found, expected = share(np.ones(20, bool)), proportion(20, 20)
    assert (found.value, found.low, found.high) == (1, expected.low, expected.high)
    assert undefined(share(np.ones(0, bool)), math.nan, 0)
    found, expected = share(np.arange(20) < 4), proportion(4, 20)
    assert (found.low, found.high, found.count) == (expected.low, expected.high, 20)
    assert found.standard_error == pytest.approx(math.sqrt(0.2 * 0.8 / 20))


def test_figures_read_as_sentences() -> None:
    assert str(Proportion(9, 10, 0.6, 0.98)) == "9/10 = 90 % (95 % interval 60-98 %)"
    assert str(Estimate(0.25, 0.125, 0.5, 0.1, 9)) == "0.250 (95 % interval 0.125 to 0.500)"
    assert str(Estimate(0.25, math.nan, math.nan, math.nan, 1)) == "0.250"
    assert str(Estimate(math.nan, math.nan, math.nan, math.nan, 0)) == "not defined"


@pytest.mark.parametrize(("successes", "failures", "truth"), [(5, 5, 0.8), (8, 8, 0.9), (10, 30, 0.8)])
def test_the_interval_of_an_area_holds_with_few(successes: int, failures: int, truth: float) -> None:
    rng = np.random.default_rng(2)
    success = np.arange(successes + failures) < successes
    apart = float(norm.ppf(truth)) * math.sqrt(2)
    draws = rng.normal(0, 1, (500, len(success))) + apart * success
    found, kept = holds((area(draw, success) for draw in draws), truth)
    assert is_95_percent(found, kept)


def test_areas_are_compared_within_strata() -> None:
    """Two tasks, in each of which every success is above every failure, on different scales."""
    scores = np.array([1.0, 2.0, 3.0, 4.0, 11.0, 12.0, 13.0, 14.0])
    success = np.array([False, False, True, True] * 2)
    strata = np.repeat([0, 1], 4)
    assert area(scores, success).value < 0.8
    assert area(scores, success, strata).value == 1
    one_sided = np.array([True] * 4 + [False] * 4)
    assert math.isnan(area(scores, one_sided, strata).value)


def test_areas_of_items_that_hang_together_are_less_sure() -> None:
    """Each start state twice, the same both times: as sure as once, not twice as sure."""
    rng = np.random.default_rng(3)
    success = np.arange(40) < 20
    scores = rng.normal(0, 1, 40) + success
    once = area(scores, success)
    twice = area(np.tile(scores, 2), np.tile(success, 2), clusters=np.tile(np.arange(40), 2))
    independent = area(np.tile(scores, 2), np.tile(success, 2))
    assert twice.value == pytest.approx(once.value)
    assert twice.standard_error == pytest.approx(once.standard_error, rel=0.03)
    assert independent.standard_error < 0.8 * once.standard_error


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_trainings_are_the_unit_of_a_rate_over_seeds(seeds: int) -> None:
    """Rates that vary by 10 points from training to training: Wilson's of all rollouts is far too narrow."""
    rng = np.random.default_rng(4)
    rates = np.clip(rng.normal(0.5, 0.1, (300, seeds)), 0, 1)
    counts = rng.binomial(100, rates)
    ours, _ = holds((proportion_over_seeds(row.tolist(), [100] * seeds) for row in counts), 0.5)
    wilson, _ = holds((proportion(int(row.sum()), 100 * seeds) for row in counts), 0.5)
    assert is_95_percent(ours, 300)
    assert wilson < 0.7


def test_a_rate_over_seeds_by_hand() -> None:
    # Rates 0.6 and 0.3: 0.45 +- 12.7062 * 0.15, cut to what a share can be.
    assert proportion_over_seeds([6, 3], [10, 10]) == Proportion(9, 20, 0.0, 1.0)
    # 0.61, 0.64, 0.65: Student's quantile with 2 degrees of freedom is 4.302653, the error 0.012019.
    found = proportion_over_seeds([122, 128, 130], [200, 200, 200])
    assert found.low == pytest.approx(0.63333 - 0.051712, abs=1e-4)
    assert found.high == pytest.approx(0.63333 + 0.051712, abs=1e-4)
    # Seeds that agree by chance are not sure of each other, and one policy is Wilson's.
    assert proportion_over_seeds([50, 50], [100, 100]) == proportion(100, 200)
    assert proportion_over_seeds([7], [10]) == proportion(7, 10)
