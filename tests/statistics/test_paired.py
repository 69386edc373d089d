"""Intervals, paired comparisons and sample sizes against published figures and brute force."""

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom, fisher_exact, norm

from rabc.statistics.intervals import (
    Estimate,
    difference_over_seeds,
    gain_ratio,
    paired_difference,
    proportion,
)
from rabc.statistics.significance import (
    holm,
    mcnemar,
    paired_rollouts_needed,
    probability_better,
    rollouts_needed,
    sign_flips,
)


def test_wilson_interval_equals_the_published_one():
    # Newcombe 1998, table I, method 3.
    for successes, trials, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
    ):
        found = proportion(successes, trials)
        assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))
        assert found.value == successes / trials


def test_it_reads_as_a_sentence():
    assert str(proportion(15, 30)) == "15/30 = 50 % (95 % interval 33-67 %)"


def test_seven_against_ten_of_ten_is_no_difference():
    assert mcnemar(0, 3) == pytest.approx(0.25)
    assert probability_better(10, 10, 7, 10) < 0.975


@pytest.mark.parametrize(("first", "second"), [(0, 0), (0, 6), (1, 4), (3, 3), (9, 2), (7, 6)])
def test_mcnemar_is_the_share_of_coin_flips_that_are_as_uneven(first: int, second: int):
    flips = list(itertools.product((0, 1), repeat=first + second))
    uneven = sum(abs(2 * sum(flip) - len(flip)) >= abs(first - second) for flip in flips)
    assert mcnemar(first, second) == pytest.approx(uneven / len(flips))


@pytest.mark.parametrize("counts", [(10, 10, 7, 10), (0, 3, 3, 3), (49, 100, 33, 100), (300, 600, 280, 600)])
def test_probability_better_equals_the_integral(counts: tuple[int, int, int, int]):
    successes, trials, other, others = counts
    rate = beta(1 + successes, 1 + trials - successes)
    centre = (1 + other) / (2 + others)
    integral, _ = quad(
        lambda p: rate.sf(p) * beta.pdf(p, 1 + other, 1 + others - other), 0, 1, points=[centre], epsabs=1e-10
    )
    assert probability_better(*counts) == pytest.approx(integral, rel=1e-6)


@given(st.integers(0, 50), st.integers(0, 50), st.integers(0, 50), st.integers(0, 50))
def test_one_of_two_is_better(successes: int, failures: int, other: int, others: int):
    first, second = (successes, successes + failures), (other, other + others)
    better = probability_better(*first, *second)
    assert 0 <= better <= 1
    assert better + probability_better(*second, *first) == pytest.approx(1)
    assert probability_better(*first, *first) == pytest.approx(0.5)


def test_holm_multiplies_by_how_many_are_left():
    # By hand: 0.005, 0.01, 0.03, 0.04 times 4, 3, 2, 1, then the largest so far.
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.9, 0.6]) == [1.0, 1.0]
    assert holm([]) == []


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6), st.floats(0.001, 0.2))
def test_holm_rejects_what_its_step_down_rule_rejects(p_values: list[float], level: float):
    order = sorted(range(len(p_values)), key=lambda index: p_values[index])
    rejected: set[int] = set()
    for rank, index in enumerate(order):
        if (len(p_values) - rank) * p_values[index] > level:
            break
        rejected.add(index)
    assert {index for index, p in enumerate(holm(p_values)) if p <= level} == rejected


def test_rollouts_needed_equals_published_examples():
    # R's documentation of power.prop.test: p1 = 0.50, p2 = 0.75, power = 0.90 gives n = 76.7; the correction
    # adds 2 / 0.25 = 8, nearly.
    assert rollouts_needed(0.50, 0.75, power=0.9) == 85
    assert rollouts_needed(0.75, 0.50, power=0.9) == 85
    assert rollouts_needed(0.4, 0.4) is None
    # R's MESS::power_mcnemar_test: shares 0.125 and 0.25, power 0.90 gives n of about 248 (Duffy 1984).
    assert paired_rollouts_needed(125, 250, 1000, power=0.9) == 248
    assert paired_rollouts_needed(7, 7, 30) is None
    assert paired_rollouts_needed(30, 0, 30) == 4


