"""Whether each episode of a dataset succeeded, where the dataset says so."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

from rabc.system.errors import InputError

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

EPISODE_COLUMNS = ("success", "is_success", "episode_success", "is_episode_successful")
"""Columns of `meta/episodes` that are taken as the label of an episode."""
FRAME_COLUMNS = ("next.success", *EPISODE_COLUMNS)
"""Features of `data/` that label frames: an episode succeeded if any of its frames did."""


@dataclass(frozen=True)
class Labels:
    """Outcomes of episodes, and who says so."""

    source: str
    """`simulator`, `column <name>` or a file; empty where nothing says so."""
    success: dict[int, bool]
    """Label by episode; an episode that has none is left out."""


def find_labels(meta: "LeRobotDatasetMetadata") -> Labels:
    """What the dataset says about the success of its episodes.

    From the simulator's sidecar, a column of `meta/episodes` (`EPISODE_COLUMNS`) or a feature of the frames
    (`FRAME_COLUMNS`), in this order. A missing value (null or NaN) is no label. Raises InputError for a
    column that holds something else than truth values or numbers.
    """
    from rabc.sim.recorder import read_ground_truth

    root = Path(meta.root)
    truth = read_ground_truth(root)
    if truth:
        return Labels("simulator", {episode: record.success for episode, record in enumerate(truth)})
    records: Any = meta.episodes
    for name in EPISODE_COLUMNS:
        if name in records.column_names:
            return Labels(f"column {name}", _any(enumerate(records[name]), name, root))
    for name in FRAME_COLUMNS:
        if name in meta.features:
            return Labels(f"column {name}", frame_labels(root, name))
    return Labels("", {})


def success_labels(meta: "LeRobotDatasetMetadata") -> dict[int, bool]:
    """Label by episode as `find_labels` finds them; empty where the dataset has none."""
    return find_labels(meta).success


def frame_labels(root: Path, name: str) -> dict[int, bool]:
    """Whether feature `name` of `data/` is true in any frame of each episode; without those that lack it.

    Raises InputError for a feature that holds something else than truth values or numbers.
    """
    labels: dict[int, bool] = {}
    for path in sorted((root / "data").glob("*/*.parquet")):
        table: Any = pq.read_table(path, columns=["episode_index", name]).to_pydict()
        found = _any(zip(table["episode_index"], table[name], strict=True), name, root)
        for episode, success in found.items():
            labels[episode] = labels.get(episode, False) or success
    return labels


def _any(values: Any, name: str, root: Path) -> dict[int, bool]:
    """Whether any value of each episode is true, from pairs (episode, value or list of values)."""
    labels: dict[int, bool] = {}
    for episode, value in values:
        try:
            numbers = np.atleast_1d(np.asarray(value, dtype=np.float64))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"column {name} {value!r}: is no label, in episode {episode} of dataset {root}; write true, "
                "false or nothing"
            ) from error
        known = numbers[~np.isnan(numbers)]
        if len(known):
            labels[int(episode)] = labels.get(int(episode), False) or bool(known.any())
    return labels
