"""The stages of each episode, where the dataset is annotated with them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.episodes import read_episodes
from rabc.system.errors import InputError

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

NAMES = "sparse_subtask_names"
"""Column of `meta/episodes` that LeRobot's SARM annotation writes: the stages of each episode, a list."""
STARTS = "sparse_subtask_start_frames"
"""Likewise: the first frame of each stage, counted from 0 in every episode."""
ENDS = "sparse_subtask_end_frames"
"""Likewise: the last frame of each stage."""
_REMEDY = "annotate the episode again, or set its annotation to null"


@dataclass(frozen=True)
class StageLabels:
    """The annotated episodes of a dataset, all with the same stages."""

    names: tuple[str, ...]
    """Of the S stages, in the order in which they happen."""
    boundaries: Mapping[int, NDArray[np.int64]]
    """Episode -> (S + 1,) frame at which each stage begins, then the episode's length."""

    @property
    def proportions(self) -> NDArray[np.float64]:
        """(S,) share of an episode's time that each stage takes, mean over the annotated episodes.

        SARM (arXiv 2509.25358) Eq. 1.
        """
        return np.mean([np.diff(edges) / edges[-1] for edges in self.boundaries.values()], axis=0)


def stage_labels(meta: "LeRobotDatasetMetadata") -> StageLabels | None:
    """Stages by episode from `NAMES`, `STARTS` and `ENDS`; None where no episode is annotated.

    An episode without names (null or empty) is left out. A stage goes on until the next one begins: LeRobot
    counts the end frame as part of the stage, and its annotation writes as the end of a stage the start of
    the next one; others write the frame before it. The last stage goes on until the end of the episode.

    Raises:
        InputError: an annotated episode whose stages are not those of the others, do not cover the episode
            without gaps or overlaps, or have no frame.
    """
    records: Any = meta.episodes
    if NAMES not in records.column_names:
        return None
    for column in (STARTS, ENDS):
        if column not in records.column_names:
            raise InputError(
                f"dataset {meta.root}: meta/episodes has {NAMES} but no {column}; annotate the dataset again"
            )
    lengths = read_episodes(meta).length
    expected: tuple[str, ...] = ()
    boundaries: dict[int, NDArray[np.int64]] = {}
    for episode, names in enumerate(records[NAMES]):
        if not names:
            continue
        expected = expected or tuple(names)
        if tuple(names) != expected:
            first = next(iter(boundaries))
            raise _bad(episode, NAMES, names, f"not the stages {list(expected)} of episode {first}")
        starts, ends = (
            _frames(episode, column, records[column][episode], len(names)) for column in (STARTS, ENDS)
        )
        boundaries[episode] = _boundaries(episode, starts, ends, int(lengths[episode]), float(meta.fps))
    return StageLabels(expected, boundaries) if boundaries else None


def _frames(episode: int, column: str, values: Sequence[Any] | None, count: int) -> list[int]:
    if values is None or len(values) != count or any(value is None for value in values):
        raise _bad(episode, column, values, f"must be {count} frames, one for each stage")
    return [int(value) for value in values]


def _boundaries(
    episode: int, starts: list[int], ends: list[int], length: int, fps: float
) -> NDArray[np.int64]:
    if starts[0] != 0:
        raise _bad(episode, STARTS, starts, "the first stage must start at frame 0")
    edges = np.array([*starts, length], dtype=np.int64)
    if np.any(np.diff(edges) < 1):
        what = f"must increase, and stay below the episode's length of {length} frames"
        raise _bad(episode, STARTS, starts, what)
    for end, following in zip(ends[:-1], starts[1:], strict=True):
        if end not in (following, following - 1):
            what = f"{end} leaves a gap to, or overlaps, the stage that starts at {following}"
            raise _bad(episode, ENDS, ends, what)
    # The annotation is made in whole seconds.
    if abs(length - 1 - ends[-1]) > fps:
        what = f"the last stage must end within a second of the last frame, {length - 1}"
        raise _bad(episode, ENDS, ends, what)
    return edges


def _bad(episode: int, column: str, values: Sequence[Any] | None, what: str) -> InputError:
    shown = None if values is None else list(values)
    return InputError(f"episode {episode}, {column} {shown}: {what}; {_REMEDY}")
