"""What each stage of the pipeline does, and what it reports.

Each function gets the configuration, the run's folders and the results of the stages before, and returns
JSON values: what the summary shows, and under `files` the paths whose loss makes the stage stale.
"""

import hashlib
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.pipeline.checks import check_dataset, check_values
from rabc.pipeline.state import Paths, inputs
from rabc.statistics.curves import roc_auc, success_score, voc
from rabc.system import stages
from rabc.system.atomic import whole_file
from rabc.system.stages import Result
from rabc.weighting import schemes

if TYPE_CHECKING:
    from rabc.scoring.plan import ScoringPlan


def do_demonstrations(config: Config, where: Paths, results: dict[str, Result]) -> Result:
    """The dataset: recorded in simulation, downloaded, or simply there."""
    from rabc.datasets.fingerprint import fingerprint
    from rabc.datasets.source import find_dataset, open_dataset
    from rabc.sim.recorder import check_recorded_with, read_ground_truth, record, remove_shards

    if config.demonstrations.simulate:
        root = Path(config.dataset.paths[0])
        if not root.exists():
            record(config.demonstrations, root)
        check_recorded_with(config.demonstrations, root)
        remove_shards(root)
    else:
        root = find_dataset(config)
    check_dataset(config, root)
    check_values(config, root)
    meta = open_dataset(config, root)
    truth = read_ground_truth(root)
    kinds = sorted({episode.kind for episode in truth})
    return {
        "root": str(root),
        "identity": "meaning",
        "content": fingerprint(root),
        "episodes": int(meta.total_episodes),
        "frames": int(meta.total_frames),
        "fps": int(meta.fps),
        "kinds": {kind: sum(episode.kind == kind for episode in truth) for kind in kinds},
        "files": [str(root / "meta" / "info.json")],
    }


def do_scores(config: Config, where: Paths, results: dict[str, Result]) -> Result:
    """Log-probabilities of every prefix of every episode, and how good they are as far as that is known."""
    from rabc.datasets.fingerprint import annotations
    from rabc.diagnosis.dataset import diagnose_scores, write_diagnosis
    from rabc.scoring.configured import load_scorer
    from rabc.scoring.plan import carry_out, plan_scoring

    if config.weights.unscored:
        return {"replaced_by": config.weights.unscored, "files": []}
    scorer = load_scorer(config.scorer, config.device)
    plan = plan_scoring(config, Path(results["demonstrations"]["root"]), scorer)
    carry_out(config, plan, scorer)
    found = diagnose_scores(config, plan.root, plan.stores)
    page = write_diagnosis(config, plan.root, found, where.outputs / "diagnosis")
    print(f"verdict on the scores: {found.verdict} ({page})")
    report = scores_report(plan) | {"annotations": annotations(plan.root)}
    return {**report, "diagnosis": {**found.as_json(), "page": str(page)}}


def scores_report(plan: "ScoringPlan") -> Result:
    """What is known of the scores of a whole dataset."""
    from rabc.sim.recorder import read_ground_truth

    root, store = plan.root, plan.stores["real"]
    episodes = store.read()
    curves = [record.scores.log_prob_true for record in episodes.values()]
    truth = read_ground_truth(root)
    final = np.array([success_score(curve) for curve in curves])
    vocs = np.array([voc(curve) for curve in curves])
    report: Result = {
        "store": str(store.folder),
        "static_store": str(plan.stores["static"].folder),
        "raw": [str(camera.path) for camera in store.cameras],
        "unjudged": list(plan.unjudged),
        "scorer": {k: v for k, v in store.meta.items() if k not in ("format", "dataset_fingerprint")},
        "prefixes": int(sum(len(curve) for curve in curves)),
        "voc": round(float(vocs.mean()), 4),
        "final_log_prob": round(float(final.mean()), 4),
        "files": [str(store.path), *(str(camera.path) for camera in store.cameras)],
    }
    if truth:
        success = np.array([truth[episode].success for episode in episodes])
        clean = np.array([truth[episode].kind == "clean" for episode in episodes])
        report["success_auc"] = _finite(roc_auc(final, success))
        report["voc_clean"] = round(float(vocs[clean].mean()), 4) if clean.any() else None
    return report


