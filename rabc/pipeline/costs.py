"""What a run will cost, for `--dry_run`: from its sizes, and from what its pieces take on this machine.

It says whether to wait at the desk or to come back tomorrow, nothing finer. What cannot be measured in a few
seconds, such as the time of a scorer of billions of parameters, is unknown.
"""

import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabc.config.settings import Config
from rabc.datasets.cache import budget, cache_cost, cached_bytes
from rabc.datasets.fingerprint import read_json
from rabc.datasets.source import find_dataset
from rabc.pipeline.rates import CLIP, ROLLOUT_TICK, STEP, TICK, Rates, Sizes, rates
from rabc.pipeline.room import bytes_to_come, check_room, parameters, training_bytes
from rabc.system.errors import InputError
from rabc.system.terminal import duration, table
from rabc.system.threads import usable_cores

FRAMES_PER_EPISODE = {"pick": 65, "place": 95}  # simulated
RECORDED_TICKS = 3.5  # simulated ticks that a recorded one takes, with the encoding of its pictures
START_S = 12.0  # of the processes that record, that prove an export, that play
BYTES_PER_VIDEO_FRAME = 1_200  # simulated, one camera


@dataclass(frozen=True)
class _Dataset:
    episodes: int
    frames: int
    uncached_bytes: int
    """Decoded frames of all cameras, as the policy sees them, that are not on disk."""
    exists: bool
    sizes: Sizes


def cost_table(config: Config, unfinished: Sequence[str]) -> str:
    """Time and disk of the stages that are not done, as a table; measures this machine where it has to."""
    return cost_table_with(config, unfinished, measured(config, unfinished))


def cost_table_with(config: Config, unfinished: Sequence[str], known: Rates) -> str:
    """The table for a machine of these rates."""
    if not unfinished:
        return "Nothing to do."
    dataset = _dataset(config)
    costs = [(stage, *_cost(config, stage, dataset, known)) for stage in unfinished]
    costs.append(("together", _sum([time for _, time, _ in costs]), _sum([disk for _, _, disk in costs])))
    rows = [
        [
            name,
            "unknown" if time is None else duration(time),
            "unknown" if disk is None else f"{disk / 1e6:.0f} MB",
        ]
        for name, time, disk in costs
    ]
    return "\n".join([table(rows, ["stage", "time", "disk"]), *([known.remark] if known.remark else [])])


def measured(config: Config, stages: Sequence[str], anew: bool = True) -> Rates:
    """What the pieces of `stages` take on this machine; anew: measured where that is not known."""
    dataset = _dataset(config)
    idle: set[str] = set()
    if dataset is None or dataset.exists:
        idle.add("demonstrations")
    if dataset is not None and not _clips(config, dataset.episodes):
        idle.add("scores")
    if not config.rollouts.episodes:
        idle.add("rollouts")
    sizes = None if dataset is None else dataset.sizes
    return rates(config, sizes, [stage for stage in stages if stage not in idle], anew)


def check_fits(config: Config, unfinished: Sequence[str]) -> None:
    """Raise InputError where what the stages `unfinished` write is more than a disk has room for."""
    if "training" in unfinished:
        check_all_fit(config, [config], at_once=1)


def check_all_fit(config: Config, runs: Sequence[Config], at_once: int) -> None:
    """The same of trainings on one dataset, so many at a time.

    Args:
        config: of what they share: the dataset, the policy.
        runs: still to be trained.
        at_once: of them that train side by side.
    """
    dataset = _dataset(config) if runs else None
    if dataset is None:
        return
    numbers = parameters(config, dataset.sizes.root)
    to_decode = min(dataset.uncached_bytes, budget(config.dataset)) if config.dataset.cache else 0.0
    if dataset.sizes.root is not None:  # of the selected episodes alone
        cost = cache_cost(config, dataset.sizes.root)
        to_decode = 0.0 if cost is None else float(cost.to_decode)
    check_room(
        runs[0] if len(runs) == 1 else config,
        to_decode=to_decode,
        training=0.0 if numbers is None else bytes_to_come(runs, numbers, at_once),
        runs=len(runs),
        recorded=0.0 if dataset.exists else 2.0 * dataset.frames * BYTES_PER_VIDEO_FRAME,
    )


def jobs_at_once(config: Config) -> int:
    """Trainings of a comparison at the same time: as configured, or one for each core, or one on a GPU."""
    from rabc.system.device import resolve_device

    if config.comparison.jobs:
        return config.comparison.jobs
    return (os.cpu_count() or 1) if resolve_device(config.device) == "cpu" else 1


def training_s(config: Config, known: Rates) -> float | None:
    """Seconds of one training; on CPUs, processes that train together share the cores."""
    from rabc.system.device import resolve_device

    step = known.seconds.get(STEP)
    shared = config.trainer.devices if resolve_device(config.device) == "cpu" else 1
    return None if step is None else START_S + config.trainer.max_steps * step * shared


