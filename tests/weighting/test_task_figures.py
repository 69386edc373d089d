"""The row of every task: of the frames that the run looks at, and of no others."""

import numpy as np
import pytest

from rabc.weighting.task_figures import TaskFigures, task_figures


def test_each_task_has_its_row_and_the_largest_is_first() -> None:
    lengths, of_task = [4, 6, 3, 5, 7], [1, 0, 1, 2, 0]
    episode, task = np.repeat(np.arange(5), lengths), np.repeat(of_task, lengths)
    wording = np.repeat(np.array(["fold", "Pick.", "Fold.", "Drop.", "pick"], object), lengths)
    weights = np.array([0.0, 0, 0, 1] + [1, 2, 3, 0, 0, 0] + [1.5, 0.5, 1] + [4.0] * 5 + [9.0] * 7)
    selected = episode != 4
    assert task_figures(weights, episode, task, wording, selected, 10) == (
        TaskFigures("fold", 2, 7, pytest.approx(4 / 7), pytest.approx(3 / 7), 0.35),
        TaskFigures("Pick.", 1, 6, 1.0, 0.5, 0.6),
        TaskFigures("Drop.", 1, 5, 4.0, 0.0, 0.5),
    )
    assert task_figures(weights, episode, task, wording, np.zeros(25, bool), 10) == ()
