"""Demonstrations at half the speed, which is no flaw, and with pauses shorter than a policy's chunk."""

import dataclasses
from collections import Counter
from collections.abc import Iterator
from typing import get_args

import numpy as np
import pytest

from rabc.config.settings import DemonstrationsConfig
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import Demonstrator, Kind, Phase
from rabc.sim.environment import Simulator, Vector
from rabc.sim.flaws import flawed_frames
from rabc.sim.recorder import EpisodeTruth, plan, settings_key
from rabc.sim.scene import Task

SEEDS = range(300, 312)
NOTHING = DemonstrationsConfig(
    episodes=10, clean=0.0, stall=0.0, retry=0.0, drop=0.0, detour=0.0, give_up=0.0
)


@dataclasses.dataclass(frozen=True)
class Played:
    """One demonstration from first to last."""

    demonstrator: Demonstrator
    states: Vector
    """(T, 6), LeRobot units."""
    actions: Vector
    """(T, 6), LeRobot units."""
    truth: EpisodeTruth


@pytest.fixture(scope="module", params=get_args(Task))
def simulator(request: pytest.FixtureRequest) -> Iterator[Simulator]:
    with Simulator(task=request.param) as simulator:
        yield simulator


def played(simulator: Simulator, seed: int, kind: Kind) -> Played:
    demonstrator = demonstrate(simulator, seed, kind)
    steps = list(demonstrator.steps())
    phases = tuple((phase.tick, phase.name) for phase in demonstrator.phases)
    progress = tuple(step.truth.progress for step in steps)
    states, actions = (np.stack([getattr(step, name) for step in steps]) for name in ("state", "action"))
    truth = EpisodeTruth(seed, kind, simulator.truth().success, phases, progress)
    return Played(demonstrator, states, actions, truth)


def test_slow_is_the_path_of_clean_in_twice_the_ticks_and_no_flaw(simulator: Simulator) -> None:
    for seed in SEEDS[:4]:
        clean, slow = played(simulator, seed, "clean"), played(simulator, seed, "slow")
        assert len(slow.actions) == 2 * len(clean.actions)
        assert np.allclose(slow.actions[1::2], clean.actions, atol=0.001)
        # An arm that moves lags behind its targets; the gripper, which closes on the cube, is left out.
        assert np.abs(slow.states[2::2, :5] - clean.states[1:, :5]).max() < 5
        assert [Phase(2 * phase.tick, phase.name) for phase in clean.demonstrator.phases] == (
            slow.demonstrator.phases
        )
        assert not flawed_frames(slow.truth).any()


def test_between_two_targets_of_clean_slow_is_on_the_way(simulator: Simulator) -> None:
    """And not at one of them twice."""
    clean, slow = (played(simulator, SEEDS[0], kind).actions for kind in ("clean", "slow"))
    before, between, after = clean[:-1], slow[2::2], clean[1:]
    moving = np.abs(after - before) > 1
    assert moving.sum() > 50
    assert ((between - before) * (after - between))[moving].min() > 0


def test_a_pause_is_a_second_at_one_to_three_spots_and_flawed(simulator: Simulator) -> None:
    pauses: set[int] = set()
    for seed in SEEDS:
        pause = played(simulator, seed, "pause")
        flawed = flawed_frames(pause.truth)
        stops = [phase.tick for phase in pause.demonstrator.phases if phase.name == "stall"]
        expected = np.zeros(len(flawed), bool)
        for tick in stops:
            expected[tick : tick + 10] = True
            assert (np.diff(pause.actions[tick - 1 : tick + 10], axis=0) == 0).all()
        assert (flawed == expected).all()
        assert flawed.sum() == 10 * len(stops)
        pauses.add(len(stops))
    assert pauses == {1, 2, 3}


def test_their_shares_are_planned() -> None:
    mixed = dataclasses.replace(NOTHING, clean=0.5, slow=0.3, pause=0.2)
    assert Counter(episode.kind for episode in plan(mixed)) == {"clean": 5, "slow": 3, "pause": 2}


def test_their_shares_make_another_dataset() -> None:
    kinds = ("clean", "slow", "pause")
    assert len({settings_key(dataclasses.replace(NOTHING, **{kind: 1.0})) for kind in kinds}) == 3
