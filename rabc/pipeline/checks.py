"""What would stop a run after minutes of work, found before it."""

import contextlib
import hashlib
import json
import os
import statistics
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from rabc.config.settings import Config, WeightsConfig
from rabc.config.simulated import is_simulated
from rabc.pipeline.state import paths
from rabc.policies.start import start_content
from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id, looks_like_hub_id


def check_beforehand(config: Config) -> None:
    """Find now what would else fail after minutes of work.

    Raises InputError for a missing dataset or scorer, a dataset that was recorded with other settings, a
    folder that cannot be written, a machine that cannot draw, rollouts that the simulation cannot play.
    """
    from rabc.scoring.loading import check_model
    from rabc.sim import seeds
    from rabc.sim.environment import CAMERAS, check_rendering
    from rabc.sim.recorder import check_recorded_with, check_records_into

    where = paths(config)
    for folder in (where.outputs, where.policy.parent):
        check_writable(folder)
    check_start(config)
    root, simulate = Path(config.dataset.paths[0]), config.demonstrations.simulate
    for path in config.dataset.paths:
        if not Path(path).exists() and not simulate and not is_hub_id(path):
            raise InputError(
                f"dataset.path {path}: no such folder; give the folder of a LeRobotDataset v3 or a hub id, "
                "or set demonstrations.simulate true to record it in simulation"
            )
        if not simulate and looks_like_hub_id(path) and is_simulated(path):
            raise InputError(
                f"dataset.path {path}: this folder was recorded in simulation and is not the hub dataset of "
                f"that name; move it away to have that, or give ./{path} to use the folder"
            )
        check_playable(config, path)
    if simulate and (len(config.dataset.paths) > 1 or config.dataset.rename_map):
        raise InputError(
            f"demonstrations.simulate true: records one dataset, under its own names, and dataset.path is "
            f"{', '.join(config.dataset.paths)}; set demonstrations.simulate false"
        )
    to_record = simulate and not root.exists()
    if to_record:
        check_records_into(str(root))
        check_writable(root.parent)
    elif simulate:
        check_recorded_with(config.demonstrations, root)
    check_foreign(config.weights)
    if not config.weights.unscored or config.rollouts.episodes:
        check_model(config.scorer.model)
    to_play = config.rollouts.episodes > 0 and not (where.outputs / "stages" / "rollouts.json").exists()
    to_watch = config.trainer.rollout_every > 0
    if to_record or to_play or to_watch:
        check_rendering()
    if config.rollouts.episodes:
        seeds.seed_range(seeds.ROLLOUTS, config.rollouts.first_seed, config.rollouts.episodes)
        if config.scorer.cameras[0] not in CAMERAS:
            raise InputError(
                f"scorer.camera {config.scorer.cameras[0]}: the simulation has only {', '.join(CAMERAS)}, so "
                "rollouts cannot be scored; choose one of these or set rollouts.episodes 0"
            )
    if simulate:
        seeds.seed_range(
            seeds.DEMONSTRATIONS, config.demonstrations.first_seed, config.demonstrations.episodes
        )


def check_start(config: Config) -> None:
    """Raise InputError where the policy that training starts from is the one that it writes.

    Each start would find it changed, by the one before.
    """
    start = config.policy.pretrained_path
    if start is not None and Path(start).resolve() == paths(config).policy.resolve():
        raise InputError(
            f"policy.pretrained_path {start}: is where run {config.run} leaves its own policy; give "
            "another --run"
        )


def check_playable(config: Config, path: str) -> None:
    """Raise InputError where rollouts are asked for and dataset `path` shows another scene than they play.

    Cameras of the same names are no sign: a policy of a real table lifts nothing in the simulator, and that
    would be told as its success rate.
    """
    if config.demonstrations.simulate or is_simulated(path):
        return
    for key, count in (
        ("rollouts.episodes", config.rollouts.episodes),
        ("trainer.rollout_every", config.trainer.rollout_every),
    ):
        if count:
            raise InputError(
                f"{key} {count}: rollouts are played in the simulator, which did not record dataset {path}; "
                f"set {key} 0"
            )


def check_foreign(settings: WeightsConfig) -> None:
    """Raise InputError for progress or weights from elsewhere that are not there."""
    foreign = settings.foreign_file
    if foreign is not None and not Path(foreign).is_file():
        raise InputError(f"weights file {foreign}: no such file; check the path")


def check_fits(config: Config, root: Path) -> None:
    """Raise InputError for progress or weights from elsewhere that are not of the dataset in `root`."""
    weights = config.weights
    if weights.foreign_file is None or weights.scheme == "none":
        return
    import numpy as np

    from rabc.datasets.episodes import read_episodes
    from rabc.datasets.fingerprint import fingerprint
    from rabc.datasets.source import open_dataset
    from rabc.weighting.progress_file import read_foreign
    from rabc.weighting.weights_file import read_weights

    lengths = read_episodes(open_dataset(config, root)).length
    episode_index = np.repeat(np.arange(len(lengths)), lengths)
    if weights.weights_file:
        read_weights(Path(weights.weights_file), episode_index, fingerprint(root))
    else:
        file = Path(weights.foreign_file)
        read_foreign(file, weights.progress_head, episode_index, fingerprint(root))


def check_writable(folder: Path) -> None:
    """Raise InputError unless files can be made in `folder`, or in the nearest folder above that exists."""
    import os

    nearest = folder.absolute()
    while not nearest.exists():
        nearest = nearest.parent
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(
            f"folder {folder}: cannot be written ({nearest} is not a writable folder); choose another place"
        )


