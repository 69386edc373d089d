"""Which frames of a simulated demonstration show something that is not worth imitating."""

import numpy as np
from numpy.typing import NDArray

from rabc.sim.recorder import EpisodeTruth

_FLAWS = frozenset({"miss", "open", "drop", "stall", "detour", "give_up"})
"""Phases that are flawed in themselves."""
_ATTEMPT = frozenset({"approach", "descend", "grasp", "regrasp", "resume"})
"""Phases that are as good as what they lead to."""
_FAILURES = frozenset({"miss", "give_up"})


def flawed_frames(truth: EpisodeTruth) -> NDArray[np.bool_]:
    """(T,) true where the demonstrator stalls, strays, drops, gives up or is on its way to a miss."""
    flawed = np.zeros(len(truth.progress), bool)
    starts = [tick for tick, _ in truth.phases] + [len(flawed)]
    names = [name for _, name in truth.phases]
    for place, name in enumerate(names):
        end = next((later for later in names[place:] if later not in _ATTEMPT | {"stall"}), "")
        bad = (
            name in _FLAWS
            or (name in _ATTEMPT and end in _FAILURES)
            or (name == "retreat" and "approach" in names[place:])  # from a detour, not from the placed cube
        )
        flawed[starts[place] : starts[place + 1]] = bad
    return flawed