def rollouts_s(config: Config, rollouts: int, processes: int, known: Rates) -> float | None:
    """Seconds of playing and scoring rollouts, at most: one that succeeds ends early."""
    if not rollouts:
        return 0.0
    tick, clip = known.seconds.get(ROLLOUT_TICK), known.seconds.get(CLIP)
    if tick is None or clip is None:
        return None
    return START_S + rollouts * (config.rollouts.max_ticks * tick / _at_once(processes) + clip)


def _dataset(config: Config) -> _Dataset | None:
    """The dataset as its metadata says, or as it will be recorded; None for one that is not here yet."""
    demonstrations = config.demonstrations
    if all((Path(path) / "meta" / "info.json").exists() for path in config.dataset.paths):
        root = find_dataset(config)  # of several, or one under other names, their view
        info = root / "meta" / "info.json"
        try:
            facts: dict[str, Any] = read_json(info)
            features = facts["features"]
            shapes = [f["shape"] for f in features.values() if f["dtype"] in ("video", "image")]
            episodes, frames = int(facts["total_episodes"]), int(facts["total_frames"])
            needed = frames * sum(_picture_bytes(config, shape) for shape in shapes)
            sizes = Sizes(root, features, float(facts["fps"]), max(1, frames // max(1, episodes)))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise InputError(f"file {info}: cannot be read; download or record the dataset again") from error
        cached = cached_bytes(config, root)
        return _Dataset(episodes, frames, max(0, needed - cached), exists=True, sizes=sizes)
    if demonstrations.simulate:
        from rabc.sim.environment import FPS
        from rabc.sim.recorder import dataset_features

        length = FRAMES_PER_EPISODE[demonstrations.task]
        frames = demonstrations.episodes * length
        picture = _picture_bytes(config, [demonstrations.image_size, demonstrations.image_size, 3])
        sizes = Sizes(None, dataset_features(demonstrations.image_size), FPS, length)
        return _Dataset(demonstrations.episodes, frames, 2 * frames * picture, exists=False, sizes=sizes)
    return None


def _picture_bytes(config: Config, shape: list[int]) -> int:
    """What the frame cache takes for one frame of a camera of this shape."""
    return math.prod([*config.policy.resize_shape, 3] if config.policy.resize_shape else shape)


def _cost(
    config: Config, stage: str, dataset: _Dataset | None, known: Rates
) -> tuple[float | None, float | None]:
    """Seconds and bytes; None where they are not known."""
    if stage == "rollouts":
        rollouts = config.rollouts
        return rollouts_s(config, rollouts.episodes, rollouts.processes, known), rollouts.episodes * 600.0
    if dataset is None:
        return (training_s(config, known) if stage == "training" else None), None
    tick, clip = known.seconds.get(TICK), known.seconds.get(CLIP)
    clips, prefixes = _clips(config, dataset.episodes), config.scorer.num_prefixes
    # 0 stands for every frame the scorer reads; of simulated video that is every other.
    lines = clips * prefixes if prefixes else clips * dataset.frames // (2 * dataset.episodes)
    to_decode = min(dataset.uncached_bytes, budget(config.dataset)) if config.dataset.cache else 0
    recorded: tuple[float | None, float] = (0.0, 0.0)
    if not dataset.exists:
        at_once = _at_once(config.demonstrations.processes)
        recorded_s = None if tick is None else START_S + dataset.frames * tick * RECORDED_TICKS / at_once
        recorded = (recorded_s, 2.0 * dataset.frames * BYTES_PER_VIDEO_FRAME)
    numbers = parameters(config, dataset.sizes.root) if stage == "training" else None
    left = None if numbers is None else to_decode + training_bytes(config, numbers)
    costs: dict[str, tuple[float | None, float | None]] = {
        "demonstrations": recorded,
        "scores": (0.0 if not clips else None if clip is None else clips * clip, lines * 60.0),
        "weights": (1.0, dataset.frames * 30.0),
        "training": (training_s(config, known), left),
    }
    return costs[stage]


def _at_once(processes: int) -> int:
    """Processes of one thread that get on with their work at the same time."""
    return max(1, min(processes, usable_cores()))


def _clips(config: Config, episodes: int) -> int:
    """Episodes to score, each with its controls counted."""
    if config.weights.foreign_file is not None or config.weights.scheme == "none":
        return 0
    controlled = min(config.diagnostics.episodes or episodes, episodes)
    static = episodes if config.weights.length_bias == "subtract" else controlled
    return episodes + static + 2 * controlled


def _sum(values: list[float | None]) -> float | None:
    return None if None in values else sum(value for value in values if value is not None)