@pytest.mark.parametrize(("rate", "other"), [(0.5, 0.8), (0.6, 0.9), (0.2, 0.8), (0.4, 0.8), (0.25, 0.35)])
def test_that_many_rollouts_of_each_find_the_difference_four_times_in_five(rate: float, other: float):
    needed = rollouts_needed(rate, other)
    assert needed is not None
    chances = [binom.pmf(np.arange(needed + 1), needed, share) for share in (rate, other)]
    found = 0.0
    for successes, others in np.argwhere(np.outer(*chances) > 1e-9):
        table = [[successes, needed - successes], [others, needed - others]]
        found += chances[0][successes] * chances[1][others] * (fisher_exact(table).pvalue <= 0.05)
    assert 0.78 < found < 0.88  # with few rollouts one more adds much


@pytest.mark.parametrize(("only_first", "only_second"), [(30, 15), (22, 10), (12, 4)])
def test_that_many_start_states_find_the_difference_four_times_in_five(only_first: int, only_second: int):
    needed = paired_rollouts_needed(only_first, only_second, 100)
    assert needed is not None
    shares = [only_first / 100, only_second / 100, 1 - (only_first + only_second) / 100]
    draws = np.random.default_rng(0).multinomial(needed, shares, size=20_000)
    wins, losses = draws[:, 0], draws[:, 1]
    z = (wins - losses) / np.sqrt(np.maximum(wins + losses, 1))
    assert np.mean(np.abs(z) > norm.isf(0.025)) == pytest.approx(0.8, abs=0.025)


def _outcomes(rates: np.ndarray, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).random(rates.shape) < rates


def _brute_force(figure: Callable[[np.ndarray, np.ndarray], float], shape: tuple[int, int]) -> np.ndarray:
    generator = np.random.default_rng(1)
    return np.array(
        [
            figure(generator.integers(shape[0], size=shape[0]), generator.integers(shape[1], size=shape[1]))
            for _ in range(4000)
        ]
    )


@pytest.mark.parametrize("shape", [(1, 60), (3, 40)])
def test_the_paired_bootstrap_draws_seeds_and_start_states(shape: tuple[int, int]):
    first, second = _outcomes(np.full(shape, 0.6), 0), _outcomes(np.full(shape, 0.4), 1)
    found = paired_difference(first, second)
    slow = _brute_force(
        lambda rows, columns: first[rows][:, columns].mean() - second[rows][:, columns].mean(), shape
    )
    assert found.value == pytest.approx(first.mean() - second.mean())
    assert found.count == first.size
    assert found.standard_error == pytest.approx(slow.std(), rel=0.05)
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=0.02)


def test_the_gain_ratio_draws_one_ratio_per_resample():
    shape = (3, 80)
    plain, arm, oracle = (_outcomes(np.full(shape, rate), seed) for seed, rate in enumerate((0.3, 0.5, 0.7)))
    slow = _brute_force(
        lambda rows, columns: (
            (arm[rows][:, columns].mean() - plain[rows][:, columns].mean())
            / (oracle[rows][:, columns].mean() - plain[rows][:, columns].mean())
        ),
        shape,
    )
    found = gain_ratio(arm, plain, oracle)
    assert found.value == pytest.approx((arm.mean() - plain.mean()) / (oracle.mean() - plain.mean()))
    assert (found.low, found.high) == pytest.approx(tuple(np.percentile(slow, [2.5, 97.5])), abs=0.03)
    whole = gain_ratio(oracle, plain, oracle)
    assert (whole.value, whole.low, whole.high) == (1, 1, 1)


def test_no_share_of_a_gain_that_is_not_there():
    plain = np.zeros((1, 70), bool)
    oracle = plain.copy()
    oracle[0, :6] = True
    assert math.isnan(gain_ratio(oracle, plain, oracle).value)
    oracle[0, 6] = True
    assert gain_ratio(oracle, plain, oracle).value == 1


def test_a_share_of_an_uncertain_gain_has_no_ends():
    plain, oracle = np.zeros((1, 40), bool), np.zeros((1, 40), bool)
    plain[0, :14] = True
    oracle[0, 14:32] = True
    found = gain_ratio(oracle, plain, oracle)
    assert found.value == 1
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def _covers(found: Estimate, truth: float) -> bool:
    return found.low <= truth <= found.high


def test_the_paired_interval_covers_the_difference_that_other_start_states_would_show():
    # Start states differ in difficulty and in how much the first arm gains on them.
    covered = 0
    for seed in range(100):
        generator = np.random.default_rng(seed)
        rate = generator.uniform(0.1, 0.6, size=(1, 50))
        gain = generator.uniform(-0.1, 0.3, size=(1, 50))
        second = generator.random((1, 50)) < rate
        first = generator.random((1, 50)) < rate + gain
        covered += _covers(paired_difference(first, second), 0.1)
    assert covered / 100 == pytest.approx(0.95, abs=0.045)


