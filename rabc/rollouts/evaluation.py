"""Rollouts of a policy, scored and kept one by one, so that a killed evaluation goes on where it stopped."""

import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rabc.config.settings import Config, RolloutsConfig
from rabc.rollouts.play import Rollout, RolloutJob, roll_outs, ticks_per_frame
from rabc.scoring.base import PrefixScores, Scorer
from rabc.sim import seeds
from rabc.sim.environment import FPS
from rabc.sim.scene import DONE, Scene
from rabc.statistics.curves import roc_auc, success_score
from rabc.statistics.intervals import proportion
from rabc.system.errors import InputError
from rabc.system.threads import beside_others


@dataclass(frozen=True)
class ScoredRollout:
    """One rollout as it is kept: the simulator's verdict and the scorer's."""

    seed: int
    success: bool
    ticks: int
    closest_m: float
    final_log_prob: float
    """Mean log p(True) of the last three prefixes, nats (TOPReward's success score)."""
    prefix_lengths: tuple[int, ...]
    """Kept frames in each scored prefix."""
    log_prob_true: tuple[float, ...]
    """Log p(True) of each prefix, nats."""


@dataclass(frozen=True)
class Entrant:
    """A policy and the folder its rollouts are kept in."""

    policy_folder: Path
    folder: Path

    @property
    def file(self) -> Path:
        """One line for each finished rollout."""
        return self.folder / "rollouts.jsonl"


def evaluate(
    config: Config, policy_folder: Path, image_size: int, scorer: Scorer, folder: Path
) -> dict[str, Any]:
    """Play and score the configured rollouts into `folder`; returns the figures the summary shows.

    image_size: height and width of the demonstrations' cameras, pixels.
    """
    settings = config.rollouts
    wanted = seeds.seed_range(seeds.ROLLOUTS, settings.first_seed, settings.episodes)
    entrant = Entrant(policy_folder, folder)
    finished = play(config, [entrant], wanted, image_size, scorer)[0]
    return figures([finished[seed] for seed in wanted], folder)


def play(
    config: Config, entrants: Sequence[Entrant], wanted: Sequence[int], image_size: int, scorer: Scorer
) -> list[dict[int, ScoredRollout]]:
    """Play and score what is missing of every entrant's rollouts on the `wanted` start states.

    The entrants take turns on each start state, so that a stop at any time leaves them equally far.

    Args:
        config: its `rollouts`, `scorer` and task count.
        entrants: policies, each with a folder of its own.
        wanted: seeds of the start states; the first `rollouts.videos` of the configured ones are filmed.
        image_size: height and width of the demonstrations' cameras, pixels.
        scorer: watches the rollouts.

    Returns:
        for each entrant its finished rollouts by seed, those of other start states among them.
    """
    settings, task = config.rollouts, config.demonstrations.task
    instruction = Scene(task=task).instruction
    for entrant in entrants:
        _make(entrant.folder)
    finished = [read_rollouts(entrant.file) for entrant in entrants]
    to_film = [unfilmed(settings, entrant.folder) for entrant in entrants]
    rate = ticks_per_frame(float(scorer.identity["sample_fps"]))
    camera = config.scorer.cameras[0]
    place = {entrant.policy_folder.absolute(): number for number, entrant in enumerate(entrants)}
    # A rollout that is kept but was not filmed is played again for its video alone.
    jobs = [
        RolloutJob(folder, seed, settings.max_ticks, camera, rate, image_size, task)
        for seed in wanted
        for folder, number in place.items()
        if seed not in finished[number] or seed in to_film[number]
    ]
    total = len(wanted) * len(entrants)
    with (
        tqdm(total=total, initial=total - len(jobs), desc="rollouts", unit="rollout") as bar,
        beside_others() as adapt,  # the processes that play are others, too
    ):
        for rollout in roll_outs(jobs, settings.processes):
            adapt()
            number = place[rollout.policy_folder]
            scores = scorer.score(rollout.frames, instruction, FPS / rate, config.scorer.num_prefixes)
            if rollout.seed in to_film[number]:
                _film(entrants[number].folder, rollout, scores, FPS / rate, DONE[task])
            if rollout.seed not in finished[number]:
                finished[number][rollout.seed] = _scored(rollout, scores)
                _append(entrants[number].file, finished[number][rollout.seed])
            bar.update()
            successes = sum(own[seed].success for own in finished for seed in wanted if seed in own)
            bar.set_postfix_str(f"{successes} {DONE[task]}")
    return finished


