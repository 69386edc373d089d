"""Datasets that this program's simulator has recorded, and what a dataset that was named means by default.

A name that was given stands for what lies there: nothing is recorded under it, and nothing is played in the
simulator for it, unless that was asked for.
"""

import os
from collections.abc import Set
from dataclasses import replace
from pathlib import Path

from rabc.config.settings import Config
from rabc.system.hub import looks_like_hub_id

GROUND_TRUTH = "ground_truth"
"""Folder beside a dataset's tables in which the simulator leaves what it alone knows."""
RECORDING = "recording.json"
"""File in it that says how the dataset was recorded."""
LATER_KINDS = ("slow", "pause")
"""Kinds of demonstrations that came later: where there are none of them, all is as it was before."""


def is_simulated(path: str | Path) -> bool:
    """Whether the dataset in folder `path` was recorded by this program's simulator."""
    return os.path.isfile(Path(path) / GROUND_TRUTH / RECORDING)  # false also for a name that is too long


def with_defaults_of_dataset(config: Config, stated: Set[str]) -> tuple[Config, list[str]]:
    """`config` with what real demonstrations leave out of a run, and a line for what is missed.

    Args:
        config: its paths are settled (`rabc.config.places`).
        stated: dotted keys that the user gave.
    """
    paths, demonstrations = config.dataset.paths, config.demonstrations
    if "dataset.path" in stated and "demonstrations.simulate" not in stated:
        # Under the name of a hub dataset a simulated folder would be taken for it.
        recorded = len(paths) == 1 and is_simulated(paths[0]) and not looks_like_hub_id(paths[0])
        demonstrations = replace(demonstrations, simulate=recorded and not config.dataset.rename_map)
        config = replace(config, demonstrations=demonstrations)
    foreign = [path for path in paths if not is_simulated(path)]
    if demonstrations.simulate or not foreign or "rollouts.episodes" in stated:
        return config, []
    note = f"rollouts: none, because dataset {foreign[0]} is not one that this program's simulator recorded"
    return replace(config, rollouts=replace(config.rollouts, episodes=0)), [note]
