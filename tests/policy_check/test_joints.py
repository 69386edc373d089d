"""Names, orders and units of joints."""

import numpy as np
import pytest

from rabc.policy_check.joints import (
    SO101,
    Ranges,
    exchange_words,
    is_so_arm,
    joint_names,
    order_problem,
    permutation,
    unit_problems,
    unit_words,
)

DEGREES = Ranges(
    list(SO101),
    np.array([-45.0, -100.0, -20.0, -60.0, -120.0, 2.0]),
    np.array([45.0, 20.0, 90.0, 80.0, 110.0, 70.0]),
)


def ranges(scale: float = 1.0, **joints: tuple[float, float]) -> Ranges:
    low, high = DEGREES.low * scale, DEGREES.high * scale
    for name, (smallest, largest) in joints.items():
        low[SO101.index(name)], high[SO101.index(name)] = smallest, largest
    return Ranges(DEGREES.names, low, high)


@pytest.mark.parametrize(
    "names",
    [
        ["a.pos", "b.pos"],
        {"motors": ["a", "b"]},
        ["main_a", "main_b"],
        ("a", "b"),
        [["a", "b"]],
        {"left": {"motors": ["a"]}, "right": ["b.pos"]},
    ],
)
def test_names_as_datasets_old_and_new_have_them(names: object) -> None:
    assert joint_names(names) == ["a", "b"]
    assert joint_names(None) == []


def test_orders() -> None:
    other = [SO101[1], SO101[0], *SO101[2:]]
    assert order_problem(SO101, list(SO101), "the robot") is None
    assert "the robot's order: place 1 is shoulder_lift, not shoulder_pan" in str(
        order_problem(other, SO101, "the robot")
    )
    assert "the robot has a, b" in str(order_problem(["a", "c"], ["a", "b"], "the robot"))


@pytest.mark.parametrize(
    ("seen", "degrees", "words"),
    [
        (ranges(), True, None),
        (ranges(), None, None),
        (ranges(), False, "wrist_roll goes to 120.0: degrees; the robot is set to -100...100"),
        (ranges(np.pi / 180), True, "goes beyond 2.09: radians"),
        (ranges(np.pi / 180), None, "gripper never goes beyond 1.22: not in 0...100"),
        (ranges(0.8), False, None),
        (ranges(0.8), True, None),
        (
            ranges(0.8, wrist_roll=(-100.0, 100.0), wrist_flex=(-20.0, 100.0)), True,
            "stop at exactly 100 and none goes beyond: -100...100",
        ),
        (ranges(0.8, wrist_roll=(-100.0, 100.0), wrist_flex=(-20.0, 100.0)), False, None),
        (ranges(gripper=(-50.0, 50.0)), True, "gripper goes from -50.0 to 50.0: not in 0...100"),
        (ranges(gripper=(-2.0, 103.0)), True, None),
    ],
)  # fmt: skip
def test_units(seen: Ranges, degrees: bool | None, words: str | None) -> None:
    problems = unit_problems(seen, degrees)
    assert (problems == []) if words is None else any(words in problem for problem in problems)


def test_a_closed_gripper_is_no_share() -> None:
    assert unit_problems(ranges(gripper=(1.0, 1.2)), None) == []
    assert unit_problems(ranges(gripper=(0.5, 2.5)), None) == []
    assert "not in 0...100" in str(unit_problems(ranges(gripper=(0.0, 1.0)), None))


def test_units_in_words() -> None:
    assert unit_words(DEGREES) == "degrees"
    assert unit_words(ranges(0.8)) == "within 96, which fits degrees and -100...100 alike"


def test_an_exchange_is_told_from_noise() -> None:
    rng = np.random.default_rng(0)
    for _ in range(200):
        order = rng.permutation(6)
        cost = rng.uniform(1.0, 2.0, (6, 6))
        cost[np.arange(6), order] = rng.uniform(0, 0.3, 6)
        expected = None if (order == np.arange(6)).all() else order.tolist()
        assert permutation(cost) == expected
        # Nothing fits anything: that is no exchange.
        assert permutation(rng.uniform(0.9, 1.1, (6, 6))) is None
    assert exchange_words([1, 0, 2], "abc") == "a is b, b is a"


def test_joints_that_are_much_alike_but_exactly_exchanged() -> None:
    cost = np.full((3, 3), 1.0)
    cost[:2, :2] = [[0.05, 0.0], [0.0, 0.05]]
    cost[2, 2] = 0.0
    assert permutation(cost) == [1, 0, 2]


def test_joints_of_another_robot_have_units_that_are_not_known() -> None:
    assert is_so_arm(["left_shoulder_pan", "left_gripper"])
    assert not is_so_arm(["kLeftShoulderPitch", "kLeftGripper", "gripper"])
