"""Plays the trained policies of a comparison on the same start states, in turns."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.arms import BASELINE, CONTROLS
from rabc.comparison.plan import PlannedRun
from rabc.comparison.results import PlayedRun
from rabc.config.settings import Config
from rabc.datasets.cameras import recorded_shape
from rabc.datasets.source import open_dataset
from rabc.pipeline import state
from rabc.rollouts.evaluation import Entrant, ScoredRollout, kept_seeds, play
from rabc.scoring.configured import load_scorer
from rabc.sim import seeds
from rabc.statistics.sequential import evidence, stops_after
from rabc.system import stages
from rabc.system.device import resolve_device, resolve_dtype
from rabc.system.errors import InputError
from rabc.system.stages import Result

BLOCK = 10
"""Start states that are played at a time before rollouts may stop."""


def play_all(
    config: Config, runs: Sequence[PlannedRun], sequential: bool, level: float
) -> tuple[list[PlayedRun], dict[str, Any] | None]:
    """Play what is missing of the configured rollouts with every run's policy.

    Args:
        config: of the comparison; `rollouts` says which start states.
        runs: trained, of every arm with every training seed.
        sequential: stop as soon as the test has decided about every arm that is no control: of these some
            should never be told from the baseline.
        level: of the sequential test, for all arms together.

    Returns:
        the runs with their rollouts, and what the sequential test found (see `rabc.comparison.results`).

    Raises:
        InputError: a run is not trained.
    """
    results = [state.finished(run.config) for run in runs]
    for run, found in zip(runs, results, strict=True):
        if "training" not in found:
            raise InputError(f"run {run.config.run}: is not trained; start the comparison again")
    scorer = load_scorer(config.scorer, config.device)
    entrants = [Entrant(Path(found["training"]["policy_folder"]), _folder(run, found))
                for run, found in zip(runs, results, strict=True)]  # fmt: skip
    meta = open_dataset(config, Path(results[0]["demonstrations"]["root"]))
    image_size, _ = recorded_shape(meta, meta.camera_keys[0])
    wanted = seeds.seed_range(seeds.ROLLOUTS, config.rollouts.first_seed, config.rollouts.episodes)
    # Policies stay loaded while they take turns: those of one training seed at a time. Arms may share one.
    names = [run.config.run for run in runs]
    groups = [
        [place for place, run in enumerate(runs) if run.seed == seed and names.index(names[place]) == place]
        for seed in dict.fromkeys(run.seed for run in runs)
    ]
    finished: list[dict[int, ScoredRollout]] = [{} for _ in runs]

    def play_block(block: Sequence[int]) -> None:
        for place, group in enumerate(groups):
            filmed = config if place == 0 else replace(config, rollouts=replace(config.rollouts, videos=0))
            some = play(filmed, [entrants[one] for one in group], block, image_size, scorer)
            for one, found in zip(group, some, strict=True):
                for other, name in enumerate(names):
                    if name == names[one]:
                        finished[other] = found

    test = None
    if sequential and any(run.arm.name != BASELINE and not run.made for run in runs):
        played, test = play_until_decided(
            wanted, play_block, lambda seen: _outcomes(runs, finished, seen), level
        )
    else:
        play_block(played := wanted)
    shown = [
        PlayedRun(run, {**found, **run.made}, tuple(own[seed] for seed in played), entrant.folder)
        for run, found, own, entrant in zip(runs, results, finished, entrants, strict=True)
    ]
    return shown, test


def play_until_decided(
    wanted: Sequence[int],
    play_block: Callable[[Sequence[int]], None],
    outcomes_of: Callable[[Sequence[int]], dict[str, NDArray[np.bool_]]],
    level: float,
) -> tuple[Sequence[int], dict[str, Any]]:
    """Play start states, some at a time, until the sequential test has decided or none is left.

    Args:
        wanted: seeds of the start states, in their order.
        play_block: plays these for all arms and training seeds.
        outcomes_of: (S, N) success of every arm with S training seeds on these, all of which were played.
        level: of the test, for all arms together.

    Returns:
        the start states that were played, and `sequential` as in `rabc.comparison.results`.
    """
    e_values: dict[str, list[float]] = {}
    played: Sequence[int] = ()
    for start in range(0, len(wanted), BLOCK):
        play_block(wanted[start : start + BLOCK])
        played = wanted[: start + BLOCK]
        outcomes = outcomes_of(played)
        plain = outcomes.pop(BASELINE)
        e_values = {name: evidence(own, plain).tolist() for name, own in outcomes.items()}
        if decided(e_values, level / len(e_values)):
            break
    stopped = len(played) if len(played) < len(wanted) else None
    return played, {"level": level, "stopped_after": stopped, "e_values": e_values}


def decided(e_values: Mapping[str, Sequence[float]], level_each: float) -> bool:
    """Whether the test has told every arm from the baseline; controls count where there is nothing else."""
    real = [name for name in e_values if name not in CONTROLS] or list(e_values)
    return all(stops_after(np.array(e_values[name]), level_each) for name in real)


def missing_rollouts(config: Config, run: PlannedRun) -> int:
    """How many of the configured rollouts a run's policy has not played."""
    wanted = seeds.seed_range(seeds.ROLLOUTS, config.rollouts.first_seed, config.rollouts.episodes)
    results = state.finished(run.config)
    if "training" not in results:
        return len(wanted)
    entrant = Entrant(Path(results["training"]["policy_folder"]), _folder(run, results))
    return len(set(wanted) - kept_seeds(entrant.file))


def _outcomes(
    runs: Sequence[PlannedRun], finished: Sequence[dict[int, ScoredRollout]], seen: Sequence[int]
) -> dict[str, NDArray[np.bool_]]:
    """(S, N) success of every arm with S training seeds on the N start states `seen`.

    Not of arms whose policies are the baseline's: nothing is to be decided about them.
    """
    return {
        name: np.array(
            [
                [own[seed].success for seed in seen]
                for run, own in zip(runs, finished, strict=True)
                if run.arm.name == name
            ]
        )
        for name in dict.fromkeys(run.arm.name for run in runs if not run.made)
    }


def _folder(run: PlannedRun, results: dict[str, Result]) -> Path:
    """Of a policy's rollouts; more start states are added to it, a change of anything else makes another."""
    config = run.config
    facts: dict[str, Any] = {
        "policy": results["training"]["content"],
        "scorer": state.scorer_content(config),
        "scorer_settings": asdict(config.scorer),
        "max_ticks": config.rollouts.max_ticks,
        "task": config.demonstrations.task,
    }
    precision = resolve_dtype(config.scorer.dtype, resolve_device(config.device))
    if precision != "float32":  # scores of a GPU do not continue those of a CPU
        facts["scorer_precision"] = precision
    return state.paths(config).outputs / f"rollouts-{stages.key(facts)}"
