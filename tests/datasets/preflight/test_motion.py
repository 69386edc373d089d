"""What joints and actions show: each fault planted in sound motion is found where it is, and nowhere else."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.datasets.preflight import motion
from tests.support.numbered import motion as waves

FPS = 10
LENGTHS = (60, 80, 70, 90)
BOUNDS = np.stack([np.cumsum((0, *LENGTHS[:-1])), np.cumsum(LENGTHS)], axis=1)


def recording(first: int = 0) -> tuple[motion.Array, motion.Array]:
    """(state, action) of sound episodes."""
    episodes = [waves(first + episode, length, FPS) for episode, length in enumerate(LENGTHS)]
    return np.concatenate([e[:-1] for e in episodes]), np.concatenate([e[1:] for e in episodes])


def gripper_that_holds(state: motion.Array, action: motion.Array) -> None:
    """All joints rest to the last bit while the gripper is told to close further on what it holds."""
    rows = slice(100, 130)
    state[rows], action[rows] = state[100], action[100]
    action[rows, 5] = np.linspace(30, 0, 30)


def episodes_of(found: list[motion.Stretch]) -> list[int]:
    return [one.episode for one in found]


@given(st.integers(0, 10_000))
@settings(max_examples=20)
def test_nothing_in_sound_motion(first: int):
    state, action = recording(first)
    for values in (state, action):
        assert motion.standing(values, BOUNDS, 5) == []
        assert motion.jumps(values, BOUNDS) == []
        assert motion.mixed_units(values, BOUNDS) is None
        assert motion.unit_interval(values, BOUNDS) == []
    assert motion.copies(np.concatenate([state, action], axis=1), BOUNDS) == []
    assert motion.dead_joints(state, action, BOUNDS) == []
    assert motion.action_of_state(state, action, BOUNDS) is None


@given(st.integers(0, 3), st.integers(0, 40), st.integers(5, 19))
@settings(max_examples=20)
def test_a_stretch_that_stands_still(episode: int, first: int, rows: int):
    state, action = recording()
    start = BOUNDS[episode, 0] + first
    state[start : start + rows] = state[start]
    (found,) = motion.standing(state, BOUNDS, 5)
    assert (found.episode, found.first, found.rows) == (episode, first, rows)
    assert motion.moved_meanwhile([found], action, BOUNDS, 0.05) == [found]


def test_still_from_one_episode_into_the_next_is_two_stretches():
    state, _ = recording()
    state[55:66] = 1.0
    assert [(one.episode, one.first, one.rows) for one in motion.standing(state, BOUNDS, 5)] == [
        (0, 55, 5), (1, 0, 6),
    ]  # fmt: skip


def test_a_gripper_that_holds_something_is_no_frozen_telemetry():
    state, action = recording()
    gripper_that_holds(state, action)
    still = motion.standing(state, BOUNDS, 5)
    assert episodes_of(still) == [1]
    assert motion.moved_meanwhile(still, action, BOUNDS, 0.05) == []


def test_an_arm_that_answers_late_is_no_frozen_telemetry():
    """It rests to the last bit, is told to move, and follows half a second later."""
    state, action = recording()
    state[100:120], action[100:115] = state[100], action[100]
    still = motion.standing(state, BOUNDS, 5)
    assert episodes_of(motion.moved_meanwhile(still, action, BOUNDS, 0.05)) == [1]
    assert motion.moved_meanwhile(still, action, BOUNDS, 0.05, last=5) == []


@given(st.integers(0, 3), st.integers(1, 50), st.integers(0, 5), st.sampled_from([-150.0, 150.0]))
@settings(max_examples=20)
def test_a_jump(episode: int, frame: int, joint: int, size: float):
    state, _ = recording()
    state[BOUNDS[episode, 0] + frame, joint] += size  # the next row is where it was
    (found,) = motion.jumps(state, BOUNDS)
    assert (found.episode, found.joint) == (episode, joint)
    assert found.frame in (frame, frame + 1)


def test_a_switch_may_jump():
    """A gripper that is told to be open or closed, in one episode alone."""
    _, action = recording()
    action[:, 5] = 0
    action[100:120, 5] = 100
    assert motion.jumps(action, BOUNDS) == []


def test_every_episode_jumping_is_what_the_dataset_does():
    _, action = recording()
    for first, _ in BOUNDS:
        action[first + 30 :, 2] += 100
    assert motion.jumps(action, BOUNDS) == []


@pytest.mark.parametrize(
    ("factor", "some"), [(np.pi / 180, [0]), (np.pi / 180, [1, 3]), (0.01, [2]), (1 / 2048, [0, 1, 2])]
)
def test_units(factor: float, some: list[int]):
    state, _ = recording()
    for episode in some:
        state[slice(*BOUNDS[episode])] *= factor
    found = motion.mixed_units(state, BOUNDS)
    assert found is not None
    assert found[0] == some
    assert found[1] == pytest.approx(1 / factor, rel=0.4)


def test_a_gripper_that_stays_closed_is_no_other_unit():
    state, _ = recording()
    state[slice(*BOUNDS[1]), 5] = np.linspace(0.1, 0.9, LENGTHS[1])
    assert motion.unit_interval(state, BOUNDS) == []
    assert motion.mixed_units(state, BOUNDS) is None


@given(st.integers(0, 25))
@settings(max_examples=10)
def test_a_copy_that_begins_later(shift: int):
    values = np.concatenate(recording(), axis=1)
    values[BOUNDS[0, 0] : BOUNDS[0, 1]] = values[BOUNDS[3, 0] + shift :][: LENGTHS[0]]
    assert motion.copies(values, BOUNDS) == [(3, 0)]


def test_the_same_pose_at_rest_is_no_copy():
    """Episodes that begin and end where the arm is parked, to the last bit."""
    values = np.concatenate(recording(), axis=1)
    for first, end in BOUNDS:
        values[first : first + 15] = values[0]
        values[end - 15 : end] = values[1]
    assert motion.copies(values, BOUNDS) == []


@pytest.mark.parametrize(("tick", "found"), [(0, 0), (-1, -1), (1, None)])
def test_actions_that_are_the_state_of_a_tick(tick: int, found: int | None):
    state, _ = recording()
    assert motion.action_of_state(state, np.roll(state, -tick, axis=0), BOUNDS) == found


def test_a_dead_joint():
    state, action = recording()
    state[slice(*BOUNDS[2]), 3] = 1.5
    assert motion.dead_joints(state, action, BOUNDS) == [(2, 3)]
    action[slice(*BOUNDS[2]), 3] = 1.5  # nobody told it to move
    assert motion.dead_joints(state, action, BOUNDS) == []


def test_one_episode_and_one_row():
    state, _ = recording()
    one = np.array([[0, 1]])
    assert motion.jumps(state[:1], one) == motion.copies(state[:1], one) == []
    assert motion.standing(state[:1], one, 5) == []
    assert motion.mixed_units(state[:1], one) is None
