"""The stages of each episode, where the dataset is annotated with them. Only the diagnosis looks at them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.episodes import read_episodes
from rabc.datasets.remarks import remarks
from rabc.datasets.tasks import task_groups

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

NAMES = "sparse_subtask_names"
"""Column of `meta/episodes` that LeRobot's SARM annotation writes: the stages of each episode, a list."""
STARTS = "sparse_subtask_start_frames"
"""Likewise: the first frame of each stage, counted from 0 in every episode."""
ENDS = "sparse_subtask_end_frames"
"""Likewise: the last frame of each stage."""
_REMEDY = "annotate the episode again, or set its annotation to null"
Stages = tuple[str, ...]
"""Names of the S stages of an episode, in the order in which they happen."""


@dataclass(frozen=True)
class StageLabels:
    """The annotated episodes of a dataset."""

    names: Mapping[int, Stages]
    """Episode -> its stages."""
    boundaries: Mapping[int, NDArray[np.int64]]
    """Episode -> (S + 1,) frame at which each stage begins, then the episode's length."""
    remarks: tuple[str, ...] = ()
    """Annotations that were left out, and why; a line each."""

    def proportions(self, episode: int) -> NDArray[np.float64]:
        """(S,) share of the time that each stage of an episode takes, mean over those with the same stages.

        SARM (arXiv 2509.25358) Eq. 1.
        """
        alike = [
            edges for other, edges in self.boundaries.items() if self.names[other] == self.names[episode]
        ]
        return np.mean([np.diff(edges) / edges[-1] for edges in alike], axis=0)


def stage_labels(meta: "LeRobotDatasetMetadata") -> StageLabels:
    """Stages by episode from `NAMES`, `STARTS` and `ENDS`; of no episode where none is annotated.

    An episode without names (null or empty) is left out. A stage goes on until the next one begins: LeRobot
    counts the end frame as part of the stage, and its annotation writes as the end of a stage the start of
    the next one; others write the frame before it. The last stage goes on until the end of the episode.

    Left out and named are annotations that do not cover their episode without gaps or overlaps, or have a
    stage without a frame, and those whose stages are not the ones that most episodes of the task have.
    """
    table: Any = cast(Any, meta.episodes).data
    if NAMES not in table.column_names:
        return StageLabels({}, {})
    for column in (STARTS, ENDS):
        if column not in table.column_names:
            lacking = f"dataset {meta.root}: meta/episodes has {NAMES} but no {column}"
            return StageLabels({}, {}, (f"{lacking}, so that no stage is used; annotate the dataset again",))
    episodes = read_episodes(meta)
    given = zip(*(table.column(name).to_pylist() for name in (NAMES, STARTS, ENDS)), strict=True)
    found: dict[int, tuple[Stages, NDArray[np.int64]]] = {}
    wrong: list[str] = []
    for episode, (names, starts, ends) in enumerate(given):
        if not names:
            continue
        try:
            stages = _stages(names)
            edges = _boundaries(
                _frames(STARTS, starts, len(stages)), _frames(ENDS, ends, len(stages)),
                int(episodes.length[episode]), float(meta.fps),
            )  # fmt: skip
        except _Unfit as error:
            wrong.append(f"episode {episode}, {error}")
        else:
            found[episode] = stages, edges
    tasks = task_groups([" ".join(some) for some in episodes.tasks]).tolist()
    usual = _usual({episode: stages for episode, (stages, _) in found.items()}, tasks)
    for episode, (stages, _) in list(found.items()):
        expected = usual[tasks[episode]]
        if stages != expected:
            del found[episode]
            what = f"not the stages {list(expected)} of most episodes of its task"
            wrong.append(f"episode {episode}, {NAMES} {list(stages)}: {what}")
    return StageLabels(
        {episode: stages for episode, (stages, _) in found.items()},
        {episode: edges for episode, (_, edges) in found.items()},
        remarks(wrong, f"its stages are not used; {_REMEDY}"),
    )


class _Unfit(Exception):
    """An annotation that cannot be used, and why."""


def _usual(stages: Mapping[int, Stages], tasks: Sequence[int]) -> dict[int, Stages]:
    """Task -> the stages that most of its episodes have; of equally many, those of most episodes of all."""
    everywhere = Counter(stages.values())
    by_task: dict[int, Counter[Stages]] = {}
    for episode, names in stages.items():
        by_task.setdefault(tasks[episode], Counter())[names] += 1
    return {
        task: max(counts, key=lambda names: (counts[names], everywhere[names]))
        for task, counts in by_task.items()
    }


def _stages(names: Any) -> Stages:
    if not isinstance(names, list) or not all(isinstance(name, str) for name in cast(list[Any], names)):
        raise _Unfit(f"{NAMES} {names!r}: is no list of names")
    return tuple(cast(list[str], names))


def _frames(column: str, values: Any, count: int) -> list[int]:
    try:
        frames = [int(value) for value in values]
    except (TypeError, ValueError, OverflowError):
        frames = []
    if len(frames) != count:
        raise _Unfit(f"{column} {values}: must be {count} frames, one for each stage")
    return frames


def _boundaries(starts: list[int], ends: list[int], length: int, fps: float) -> NDArray[np.int64]:
    if starts[0] != 0:
        raise _Unfit(f"{STARTS} {starts}: the first stage must start at frame 0")
    edges = np.array([*starts, length], dtype=np.int64)
    if np.any(np.diff(edges) < 1):
        what = f"must increase, and stay below the episode's length of {length} frames"
        raise _Unfit(f"{STARTS} {starts}: {what}")
    for end, following in zip(ends[:-1], starts[1:], strict=True):
        if end not in (following, following - 1):
            what = f"{end} leaves a gap to, or overlaps, the stage that starts at {following}"
            raise _Unfit(f"{ENDS} {ends}: {what}")
    # The annotation is made in whole seconds.
    if abs(length - 1 - ends[-1]) > fps:
        what = f"the last stage must end within a second of the last frame, {length - 1}"
        raise _Unfit(f"{ENDS} {ends}: {what}")
    return edges
