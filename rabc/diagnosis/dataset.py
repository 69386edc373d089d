"""The diagnosis of a dataset's scores: read from the stores, left as JSON, as a page and in TensorBoard."""

import math
import shutil
from collections.abc import Mapping, Set
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np

from rabc.config.settings import Config
from rabc.datasets.metadata import load_meta
from rabc.datasets.stage_labels import stage_labels
from rabc.datasets.success_labels import find_labels
from rabc.datasets.tasks import plain_text
from rabc.diagnosis.calibrations import CalibrationRow, compare
from rabc.diagnosis.controls import Diagnosis, EpisodeCurves
from rabc.diagnosis.page import PageFacts, filmstrip, render, shown_episodes, strip_frames
from rabc.diagnosis.tables import text
from rabc.diagnosis.tasks import TaskDiagnosis, judge_curves
from rabc.diagnosis.verdict import GRADES, Verdict
from rabc.scoring.episode_video import camera_keys, frames_at
from rabc.scoring.store import ScoreStore
from rabc.scoring.variants import VARIANTS, Variant
from rabc.statistics.intervals import Estimate
from rabc.system.atomic import whole_file, write_json
from rabc.system.errors import InputError
from rabc.weighting.deltas import judged_span


@dataclass(frozen=True)
class DatasetDiagnosis:
    """Everything that was found out about the scores of a dataset."""

    curves: list[EpisodeCurves]
    """Every scored episode, ascending."""
    diagnosis: Diagnosis
    verdict: Verdict
    calibrations: list[CalibrationRow]
    tasks: list[TaskDiagnosis]
    """Empty where there is but one."""
    remarks: tuple[str, ...] = ()
    """What was left out or replaced, a line each."""

    def __str__(self) -> str:
        return text(self.diagnosis, self.verdict, self.calibrations, self.tasks, self.remarks)

    def as_json(self) -> dict[str, Any]:
        """Verdict, findings, figures and calibrations as JSON values; what is not defined is null.

        Without annotated stages the calibrations have no `stage_error`. `tasks` is there where there are
        several, `remarks` where there are any.
        """
        found = {
            "verdict": self.verdict.grade,
            "reasons": self.verdict.reasons,
            "findings": [asdict(finding) for finding in self.verdict.findings],
            "figures": _plain(asdict(self.diagnosis)),
            "calibrations": [_plain(_figures(row)) for row in self.calibrations],
        }
        if self.tasks:
            found["tasks"] = [_task(task) for task in self.tasks]
        return {**found, "remarks": [*self.remarks]} if self.remarks else found


def diagnose_scores(config: Config, root: Path, stores: Mapping[Variant, ScoreStore]) -> DatasetDiagnosis:
    """The diagnosis of what is in `stores`, with the labels of the dataset in `root`.

    Without a still picture there is no table of calibrations. Labels and stages that cannot be read are left
    out and named. Raises InputError where nothing is scored.
    """
    scores = {variant: stores[variant].read() for variant in VARIANTS}
    if not scores["real"]:
        raise InputError(f"scores {stores['real'].folder}: none there; score the dataset")
    meta = load_meta(root)
    labels, stages = find_labels(meta), stage_labels(meta)
    curves = [
        EpisodeCurves(
            episode_index=episode,
            length=record.length,
            instruction=record.instruction,
            real=record.scores,
            controls={
                variant: scores[variant][episode].scores
                for variant in VARIANTS
                if variant != "real" and episode in scores[variant]
            },
            success=labels.success.get(episode),
        )
        for episode, record in sorted(scores["real"].items())
    ]
    figures, verdict, tasks = judge_curves(curves, config.weights.length_bias)
    still = scores["real"].keys() & scores["static"].keys()
    rows = (
        compare(config, scores["real"], scores["static"], labels.success, float(meta.fps), stages)
        if still
        else []
    )
    asked = {record.instruction for record in scores["wrong_instruction"].values()}
    remarks = (*_replaced(config, asked), *labels.remarks, *stages.remarks)
    return DatasetDiagnosis(curves, figures, verdict, rows, tasks, remarks)


