"""Tests of paired outcomes, and how many trials they need. Pure functions, SciPy underneath."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.special import betaln
from scipy.stats import beta, binomtest, norm
from scipy.stats import t as student

from rabc.statistics.intervals import Outcomes, difference_over_seeds, outcome_differences


def mcnemar(only_first: int, only_second: int) -> float:
    """Exact two-sided p-value of McNemar's test (McNemar 1947) for success on the same trials.

    Given how many trials only one of the two solves, each is a fair coin if both are equally good. Counted
    over several training seeds it judges those trained policies, not what another training seed would give.

    Args:
        only_first: trials that the first solves and the second does not.
        only_second: the other way round. Where both are 0 nothing tells them apart: 1.
    """
    discordant = only_first + only_second
    return float(binomtest(only_first, discordant).pvalue) if discordant else 1.0


def sign_flips(first: Outcomes, second: Outcomes) -> float:
    """Two-sided p-value: `first` and `second`, (S, N), succeed equally often; start states as units.

    d_j is the difference of their successes on start state j, over all S training seeds. If the arms do not
    differ, each d_j might as well have the other sign, whatever the seeds share on a start state (Fisher's
    randomization test of pairs, 1935). The p-value is the share of all sign patterns whose sum is at least as
    far from 0. With one training seed it is McNemar's, and exact. With more it is exact where the arms could
    change places on every start state, and for equal rates alone where start states are many.
    """
    differences = outcome_differences(first, second).sum(axis=0).round().astype(np.int64)
    sizes, reach = np.abs(differences), int(np.abs(differences).sum())
    # chance[k]: of the sum k - (sum of the sizes so far), state after state.
    chance = np.ones(1)
    for size in sizes:
        wider = np.zeros(len(chance) + 2 * size)
        wider[: len(chance)] = chance / 2
        wider[2 * size :] += chance / 2
        chance = wider
    sums = np.arange(-reach, reach + 1)
    return min(1.0, float(chance[np.abs(sums) >= abs(int(differences.sum()))].sum()))


def probability_better(successes: int, trials: int, other_successes: int, other_trials: int) -> float:
    """P(first rate > other rate | outcomes), both rates uniform on [0, 1] before and independent.

    For rollouts of two policies that share nothing, such as those recorded on an arm; where they share start
    states or are of several trainings, `paired_probability_better`.

    After the outcomes they are Beta(1 + successes, 1 + failures). With p ~ Beta(a, b), q ~ Beta(c, d) and
    whole a, P(p > q) = sum over i < a of B(c + i, b + d) / ((b + i) B(1 + i, b) B(c, d)): the binomial sum
    that is P(p > q | q), averaged over q (Cook 2005, "Exact calculation of beta inequalities").
    """
    a, b = 1 + successes, 1 + trials - successes
    c, d = 1 + other_successes, 1 + other_trials - other_successes
    i = np.arange(a)
    logs = betaln(c + i, b + d) - np.log(b + i) - betaln(1 + i, b) - betaln(c, d)
    return min(1.0, float(np.exp(logs).sum()))


def paired_probability_better(first: Outcomes, second: Outcomes) -> float:
    """P(first succeeds more often than second | outcomes), of the unit that the outcomes are a sample of.

    With several training seeds that of trainings yet to come on these start states: the posterior of the
    mean difference of their rates under flat priors is Student's t, so it passes 0.975 exactly where the
    interval of `difference_over_seeds` leaves out 0. NaN where all seeds differ by the same. With one seed
    that of these two trained policies on other start states: of the start states that only one solves, the
    share that is the first's is Beta(1 + only first, 1 + only second), what is left of a flat prior on how a
    pair may end. Rollouts taken for independent would be too sure: seeds vary, and start states are shared.
    """
    differences = outcome_differences(first, second)
    seeds = len(differences)
    if seeds == 1:
        return float(beta.sf(0.5, 1 + np.sum(differences > 0), 1 + np.sum(differences < 0)))
    found = difference_over_seeds(first, second)
    if math.isnan(found.low):
        return math.nan
    return float(student.cdf(found.value / found.standard_error, seeds - 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for how many there are, in the given order (Holm 1979).

    Rejecting those <= level keeps the probability of any false rejection <= level, however they depend on
    each other.
    """
    count = len(p_values)
    adjusted = [0.0] * count
    largest = 0.0
    for rank, index in enumerate(sorted(range(count), key=lambda index: p_values[index])):
        largest = max(largest, min(1.0, (count - rank) * p_values[index]))
        adjusted[index] = largest
    return adjusted


def rollouts_needed(rate: float, other: float, power: float = 0.8, level: float = 0.05) -> int | None:
    """Rollouts per arm with which Fisher's exact test finds the difference of two success rates.

    Fleiss, Levin & Paik 2003, "Statistical Methods for Rates and Proportions", eq. 4.14 and its continuity
    correction, eq. 4.15, which makes it that of the exact test. None where the rates are equal: no number
    suffices. For arms on the same start states `paired_rollouts_needed` is the one that fits.
    """
    if rate == other:
        return None
    centre = (rate + other) / 2
    same = math.sqrt(2 * centre * (1 - centre))
    apart = math.sqrt(rate * (1 - rate) + other * (1 - other))
    count = _needed(same, apart, rate - other, power, level)
    return math.ceil(count / 4 * (1 + math.sqrt(1 + 4 / (count * abs(rate - other)))) ** 2)


def paired_rollouts_needed(
    only_first: int, only_second: int, trials: int, power: float = 0.8, level: float = 0.05
) -> int | None:
    """Start states with which McNemar's test finds the seen difference (Connor 1987, eq. 3).

    Takes the seen shares of trials that only one arm solves for the true ones. The exact test needs a few
    more. None where the shares are equal.
    """
    if only_first == only_second:
        return None
    discordant = (only_first + only_second) / trials
    difference = (only_first - only_second) / trials
    # Where every trial is discordant in one direction the root is of 0, up to rounding.
    apart = math.sqrt(max(0.0, discordant - difference**2))
    return math.ceil(_needed(math.sqrt(discordant), apart, difference, power, level))


def _needed(same: float, apart: float, difference: float, power: float, level: float) -> float:
    """Trials for a difference, from one trial's standard deviation if there is none and if there is."""
    reach = float(norm.isf(level / 2)) * same + float(norm.isf(1 - power)) * apart
    return (reach / difference) ** 2
