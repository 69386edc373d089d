"""How the weights treat each task of a dataset. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.weighting.deltas import episode_bounds, median_length


@dataclass(frozen=True)
class TaskFigures:
    """Of the frames of one task that the run looks at."""

    instruction: str
    """Its first wording."""
    episodes: int
    frames: int
    mean: float
    """Mean weight of all these frames; 1: as much as without weights."""
    share_zero: float
    """Share of these frames with weight 0."""
    seconds: float
    """Median length of the episodes."""


def task_figures(
    weights: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    task: NDArray[np.int64],
    instruction: Sequence[str] | NDArray[np.object_],
    selected: NDArray[np.bool_],
    fps: float,
) -> tuple[TaskFigures, ...]:
    """A row for each task, most frames first; arrays are (N,), task as `rabc.datasets.tasks` numbers it."""
    rows: list[TaskFigures] = []
    for number in np.unique(task[selected]):
        of = selected & (task == number)
        rows.append(
            TaskFigures(
                instruction=str(instruction[int(of.argmax())]),
                episodes=len(episode_bounds(episode_index[of])),
                frames=int(of.sum()),
                mean=float(weights[of].mean()),
                share_zero=float(np.mean(weights[of] == 0)),
                seconds=median_length(episode_index[of]) / fps,
            )
        )
    return tuple(sorted(rows, key=lambda row: -row.frames))
