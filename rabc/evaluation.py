"""Rollouts of a policy, scored and kept one by one, so that a killed evaluation goes on where it stopped."""

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rabc import progress
from rabc.config import Config
from rabc.rollout import Rollout, RolloutJob, roll_outs, ticks_per_frame
from rabc.scoring.base import PrefixScores, Scorer
from rabc.sim import seeds
from rabc.sim.environment import FPS, Scene
from rabc.stats import proportion


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


def evaluate(config: Config, policy_folder: Path, scorer: Scorer, folder: Path) -> dict[str, Any]:
    """Play and score the configured rollouts into `folder`; returns the figures the summary shows."""
    settings = config.rollouts
    wanted = seeds.seed_range(seeds.ROLLOUTS, settings.first_seed, settings.episodes)
    file = folder / "rollouts.jsonl"
    folder.mkdir(parents=True, exist_ok=True)
    finished = read_rollouts(file)
    rate = ticks_per_frame(float(scorer.identity["sample_fps"]))
    jobs = [
        RolloutJob(policy_folder.absolute(), seed, settings.max_ticks, config.scorer.camera, rate)
        for seed in wanted
        if seed not in finished
    ]
    with tqdm(total=len(wanted), initial=len(wanted) - len(jobs), desc="rollouts", unit="rollout") as bar:
        for rollout in roll_outs(jobs, settings.processes):
            scores = scorer.score(rollout.frames, Scene().instruction, FPS / rate, config.scorer.num_prefixes)
            if rollout.seed - wanted[0] < settings.videos:
                _film(folder, rollout, scores, FPS / rate)
            finished[rollout.seed] = scored = _scored(rollout, scores)
            _append(file, scored)
            bar.update()
            lifted = sum(finished[seed].success for seed in wanted if seed in finished)
            bar.set_postfix_str(f"{lifted} lifted")
    return figures([finished[seed] for seed in wanted], folder)


def figures(rollouts: list[ScoredRollout], folder: Path) -> dict[str, Any]:
    """Success rate with its interval, scores, and how far the scorer agrees with the simulator."""
    success = np.array([rollout.success for rollout in rollouts])
    final = np.array([rollout.final_log_prob for rollout in rollouts])
    auc = progress.roc_auc(final, success)
    return {
        "episodes": len(rollouts),
        "success": asdict(proportion(int(success.sum()), len(success))),
        "mean_final_log_prob": round(float(final.mean()), 4),
        "scorer_auc": round(auc, 4) if np.isfinite(auc) else None,
        "mean_ticks": round(float(np.mean([rollout.ticks for rollout in rollouts])), 1),
        "mean_closest_m": round(float(np.mean([rollout.closest_m for rollout in rollouts])), 4),
        "first_seed": rollouts[0].seed,
        "rollouts_file": str(folder / "rollouts.jsonl"),
        "videos": sorted(str(path) for path in folder.glob("*.mp4")),
        "files": [str(folder / "rollouts.jsonl")],
    }


def read_rollouts(file: Path) -> dict[int, ScoredRollout]:
    """Finished rollouts by seed; a line torn by a kill is left out and will be played again."""
    if not file.exists():
        return {}
    lines = file.read_bytes()
    whole = lines[: lines.rfind(b"\n") + 1]
    if len(whole) < len(lines):
        os.truncate(file, len(whole))
    found: dict[int, ScoredRollout] = {}
    for line in whole.splitlines():
        record = json.loads(line)
        for name in ("prefix_lengths", "log_prob_true"):
            record[name] = tuple(record[name])
        found[record["seed"]] = ScoredRollout(**record)
    return found


def _scored(rollout: Rollout, scores: PrefixScores) -> ScoredRollout:
    return ScoredRollout(
        seed=rollout.seed,
        success=rollout.success,
        ticks=rollout.ticks,
        closest_m=rollout.closest_m,
        final_log_prob=progress.success_score(scores.log_prob_true),
        prefix_lengths=tuple(int(length) for length in scores.prefix_lengths),
        log_prob_true=tuple(float(value) for value in scores.log_prob_true),
    )


def _append(file: Path, rollout: ScoredRollout) -> None:
    with file.open("a") as out:
        out.write(json.dumps(asdict(rollout)) + "\n")
        out.flush()
        os.fsync(out.fileno())


def _film(folder: Path, rollout: Rollout, scores: PrefixScores, fps: float) -> None:
    from rabc.figures import write_rollout_video

    verdict = "lifted" if rollout.success else "failed"
    path = folder / f"rollout-{rollout.seed}-{verdict}.mp4"
    write_rollout_video(path, rollout.frames, scores, fps, f"seed {rollout.seed}: {verdict}")
