"""Simulated demonstrations as a LeRobotDataset v3, in the names and units of a real SO-101 recording.

Episodes are recorded in shards by several processes and joined with LeRobot's own aggregation. A
finished shard survives a crash; the dataset's folder appears only when it is whole. What the simulator
alone knows goes into `ground_truth/` beside the tables, which LeRobot ignores and nothing trains on.
"""

import contextlib
import hashlib
import io
import json
import shutil
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rabc.config.settings import DemonstrationsConfig
from rabc.config.simulated import GROUND_TRUTH, LATER_KINDS, RECORDING
from rabc.sim import seeds
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import KINDS, Kind
from rabc.sim.environment import CAMERAS, FPS, JOINTS, Simulator
from rabc.sim.scene import Scene, Task
from rabc.sim.workers import in_processes
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id
from rabc.system.lock import alone
from rabc.system.quiet import no_library_bars, quiet_libraries

EPISODES_PER_SHARD = 10
ROBOT_TYPE = "so101_follower"
# Nearly lossless: a rollout shows the policy raw renderings, so the recording must look the same.
VIDEO_CODEC, VIDEO_QUALITY = "h264", 12
# Without x264's macroblock tree: with it, where two encoders are at work in a process, one video in a hundred
# differs in a few pixels from another of the same pictures. With a key frame every other frame it is no loss.
VIDEO_OPTIONS = {"mbtree": "0"}
# Settings that came later, where they leave all as it was: what was recorded before is still the same.
_AS_BEFORE = (("task", "pick"), *((kind, 0) for kind in LATER_KINDS))


@dataclass(frozen=True)
class PlannedEpisode:
    """One episode to record."""

    seed: int
    kind: Kind


@dataclass(frozen=True)
class EpisodeTruth:
    """The simulator's view of one recorded episode; for tests and reports only."""

    seed: int
    kind: Kind
    success: bool
    """Whether the task is done in the last frame."""
    phases: tuple[tuple[int, str], ...]
    """(frame, name) of each phase's beginning."""
    progress: tuple[float, ...]
    """Simulator progress at each frame, 0...1."""


@dataclass(frozen=True)
class _Shard:
    folder: Path
    episodes: tuple[PlannedEpisode, ...]
    image_size: int
    task: Task


def plan(config: DemonstrationsConfig) -> list[PlannedEpisode]:
    """Seeds and kinds of all episodes: the configured shares, in an order drawn from the first seed."""
    shares = np.array([getattr(config, kind) for kind in KINDS]) * config.episodes
    counts = np.floor(shares + 1e-9).astype(int)
    for kind in np.argsort(counts - shares, kind="stable")[: config.episodes - counts.sum()]:
        counts[kind] += 1  # largest remainders
    kinds = [kind for kind, count in zip(KINDS, counts, strict=True) for _ in range(count)]
    order = np.random.default_rng(config.first_seed).permutation(len(kinds))
    range_ = seeds.seed_range(seeds.DEMONSTRATIONS, config.first_seed, config.episodes)
    return [PlannedEpisode(seed, kinds[i]) for seed, i in zip(range_, order, strict=True)]


def record(config: DemonstrationsConfig, root: Path) -> None:
    """Record the planned episodes into `root`, going on where an earlier recording was stopped.

    Raises InputError where `root` exists already, cannot be written or is the name of a hub dataset.
    """
    check_records_into(str(root))
    if root.exists():
        raise InputError(f"dataset folder {root} exists already; remove it or choose another dataset.path")
    quiet_libraries()
    with ExitStack() as held:
        try:
            held.enter_context(alone(_partial(root) / ".lock", f"dataset {root}"))
            if root.exists():  # another process has recorded it meanwhile
                check_recorded_with(config, root)
                return
            work = _work_folder(config, root)
        # Not around the recording: an error in there is not one of the folder.
        except OSError as error:
            raise InputError(
                f"dataset folder {root} cannot be written: {error.strerror}; choose another dataset.path"
            ) from error
        _record(config, root, work)


