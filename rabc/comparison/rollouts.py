"""Plays the trained policies of a comparison on the same start states, in turns."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from rabc import pipeline, stages
from rabc.comparison.arms import BASELINE, CONTROLS
from rabc.comparison.plan import PlannedRun
from rabc.comparison.results import BLOCK, PlayedRun
from rabc.config import Config
from rabc.dataset_source import open_dataset
from rabc.decoding import recorded_shape
from rabc.errors import InputError
from rabc.evaluation import Entrant, ScoredRollout, play
from rabc.sequential_test import evidence, stops_after
from rabc.sim import seeds
from rabc.stage_work import load_scorer
from rabc.stages import Result


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
    results = [pipeline.finished(run.config) for run in runs]
    for run, found in zip(runs, results, strict=True):
        if "training" not in found:
            raise InputError(f"run {run.config.run}: is not trained; start the comparison again")
    scorer = load_scorer(config.scorer, config.device)
    entrants = [Entrant(Path(found["training"]["policy_folder"]), _folder(run, found))
                for run, found in zip(runs, results, strict=True)]  # fmt: skip
    meta = open_dataset(config, Path(results[0]["demonstrations"]["root"]))
    image_size, _ = recorded_shape(meta, meta.camera_keys[0])
    wanted = seeds.seed_range(seeds.ROLLOUTS, config.rollouts.first_seed, config.rollouts.episodes)
    # Policies stay loaded while they take turns: those of one training seed at a time.
    groups = [
        [place for place, run in enumerate(runs) if run.seed == seed]
        for seed in dict.fromkeys(run.seed for run in runs)
    ]
    finished: list[dict[int, ScoredRollout]] = [{} for _ in runs]
    e_values: dict[str, list[float]] = {}
    level_each = level / (len({run.arm.name for run in runs}) - 1)
    blocks = [wanted[start : start + BLOCK] for start in range(0, len(wanted), BLOCK)]
    played = 0
    for block in blocks if sequential else [wanted]:
        for place, group in enumerate(groups):
            filmed = config if place == 0 else replace(config, rollouts=replace(config.rollouts, videos=0))
            some = play(filmed, [entrants[one] for one in group], block, image_size, scorer)
            for one, found in zip(group, some, strict=True):
                finished[one] = found
        played += len(block)
        if sequential:
            e_values = _evidence(runs, finished, wanted[:played])
            if decided(e_values, level_each):
                break
    shown = [
        PlayedRun(run, found, tuple(own[seed] for seed in wanted[:played]), entrant.folder)
        for run, found, own, entrant in zip(runs, results, finished, entrants, strict=True)
    ]
    if not sequential:
        return shown, None
    stopped = played if played < len(wanted) else None
    return shown, {"level": level, "stopped_after": stopped, "e_values": e_values}


def decided(e_values: Mapping[str, Sequence[float]], level_each: float) -> bool:
    """Whether the test has told every arm from the baseline; controls count where there is nothing else."""
    real = [name for name in e_values if name not in CONTROLS] or list(e_values)
    return all(stops_after(np.array(e_values[name]), level_each) for name in real)


def _evidence(
    runs: Sequence[PlannedRun], finished: Sequence[dict[int, ScoredRollout]], seen: Sequence[int]
) -> dict[str, list[float]]:
    """The e-values of every arm against the baseline after each of the start states `seen`."""
    outcomes = {
        name: np.array(
            [
                [own[seed].success for seed in seen]
                for run, own in zip(runs, finished, strict=True)
                if run.arm.name == name
            ]
        )
        for name in dict.fromkeys(run.arm.name for run in runs)
    }
    plain = outcomes.pop(BASELINE)
    return {name: evidence(own, plain).tolist() for name, own in outcomes.items()}


def _folder(run: PlannedRun, results: dict[str, Result]) -> Path:
    """Of a policy's rollouts; more start states are added to it, a change of anything else makes another."""
    config = run.config
    facts = {
        "policy": results["training"]["content"],
        "scorer": pipeline.scorer_content(config),
        "scorer_settings": asdict(config.scorer),
        "max_ticks": config.rollouts.max_ticks,
        "task": config.demonstrations.task,
    }
    return pipeline.paths(config).outputs / f"rollouts-{stages.key(facts)}"
