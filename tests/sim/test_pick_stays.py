"""Picking is as it was before there was another task: episodes, and the key of the recorder's settings."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from rabc.config.settings import DemonstrationsConfig
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import KINDS, Kind
from rabc.sim.environment import COLORS, Simulator
from rabc.sim.recorder import settings_key

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
