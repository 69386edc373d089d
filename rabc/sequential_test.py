"""When rollouts may stop: a test that may be looked at after every start state. Pure.

Two arms run the same start states in one order. d_j is the first arm's success minus the second's from start
state j, averaged over the training seeds, so -1 <= d_j <= 1. A gambler who stakes a share of the money on d_j
being positive, or negative, multiplies it by 1 + stake * d_j. The evidence is what such gamblers hold on
average, their stakes spread over (-1, 1):

    E_t = integral of the product over j <= t of (1 + stake * d_j), (1 + stake) / 2 ~ Beta(4, 4)

With one training seed it is the mixture likelihood ratio of the discordant pairs against a fair coin: with x
wins and y losses E = B(4 + x, 4 + y) / B(4, 4) * 2^(x + y) (Robbins 1970). With several it is betting on a
bounded mean (Waudby-Smith & Ramdas 2023, "Estimating means of bounded random variables by betting").

Guarantee: if start states are drawn independently and both arms' trained policies succeed equally often over
them, then E_t is a martingale that starts at 1, and the probability that it EVER reaches 1 / level is at most
level (Ville 1939), however often one looks and whatever makes one stop. It is two-sided. For several arms
against one baseline, `level` / arms each keeps the probability of any false alarm at most level. It says
nothing about other training seeds: those policies are what was tested. p-values and intervals for a fixed
number of rollouts hold no more after stopping; `always_valid_interval` does.

Training seeds share their start states, so counting every seed's pair as a coin of its own would break the
guarantee: what one seed shows of a start state tells how the next seed's coin will fall.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import roots_jacobi

from rabc.stats import Outcomes, outcome_differences

PRIOR = 4
"""Stakes of about a third: quickest for the differences of 10 to 30 points that arms of one policy show."""
NODES = 128
"""The integral is exact for 2 NODES - 1 start states. Beyond, the sum is a finite crowd of gamblers, for whom
the guarantee holds as well."""
LARGEST = 1e300
"""Evidence is not counted beyond it, so that it stays a number that JSON can hold."""


def evidence(first: Outcomes, second: Outcomes) -> NDArray[np.float64]:
    """E-value after each start state, (N,), that `first` and `second`, (S, N), differ; at most LARGEST.

    Start states in the order in which they were run; only those that all seeds of both arms have finished.
    """
    differences = outcome_differences(first, second).mean(axis=0)
    stakes, shares = _gamblers()
    wealth = np.cumsum(np.log1p(np.outer(stakes, differences)), axis=1)
    return shares @ np.exp(np.minimum(wealth, math.log(LARGEST)))


def stops_after(e_values: NDArray[np.float64], level: float = 0.05) -> int | None:
    """Start states after which the arms are told apart at `level`; None where they are not yet."""
    reached = np.flatnonzero(e_values >= 1 / level)
    return int(reached[0]) + 1 if reached.size else None


def always_valid_interval(first: Outcomes, second: Outcomes, level: float = 0.05) -> tuple[float, float]:
    """Interval of the difference of success rates that holds at every look, with probability 1 - `level`.

    All the differences that the gamblers who bet against them do not refute.
    """
    values, counts = np.unique(outcome_differences(first, second).mean(axis=0), return_counts=True)
    stakes, shares = _gamblers()
    # Half of the gamblers bet that the true difference is above m, half that it is below. What the former
    # hold falls with m and what the latter hold rises, so that each gives one end.
    above = stakes > 0
    low = _last_refuted(values, counts, stakes[above], shares[above], level)
    high = -_last_refuted(-values, counts, -stakes[~above], shares[~above], level)
    return low, high


def running_interval(first: Outcomes, second: Outcomes, level: float, every: int) -> tuple[float, float]:
    """What the intervals of all looks so far leave, a look after each `every` start states and the last.

    All of them hold together with probability 1 - `level`, so what one has excluded stays excluded. Of two
    arms that changed in between nothing may be left; then the last look's interval.
    """
    count = first.shape[1]
    looks = [*range(every, count, every), count]
    ends = [always_valid_interval(first[:, :look], second[:, :look], level) for look in looks]
    low, high = max(low for low, _ in ends), min(high for _, high in ends)
    return (low, high) if low <= high else ends[-1]


def _last_refuted(
    values: NDArray[np.float64],
    counts: NDArray[np.int64],
    stakes: NDArray[np.float64],
    shares: NDArray[np.float64],
    level: float,
) -> float:
    """Largest m that gamblers on larger differences refute; -1 where there is none.

    Args:
        values: differences that were seen, (U,).
        counts: how often, (U,).
        stakes: (G,) in (0, 1), of the most that can be staked on d_j > m without debt.
        shares: of the money, (G,).
    """
    refuted, open_ = -1.0, 1.0
    while open_ - refuted > 1e-4:
        mean = (refuted + open_) / 2
        wealth = np.log1p(np.outer(stakes, (values - mean) / (1 + mean))) @ counts
        if shares @ np.exp(np.minimum(wealth, math.log(LARGEST))) >= 1 / level:
            refuted = mean
        else:
            open_ = mean
    return refuted


@cache
def _gamblers() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stakes and their shares of the money, both (NODES,): Gauss-Jacobi quadrature of the prior."""
    stakes, weights = roots_jacobi(NODES, PRIOR - 1, PRIOR - 1)
    return stakes, weights / weights.sum()
