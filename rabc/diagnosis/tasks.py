"""The diagnosis of each task of a dataset, where it has several, and the verdict on them together. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from rabc.datasets.tasks import task_groups
from rabc.diagnosis.controls import Diagnosis, EpisodeCurves, diagnose
from rabc.diagnosis.verdict import MIN_EPISODES, Verdict, judge


@dataclass(frozen=True)
class TaskDiagnosis:
    """One task of a dataset of several."""

    instruction: str
    """In the wording of its first episode."""
    diagnosis: Diagnosis
    verdict: Verdict | None
    """None: too few of its episodes have controls for it to be judged alone."""


def judge_curves(
    curves: Sequence[EpisodeCurves], length_bias: Literal["none", "subtract"] = "none"
) -> tuple[Diagnosis, Verdict, list[TaskDiagnosis]]:
    """Figures and verdict of at least one episode, and of each task; no tasks where there is but one.

    A task is what `rabc.datasets.tasks` takes for one. It is judged alone from MIN_EPISODES episodes with
    controls on, as a dataset is.
    """
    found = diagnose(curves)
    groups = task_groups([episode.instruction for episode in curves])
    tasks: list[TaskDiagnosis] = []
    for number in range(int(groups.max()) + 1) if groups.any() else ():
        own = [curves[place] for place in np.flatnonzero(groups == number).tolist()]
        figures = diagnose(own)
        enough = figures.controlled >= MIN_EPISODES
        tasks.append(
            TaskDiagnosis(own[0].instruction, figures, judge(figures, length_bias) if enough else None)
        )
    alone = {task.instruction: task.verdict for task in tasks if task.verdict is not None}
    return found, judge(found, length_bias, alone), tasks
