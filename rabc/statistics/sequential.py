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

from rabc.statistics.intervals import Outcomes, outcome_differences

PRIOR = 4
"""Stakes of about a third: quickest for the differences of 10 to 30 points that arms of one policy show."""
NODES = 128
"""The integral is exact for 2 NODES - 1 start states. Beyond, the sum is a finite crowd of gamblers, for whom
the guarantee holds as well."""
PRECISION = 1e-9
"""Of the ends of an interval."""
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


def running_interval(first: Outcomes, second: Outcomes, level: float = 0.05) -> tuple[float, float]:
    """What the intervals after every start state so far leave.

    All of them hold together with probability 1 - `level`, so what one has excluded stays excluded. Of two
    arms that changed in between nothing may be left; then the last look's interval.
    """
    differences = outcome_differences(first, second).mean(axis=0)
    ends = [always_valid_interval(differences[:look], level) for look in range(1, len(differences) + 1)]
    low, high = max(low for low, _ in ends), min(high for _, high in ends)
    return (low, high) if low <= high else ends[-1]


def always_valid_interval(differences: NDArray[np.float64], level: float) -> tuple[float, float]:
    """Interval of the difference of success rates that holds at every look, with probability 1 - `level`.

    differences: (N,) d_j of the start states so far. All m between -1 and 1 that the gamblers do not refute
    when they bet against m in place of 0: less than 1 / `level` is held against them. So it leaves out 0
    exactly where `evidence` has reached 1 / `level`.
    """
    values, counts = np.unique(differences, return_counts=True)
    # Against the mean of what was seen nobody has won, and away from it, to either side, wealth is convex in
    # m: one crossing on each side.
    mean = float(differences.mean())
    low, high = (_last_kept(values, counts, mean, edge, level) for edge in (-1.0, 1.0))
    return low, high


def _last_kept(
    values: NDArray[np.float64], counts: NDArray[np.int64], kept: float, edge: float, level: float
) -> float:
    """Between `kept`, which is not refuted, and `edge` the m beyond which all is; `edge` where nothing is."""
    refuted = edge
    while abs(refuted - kept) > PRECISION:
        middle = (refuted + kept) / 2
        if _wealth_against(middle, values, counts) >= 1 / level:
            refuted = middle
        else:
            kept = middle
    return refuted


def _wealth_against(m: float, values: NDArray[np.float64], counts: NDArray[np.int64]) -> float:
    """What the gamblers hold on average who bet on differences above m, or below it.

    Args:
        m: in (-1, 1). At 0 it is `evidence`.
        values: differences that were seen, (U,).
        counts: how often, (U,).
    """
    stakes, shares = _gamblers()
    # Of the most that can be staked on d > m, or d < m, without debt.
    most = np.where(stakes > 0, 1 + m, 1 - m)
    wealth = np.log1p(np.outer(stakes / most, values - m)) @ counts
    return float(shares @ np.exp(np.minimum(wealth, math.log(LARGEST))))


@cache
def _gamblers() -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Stakes and their shares of the money, both (NODES,): Gauss-Jacobi quadrature of the prior."""
    stakes, weights = roots_jacobi(NODES, PRIOR - 1, PRIOR - 1)
    return stakes, weights / weights.sum()
