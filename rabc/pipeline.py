"""The main job: demonstrations -> scores -> weights -> training -> rollouts -> summary.

Every stage reads what the one before left on disk and is skipped when nothing it depends on changed.
"""

import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rabc import stages
from rabc.config import Config, WeightsConfig
from rabc.costs import cost_table
from rabc.errors import InputError
from rabc.frame_weights import foreign_file
from rabc.hashing import file_hash
from rabc.hub import is_hub_id
from rabc.processes import global_rank
from rabc.stages import Inputs, Result, Stages, StageState
from rabc.terminal import table
from rabc.training_identity import learned_from

STAGES = ("demonstrations", "scores", "weights", "training", "rollouts")
# Changing these changes nothing that a stage makes. More `videos` are filmed without playing the rest again.
_FREE = {"processes", "simulate", "videos"}
# Stages that the verdict on the scores decides about; what comes after depends on the weights alone.
_JUDGED = ("scores", "weights")


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


def run(config: Config, dry_run: bool = False, last: str = STAGES[-1]) -> dict[str, Result]:
    """Do what is not done yet and print the summary; with `dry_run` only say what that would be.

    last: stage to end with; before the last of all there is no summary. Returns the results by stage, none
    where nothing was done.
    """
    from rabc.quiet import quiet_libraries

    quiet_libraries()
    if global_rank(config.trainer.devices, config.trainer.num_nodes) > 0:
        if not dry_run:
            train_along(config)
        return {}
    check_beforehand(config)
    if dry_run:
        print(describe(config))
        return {}
    from rabc import stage_work
    from rabc.dataset_source import check_dataset
    from rabc.quiet import no_library_bars
    from rabc.summary import print_summary, write_model_card, write_summary

    no_library_bars()
    where = paths(config)
    markers = Stages(where.outputs / "stages")
    stages.write_json(where.outputs / "config.json", asdict(config))
    done: dict[str, stages.Finished] = {}
    results: dict[str, Result] = {}
    for name in STAGES[: STAGES.index(last) + 1]:
        work = getattr(stage_work, f"do_{name}")
        done[name] = markers.run(
            name,
            inputs(config, name, results),
            lambda work=work: work(config, where, results),
            partial(lost, config, name, results),
        )
        results[name] = done[name].result
        if name == "demonstrations" and done[name].skipped:
            # What was sound for another chunk, camera or policy need not be for this one.
            check_dataset(config, Path(results[name]["root"]))
    if last == STAGES[-1]:
        write_model_card(config, where, results)
        print_summary(write_summary(config, where, done))
    return results


def train_along(config: Config) -> None:
    """What every process but the first does: wait until it comes to training, and take part in that."""
    from rabc import stage_work

    where = paths(config)
    markers = Stages(where.outputs / "stages")
    results: dict[str, Result] = {}
    for name in STAGES[: STAGES.index("training")]:
        while _state(config, name, markers, results).status != "done":
            time.sleep(1)
        results[name] = markers.result(name)
    if _state(config, "training", markers, results).status != "done":
        stage_work.do_training(config, where, results)


def finished(config: Config) -> dict[str, Result]:
    """The results of the stages that are done and need not be done again, in their order."""
    markers = Stages(paths(config).outputs / "stages")
    results: dict[str, Result] = {}
    for name in STAGES:
        if _state(config, name, markers, results).status != "done":
            break
        results[name] = markers.result(name)
    return results


def _state(config: Config, stage: str, markers: Stages, results: dict[str, Result]) -> StageState:
    return markers.state(stage, inputs(config, stage, results), partial(lost, config, stage, results))


def describe(config: Config) -> str:
    """Table of the stages: what is done, what is stale and why, what the rest will cost."""
    markers = Stages(paths(config).outputs / "stages")
    rows: list[list[str]] = []
    results: dict[str, Result] = {}
    waiting = ""
    for name in STAGES:
        if waiting:
            rows.append([name, "to do", f"after {waiting}"])
            continue
        state = _state(config, name, markers, results)
        rows.append([name, state.status, state.reason])
        if state.status == "done":
            results[name] = markers.result(name)
        else:
            waiting = name
    unfinished = [row[0] for row in rows if row[1] != "done"]
    return table(rows, ["stage", "state", "why"]) + "\n\n" + cost_table(config, unfinished)