_CHECKED = 2
"""Of what is checked: what an earlier version found sound is checked anew."""


def check_once(config: Config, root: Path, keep: bool) -> None:
    """`check_dataset`, unless it had nothing to say when the run's dataset and settings were these before.

    Importing what reads a dataset takes most of a start in which nothing has changed. Before a training this
    also prints what decoded frames will take on which disk; raises InputError where they cannot be written.
    keep: remember in the run's folder that there was nothing to say.
    """
    from rabc.datasets.cache import cache_cost
    from rabc.datasets.fingerprint import fingerprint

    take_out(config, root)
    trained = (paths(config).outputs / "stages" / "training.json").exists()
    cost = None if trained else cache_cost(config, root)
    content = fingerprint(root)
    info = (root / "meta" / "info.json").read_text()
    facts: list[object] = [
        _CHECKED,
        version("rabc"),
        version("lerobot"),
        asdict(config),
        str(root),
        content,
        info,
    ]
    facts.append(start_content(config.policy.pretrained_path))
    key = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]
    kept = paths(config).outputs / "checked.json"
    if cost is not None and cost.to_decode:
        print(cost)
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        if json.loads(kept.read_text())["key"] == key:
            return
    if check_dataset(config, root) and keep:
        write_json(kept, {"key": key})


def check_dataset(config: Config, root: Path, trains: bool = True) -> bool:
    """Find now what the dataset in `root` would else stop a later stage with, or teach wrongly.

    trains: whether a policy is trained, or the demonstrations only scored. Prints what would train wrong, and
    returns whether there was nothing to print.
    Raises InputError for an episode, a camera, an instruction, an input of the policy or a statistic that is
    needed and not there, for a threshold of the weights that leaves out sound demonstrations, and for what
    its check refuses (`rabc.datasets.preflight`).
    """
    from rabc.datasets.cameras import camera_key
    from rabc.datasets.preflight.check import preflight, refusals_and_warnings
    from rabc.datasets.preflight.findings import Use
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.source import open_dataset
    from rabc.policies.build import normalisation_statistics
    from rabc.policies.settings import policy_settings
    from rabc.scoring.asked import check_words, instructions

    take_out(config, root)
    meta = open_dataset(config, root)
    selected = selected_episodes(config.dataset, meta.total_episodes)
    uses: list[Use] = []
    cameras: list[str] = []
    if not (trains and config.weights.unscored):
        uses.append("scoring")
        cameras += [camera_key(meta, name, "scorer.camera") for name in config.scorer.cameras]
        check_words(meta, instructions(meta, selected), config.scorer.model)
    if trains:
        uses.append("training")
        policy = policy_settings(config.policy, meta, "cpu")
        cameras += policy.image_features
        normalisation_statistics(policy, meta)
        check_split(config, root)
        check_fits(config, root)
    said = thresholds(config, config.weights, root) if trains else []
    for sentence in said:
        print(f"weights: {sentence}")
    found = preflight(meta)
    refusals_and_warnings(found, uses, cameras, selected, root)
    return not said and not any(one.severity == "wrong" for one in found)


def take_out(config: Config, root: Path) -> None:
    """Takes what earlier versions kept inside the dataset out of it (see `rabc.scoring.moving`)."""
    from rabc.datasets.fingerprint import derived_folder

    # Asked here as well: the answer needs no library, and is no but for a view of several datasets.
    before, cached = root.with_name(f"{root.name}_old"), derived_folder(root) / "scores"
    if any(os.path.exists(path) for path in (root / ".rabc", before / ".rabc", root / "parts.json", cached)):
        from rabc.scoring.moving import move_out
        from rabc.system.home import scores_root

        move_out(root, scores_root(config.scorer.scores_folder))


def check_split(config: Config, root: Path) -> None:
    """Raise InputError where `dataset.eval_split` leaves no episode of the dataset in `root` for training.

    Of episodes with several tasks only the frames say which comes first; they are read before the training.
    """
    from rabc.datasets.episodes import read_episodes
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.source import open_dataset
    from rabc.training.order import held_out_episodes

    records = read_episodes(open_dataset(config, root))
    tasks = [records.tasks[one] for one in selected_episodes(config.dataset, len(records))]
    if all(len(of) == 1 for of in tasks):
        held_out_episodes([of[0] for of in tasks], config.dataset.eval_split)


def thresholds(config: Config, weights: WeightsConfig, root: Path) -> list[str]:
    """`rabc.weighting.enough.check_thresholds` of `weights` on the episodes of the dataset in `root`."""
    from rabc.datasets.episodes import read_episodes
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.source import open_dataset
    from rabc.datasets.tasks import task_groups
    from rabc.weighting.deltas import judged_span
    from rabc.weighting.enough import check_thresholds

    meta = open_dataset(config, root)
    records = read_episodes(meta)
    selected = selected_episodes(config.dataset, len(records))
    tasks = task_groups(["\n".join(records.tasks[episode]) for episode in selected])
    length = records.length[selected]
    span = judged_span(weights, config.policy.chunk, meta.fps, statistics.median(length.tolist()))
    return check_thresholds(weights, length, tasks, span)


def check_values(config: Config, root: Path) -> None:
    """Raise InputError for a frame that no stage can use: reads all tables, which takes seconds."""
    from rabc.datasets.features import vector_inputs
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.source import open_dataset
    from rabc.datasets.tables import read_frames

    meta = open_dataset(config, root)
    read_frames(meta, vector_inputs(meta), selected_episodes(config.dataset, meta.total_episodes))
