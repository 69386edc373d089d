"""Intervals, paired comparisons and sample sizes against published figures and brute force."""

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import beta, binom, fisher_exact, multinomial, norm, ttest_1samp

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
    paired_probability_better,
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


def test_the_better_of_two_is_never_more_than_certain():
    """The terms of the sum are rounded, a thousand of them to a little more than 1 together."""
    assert probability_better(1000, 1000, 0, 1000) == 1


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
    # What is not said is 80 % power at the 5 % level: power.prop.test gives 57.7, and the correction adds 8.
    assert rollouts_needed(0.50, 0.75) == rollouts_needed(0.50, 0.75, 0.8, 0.05) == 66
    assert paired_rollouts_needed(125, 250, 1000) == paired_rollouts_needed(125, 250, 1000, 0.8, 0.05)


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


def test_the_paired_interval_is_bonett_and_prices_with_student_s_quantile() -> None:
    # 1 and 9 of 50 pairs: Bonett and Price (2012) add one to each and two to all, so 2/52 and 10/52.
    first, second = np.zeros((1, 50), bool), np.zeros((1, 50), bool)
    first[0, :9], second[0, 9] = True, True
    found = paired_difference(first, second)
    error = math.sqrt((12 / 52 - (8 / 52) ** 2) / 52)
    assert (found.value, found.count) == (pytest.approx(8 / 50), 50)
    assert (found.low, found.high) == pytest.approx((8 / 52 - 2.009575 * error, 8 / 52 + 2.009575 * error))
    # Seeds that agree on every start state are one.
    three = paired_difference(np.repeat(first, 3, axis=0), np.repeat(second, 3, axis=0))
    assert (three.low, three.high) == pytest.approx((found.low, found.high))
    assert three.count == 150
    assert found.standard_error == three.standard_error == pytest.approx(error)


def test_the_gain_s_share_is_fiellers_over_start_states() -> None:
    rng = np.random.default_rng(4)
    plain, arm, oracle = (rng.random((3, 80)) < rate for rate in (0.3, 0.5, 0.7))
    found = gain_ratio(arm, plain, oracle)
    assert found.value == pytest.approx((arm.mean() - plain.mean()) / (oracle.mean() - plain.mean()))
    gain, whole = (one.mean(axis=0) - plain.mean(axis=0) for one in (arm, oracle))
    # Fieller: at its ends gain - ratio * whole just differs from 0 by Student's test.
    for end in (found.low, found.high):
        assert ttest_1samp(gain - end * whole, 0).pvalue == pytest.approx(0.05)
    # An arm that ends as the oracle does on every start state: nothing says how else it might end on others.
    same = gain_ratio(oracle, plain, oracle)
    assert same.value == 1
    assert math.isnan(same.low)


def test_a_gain_s_share_holds_the_truth_often_enough_where_it_is_said() -> None:
    rng = np.random.default_rng(5)
    for rates, states in (((0.3, 0.5, 0.7), 20), ((0.2, 0.9, 0.95), 20), ((0.0, 0.5, 0.5), 10)):
        plain, arm, oracle = (rng.random((600, 1, states)) < rate for rate in rates)
        said = [found for one in zip(arm, plain, oracle, strict=True)
                if not math.isnan((found := gain_ratio(*one)).low)]  # fmt: skip
        truth = (rates[1] - rates[0]) / (rates[2] - rates[0])
        assert len(said) > 300
        assert np.mean([_covers(one, truth) for one in said]) > 0.91


def test_no_share_of_a_gain_that_is_not_there():
    plain = np.zeros((1, 70), bool)
    oracle = plain.copy()
    oracle[0, :6] = True
    none = gain_ratio(oracle, plain, oracle)
    assert np.isnan([none.value, none.low, none.high, none.standard_error]).all()
    assert none.count == 70
    oracle[0, 6] = True
    found = gain_ratio(oracle, plain, oracle)
    assert (found.value, found.count) == (1, 70)
    # Rollouts, also where seeds share start states.
    assert gain_ratio(*(np.repeat(one, 3, axis=0) for one in (oracle, plain, oracle))).count == 210


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