def test_the_interval_over_seeds_is_student_s() -> None:
    first, second = (np.array([[mark == "1" for mark in row] for row in rows]) for rows in (
        ("1111100000", "1111111000", "1111110000"), ("1100000000", "1000000000", "1110000000")
    ))  # fmt: skip
    found = difference_over_seeds(first, second)
    # Differences 0.3, 0.6, 0.3; Student's quantile with 2 degrees of freedom is 4.302653.
    assert (found.value, found.standard_error) == (pytest.approx(0.4), pytest.approx(0.1))
    assert (found.low, found.high) == (pytest.approx(0.4 - 0.4302653), pytest.approx(0.4 + 0.4302653))
    assert math.isnan(difference_over_seeds(first[:1], second[:1]).low)
    assert math.isnan(difference_over_seeds(np.ones((3, 4), bool), np.zeros((3, 4), bool)).low)


@pytest.mark.parametrize(("seeds", "resampled"), [(2, 0.80), (3, 0.86)])
def test_where_seeds_differ_the_interval_over_seeds_still_covers(seeds: int, resampled: float) -> None:
    """Rates that vary by 10 points from training to training; start states differ, also in what they gain."""
    rng = np.random.default_rng(1)
    covered = {"resampled": 0, "over seeds": 0}
    experiments = 300
    for _ in range(experiments):
        hardness, gain = rng.uniform(-0.1, 0.1, 200), rng.uniform(0.1, 0.3, 200)
        first, second = (
            rng.random((seeds, 200)) < 0.4 + hardness + more + rng.normal(0, 0.1, (seeds, 1))
            for more in (gain, 0.0)
        )
        # Of other trainings on other start states, and on these.
        covered["resampled"] += _covers(paired_difference(first, second), 0.2)
        covered["over seeds"] += _covers(difference_over_seeds(first, second), float(gain.mean()))
    assert covered["resampled"] / experiments == pytest.approx(resampled, abs=0.05)
    assert covered["over seeds"] / experiments == pytest.approx(0.95, abs=0.03)


def test_outcomes_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 40\) and \(3, 41\)"):
        paired_difference(np.zeros((3, 40), bool), np.zeros((3, 41), bool))


def test_sign_flips_are_counted() -> None:
    """Against all sign patterns, one by one."""
    rng = np.random.default_rng(0)
    for seeds in (1, 2, 3):
        for _ in range(20):
            first, second = rng.random((2, seeds, 8)) < rng.uniform(0.2, 0.8, (2, 1, 1))
            differences = first.sum(axis=0).astype(int) - second.sum(axis=0).astype(int)
            sums = [int(np.dot(signs, differences)) for signs in itertools.product((-1, 1), repeat=8)]
            expected = np.mean([abs(one) >= abs(differences.sum()) for one in sums])
            assert sign_flips(first, second) == pytest.approx(expected)


def test_with_one_training_seed_sign_flips_are_mcnemar() -> None:
    rng = np.random.default_rng(1)
    for _ in range(20):
        first, second = rng.random((2, 1, 200)) < rng.uniform(0.2, 0.8, (2, 1, 1))
        exact = mcnemar(int((first & ~second).sum()), int((second & ~first).sum()))
        assert sign_flips(first, second) == pytest.approx(exact, rel=1e-9)


def test_sign_flips_alarm_as_often_as_they_say_where_seeds_share_start_states() -> None:
    """Equal arms whose three policies agree on many start states; McNemar's p-value of all pairs does not."""
    rng = np.random.default_rng(2)
    alarms = {"sign flips": 0, "mcnemar": 0}
    for _ in range(1000):
        easy = rng.random((2, 1, 60)) < 0.5
        own = rng.random((2, 3, 60)) < 0.1
        first, second = easy ^ own
        alarms["sign flips"] += sign_flips(first, second) <= 0.05
        only = int((first & ~second).sum()), int((second & ~first).sum())
        alarms["mcnemar"] += mcnemar(*only) <= 0.05
    assert alarms["sign flips"] <= 70
    assert alarms["mcnemar"] > 150


def test_where_all_start_states_end_alike_there_is_no_interval() -> None:
    everything, nothing = np.ones((1, 3), bool), np.zeros((1, 3), bool)
    found = paired_difference(everything, nothing)
    assert found.value == 1
    assert np.isnan([found.low, found.high]).all()
