"""Normalisation of what never moves: statistics without width, as a network should see them. Pure.

LeRobot divides by the standard deviation plus 1e-8, or by 1e-8 where smallest and largest are equal. A joint
that stood still in every demonstration is 0 to the network in training, and a million on a robot whose joint
reads 0.01 degrees more. Here such a number is measured in the unit of the widest of its feature, so that what
a robot reads stays as small as everything else.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Statistics = Mapping[str, Any]
"""Of a feature: name of the statistic -> one number for each of the feature's."""
_RANGES = (("min", "max"), ("q01", "q99"), ("q10", "q90"))
# Of the widest number of the feature: a servo of 4096 steps that moves once by one step in a hundred thousand
# frames has more than that; and metres beside the ticks of a servo are no rounding.
_STILL = 1e-5
# Of the value itself: the rounding of float32, which is the width of a constant.
_ROUNDING = 1e-6


def still(statistics: Statistics) -> NDArray[np.bool_]:
    """Which numbers of a feature never move, in the shape of its statistics; none where it has no width.

    Known from `std`, else from the smallest and the largest value.
    """
    if "std" in statistics:
        width = np.asarray(statistics["std"], np.float64)
        size = np.abs(np.asarray(statistics.get("mean", np.zeros(width.shape)), np.float64))
    elif "min" in statistics and "max" in statistics:
        low, high = (np.asarray(statistics[name], np.float64) for name in ("min", "max"))
        width, size = high - low, np.maximum(np.abs(low), np.abs(high))
    else:
        return np.zeros((), bool)
    return width <= np.maximum(_STILL * width.max(initial=0.0), _ROUNDING * size)


def with_rare_moves(statistics: Statistics) -> dict[str, Any]:
    """The statistics with quantiles that have a width wherever the feature moves.

    A gripper that opens in fewer than a hundredth of the frames has equal quantiles, by which LeRobot would
    make a hundred million of every opening, and never open it: its range stands in for them.
    """
    changed = dict(statistics)
    if not {"min", "max"} <= set(statistics):
        return changed
    smallest, largest = (np.asarray(statistics[name]) for name in ("min", "max"))
    for lower, upper in _RANGES[1:]:
        if {lower, upper} <= set(statistics):
            low, high = (np.asarray(statistics[name]) for name in (lower, upper))
            rare = (high - low <= _STILL * (largest - smallest)) & (largest > smallest)
            changed |= {lower: np.where(rare, smallest, low), upper: np.where(rare, largest, high)}
    return changed


def measurable(statistics: Statistics) -> dict[str, Any]:
    """The statistics for what a network sees: what never moves is as wide as the widest of its feature.

    1 where nothing of the feature moves. Its middle stays, so that in training it is 0, as in LeRobot, or
    the middle of the range. Not for what a network answers: there a width of 0 keeps the joint where it was.
    """
    motionless, changed = still(statistics), dict(statistics)
    if not motionless.any():
        return changed
    if "std" in statistics:
        width = np.asarray(statistics["std"])
        changed["std"] = np.where(motionless, _widest(width, motionless), width).astype(width.dtype)
    for lower, upper in _RANGES:
        if {lower, upper} <= set(statistics):
            low, high = (np.asarray(statistics[name]) for name in (lower, upper))
            half = _widest(high - low, motionless) / 2
            middle = (low.astype(np.float64) + high) / 2
            changed[lower] = np.where(motionless, middle - half, low).astype(low.dtype)
            changed[upper] = np.where(motionless, middle + half, high).astype(high.dtype)
    return changed


def _widest(width: NDArray[Any], motionless: NDArray[np.bool_]) -> float:
    return float(width[~motionless].max()) if not motionless.all() else 1.0