@pytest.mark.parametrize("states", [3, 5, 10, 20, 30])
def test_the_paired_interval_holds_with_few_start_states_and_where_outcomes_rarely_differ(
    states: int,
) -> None:
    """By the exact distribution of pairs, not by simulation. A bootstrap's falls to 75 % and below here."""
    tables = [(b, c) for b in range(states + 1) for c in range(states + 1 - b)]
    ends: list[tuple[float, float]] = []
    for only_first, only_second in tables:
        first, second = np.zeros((1, states), bool), np.zeros((1, states), bool)
        first[0, :only_first], second[0, states - only_second :] = True, True
        found = paired_difference(first, second)
        ends.append((found.low, found.high))
    low, high = np.array(ends).T
    counts = np.array([(b, c, states - b - c) for b, c in tables])
    for p, q in itertools.product((0.01, 0.05, 0.2, 0.5, 0.7, 0.95), (0.0, 0.01, 0.05, 0.3)):
        if p + q <= 1:
            chance = multinomial.pmf(counts, states, [p, q, 1 - p - q])
            assert chance[(low <= p - q + 1e-9) & (p - q <= high + 1e-9)].sum() > 0.944, (p, q)


@pytest.mark.parametrize(("rate", "gain", "alike"), [(0.5, 0.2, 0.0), (0.95, 0.04, 0.9), (0.3, 0.3, 0.8)])
def test_the_paired_interval_of_several_seeds_holds_for_these_policies_on_other_start_states(
    rate: float, gain: float, alike: float
) -> None:
    """Start states are hard or easy for all policies with probability `alike`."""
    rng = np.random.default_rng(6)
    for states in (8, 25):
        shared = rng.random((500, 2, 3, states)) < alike
        luck = np.where(shared, rng.random((500, 1, 1, states)), rng.random((500, 2, 3, states)))
        outcomes = luck < np.array([rate + gain, rate])[:, None, None]
        assert np.mean([_covers(paired_difference(*one), gain) for one in outcomes]) > 0.93


def test_the_interval_over_seeds_is_student_s() -> None:
    first, second = (np.array([[mark == "1" for mark in row] for row in rows]) for rows in (
        ("1111100000", "1111111000", "1111110000"), ("1100000000", "1000000000", "1110000000")
    ))  # fmt: skip
    found = difference_over_seeds(first, second)
    # Differences 0.3, 0.6, 0.3; Student's quantile with 2 degrees of freedom is 4.302653.
    assert (found.value, found.standard_error) == (pytest.approx(0.4), pytest.approx(0.1))
    assert (found.low, found.high) == (pytest.approx(0.4 - 0.4302653), pytest.approx(0.4 + 0.4302653))
    assert found.count == 3
    # Three that shall hold together: Student's quantile of 1 - 0.05 / 6 is 7.648804.
    together = difference_over_seeds(first, second, comparisons=3)
    assert (together.low, together.high) == pytest.approx((0.4 - 0.7648804, 1.0))
    single = difference_over_seeds(first[:1], second[:1])
    assert (single.value, single.count) == (pytest.approx(0.3), 1)
    assert np.isnan([single.low, single.high, single.standard_error]).all()
    alike = difference_over_seeds(np.ones((3, 4), bool), np.zeros((3, 4), bool))
    assert (alike.value, alike.standard_error, alike.count) == (1, 0, 3)
    assert np.isnan([alike.low, alike.high]).all()


@pytest.mark.parametrize("seeds", [2, 3])
def test_where_seeds_differ_each_interval_covers_what_it_is_for(seeds: int) -> None:
    """Rates that vary by 10 points from training to training; start states differ, also in what they gain."""
    rng = np.random.default_rng(1)
    covered = {"these": 0, "others": 0, "over seeds": 0}
    experiments = 300
    for _ in range(experiments):
        hardness, gain = rng.uniform(-0.1, 0.1, 200), rng.uniform(0.1, 0.3, 200)
        luck = rng.normal(0, 0.1, (2, seeds, 1))
        first, second = (
            rng.random((seeds, 200)) < 0.4 + hardness + more + own
            for more, own in zip((gain, 0.0), luck, strict=True)
        )
        over_states = paired_difference(first, second)
        covered["these"] += _covers(over_states, 0.2 + float(luck[0].mean() - luck[1].mean()))
        covered["others"] += _covers(over_states, 0.2)
        covered["over seeds"] += _covers(difference_over_seeds(first, second), float(gain.mean()))
    # The interval over start states says nothing of other trainings, and is not said to.
    assert covered["others"] / experiments < 0.7
    assert covered["these"] / experiments == pytest.approx(0.95, abs=0.03)
    assert covered["over seeds"] / experiments == pytest.approx(0.95, abs=0.03)


def test_the_interval_over_seeds_ends_where_rates_do() -> None:
    first, second = np.zeros((2, 10), bool), np.zeros((2, 10), bool)
    first[0, :9], first[1, :2] = True, True
    found = difference_over_seeds(first, second)
    assert (found.low, found.high) == (-1.0, 1.0)


