"""Areas with their intervals, against DeLong's and Obuchowski's formulas written out pair by pair."""

import math
import warnings

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import t as student

from rabc.statistics.areas import area
from rabc.statistics.intervals import Estimate

Floats = NDArray[np.float64]


def placements(scores: Floats, success: NDArray[np.bool_]) -> tuple[Floats, Floats]:
    """Share of failures below each success, and of successes above each failure, ties half."""
    good, bad = scores[success], scores[~success]
    won = np.array([[1.0 if g > b else 0.5 if g == b else 0.0 for b in bad] for g in good])
    return won.mean(axis=1), won.mean(axis=0)


def interval(value: float, error: float, freedom: float) -> tuple[float, float]:
    """Student's on the logit scale, and back."""
    reach = student.ppf(0.975, freedom) * error / (value * (1 - value))
    ends = [math.log(value / (1 - value)) + side * reach for side in (-1, 1)]
    return 1 / (1 + math.exp(-ends[0])), 1 / (1 + math.exp(-ends[1]))


def said(found: Estimate) -> tuple[float, ...]:
    return found.value, found.standard_error, found.low, found.high


def drawn(seed: int, successes: int, failures: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Scores on a coarse grid, so that there are ties, in mixed order."""
    rng = np.random.default_rng(seed)
    success = rng.permutation(np.arange(successes + failures) < successes)
    return np.round(rng.normal(0, 1, len(success)) + success, 1), success


@pytest.mark.parametrize(("successes", "failures"), [(2, 2), (4, 9), (12, 5)])
def test_one_stratum_is_delongs(successes: int, failures: int) -> None:
    for seed in range(20):
        scores, success = drawn(seed, successes, failures)
        of_good, of_bad = placements(scores, success)
        parts = np.array([of_good.var(ddof=1) / successes, of_bad.var(ddof=1) / failures])
        found = area(scores, success)
        assert found.value == pytest.approx(of_good.mean())
        assert found.count == len(scores)
        if not 0 < found.value < 1 or parts.sum() == 0:
            assert np.isnan(said(found)[1:]).all()
            continue
        # Brunner and Munzel's degrees of freedom: Satterthwaite's of the two variances.
        freedom = parts.sum() ** 2 / (parts**2 / [successes - 1, failures - 1]).sum()
        error = math.sqrt(parts.sum())
        assert said(found)[1:] == pytest.approx((error, *interval(found.value, error, freedom)))


def test_strata_weigh_as_many_pairs_as_they_have() -> None:
    (few, few_good), (many, many_good) = drawn(1, 3, 4), drawn(2, 8, 5)
    # Items of a stratum with one kind alone have nothing to be compared with, wherever it is in the order.
    alone, alone_good = np.array([0.5, 9.0]), np.ones(2, bool)
    scores = np.concatenate([few + 100, alone, many - 50])
    success = np.concatenate([few_good, alone_good, many_good])
    found = area(scores, success, np.repeat([3, 5, 8], [7, 2, 13]))
    shares, values, parts = np.array([12, 40]) / 52, [], []
    for one, good, share in ((few, few_good, shares[0]), (many, many_good, shares[1])):
        of_good, of_bad = placements(one, good)
        values.append(of_good.mean())
        parts += [share**2 * kind.var(ddof=1) / len(kind) for kind in (of_good, of_bad)]
    variances = np.array(parts)
    freedom = variances.sum() ** 2 / (variances**2 / [2, 3, 7, 4]).sum()
    value, error = float(shares @ values), math.sqrt(variances.sum())
    assert said(found) == pytest.approx((value, error, *interval(value, error, freedom)))
    assert found.count == 20


@pytest.mark.parametrize(
    "clusters",
    [[40, 7, 7, 12, 12, 12, 3, 3, 9, 9, 40, 5, 5, 6, 6, 6, 8, 1], [2, 5, 5] * 6],
    ids=["many", "two"],
)
def test_items_that_hang_together_are_obuchowskis(clusters: list[int]) -> None:
    """Clusters with items of both kinds, and of one."""
    scores, success = drawn(3, 10, 8)
    of_good, of_bad = placements(scores, success)
    value = of_good.mean()
    own = np.empty(18)
    own[success] = (of_good - value) / 10 * math.sqrt(10 / 9)
    own[~success] = (of_bad - value) / 8 * math.sqrt(8 / 7)
    sums = np.array([own[np.array(clusters) == one].sum() for one in np.unique(clusters)])
    parts = np.array([of_good.var(ddof=1) / 10, of_bad.var(ddof=1) / 8])
    freedom = parts.sum() ** 2 / (parts**2 / [9, 7]).sum()
    error = math.sqrt((sums**2).sum())
    found = area(scores, success, clusters=np.array(clusters))
    assert said(found) == pytest.approx((value, error, *interval(value, error, min(freedom, len(sums) - 1))))


@pytest.mark.parametrize("shared", [0.0, 0.5, 0.9])
def test_what_a_start_state_adds_to_success_and_failure_alike_makes_nothing_unsure(shared: float) -> None:
    """The stated error is that of areas over many draws."""
    rng = np.random.default_rng(0)
    success, clusters = np.arange(60) < 30, np.tile(np.arange(30), 2)
    found: list[Estimate] = []
    for _ in range(400):
        states = np.tile(rng.normal(0, math.sqrt(shared), 30), 2)
        scores = states + rng.normal(0, math.sqrt(1 - shared), 60) + success
        found.append(area(scores, success, clusters=clusters))
    spread = np.std([one.value for one in found])
    assert np.nanmean([one.standard_error for one in found]) == pytest.approx(spread, rel=0.1)


def test_where_nothing_says_how_sure_an_area_is_there_is_no_interval() -> None:
    good = np.array([True, True, False, False])
    for scores, success, strata, clusters, value, count in (
        # Nothing to compare.
        (np.arange(4.0), np.ones(4, bool), None, None, math.nan, 0),
        # All of one kind above all of the other, or all alike.
        (np.array([3.0, 4, 1, 2]), good, None, None, 1, 4),
        (np.array([1.0, 2, 3, 4]), good, None, None, 0, 4),
        (np.ones(4), good, None, None, 0.5, 4),
        # A single one of a kind, in a stratum among others.
        (np.array([2.0, 1, 3]), np.array([True, False, False]), None, None, 0.5, 3),
        (np.array([1.0, 3, 2, 4, 2, 1, 3]), np.array([True, True, False, False, True, False, False]),
         np.repeat([0, 1], [4, 3]), None, (0.25 * 4 + 0.5 * 2) / 6, 7),
        # All of one cluster, or such as cancel each other.
        (np.array([1.0, 3, 2, 4]), good, None, np.zeros(4, np.int64), 0.25, 4),
    ):  # fmt: skip
        with warnings.catch_warnings(action="error"):
            found = area(scores, success, strata, clusters)
        assert found.value == pytest.approx(value, nan_ok=True)
        assert found.count == count
        assert np.isnan([found.low, found.high, found.standard_error]).all()


def test_a_single_cluster_says_nothing_though_its_sum_is_0_but_for_rounding() -> None:
    clusters = np.zeros(30, np.int64)
    for seed in range(30):
        found = area(*drawn(seed, 12, 18), clusters=clusters)
        assert np.isnan([found.low, found.high, found.standard_error]).all()