def unfilmed(settings: RolloutsConfig, folder: Path) -> list[int]:
    """Seeds of the rollouts that should have a video in `folder` and have none."""
    wanted = seeds.seed_range(seeds.ROLLOUTS, settings.first_seed, settings.episodes)
    return [seed for seed in wanted[: settings.videos] if not list(folder.glob(f"rollout-{seed}-*.mp4"))]


def figures(rollouts: list[ScoredRollout], folder: Path) -> dict[str, Any]:
    """Success rate with its interval, scores, and how far the scorer agrees with the simulator."""
    success = np.array([rollout.success for rollout in rollouts])
    final = np.array([rollout.final_log_prob for rollout in rollouts])
    auc = roc_auc(final, success)
    return {
        "episodes": len(rollouts),
        "success": asdict(proportion(int(success.sum()), len(success))),
        "mean_final_log_prob": round(float(final.mean()), 4),
        "scorer_auc": round(auc, 4) if np.isfinite(auc) else None,
        "mean_ticks": round(float(np.mean([rollout.ticks for rollout in rollouts])), 1),
        "mean_closest_m": round(float(np.mean([rollout.closest_m for rollout in rollouts])), 4),
        "first_seed": rollouts[0].seed,
        "rollouts_file": str(folder / "rollouts.jsonl"),
        "videos": sorted(str(path) for path in folder.glob("rollout-*.mp4")),
        "files": [str(folder / "rollouts.jsonl")],
    }


def kept_seeds(file: Path) -> set[int]:
    """Start states of the finished rollouts in `file`, which is left as it is: somebody may be writing it."""
    if not file.exists():
        return set()
    whole, _, _ = file.read_text(errors="replace").rpartition("\n")
    return {int(found[1]) for found in re.finditer(r'^\{"seed": (\d+)', whole, re.MULTILINE)}


def read_rollouts(file: Path) -> dict[int, ScoredRollout]:
    """Finished rollouts by seed; a line torn by a kill is left out and will be played again."""
    if not file.exists():
        return {}
    try:
        lines = file.read_bytes()
        whole = lines[: lines.rfind(b"\n") + 1]
        if len(whole) < len(lines):
            os.truncate(file, len(whole))
    except OSError as error:
        raise InputError(f"rollouts {file}: cannot be read ({error.strerror}); check permissions") from error
    found: dict[int, ScoredRollout] = {}
    for number, line in enumerate(whole.splitlines(), start=1):
        try:
            record = json.loads(line)
            for name in ("prefix_lengths", "log_prob_true"):
                record[name] = tuple(record[name])
            found[record["seed"]] = ScoredRollout(**record)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(
                f"rollouts {file}: line {number} is damaged; delete the file to play them again"
            ) from error
    return found


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"rollouts {folder}: cannot be written ({error.strerror}); check space and permissions"
        ) from error


def _scored(rollout: Rollout, scores: PrefixScores) -> ScoredRollout:
    return ScoredRollout(
        seed=rollout.seed,
        success=rollout.success,
        ticks=rollout.ticks,
        closest_m=rollout.closest_m,
        final_log_prob=success_score(scores.log_prob_true),
        prefix_lengths=tuple(int(length) for length in scores.prefix_lengths),
        log_prob_true=tuple(float(value) for value in scores.log_prob_true),
    )


def _append(file: Path, rollout: ScoredRollout) -> None:
    try:
        with file.open("a") as out:
            out.write(json.dumps(asdict(rollout)) + "\n")
            out.flush()
            os.fsync(out.fileno())
    except OSError as error:
        raise InputError(
            f"rollouts {file}: cannot be written ({error.strerror}); check space and permissions"
        ) from error


def _film(folder: Path, rollout: Rollout, scores: PrefixScores, fps: float, done: str) -> None:
    from rabc.diagnosis.figures import write_rollout_video

    verdict = done if rollout.success else "failed"
    path = folder / f"rollout-{rollout.seed}-{verdict}.mp4"
    write_rollout_video(path, rollout.frames, scores, fps, f"seed {rollout.seed}: {verdict}")
