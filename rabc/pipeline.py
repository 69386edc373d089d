"""The main job: demonstrations -> scores -> weights -> training -> rollouts -> summary.

Every stage reads what the one before left on disk and is skipped when nothing it depends on changed.
"""

from dataclasses import asdict, dataclass
from pathlib import Path

from rabc import stages
from rabc.config import Config
from rabc.costs import cost_table
from rabc.errors import InputError
from rabc.hub import is_hub_id
from rabc.stages import Inputs, Result, Stages
from rabc.terminal import table

STAGES = ("demonstrations", "scores", "weights", "training", "rollouts")
# Changing these changes nothing that a stage makes.
_FREE = {"processes", "threads", "log_every", "checkpoint_every", "simulate", "videos"}


@dataclass(frozen=True)
class Paths:
    """Where a run keeps its things."""

    outputs: Path
    """`outputs/<run>`: stage files, training folder, rollouts, summary."""
    policy: Path
    """`checkpoints/<run>/pretrained_model`: the LeRobot policy folder."""


def paths(config: Config) -> Paths:
    """The folders of the run, below the current one."""
    return Paths(Path("outputs") / config.run, Path("checkpoints") / config.run / "pretrained_model")


def run(config: Config, dry_run: bool = False) -> None:
    """Do what is not done yet and print the summary; with `dry_run` only say what that would be."""
    from rabc.quiet import quiet_libraries

    quiet_libraries()
    check_beforehand(config)
    if dry_run:
        print(describe(config))
        return
    from rabc import stage_work
    from rabc.quiet import no_library_bars
    from rabc.summary import print_summary, write_summary

    no_library_bars()
    where = paths(config)
    markers = Stages(where.outputs / "stages")
    stages.write_json(where.outputs / "config.json", asdict(config))
    finished: dict[str, stages.Finished] = {}
    for name in STAGES:
        work = getattr(stage_work, f"do_{name}")
        results = {earlier: stage.result for earlier, stage in finished.items()}
        finished[name] = markers.run(
            name,
            inputs(config, name),
            lambda work=work, results=results: work(config, where, results),
            _outputs,
        )
    summary = write_summary(config, where, finished)
    print_summary(summary)


def describe(config: Config) -> str:
    """Table of the stages: what is done, what is stale and why, what the rest will cost."""
    markers = Stages(paths(config).outputs / "stages")
    rows: list[list[str]] = []
    waiting = ""
    for name in STAGES:
        if waiting:
            rows.append([name, "to do", f"after {waiting}"])
            continue
        state = markers.state(name, inputs(config, name), _outputs)
        rows.append([name, state.status, state.reason])
        if state.status != "done":
            waiting = name
    unfinished = [row[0] for row in rows if row[1] != "done"]
    return table(rows, ["stage", "state", "why"]) + "\n\n" + cost_table(config, unfinished)


def inputs(config: Config, stage: str) -> Inputs:
    """Everything the result of `stage` depends on, flat: the settings of it and of all stages before it."""
    sections = {
        "demonstrations": ["dataset", "demonstrations"],
        "scores": ["scorer"],
        "weights": ["weights"],
        "training": ["policy", "trainer", "seed"],
        "rollouts": ["rollouts"],
    }
    facts: Inputs = {}
    for name in STAGES[: STAGES.index(stage) + 1]:
        if name == "scores":
            facts["dataset.content"] = _dataset_content(config)
            facts["scorer.content"] = _scorer_content(config)
        elif name == "weights":
            facts["policy.chunk_size"] = config.policy.chunk_size
        for section in sections[name]:
            if section == "demonstrations" and not config.demonstrations.simulate:
                continue
            value = getattr(config, section)
            if section == "seed":
                facts["seed"] = value
            else:
                facts.update({f"{section}.{k}": v for k, v in asdict(value).items() if k not in _FREE})
    return facts


def check_beforehand(config: Config) -> None:
    """Find now what would else fail after minutes of work.

    Raises InputError for a missing dataset or scorer, a folder that cannot be written, rollouts that the
    simulation cannot play.
    """
    from rabc.scoring.loading import check_model
    from rabc.sim import seeds
    from rabc.sim.environment import CAMERAS

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
    check_model(config.scorer.model)
    if config.rollouts.episodes:
        seeds.seed_range(seeds.ROLLOUTS, config.rollouts.first_seed, config.rollouts.episodes)
        if config.scorer.camera not in CAMERAS:
            raise InputError(
                f"scorer.camera {config.scorer.camera}: the simulation has only {', '.join(CAMERAS)}, so "
                "rollouts cannot be scored; choose one of these or set rollouts.episodes 0"
            )
    if config.demonstrations.simulate:
        seeds.seed_range(
            seeds.DEMONSTRATIONS, config.demonstrations.first_seed, config.demonstrations.episodes
        )


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


def _outputs(result: Result) -> list[Path]:
    return [Path(path) for path in result.get("files", [])]


def _dataset_content(config: Config) -> str:
    from rabc.dataset_fingerprint import fingerprint

    root = Path(config.dataset.path)
    return fingerprint(root) if root.exists() else f"{config.dataset.path}@{config.dataset.revision}"


def _scorer_content(config: Config) -> str:
    from rabc.scoring.loading import folder_hash

    folder = Path(config.scorer.model)
    return folder_hash(folder) if folder.is_dir() else f"{config.scorer.model}@{config.scorer.revision}"