def inputs(config: Config, stage: str, results: Mapping[str, Result]) -> Inputs:
    """Everything the result of `stage` depends on, flat.

    The settings of it and of all stages before it, as this machine resolves them, and the content of what it
    reads, from the results of the stages before.
    """
    from rabc import device

    foreign = foreign_file(config.weights)
    sections = {
        "demonstrations": ["dataset", "demonstrations"],
        "scores": [] if foreign else ["scorer", "diagnostics"],
        "weights": ["weights"],
        "training": ["policy", "trainer", "seed"],
        "rollouts": ["rollouts", *(["scorer"] if foreign else [])],
    }
    facts: Inputs = {}
    resolved = device.resolve_device(config.device)
    for name in STAGES[: STAGES.index(stage) + 1]:
        if name == "scores":
            facts["dataset.content"] = results["demonstrations"]["content"]
            facts["weights.length_bias"] = config.weights.length_bias
            facts["scores.replaced_by"] = foreign
        elif name == "weights":
            facts["policy.chunk"] = config.policy.chunk
            file = Path(foreign) if foreign else None
            facts["scores.replacement"] = file_hash(file).hex() if file and file.is_file() else None
        for section in sections[name]:
            if section == "demonstrations" and not config.demonstrations.simulate:
                continue
            if section == "diagnostics" and stage not in _JUDGED:
                continue
            value = getattr(config, section)
            if section == "seed":
                facts["seed"] = value
            elif section == "trainer":
                facts.update({f"trainer.{k}": v for k, v in learned_from(value).items()})
            elif section == "dataset":
                facts.update({"dataset.path": value.path, "dataset.revision": value.revision})
            else:
                facts.update({f"{section}.{k}": v for k, v in asdict(value).items() if k not in _FREE})
            if section == "scorer":
                facts["scorer.content"] = scorer_content(config)
                facts["scorer.dtype"] = device.resolve_dtype(config.scorer.dtype, resolved)
        if name == "weights" and stage not in _JUDGED:
            del facts["weights.accept_poor_scorer"]
        if name == "training":
            facts["trainer.precision"] = device.resolve_precision(config.trainer.precision, resolved)
            facts["dataset.eval_split"] = config.dataset.eval_split
            facts["dataset.image_transforms"] = config.dataset.image_transforms
        elif name == "rollouts":
            facts["demonstrations.task"] = config.demonstrations.task
            facts["policy.content"] = results["training"]["content"]
    return facts


def lost(config: Config, stage: str, results: Mapping[str, Result], result: Result) -> str:
    """What of a finished stage's `result` is gone or was changed since; empty when all is as it was left.

    results: of the stages before.
    """
    from rabc.dataset_fingerprint import fingerprint
    from rabc.scoring.loading import folder_hash

    gone = [path for path in result.get("files", []) if not Path(path).exists()]
    if gone:
        return f"{gone[0]} is gone"
    if stage == "demonstrations" and fingerprint(Path(result["root"])) != result.get("content"):
        return f"{result['root']} has changed"
    if stage == "scores" and "store" in result:
        from rabc.scoring.store import ScoreStore

        missing = ScoreStore.reopen(Path(result["store"])).missing(
            range(results["demonstrations"]["episodes"])
        )
        return f"episode {missing[0]} has no scores any more" if missing else ""
    if stage == "training" and folder_hash(Path(result["policy_folder"])) != result.get("content"):
        return f"{result['policy_folder']} has changed"
    if stage == "rollouts" and config.rollouts.episodes:
        from rabc.evaluation import unfilmed

        seeds = unfilmed(config.rollouts, Path(result["rollouts_file"]).parent)
        return f"the video of rollout {seeds[0]} is not there" if seeds else ""
    return ""


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
    if foreign_file(config.weights) is None or config.rollouts.episodes:
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
    foreign = foreign_file(settings)
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


def scorer_content(config: Config) -> str:
    """What identifies the configured scorer: the content of a folder, or name and revision of a hub model."""
    from rabc.scoring.loading import folder_hash

    folder = Path(config.scorer.model)
    return folder_hash(folder) if folder.is_dir() else f"{config.scorer.model}@{config.scorer.revision}"
