"""What each stage of the pipeline does, and what it reports.

Each function gets the configuration, the run's folders and the results of the stages before, and returns
JSON values: what the summary shows, and under `files` the paths whose loss makes the stage stale.
"""

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rabc import progress, stages, weights
from rabc.config import Config, ScorerConfig
from rabc.errors import InputError
from rabc.stages import Result

if TYPE_CHECKING:
    from rabc.pipeline import Paths
    from rabc.scoring.store import ScoreStore
    from rabc.scoring.topreward import TOPReward


def do_demonstrations(config: Config, where: "Paths", results: dict[str, Result]) -> Result:
    """The dataset: recorded in simulation, downloaded, or simply there."""
    from rabc.sim.recorder import fingerprint, read_ground_truth, record, recorded_with
    from rabc.tables import load_meta

    root = Path(config.dataset.path)
    if not root.exists():
        if config.demonstrations.simulate:
            record(config.demonstrations, root)
        else:
            root = _download(config)
    elif config.demonstrations.simulate and recorded_with(root) != fingerprint(config.demonstrations):
        raise InputError(
            f"dataset.path {root}: was not recorded with these demonstrations settings; remove it to record "
            "anew, choose another dataset.path, or set demonstrations.simulate false to use it as it is"
        )
    meta = load_meta(root)
    check_dataset(config, meta)
    truth = read_ground_truth(root)
    kinds = sorted({episode.kind for episode in truth})
    return {
        "root": str(root),
        "episodes": int(meta.total_episodes),
        "frames": int(meta.total_frames),
        "fps": int(meta.fps),
        "kinds": {kind: sum(episode.kind == kind for episode in truth) for kind in kinds},
        "files": [str(root / "meta" / "info.json")],
    }


def check_dataset(config: Config, meta: Any) -> None:
    """Raise InputError for whatever would stop a later stage: values, tasks, cameras, lengths, statistics."""
    from rabc.policies import act_config, normalisation_statistics
    from rabc.scoring.label import check_camera
    from rabc.tables import check_chunk, read_frames

    table = read_frames(meta, ["observation.state", "action"])
    check_chunk(table, config.policy.chunk_size)
    check_camera(meta, config.scorer.camera)
    normalisation_statistics(act_config(config.policy, meta, "cpu"), meta)


def do_scores(config: Config, where: "Paths | None", results: dict[str, Result]) -> Result:
    """Log-probabilities of every prefix of every episode, and how good they are as far as that is known."""
    from rabc.scoring.label import score_dataset
    from rabc.sim.recorder import read_ground_truth

    root = Path(results["demonstrations"]["root"])
    scorer = load_scorer(config.scorer, config.device)
    store = _open_store(config, root, scorer)
    score_dataset(root, scorer, config.scorer.camera, config.scorer.num_prefixes, store)
    episodes = store.read()
    curves = [episodes[episode].scores.log_prob_true for episode in sorted(episodes)]
    truth = read_ground_truth(root)
    final = np.array([progress.success_score(curve) for curve in curves])
    vocs = np.array([progress.voc(curve) for curve in curves])
    report: Result = {
        "store": str(store.folder),
        "scorer": {k: v for k, v in store.meta.items() if k not in ("format", "dataset_fingerprint")},
        "prefixes": int(sum(len(curve) for curve in curves)),
        "voc": round(float(vocs.mean()), 4),
        "final_log_prob": round(float(final.mean()), 4),
        "files": [str(store.path)],
    }
    if truth:
        success = np.array([episode.success for episode in truth])
        clean = np.array([episode.kind == "clean" for episode in truth])
        report["success_auc"] = _finite(progress.roc_auc(final, success))
        report["voc_clean"] = round(float(vocs[clean].mean()), 4) if clean.any() else None
    return report


def score_only(config: Config) -> Result:
    """Scores and progress of a dataset that is there; the report of `do_scores` and `progress_file`."""
    from rabc.pipeline import check_beforehand
    from rabc.scoring.store import ScoreStore

    # Scoring never records: a folder that is not there is a mistake, or on the hub.
    check_beforehand(
        replace(
            config,
            demonstrations=replace(config.demonstrations, simulate=False),
            rollouts=replace(config.rollouts, episodes=0),
        )
    )
    root = Path(config.dataset.path)
    root = root if root.exists() else _download(config)
    report = do_scores(config, None, {"demonstrations": {"root": str(root)}})
    store = ScoreStore.reopen(Path(report["store"]))
    return {**report, "progress_file": str(_write_progress(config, store))}


def do_weights(config: Config, where: "Paths", results: dict[str, Result]) -> Result:
    """One weight per frame: progress, chunk deltas, scheme, mean 1."""
    from rabc.scoring.progress_file import read_progress
    from rabc.scoring.store import ScoreStore
    from rabc.tables import load_meta, read_frames

    settings = config.weights
    root = Path(results["demonstrations"]["root"])
    episode_index = read_frames(load_meta(root), []).episode_index
    store = ScoreStore.reopen(Path(results["scores"]["store"]))
    file = _write_progress(config, store)
    values = sample_weights(
        config, read_progress(file, store, settings.calibration, episode_index), episode_index
    )
    path = where.outputs / "weights.npy"
    _save_array(path, values)
    described = weights.summary(values)
    return {
        "scheme": settings.scheme,
        **asdict(described),
        "progress_file": str(file),
        "weights_file": str(path),
        "files": [str(file), str(path)],
    }


