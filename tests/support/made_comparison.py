"""A comparison that nobody ran: random outcomes, real statistics, pictures, videos and TensorBoard files."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from rabc.comparison.arms import Arm, arms_of
from rabc.comparison.plan import planned_run
from rabc.comparison.results import PlayedRun, summarise
from rabc.config.settings import ComparisonConfig, Config
from rabc.diagnosis.figures import write_rollout_video
from rabc.rollouts.evaluation import ScoredRollout
from rabc.scoring.base import PrefixScores
from rabc.statistics.sequential import evidence
from rabc.weighting import schemes
from rabc.weighting.strips import captioned

FIRST = 3_000_000
GAIN = {
    "plain": 0.0,
    "weighted": 0.2,
    "topreward": 0.03,
    "shuffled": -0.02,
    "success-only": 0.12,
    "oracle": 0.25,
}
OWN = "awr_in_the_sampler_on_log_odds"
"""An arm of the configuration's own, with a name that needs room."""
FRAMES = 4000


def make(
    folder: Path,
    seeds: int = 3,
    start_states: int = 120,
    videos: int = 2,
    sequential: bool = False,
    names: str | None = None,
) -> dict[str, Any]:
    """Content of `comparison.json`; its pictures and videos are in `folder`.

    sequential: whether there was a sequential test. names: of the arms, comma-separated; None: all.
    """
    rng = np.random.default_rng(0)
    own = {"scheme": "awr", "beta": 0.2, "calibration": "logodds", "apply": "sampler"}
    config = Config(run="made_up", comparison=ComparisonConfig(arms={OWN: own}))
    arms = arms_of(config, names)
    ease = rng.normal(0, 0.25, start_states)
    weighted = {arm.name: _weights(folder / arm.name, arm, rng) for arm in arms}
    runs = [
        _run(config, arm, seed, weighted[arm.name], ease, folder, videos if seed == 0 else 0, rng)
        for seed in range(seeds)
        for arm in arms
    ]
    command = "python scripts/compare.py --config so101_pick.yaml --seeds 3 --rollouts 120"
    return summarise(config, arms, runs, command, _sequential(runs, sequential))


def _weights(folder: Path, arm: Arm, rng: np.random.Generator) -> dict[str, Any]:
    folder.mkdir(parents=True)
    values = np.ones(FRAMES)
    pictures: dict[str, list[str]] = {"up": [], "down": []}
    if arm.name != "plain":
        values = schemes.normalise(np.clip(rng.normal(0.8, 0.7, FRAMES), 0, 2))
        for kind, found in pictures.items():
            for number in range(6):
                path = folder / f"{kind}-{number + 1:02d}.png"
                strip = captioned(
                    _texture(rng, 160, 480), (f"episode {number}, a failure, 1.0 to 2.6 s", kind)
                )
                Image.fromarray(strip).save(path)
                found.append(str(path))
    return {"scheme": arm.weights.scheme, **asdict(schemes.summary(values)), **pictures}


def _run(
    config: Config,
    arm: Arm,
    seed: int,
    weighted: dict[str, Any],
    ease: NDArray[np.float64],
    folder: Path,
    videos: int,
    rng: np.random.Generator,
) -> PlayedRun:
    from torch.utils.tensorboard.writer import SummaryWriter

    name = f"made_up-{arm.name}-s{seed}"
    board = folder / name / "tensorboard"
    writer = SummaryWriter(str(board))
    for step in range(0, 2001, 10):
        writer.add_scalar("loss", 30 * np.exp(-step / 150) + 0.3 + 0.05 * rng.random() + 0.02 * seed, step)
    writer.close()
    chance = 0.4 + GAIN.get(arm.name, 0.1) + rng.normal(0, 0.03) + ease
    rollouts: list[ScoredRollout] = []
    for number, success in enumerate(rng.random(len(ease)) < chance):
        final = -1.2 + (0.9 if success else 0.0) + 0.5 * float(rng.normal())
        ticks = int(rng.integers(60, 120)) if success else 150
        rollouts.append(
            ScoredRollout(
                FIRST + number, bool(success), ticks, 0.01 + 0.04 * float(rng.random()), final, (1,), (final,)
            )
        )
    for rollout in rollouts[:videos]:
        verdict = "lifted" if rollout.success else "failed"
        path = folder / name / "rollouts" / f"rollout-{rollout.seed}-{verdict}.mp4"
        frames = np.stack([np.roll(_texture(rng, 96, 96), 4 * t, axis=1) for t in range(3)]).transpose(
            0, 3, 1, 2
        )
        curve = np.linspace(-3, rollout.final_log_prob, 3)
        write_rollout_video(path, frames, PrefixScores(np.arange(1, 4), curve, curve), 5.0, verdict)
    results: dict[str, Any] = {
        "demonstrations": {
            "root": "data/made_up", "content": "0123456789abcdef",
            "episodes": 100, "frames": FRAMES, "fps": 20,
            "kinds": {"clean": 40, "stall": 20, "drop": 20, "give_up": 20},
        },
        "scores": {
            "scorer": {"scorer": "checkpoints/so101-scorer", "revision": "fedcba9876543210"},
            "diagnosis": {
                "verdict": "use",
                "figures": {"success_auc": {"value": 0.9, "low": 0.8, "high": 1.0, "count": 100}},
            },
        },
        "weights": weighted,
        "training": {
            "policy_folder": f"checkpoints/{name}/pretrained_model",
            "content": f"{rng.integers(1 << 60):016x}",
            "steps": 2000, "training_seconds": 960.0 + seed, "tensorboard": str(board),
        },
    }  # fmt: skip
    return PlayedRun(planned_run(config, arm, seed, 0), results, tuple(rollouts), folder / name / "rollouts")


def _sequential(runs: Sequence[PlayedRun], wanted: bool) -> dict[str, Any] | None:
    if not wanted:
        return None
    outcomes = {
        name: np.stack([run.outcomes for run in runs if run.plan.arm.name == name])
        for name in dict.fromkeys(run.plan.arm.name for run in runs)
    }
    plain = outcomes.pop("plain")
    e_values = {name: evidence(own, plain).tolist() for name, own in outcomes.items()}
    return {"level": 0.05, "stopped_after": plain.shape[1], "e_values": e_values}


def _texture(rng: np.random.Generator, height: int, width: int) -> NDArray[np.uint8]:
    small = rng.integers(0, 255, (height // 16, width // 16, 3), dtype=np.uint8)
    return small.repeat(16, axis=0).repeat(16, axis=1)