def do_weights(config: Config, where: Paths, results: dict[str, Result]) -> Result:
    """One weight per frame: progress, chunk deltas, scheme, mean 1; and what these weights do."""
    from rabc.datasets.metadata import load_meta
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.tables import read_frames
    from rabc.weighting.assign import frame_weights
    from rabc.weighting.report import FOLDER, write_report
    from rabc.weighting.weights_file import DATASET, FILE_NAME, write_weights

    settings = config.weights
    meta = load_meta(Path(results["demonstrations"]["root"]))
    frames = read_frames(meta, [])
    dataset = results["demonstrations"]["content"]
    selected = selected_episodes(config.dataset, meta.total_episodes)
    made = frame_weights(config, results.get("scores", {}), frames, dataset, selected)
    for remark in made.remarks:
        print(f"weights: {remark}")
    path, shared = where.outputs / "weights.npy", where.outputs / FILE_NAME
    _save_array(path, made.values)
    source = "" if made.source is None else str(made.source)
    facts = {"rabc.scheme": settings.scheme, "rabc.source": Path(source).name, DATASET: dataset}
    write_weights(shared, made.values, facts)
    report = write_report(config, meta, frames, made, where.outputs / FOLDER)
    return {
        "scheme": settings.scheme,
        "caution": report.caution,
        **asdict(schemes.summary(made.values[made.selected])),
        "content": hashlib.sha256(made.values.tobytes()).hexdigest(),
        "equal": bool((made.values[made.selected] == made.values[made.selected][:1]).all()),
        "unjudged": list(made.unjudged),
        "progress_file": source or None,
        "weights_file": str(path),
        "weights_parquet": str(shared),
        "page": str(report.page),
        "up": [str(picture) for picture in report.up],
        "down": [str(picture) for picture in report.down],
        "files": [str(file) for file in (source, path, shared, *report.files) if file],
    }


def do_training(config: Config, where: Paths, results: dict[str, Result]) -> Result:
    """The policy, trained with the weights, as a LeRobot folder."""
    from rabc.datasets.source import open_dataset
    from rabc.export.folder import export, lerobot_train_config
    from rabc.export.proof import proof_frames
    from rabc.scoring.loading import folder_hash
    from rabc.training.run import train
    from rabc.weighting.strips import moment_images

    meta = open_dataset(config, Path(results["demonstrations"]["root"]))
    # A training of other settings keeps its folder; nothing of it is lost.
    folder = where.outputs / f"training-{stages.key(inputs(config, 'training', results))}"
    moments = moment_images(Path(results["weights"]["page"]).parent)
    trained = train(config, meta, np.load(results["weights"]["weights_file"]), folder, moments)
    parts = trained.parts
    record = lerobot_train_config(config, meta, parts.policy)
    print(f"export: {export(parts, where.policy, record, proof_frames(meta, parts))}")
    return {
        "steps": trained.steps,
        "training_seconds": round(trained.seconds, 1),
        "samples_per_second": round(trained.samples_per_second, 1),
        "loss": round(trained.loss, 5),
        "tensorboard": str(folder / "tensorboard"),
        "policy_folder": str(where.policy),
        "content": folder_hash(where.policy),
        "files": [str(where.policy / "config.json"), str(where.policy / "model.safetensors")],
    }


def do_rollouts(config: Config, where: Paths, results: dict[str, Result]) -> Result:
    """The policy in the simulator, judged by the simulator and, on the same frames, by the scorer."""
    from rabc.datasets.cameras import recorded_shape
    from rabc.datasets.source import open_dataset
    from rabc.rollouts.evaluation import evaluate
    from rabc.scoring.configured import load_scorer

    if config.rollouts.episodes == 0:
        return {"episodes": 0, "files": []}
    scorer = load_scorer(config.scorer, config.device)
    folder = where.outputs / f"rollouts-{stages.key(inputs(config, 'rollouts', results))}"
    meta = open_dataset(config, Path(results["demonstrations"]["root"]))
    height, _ = recorded_shape(meta, meta.camera_keys[0])
    return evaluate(config, where.policy, height, scorer, folder)


def _save_array(path: Path, values: NDArray[np.float64]) -> None:
    with whole_file(path) as partial:
        np.save(partial, values)


def _finite(value: float) -> float | None:
    """JSON has no NaN; None stands for a figure that is not defined."""
    return round(value, 4) if np.isfinite(value) else None


DO: dict[str, Callable[[Config, Paths, dict[str, Result]], Result]] = {
    "demonstrations": do_demonstrations,
    "scores": do_scores,
    "weights": do_weights,
    "training": do_training,
    "rollouts": do_rollouts,
}
"""What makes each stage of `rabc.pipeline.state.STAGES`."""
