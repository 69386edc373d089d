"""Arms against each other, as `comparison.json` holds it (see `rabc.comparison.results`). Pure."""

import math
from collections.abc import Collection
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.arms import BASELINE, CONTROLS, ORACLE, SHUFFLED, SUCCESS_ONLY, WEIGHTED
from rabc.statistics import intervals, significance
from rabc.statistics.sequential import running_interval


def pairs_of(
    outcomes: dict[str, NDArray[np.bool_]], level: float | None = None, same: Collection[str] = ()
) -> list[dict[str, Any]]:
    """`pairs`; outcomes: arm -> (S, N), S training seeds on N start states; level: of a sequential test.

    same: arms whose policies are the baseline's. They differ by 0, whatever chance does, and ask nothing that
    the others would have to be corrected for.
    """
    others = [name for name in outcomes if name != BASELINE and name not in same]
    pairs = _adjusted(
        [_pair(outcomes, name, BASELINE, 1 if name == WEIGHTED else len(others)) for name in others]
    )
    if level is not None:
        pairs = [_looked_at(pair, outcomes, level / len(others)) for pair in pairs]
    found = {pair["arm"]: pair for pair in pairs}
    found |= {name: _no_difference(_pair(outcomes, name, BASELINE), level) for name in same}
    return [found[name] for name in outcomes if name in found]


def contrasts_of(outcomes: dict[str, NDArray[np.bool_]]) -> list[dict[str, Any]]:
    """`contrasts`; outcomes: arm -> (S, N)."""
    real = [name for name in outcomes if name not in CONTROLS]
    asked = [(name, SUCCESS_ONLY) for name in real] + [(name, SHUFFLED) for name in real if name == WEIGHTED]
    return _adjusted([_pair(outcomes, name, other) for name, other in asked if other in outcomes])


def _pair(
    outcomes: dict[str, NDArray[np.bool_]], name: str, baseline: str, comparisons: int = 1
) -> dict[str, Any]:
    own, other = outcomes[name], outcomes[baseline]
    better = significance.paired_probability_better(own, other)
    only_arm, only_baseline = int((own & ~other).sum()), int((other & ~own).sum())
    return {
        "arm": name,
        "baseline": baseline,
        "same": False,
        "paired": own.size,
        "both": int((own & other).sum()),
        "only_arm": only_arm,
        "only_baseline": only_baseline,
        "neither": int((~own & ~other).sum()),
        "difference": estimate_of(intervals.paired_difference(own, other)),
        "over_seeds": intervals.difference_over_seeds(own, other).limits,
        "over_seeds_together": intervals.difference_over_seeds(own, other, comparisons).limits,
        "p": significance.mcnemar(only_arm, only_baseline),
        "p_states": significance.sign_flips(own, other),
        "posterior": None if math.isnan(better) else better,
        "always_valid": None,
        "needed": significance.paired_rollouts_needed(only_arm, only_baseline, own.size),
    }


def _no_difference(pair: dict[str, Any], level: float | None) -> dict[str, Any]:
    """`pair` of an arm with itself under another name."""
    limits = {"low": 0.0, "high": 0.0}
    p = dict.fromkeys(("p", "p_states", "p_adjusted"), 1.0 if level is None else None)
    return {
        **pair,
        **p,
        "same": True,
        "difference": {**pair["difference"], "value": 0.0, **limits},
        "over_seeds": limits,
        "over_seeds_together": limits,
        "posterior": None,
        "always_valid": None if level is None else limits,
    }


def _looked_at(pair: dict[str, Any], outcomes: dict[str, NDArray[np.bool_]], level: float) -> dict[str, Any]:
    """`pair` where looking decides when to stop, without what needs a number of rollouts fixed beforehand."""
    low, high = running_interval(outcomes[pair["arm"]], outcomes[pair["baseline"]], level)
    nothing = {"low": None, "high": None}
    return {
        **pair,
        **dict.fromkeys(("p", "p_states", "p_adjusted")),
        "difference": {**pair["difference"], **nothing},
        "over_seeds": nothing,
        "over_seeds_together": nothing,
        "always_valid": {"low": low, "high": high},
    }


def _adjusted(pairs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    adjusted = significance.holm([pair["p_states"] for pair in pairs])
    return [{**pair, "p_adjusted": p} for pair, p in zip(pairs, adjusted, strict=True)]


def shares_of_oracle(outcomes: dict[str, NDArray[np.bool_]]) -> dict[str, Any]:
    """`gains`; outcomes: arm -> (S, N)."""
    if ORACLE not in outcomes:
        return {}
    plain, oracle = outcomes[BASELINE], outcomes[ORACLE]
    others = [name for name in outcomes if name not in (BASELINE, ORACLE)]
    return {name: estimate_of(intervals.gain_ratio(outcomes[name], plain, oracle)) for name in others}


def estimate_of(estimate: intervals.Estimate) -> dict[str, Any] | None:
    """The figure with its interval as JSON values; None where it is not defined."""
    if not np.isfinite(estimate.value):
        return None
    return {"value": float(estimate.value), **estimate.limits, "count": estimate.count}
