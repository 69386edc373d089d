"""What each stage of a run depends on, and which stages are done."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

from rabc.config.settings import Config
from rabc.config.simulated import LATER_KINDS
from rabc.policies.start import start_content
from rabc.system.errors import InputError
from rabc.system.hashing import file_hash, folder_hash
from rabc.system.home import scores_root
from rabc.system.shipped import here_or_shipped
from rabc.system.stages import Inputs, Result, Stages, StageState
from rabc.training.identity import learned_from

STAGES = ("demonstrations", "scores", "weights", "training", "rollouts")
# Changing these changes nothing that a stage makes. More `videos` are filmed without playing the rest again.
_FREE = {"processes", "simulate", "videos", "scores_folder"}
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


def finished(config: Config) -> dict[str, Result]:
    """The results of the stages that are done and need not be done again, in their order."""
    markers = Stages(paths(config).outputs / "stages")
    results: dict[str, Result] = {}
    for name in STAGES:
        if stage_state(config, name, markers, results).status != "done":
            break
        results[name] = markers.result(name)
    return results


def stage_state(config: Config, stage: str, markers: Stages, results: dict[str, Result]) -> StageState:
    """Whether `stage` has to run, and why; results: of the stages before."""
    return markers.state(stage, inputs(config, stage, results), partial(lost, config, stage, results))


def inputs(config: Config, stage: str, results: Mapping[str, Result]) -> Inputs:
    """Everything the result of `stage` depends on, flat.

    The settings of it and of all stages before it, as this machine resolves them, and the content of what it
    reads, from the results of the stages before.
    """
    from rabc.system import device

    foreign = config.weights.foreign_file
    scored = not config.weights.unscored
    sections = {
        "demonstrations": ["dataset", "demonstrations"],
        "scores": ["scorer", "diagnostics"] if scored else [],
        "weights": ["weights"],
        "training": ["policy", "trainer", "seed"],
        "rollouts": ["rollouts", *([] if scored else ["scorer"])],
    }
    facts: Inputs = {}
    resolved = device.resolve_device(config.device)
    for name in STAGES[: STAGES.index(stage) + 1]:
        if name == "scores":
            facts["dataset.content"] = results["demonstrations"]["content"]
            facts["weights.length_bias"] = config.weights.length_bias
            facts["scores.replaced_by"] = config.weights.unscored or None
            facts["dataset.episodes"] = config.dataset.episodes
            facts["dataset.exclude"] = config.dataset.exclude
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
                names = ("path", "revision", "rename_map")
                facts.update({f"dataset.{name}": getattr(value, name) for name in names})
            else:
                facts.update({f"{section}.{k}": v for k, v in asdict(value).items() if k not in _FREE})
            if section == "demonstrations":
                for kind in LATER_KINDS:
                    if not getattr(value, kind):
                        del facts[f"demonstrations.{kind}"]
            if section == "scorer":
                facts["scorer.content"] = scorer_content(config)
                facts["scorer.dtype"] = device.resolve_dtype(config.scorer.dtype, resolved)
        if name == "weights":
            facts["weights.apply"] = config.apply
            if stage not in _JUDGED:
                del facts["weights.accept_poor_scorer"]
        if name == "training":
            # What a scorer is found to be good for makes other weights by the same settings.
            facts["weights.content"] = results["weights"]["content"]
            # Only there: earlier trainings from scratch keep their keys.
            if config.policy.pretrained_path is not None:
                facts["policy.pretrained_content"] = start_content(config.policy.pretrained_path)
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
    from rabc.datasets.fingerprint import annotations, fingerprint

    # Of scores it is asked below whether those are there that count, wherever they are kept now.
    files = [] if "store" in result else result.get("files", [])
    gone = [path for path in files if not Path(path).exists()]
    if gone:
        return f"{gone[0]} is gone"
    if stage == "demonstrations" and "identity" not in result:
        return "an earlier version of this program knew the dataset by its bytes"
    if stage == "weights" and "content" not in result:
        return "an earlier version of this program left it, which knew weights by their settings"
    if stage == "demonstrations" and fingerprint(Path(result["root"])) != result.get("content"):
        return f"{result['root']} has changed"
    if stage == "scores" and "diagnosis" in result:
        root = Path(results["demonstrations"]["root"])
        if annotations(root) != result.get("annotations"):
            return f"what {root}/meta/episodes says of the episodes, such as their success, has changed"
    if stage == "scores" and "store" in result:
        from rabc.scoring.store import ScoreStore

        try:
            store = ScoreStore.reopen(Path(result["store"]), scores_root(config.scorer.scores_folder))
        except InputError as error:
            return str(error)
        missing = store.missing(store.episodes)
        return f"episode {missing[0]} has no scores any more" if missing else ""
    if stage == "training" and folder_hash(Path(result["policy_folder"])) != result.get("content"):
        return f"{result['policy_folder']} has changed"
    if stage == "rollouts" and config.rollouts.episodes:
        from rabc.rollouts.evaluation import unfilmed

        seeds = unfilmed(config.rollouts, Path(result["rollouts_file"]).parent)
        return f"the video of rollout {seeds[0]} is not there" if seeds else ""
    return ""


def scorer_content(config: Config) -> str:
    """What identifies the configured scorer: the content of a folder, or name and revision of a hub model."""
    folder = Path(here_or_shipped(config.scorer.model))
    return folder_hash(folder) if folder.is_dir() else f"{config.scorer.model}@{config.scorer.revision}"
