"""Pools the rollouts of several finished runs, such as training seeds."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from rabc.config.training_settings import TrainerConfig
from rabc.statistics.intervals import Proportion, proportion, proportion_over_seeds
from rabc.system.errors import InputError
from rabc.training.identity import learned_from


@dataclass(frozen=True)
class PooledRun:
    """What one finished run says about its rollouts."""

    run: str
    seed: int
    """Of the training."""
    start_states: range
    """Seeds of the rollouts."""
    lifted: int
    trials: int
    settings: Mapping[str, Any]
    """section.key -> value of everything but the seeds that its rate depends on."""


def read_run(run: str, outputs: Path) -> PooledRun:
    """The run's rollouts from `outputs/<run>/summary.json`. Raises InputError where it has none."""
    path = outputs / run / "summary.json"
    if not path.exists():
        raise InputError(f"run {run}: has no {path}; finish it with rabc train --run {run}")
    try:
        summary = json.loads(path.read_text())
        seed, rollouts = int(summary["config"]["seed"]), summary["rollouts"]
        if not rollouts["episodes"]:
            raise InputError(f"run {run}: has no rollouts; run it with --rollouts.episodes 100")
        first, trials = int(rollouts["first_seed"]), int(rollouts["success"]["trials"])
        return PooledRun(
            run, seed, range(first, first + trials), int(rollouts["success"]["successes"]), trials,
            _settings(summary["config"]),
        )  # fmt: skip
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError,
    ) as error:  # fmt: skip
        raise InputError(f"file {path}: is damaged; run rabc train --run {run} again to write it") from error


def pooled(runs: Sequence[PooledRun]) -> list[list[str]]:
    """Rows (run, training seed, lifted with its interval), the last for all together.

    The interval of one run speaks of its policy; that of all speaks of trainings, which are the unit: runs of
    one training seed are one training. Raises InputError for runs that differ in more than their seeds, whose
    rates are of different things, and for runs that played the same start states: as independent ones they
    would make the interval too narrow.
    """
    for one, other in combinations(runs, 2):
        if one.run == other.run:
            raise InputError(f"run {one.run}: named twice; name it once")
        for name, value in one.settings.items():
            others = other.settings.get(name)
            if others != value:
                raise InputError(
                    f"runs {one.run}, {other.run}: {name} is {value} and {others}; pool runs that differ in "
                    "their seeds alone"
                )
        shared = set(one.start_states) & set(other.start_states)
        if shared:
            raise InputError(
                f"runs {one.run}, {other.run}: both played {len(shared)} of their start states; run one of "
                f"them with another --rollouts.first_seed"
            )
    rows = [[played.run, str(played.seed), str(proportion(played.lifted, played.trials))] for played in runs]
    seeds = sorted({played.seed for played in runs})
    return [*rows, ["together", f"{len(seeds)} of them", str(_together(runs, seeds))]]


def _together(runs: Sequence[PooledRun], seeds: Sequence[int]) -> Proportion:
    own = [[played for played in runs if played.seed == seed] for seed in seeds]
    return proportion_over_seeds(
        [sum(played.lifted for played in some) for some in own],
        [sum(played.trials for played in some) for some in own],
    )


def _settings(config: Mapping[str, Any]) -> dict[str, Any]:
    sections = {name: config[name] for name in ("demonstrations", "weights", "policy")}
    sections["dataset"] = {name: config["dataset"][name] for name in ("path", "revision")}
    sections["trainer"] = learned_from(TrainerConfig(**config["trainer"]))
    sections["rollouts"] = {"max_ticks": config["rollouts"]["max_ticks"]}
    return {
        f"{section}.{key}": value for section, values in sections.items() for key, value in values.items()
    }
