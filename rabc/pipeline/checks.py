"""What would stop a run after minutes of work, found before it."""

from pathlib import Path

from rabc.config.settings import Config, WeightsConfig
from rabc.pipeline.state import paths
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id


def check_beforehand(config: Config) -> None:
    """Find now what would else fail after minutes of work.

    Raises InputError for a missing dataset or scorer, a dataset that was recorded with other settings, a
    folder that cannot be written, a machine that cannot draw, rollouts that the simulation cannot play.
    """
    from rabc.scoring.loading import check_model
    from rabc.sim import seeds
    from rabc.sim.environment import CAMERAS, check_rendering
    from rabc.sim.recorder import check_recorded_with

    where = paths(config)
    for folder in (where.outputs, where.policy.parent):
        check_writable(folder)
    root = Path(config.dataset.path)
    if not root.exists() and not config.demonstrations.simulate and not is_hub_id(config.dataset.path):
        raise InputError(
            f"dataset.path {config.dataset.path}: no such folder; give the folder of a LeRobotDataset v3 "
            "or a hub id, or set demonstrations.simulate true to record it in simulation"
        )
    if not root.exists() and config.demonstrations.simulate:
        check_writable(root.parent)
    elif config.demonstrations.simulate:
        check_recorded_with(config.demonstrations, root)
    check_foreign(config.weights)
    if config.weights.foreign_file is None or config.rollouts.episodes:
        check_model(config.scorer.model)
    to_record = config.demonstrations.simulate and not root.exists()
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
    if config.demonstrations.simulate:
        seeds.seed_range(
            seeds.DEMONSTRATIONS, config.demonstrations.first_seed, config.demonstrations.episodes
        )


def check_foreign(settings: WeightsConfig) -> None:
    """Raise InputError for progress or weights from elsewhere that are not there."""
    foreign = settings.foreign_file
    if foreign is not None and not Path(foreign).is_file():
        raise InputError(f"weights file {foreign}: no such file; check the path")


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


def check_dataset(config: Config, root: Path) -> None:
    """Raise InputError for what the metadata says would stop a later stage.

    Looks at cameras, lengths, statistics and annotated stages.
    """
    from rabc.datasets.source import open_dataset
    from rabc.datasets.stage_labels import stage_labels
    from rabc.policies.build import normalisation_statistics
    from rabc.policies.settings import policy_settings
    from rabc.scoring.label import check_cameras

    meta = open_dataset(config, root)
    if config.weights.foreign_file is None:
        check_cameras(meta, config.scorer.cameras)
        stage_labels(meta)
    normalisation_statistics(policy_settings(config.policy, meta, "cpu"), meta)


def check_values(config: Config, root: Path) -> None:
    """Raise InputError for a frame that no stage can use: reads all tables, which takes seconds."""
    from rabc.datasets.source import open_dataset
    from rabc.datasets.tables import read_frames

    read_frames(open_dataset(config, root), ["observation.state", "action"])
