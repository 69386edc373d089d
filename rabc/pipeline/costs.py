"""What a run will cost: rough figures for `--dry_run`, from rates measured on two CPU cores.

They say whether to wait at the desk or to come back tomorrow, nothing finer. What nobody has measured, such
as the time of a scorer of billions of parameters, is unknown.
"""

import json
import math
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

from rabc.config.settings import Config
from rabc.datasets.cache import cache_cost, cached_bytes
from rabc.system.errors import InputError
from rabc.system.shipped import SCORERS
from rabc.system.terminal import duration, table

FRAMES_PER_EPISODE = {"pick": 65, "place": 95}  # simulated
RECORD_S_PER_EPISODE = 1.8  # per process
SCORE_S_PER_PREFIX = 0.03  # the shipped scorer
TRAIN_S_PER_SAMPLE = 0.012
ROLLOUT_S = 0.9  # per process
BYTES_PER_VIDEO_FRAME = 1_200  # simulated, one camera
CHECKPOINT_BYTES = 150e6


@dataclass(frozen=True)
class _Dataset:
    episodes: int
    frames: int
    uncached_bytes: int
    """Decoded frames of all cameras, as the policy sees them, that are not on disk."""
    exists: bool


def cost_table(config: Config, unfinished: list[str]) -> str:
    """Time and disk of the stages that are not done, as a table."""
    costs = [(stage, *_cost(config, stage, _dataset(config))) for stage in unfinished]
    if not costs:
        return "Nothing to do."
    costs.append(("together", _sum([time for _, time, _ in costs]), _sum([disk for _, _, disk in costs])))
    rows = [
        [
            name,
            "unknown" if time is None else duration(time),
            "unknown" if disk is None else f"{disk / 1e6:.0f} MB",
        ]
        for name, time, disk in costs
    ]
    return (
        table(rows, ["stage", "time", "disk"])
        + ("\nTimes are rough: the shipped scorer and policy on two CPU cores.")
        + _cache(config, unfinished)
    )


def _cache(config: Config, unfinished: list[str]) -> str:
    """Size and place of the decoded frames that a training is going to want."""
    paths = config.dataset.paths  # several are joined into one, whose cache is another
    here = len(paths) == 1 and (Path(paths[0]) / "meta" / "info.json").exists()
    cost = cache_cost(config, Path(paths[0])) if here and "training" in unfinished else None
    return "" if cost is None else f"\n{cost}"


def _dataset(config: Config) -> _Dataset | None:
    """The dataset as its metadata says, or as it will be recorded; None for one that is not here yet."""
    info = Path(config.dataset.paths[0]) / "meta" / "info.json"
    demonstrations = config.demonstrations
    if info.exists():
        try:
            facts: dict[str, Any] = json.loads(info.read_text())
            shapes = [f["shape"] for f in facts["features"].values() if f["dtype"] in ("video", "image")]
            episodes, frames = int(facts["total_episodes"]), int(facts["total_frames"])
            needed = frames * sum(_picture_bytes(config, shape) for shape in shapes)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"file {info}: cannot be read; download or record the dataset again") from error
        cached = cached_bytes(config, Path(config.dataset.paths[0]))
        return _Dataset(episodes, frames, max(0, needed - cached), exists=True)
    if demonstrations.simulate:
        frames = demonstrations.episodes * FRAMES_PER_EPISODE[demonstrations.task]
        picture = _picture_bytes(config, [demonstrations.image_size, demonstrations.image_size, 3])
        return _Dataset(demonstrations.episodes, frames, 2 * frames * picture, exists=False)
    return None


def _picture_bytes(config: Config, shape: list[int]) -> int:
    """What the frame cache takes for one frame of a camera of this shape."""
    return math.prod([*config.policy.resize_shape, 3] if config.policy.resize_shape else shape)


def _cost(config: Config, stage: str, dataset: _Dataset | None) -> tuple[float | None, float | None]:
    """Seconds and bytes; None where they are not known."""
    rollouts, prefixes = config.rollouts.episodes, config.scorer.num_prefixes
    shipped = PurePath(config.scorer.model).name in SCORERS
    if stage == "rollouts":
        played = rollouts * ROLLOUT_S / config.rollouts.processes
        scored = rollouts * (prefixes or 50) * SCORE_S_PER_PREFIX
        return (played + scored if shipped or not rollouts else None), rollouts * 600.0
    trainer = config.trainer
    samples = trainer.max_steps * trainer.batch_size * trainer.accumulate_grad_batches  # of one process
    train_s = samples * TRAIN_S_PER_SAMPLE
    if dataset is None:
        return (train_s if stage == "training" else None), None
    clips = _clips(config, dataset.episodes)
    # 0 stands for every frame the scorer reads; of simulated video that is every other.
    scores = clips * prefixes if prefixes else clips * dataset.frames // (2 * dataset.episodes)
    to_decode = dataset.uncached_bytes if config.dataset.cache else 0
    costs: dict[str, tuple[float | None, float]] = {
        "demonstrations": (
            0.0 if dataset.exists
            else dataset.episodes * RECORD_S_PER_EPISODE / config.demonstrations.processes,
            0.0 if dataset.exists else 2.0 * dataset.frames * BYTES_PER_VIDEO_FRAME,
        ),
        "scores": (scores * SCORE_S_PER_PREFIX if shipped else None, scores * 60.0),
        "weights": (1.0, dataset.frames * 30.0),
        "training": (train_s, to_decode + (trainer.keep_checkpoints + 1) * CHECKPOINT_BYTES),
    }  # fmt: skip
    return costs[stage]


def _clips(config: Config, episodes: int) -> int:
    """Episodes to score, each with its controls counted."""
    if config.weights.weights_file or config.weights.progress_file:
        return 0
    controlled = min(config.diagnostics.episodes or episodes, episodes)
    static = episodes if config.weights.length_bias == "subtract" else controlled
    return episodes + static + 2 * controlled


def _sum(values: list[float | None]) -> float | None:
    return None if None in values else sum(value for value in values if value is not None)