def test_p_better_of_several_seeds_is_as_sure_as_their_interval() -> None:
    rng = np.random.default_rng(7)
    for seeds in (2, 3, 5):
        for _ in range(30):
            first, second = rng.random((2, seeds, 40)) < rng.uniform(0.2, 0.9, (2, seeds, 1))
            better, interval = paired_probability_better(first, second), difference_over_seeds(first, second)
            if math.isnan(interval.low):
                assert math.isnan(better)
                continue
            assert (better > 0.975) == (interval.low > 0)
            assert (better < 0.025) == (interval.high < 0)
            assert better + paired_probability_better(second, first) == pytest.approx(1)
    # Three seeds that gain 30, 60 and 30 points: t = 4 with 2 degrees of freedom.
    first, second = np.zeros((3, 10), bool), np.zeros((3, 10), bool)
    first[0, :3], first[1, :6], first[2, :3] = True, True, True
    assert paired_probability_better(first, second) == pytest.approx(0.5 + 4 / (2 * math.sqrt(2 + 16)))
    # Seeds that agree by chance say nothing of how others vary.
    assert math.isnan(paired_probability_better(first[[0, 2]], second[[0, 2]]))


def test_p_better_is_not_sure_where_trainings_are_equal_and_vary() -> None:
    """Where rollouts were taken for independent, more than half of such experiments were."""
    rng = np.random.default_rng(8)
    sure = {"over seeds": 0, "independent": 0}
    for _ in range(500):
        rates = np.clip(0.5 + rng.normal(0, 0.1, (2, 2, 1)), 0, 1)
        first, second = rng.random((2, 2, 200)) < rates
        independent = probability_better(int(first.sum()), 400, int(second.sum()), 400)
        sure["independent"] += not 0.025 <= independent <= 0.975
        sure["over seeds"] += not 0.025 <= paired_probability_better(first, second) <= 0.975
    assert sure["over seeds"] < 40
    assert sure["independent"] > 200


@pytest.mark.parametrize(("only_first", "only_second"), [(0, 0), (5, 0), (4, 9), (30, 12)])
def test_p_better_of_one_seed_is_the_posterior_of_pairs(only_first: int, only_second: int) -> None:
    """Against draws of a flat prior on how a pair ends."""
    first, second = np.zeros((1, 50), bool), np.zeros((1, 50), bool)
    first[0, :only_first], second[0, 50 - only_second :] = True, True
    counts = [1 + only_first, 1 + only_second, 1 + 50 - only_first - only_second]
    shares = np.random.default_rng(9).dirichlet(counts, 100_000)
    expected = np.mean(shares[:, 0] > shares[:, 1])
    assert paired_probability_better(first, second) == pytest.approx(expected, abs=0.006)


def test_outcomes_that_are_not_paired_are_refused():
    with pytest.raises(ValueError, match=r"\(3, 40\) and \(3, 41\)"):
        paired_difference(np.zeros((3, 40), bool), np.zeros((3, 41), bool))
    for shape in ((40,), (3, 0), (2, 3, 4)):
        with pytest.raises(ValueError, match=r"one shape \(S, N\) is needed"):
            paired_difference(np.zeros(shape, bool), np.zeros(shape, bool))


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


def test_no_p_value_of_sign_flips_is_above_one() -> None:
    """The chances of 110 flips add up to a little more than 1."""
    first = np.arange(110)[None] < 55
    assert sign_flips(first, ~first) == 1


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


def test_where_all_start_states_end_alike_the_interval_says_how_few_they_are() -> None:
    low = -1.0
    for states in (3, 5, 10, 40):
        everything, nothing = np.ones((1, states), bool), np.zeros((1, states), bool)
        found = paired_difference(everything, nothing)
        assert (found.value, found.high) == (1, 1)
        assert low < found.low < 1
        low = found.low
        none = paired_difference(nothing, nothing)
        assert none.low == -none.high < 0
    # Two: 1/4 +- 12.7 standard errors, cut off.
    two = paired_difference(np.ones((1, 2), bool), np.array([[False, True]]))
    assert (two.value, two.low, two.high) == (0.5, -1, 1)
    assert two.standard_error == pytest.approx(math.sqrt((3 / 4 - 1 / 16) / 4))
    single = paired_difference(np.ones((1, 1), bool), np.zeros((1, 1), bool))
    assert (single.value, single.count) == (1, 1)
    assert np.isnan([single.low, single.high, single.standard_error]).all()
