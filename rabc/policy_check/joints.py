"""Joints by name and unit: what their numbers look like, and whether two lists of them are the same."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linear_sum_assignment

from rabc.datasets.preflight.names import flat_names

SO101 = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
"""Joints of LeRobot's SO-100/101 followers, in the order of their motors."""
_TURN = 2 * math.pi
# A calibrated gripper may go a little past its ends.
_GRIPPER_SLACK = 5.0
# Readings in -100...100 stop exactly at the ends.
_AT_THE_END = 99.9
# What is within fits degrees and -100...100 alike.
_EITHER = 101.0
# A gripper that hardly moves is a closed one, whatever its unit.
_STILL = 0.5


@dataclass(frozen=True)
class Ranges:
    """Smallest and largest value of each joint, in whatever unit they are."""

    names: list[str]
    low: NDArray[np.float64]
    high: NDArray[np.float64]


def joint_names(names: Any) -> list[str]:
    """Names of a LeRobot vector feature as a list, without `.pos` and `main_`; recorders nest them."""
    return [name.removesuffix(".pos").removeprefix("main_") for name in flat_names(names)]


def is_so_arm(names: Sequence[str]) -> bool:
    """Whether some of these are the joints of an SO arm, or of two; units of other robots are not known."""
    return any(name.endswith(joint) for name in names for joint in SO101[:-1])


def order_problem(mine: Sequence[str], theirs: Sequence[str], whose: str) -> str | None:
    """What is wrong with taking one list of joints for the other, place by place; None: nothing."""
    if list(mine) == list(theirs):
        return None
    if sorted(mine) == sorted(theirs):
        first = next(place for place, name in enumerate(mine) if theirs[place] != name)
        return (
            f"joints are not in {whose}'s order: place {first + 1} is {mine[first]}, not {theirs[first]}, "
            "and LeRobot goes by place; record in the order of the motors"
        )
    return f"joints {', '.join(mine)}: {whose} has {', '.join(theirs)}; use the robot they were recorded with"


def unit_problems(ranges: Ranges, degrees: bool | None) -> list[str]:
    """What of joint values cannot be LeRobot's unit for an SO arm.

    Its five arm joints are in degrees or in -100...100, its gripper in 0...100.

    Args:
        ranges: of states or actions; joints named `gripper` are grippers, the others arm joints.
        degrees: whether the robot speaks degrees; None: not known.
    """
    problems: list[str] = []
    gripper = np.array(["gripper" in name for name in ranges.names])
    reach = np.maximum(np.abs(ranges.low), np.abs(ranges.high))
    arm = reach[~gripper]
    if len(arm) and arm.max() <= _TURN:
        problems.append(
            f"no arm joint goes beyond {arm.max():.2f}: radians; LeRobot's arms speak degrees: convert and "
            "train again"
        )
    elif len(arm) and degrees is False and arm.max() > _EITHER:
        name = [name for name, is_gripper in zip(ranges.names, gripper, strict=True) if not is_gripper]
        problems.append(
            f"{name[int(arm.argmax())]} goes to {arm.max():.1f}: degrees; the robot is set to -100...100: "
            "give --robot.use_degrees=true"
        )
    elif degrees and np.sum((arm >= _AT_THE_END) & (arm <= 100.0)) >= 2 and arm.max() <= 100.0:
        problems.append(
            "several joints stop at exactly 100 and none goes beyond: -100...100; the robot is set to "
            "degrees: give --robot.use_degrees=false"
        )
    for place in np.flatnonzero(gripper):
        low, high, name = ranges.low[place], ranges.high[place], ranges.names[place]
        if low < -_GRIPPER_SLACK or high > 100 + _GRIPPER_SLACK:
            problems.append(f"{name} goes from {low:.1f} to {high:.1f}: not in 0...100; calibrate it again")
        elif high <= _TURN / 2 and high - low > _STILL and (high <= 1 or not len(arm) or arm.max() <= _TURN):
            problems.append(f"{name} never goes beyond {high:.2f}: not in 0...100; radians or a share?")
    return problems


def arm_reach(ranges: Ranges) -> float:
    """The largest value of an arm joint, either way."""
    return max(
        (
            max(abs(low), abs(high))
            for name, low, high in zip(ranges.names, ranges.low, ranges.high, strict=True)
            if "gripper" not in name
        ),
        default=0.0,
    )


def fits_either_unit(ranges: Ranges) -> bool:
    """Whether the arm joints may be in degrees as well as in -100...100."""
    return arm_reach(ranges) <= _EITHER


def unit_words(ranges: Ranges) -> str:
    """The unit the arm joints are in, as far as their numbers say."""
    if not fits_either_unit(ranges):
        return "degrees"
    return f"within {arm_reach(ranges):.0f}, which fits degrees and -100...100 alike"


def permutation(cost: NDArray[np.float64]) -> list[int] | None:
    """The other order in which things fit much better than place by place; None where there is none.

    Args:
        cost: (D, D) misfit, 0 for a perfect fit, of each thing to each place.

    Returns:
        Place of each thing.
    """
    _, places = linear_sum_assignment(cost)
    moved = np.flatnonzero(places != np.arange(len(cost)))
    if not len(moved):
        return None
    here, there = cost[moved, moved].mean(), cost[moved, places[moved]].mean()
    clear = (here > 0.5 and there < 0.5 * here) or (here > 0.03 and there < 0.01)
    return places.tolist() if clear else None


def exchange_words(places: Sequence[int], names: Sequence[str]) -> str:
    """A permutation in words: `shoulder_pan is elbow_flex, ...`."""
    return ", ".join(f"{names[i]} is {names[place]}" for i, place in enumerate(places) if place != i)