def _work_folder(config: DemonstrationsConfig, root: Path) -> Path:
    """Where the shards go; those of other settings, which nobody will join any more, are removed."""
    partial = _partial(root)
    work = partial / shards_key(config)
    work.mkdir(parents=True, exist_ok=True)
    for other in partial.iterdir():
        if other.is_dir() and other != work:
            shutil.rmtree(other)
    return work


def _record(config: DemonstrationsConfig, root: Path, work: Path) -> None:
    episodes = plan(config)
    shards = [
        _Shard(
            work / f"shard_{first:05d}",
            tuple(episodes[first : first + EPISODES_PER_SHARD]),
            config.image_size,
            config.task,
        )
        for first in range(0, len(episodes), EPISODES_PER_SHARD)
    ]
    missing = [shard for shard in shards if not shard.folder.exists()]
    done = len(episodes) - sum(len(shard.episodes) for shard in missing)
    with tqdm(total=len(episodes), initial=done, desc="recording", unit="episode") as bar:
        for recorded in in_processes(_record_shard, missing, config.processes):
            bar.update(recorded)
    joined = work / "joined"
    shutil.rmtree(joined, ignore_errors=True)
    _join(shards, joined, config)
    joined.replace(root)
    remove_shards(root)


def remove_shards(root: Path) -> None:
    """Remove what the recording of `root` was joined from; a kill after the joining leaves it there."""
    shutil.rmtree(_partial(root), ignore_errors=True)


def _partial(root: Path) -> Path:
    return root.with_name(f"{root.name}.partial")


def settings_key(config: DemonstrationsConfig) -> str:
    """Short hash of everything that decides what is recorded (not how many processes do it)."""
    left_out = ("processes", "simulate")
    facts = {k: v for k, v in asdict(config).items() if k not in left_out and (k, v) not in _AS_BEFORE}
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def shards_key(config: DemonstrationsConfig) -> str:
    """Short hash of all that shards to be joined must have in common: settings, and what encodes."""
    facts = [settings_key(config), VIDEO_CODEC, VIDEO_QUALITY, VIDEO_OPTIONS]
    return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]


def recorded_with(root: Path) -> str | None:
    """The key of the settings that recorded `root`; None for a dataset from elsewhere."""
    path = root / GROUND_TRUTH / RECORDING
    try:
        return json.loads(path.read_text())["fingerprint"] if path.exists() else None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"file {path}: cannot be read; remove {root} to record it anew") from error


def check_records_into(path: str) -> None:
    """Raise InputError where `path` names a dataset of the hub, which a recording would be taken for."""
    if is_hub_id(path):
        raise InputError(
            f"dataset.path {path}: is the id of a hub dataset, and demonstrations.simulate true records one; "
            f"set demonstrations.simulate false to have it from the hub, or record into ./{path}"
        )


def check_recorded_with(config: DemonstrationsConfig, root: Path) -> None:
    """Raise InputError unless the dataset in `root` was recorded with these settings."""
    recorded = recorded_with(root)
    if recorded is None:  # somebody's own recording, of which nothing but its use is proposed
        raise InputError(
            f"dataset.path {root}: was not recorded in simulation; set demonstrations.simulate false to use "
            "it, or choose another dataset.path"
        )
    if recorded != settings_key(config):
        raise InputError(
            f"dataset.path {root}: was not recorded with these demonstrations settings; set "
            "demonstrations.simulate false to use it as it is, choose another dataset.path, or remove it to "
            "record anew"
        )


def read_ground_truth(root: Path) -> list[EpisodeTruth]:
    """The sidecar of a simulated dataset, by episode; empty for a dataset from elsewhere."""
    path = root / GROUND_TRUTH / "episodes.jsonl"
    if not path.exists():
        return []
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return [
        EpisodeTruth(
            seed=record["seed"],
            kind=record["kind"],
            success=record["success"],
            phases=tuple((tick, name) for tick, name in record["phases"]),
            progress=tuple(record["progress"]),
        )
        for record in records
    ]


