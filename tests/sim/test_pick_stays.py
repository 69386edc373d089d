"""Picking is as it was before there were other tasks and kinds: episodes, plans, the key of the settings."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from rabc.config.settings import DemonstrationsConfig
from rabc.sim import seeds
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import KINDS, Kind
from rabc.sim.environment import COLORS, Simulator
from rabc.sim.recorder import plan, settings_key
from rabc.sim.scorer_data import play

GOLDEN = Path(__file__).with_name("pick_episodes.json")
# A hundredth of a degree: another processor's linear algebra may round otherwise, another program moves more.
TOLERANCE = 0.01


@pytest.mark.parametrize("kind", KINDS)
def test_a_seed_gives_the_episode_it_always_gave(kind: Kind) -> None:
    golden = json.loads(GOLDEN.read_text())[kind]
    with Simulator(COLORS) as simulator:
        demonstrator = demonstrate(simulator, 7, kind)
        steps = list(demonstrator.steps())
    assert len(steps) == golden["ticks"]
    assert [[phase.tick, phase.name] for phase in demonstrator.phases] == golden["phases"]
    shown = steps[::10]
    assert np.allclose([step.action for step in shown], golden["actions"], atol=TOLERANCE)
    assert np.allclose([step.state for step in shown], golden["states"], atol=TOLERANCE)
    assert np.allclose([step.truth.progress for step in shown], golden["progress"], atol=1e-3)


def test_what_was_recorded_of_picking_is_still_the_same_dataset() -> None:
    default = DemonstrationsConfig()
    assert settings_key(default) == "b3b137b9afa0"
    assert settings_key(dataclasses.replace(default, task="place")) != settings_key(default)


def test_the_same_episodes_are_planned() -> None:
    kinds = ["clean", "retry", "stall", "give_up", "drop", "clean", "clean"]
    assert [episode.kind for episode in plan(DemonstrationsConfig(episodes=7))] == kinds


def test_the_scorer_learns_from_the_same_episodes() -> None:
    with Simulator(COLORS, image_size=48) as simulator:
        episodes = [play(simulator, seeds.SCORER_TRAINING + offset) for offset in range(4)]
    assert [(episode.kind, len(episode.progress)) for episode in episodes] == [
        ("detour", 108), ("retry", 77), ("detour", 78), ("clean", 42)
    ]  # fmt: skip