def _replaced(config: Config, asked: Set[str]) -> list[str]:
    """What is to be said where the configured wrong instruction is a task of the dataset."""
    configured = config.diagnostics.wrong_instruction
    others = sorted(text for text in asked if plain_text(text) != plain_text(configured))
    return [
        f"diagnostics.wrong_instruction {configured!r}: is a task of the dataset; {text!r} takes its place"
        for text in others
    ]


def write_diagnosis(config: Config, root: Path, found: DatasetDiagnosis, folder: Path) -> Path:
    """Writes `diagnosis.json`, `index.html` and TensorBoard scalars into `folder`; returns the page's path.

    Raises InputError for a video that cannot be decoded or a folder that cannot be written.
    """
    write_json(folder / "diagnosis.json", found.as_json())
    page = folder / "index.html"
    content = _page(config, root, found)
    with whole_file(page) as partial:
        partial.write_text(content, encoding="utf-8")
    _write_scalars(found, folder / "tensorboard")
    return page


def _page(config: Config, root: Path, found: DatasetDiagnosis) -> str:
    meta = load_meta(root)
    (key, *_) = camera_keys(meta, config.scorer.cameras)
    strips: dict[int, bytes] = {}
    for position in shown_episodes(found.curves):
        episode = found.curves[position]
        frames = frames_at(meta, key, episode.episode_index, strip_frames(episode.length))
        strips[episode.episode_index] = filmstrip(np.stack(list(frames)))
    facts = {
        "dataset": str(root),
        "scorer": config.scorer.model,
        "camera": config.scorer.camera,
        "length bias": config.weights.length_bias,
        "effective sample size under": f"{config.weights.scheme}, {_judges(config, found, float(meta.fps))}",
    }
    page = PageFacts(
        f"How good are the scores of {root.name}?", facts, found.diagnosis, found.verdict, found.calibrations,
        found.tasks, found.remarks,
    )  # fmt: skip
    return render(page, found.curves, float(meta.fps), strips)


def _judges(config: Config, found: DatasetDiagnosis, fps: float) -> str:
    """What judges a frame in the table of calibrations."""
    compared = [one.length for one in found.curves if "static" in one.controls]
    if not config.weights.judges_actions or not compared:
        return f"chunks of {config.policy.chunk}"
    span = judged_span(config.weights, config.policy.chunk, fps, float(np.median(compared)))
    return f"windows of {span} frames around each action"


def _write_scalars(found: DatasetDiagnosis, folder: Path) -> None:
    from torch.utils.tensorboard import SummaryWriter

    shutil.rmtree(folder, ignore_errors=True)  # of an earlier diagnosis: its curves would be drawn as well
    with SummaryWriter(str(folder)) as writer:
        for item in fields(found.diagnosis):
            value = getattr(found.diagnosis, item.name)
            number = value.value if isinstance(value, Estimate) else float(value)
            if math.isfinite(number):
                writer.add_scalar(f"diagnosis/{item.name}", number, 0)
        writer.add_scalar("diagnosis/verdict", GRADES.index(found.verdict.grade), 0)
        writer.add_text("diagnosis/verdict", str(found.verdict), 0)


def _task(task: TaskDiagnosis) -> dict[str, Any]:
    verdict = task.verdict
    return {
        "instruction": task.instruction,
        "verdict": None if verdict is None else verdict.grade,
        "reasons": "" if verdict is None else verdict.reasons,
        "figures": _plain(asdict(task.diagnosis)),
    }


def _figures(row: CalibrationRow) -> dict[str, Any]:
    return {name: value for name, value in asdict(row).items() if name != "stage_error" or value is not None}


def _plain(value: Any) -> Any:
    """JSON has no NaN and no infinity; null stands for a figure that is not defined."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}  # pyright: ignore[reportUnknownVariableType]
    if isinstance(value, float):
        return round(value, 6) if math.isfinite(value) else None
    return value