def sample_weights(
    config: Config, frame_progress: NDArray[np.float64], episode_index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Weights (N,) from the progress (N,) of every frame; mean 1 over the frames with a positive one."""
    settings = config.weights
    deltas = weights.chunk_deltas(frame_progress, episode_index, config.policy.chunk_size, settings.horizon)
    if settings.scheme == "topreward":
        raw = weights.topreward(deltas, settings.tau, settings.delta_max)
    elif settings.scheme == "rabc":
        raw = weights.rabc(deltas, settings.kappa, settings.epsilon)
    else:
        raw = weights.none(deltas)
    # Frames of weight 0 are never drawn; where all are 0, `normalise` says so.
    return weights.normalise(raw, raw > 0 if raw.any() else np.ones(len(raw), dtype=bool))


def do_training(config: Config, where: "Paths", results: dict[str, Result]) -> Result:
    """The policy, trained with the weights, as a LeRobot folder."""
    from rabc import pipeline
    from rabc.export import export, lerobot_train_config
    from rabc.summary import model_card
    from rabc.tables import load_meta
    from rabc.training import train

    meta = load_meta(Path(results["demonstrations"]["root"]))
    # A training of other settings keeps its folder; nothing of it is lost.
    folder = where.outputs / f"training-{stages.key(pipeline.inputs(config, 'training'))}"
    trained = train(config, meta, np.load(results["weights"]["weights_file"]), folder)
    parts = trained.parts
    result: Result = {
        "steps": trained.steps,
        "training_seconds": round(trained.seconds, 1),
        "samples_per_second": round(trained.samples_per_second, 1),
        "loss": round(trained.loss, 5),
        "tensorboard": str(folder / "tensorboard"),
        "policy_folder": str(where.policy),
        "files": [str(where.policy / "config.json"), str(where.policy / "model.safetensors")],
    }
    card = model_card(config, {**results, "training": result})
    export(
        parts.policy, parts.preprocessor, parts.postprocessor, where.policy, card,
        lerobot_train_config(config, meta, parts.policy),
    )  # fmt: skip
    return result


def do_rollouts(config: Config, where: "Paths", results: dict[str, Result]) -> Result:
    """The policy in the simulator, judged by the simulator and, on the same frames, by the scorer."""
    from rabc import pipeline
    from rabc.evaluation import evaluate
    from rabc.summary import model_card

    if config.rollouts.episodes == 0:
        return {"episodes": 0, "files": []}
    scorer = load_scorer(config.scorer, config.device)
    folder = where.outputs / f"rollouts-{stages.key(pipeline.inputs(config, 'rollouts'))}"
    result = evaluate(config, where.policy, scorer, folder)
    (where.policy / "README.md").write_text(model_card(config, {**results, "rollouts": result}))
    return result


def load_scorer(config: ScorerConfig, device: str) -> "TOPReward":
    """The scorer that the configuration names, on the configured device."""
    from rabc.policies import resolve_device
    from rabc.scoring.topreward import TOPReward

    return TOPReward.from_pretrained(
        config.model, config.revision, resolve_device(device), config.dtype, config.fps
    )


def _open_store(config: Config, root: Path, scorer: "TOPReward") -> "ScoreStore":
    from rabc.dataset_fingerprint import fingerprint
    from rabc.scoring.label import open_store
    from rabc.scoring.store import scores_root

    return open_store(
        scores_root(root), root, fingerprint(root), scorer, config.scorer.camera, config.scorer.num_prefixes
    )


def _write_progress(config: Config, store: "ScoreStore") -> Path:
    from rabc.scoring.progress_file import FILE_NAME, calibrate, write_progress

    settings = config.weights
    file = store.folder / settings.calibration / FILE_NAME
    write_progress(
        file, calibrate(store.read(), settings.calibration, settings.epsilon), store, settings.calibration
    )
    return file


def _download(config: Config) -> Path:
    """The hub dataset's local copy, in LeRobot's own cache."""
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError
    from lerobot.datasets import LeRobotDataset

    try:
        dataset: Any = LeRobotDataset(
            config.dataset.path, revision=config.dataset.revision, download_videos=True
        )
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"dataset.path {config.dataset.path}: no such folder, and the hub did not give it ({reason}); "
            "check the path or the hub id, and that you are online and logged in"
        ) from error
    return Path(dataset.root)


def _save_array(path: Path, values: NDArray[np.float64]) -> None:
    partial = path.with_name(path.name + ".partial")
    try:
        with partial.open("wb") as file:
            np.save(file, values)
        partial.replace(path)
    except OSError as error:
        raise InputError(
            f"file {path}: cannot be written ({error.strerror}); check space and permissions"
        ) from error


def _finite(value: float) -> float | None:
    """JSON has no NaN; None stands for a figure that is not defined."""
    return round(value, 4) if np.isfinite(value) else None