def dataset_features(image_size: int) -> dict[str, dict[str, Any]]:
    """What LeRobot is to record; image_size: height and width of both cameras, pixels."""
    names = [f"{joint}.pos" for joint in JOINTS]
    shape = (image_size, image_size, 3)
    features: dict[str, dict[str, Any]] = {
        "observation.state": {"dtype": "float32", "shape": (len(JOINTS),), "names": names},
        "action": {"dtype": "float32", "shape": (len(JOINTS),), "names": names},
    }
    for camera in CAMERAS:
        features[f"observation.images.{camera}"] = {
            "dtype": "video", "shape": shape, "names": ["height", "width", "channels"]
        }  # fmt: skip
    return features


def _record_shard(shard: _Shard) -> int:
    import av.logging as libav
    from lerobot.datasets import LeRobotDataset

    quiet_libraries()
    no_library_bars()
    libav.set_libav_level(libav.ERROR)  # LeRobot hands libav's messages back to stderr
    partial = shard.folder.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    dataset = LeRobotDataset.create(
        repo_id=f"local/{shard.folder.name}",
        fps=FPS,
        features=dataset_features(shard.image_size),
        root=partial,
        robot_type=ROBOT_TYPE,
        rgb_encoder=video_encoder(),
        streaming_encoding=True,
        encoder_queue_maxsize=1000,  # the simulator is faster than the encoder; no frame may be dropped
        encoder_threads=1,
    )
    truths: list[EpisodeTruth] = []
    with Simulator(image_size=shard.image_size, task=shard.task) as simulator:
        for planned in shard.episodes:
            truths.append(_record_episode(simulator, planned, dataset))
    dataset.finalize()
    _write_truth(partial, truths)
    partial.replace(shard.folder)
    return len(shard.episodes)


def video_encoder() -> Any:
    """LeRobot's `RGBEncoderConfig` of the recordings: the same pictures give the same bytes."""
    from lerobot.configs.video import RGBEncoderConfig

    return RGBEncoderConfig(vcodec=VIDEO_CODEC, crf=VIDEO_QUALITY, extra_options=VIDEO_OPTIONS)


def _record_episode(simulator: Simulator, planned: PlannedEpisode, dataset: Any) -> EpisodeTruth:
    scene = Scene(task=simulator.task)
    demonstrator = demonstrate(simulator, planned.seed, planned.kind, scene)
    progress: list[float] = []
    for step in demonstrator.steps():
        images = {f"observation.images.{camera}": simulator.render(camera) for camera in CAMERAS}
        dataset.add_frame(
            {"observation.state": step.state, "action": step.action, "task": scene.instruction, **images}
        )
        progress.append(round(step.truth.progress, 6))
    dataset.save_episode()
    return EpisodeTruth(
        seed=planned.seed,
        kind=planned.kind,
        success=simulator.truth().success,
        phases=tuple((phase.tick, phase.name) for phase in demonstrator.phases),
        progress=tuple(progress),
    )


def _join(shards: list[_Shard], root: Path, config: DemonstrationsConfig) -> None:
    import av.logging as libav
    from lerobot.datasets.aggregate import aggregate_datasets

    libav.set_libav_level(libav.ERROR)
    # LeRobot shows a bar for each of its steps, which take a second together.
    with contextlib.redirect_stderr(io.StringIO()):
        aggregate_datasets(
            repo_ids=[f"local/{shard.folder.name}" for shard in shards],
            aggr_repo_id=f"local/{root.name}",
            roots=[shard.folder for shard in shards],
            aggr_root=root,
        )
    _write_truth(root, [truth for shard in shards for truth in read_ground_truth(shard.folder)])
    recording = {"fingerprint": settings_key(config), "demonstrations": asdict(config)}
    (root / GROUND_TRUTH / RECORDING).write_text(json.dumps(recording, indent=2) + "\n")


def _write_truth(root: Path, truths: list[EpisodeTruth]) -> None:
    folder = root / GROUND_TRUTH
    folder.mkdir()
    (folder / "episodes.jsonl").write_text("".join(json.dumps(asdict(truth)) + "\n" for truth in truths))
