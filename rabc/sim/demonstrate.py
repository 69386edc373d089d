"""Which demonstrator plays which task."""

import numpy as np

from rabc.sim.demonstrator import AIM_ERROR_M, KINDS, Demonstrator, Kind
from rabc.sim.environment import Simulator
from rabc.sim.place_demonstrator import PlaceDemonstrator
from rabc.sim.scene import Scene, Task

DEMONSTRATORS: dict[Task, type[Demonstrator]] = {"pick": Demonstrator, "place": PlaceDemonstrator}


def demonstrate(
    simulator: Simulator, seed: int, kind: Kind, scene: Scene | None = None, aim_error_m: float = AIM_ERROR_M
) -> Demonstrator:
    """Reset `simulator` to start state `seed` and return the demonstrator that is about to play its task."""
    simulator.reset(seed, scene)
    drawn_as: Kind = "clean" if kind == "slow" else kind  # the same path
    rng = np.random.default_rng((seed, KINDS.index(drawn_as)))
    return DEMONSTRATORS[simulator.task](simulator, kind, rng, aim_error_m)
