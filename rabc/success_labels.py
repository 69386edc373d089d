"""Whether each episode of a dataset succeeded, where the dataset says so."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

EPISODE_COLUMNS = ("success", "is_success", "episode_success", "is_episode_successful")
"""Columns of `meta/episodes` that are taken as the label of an episode."""
FRAME_COLUMNS = ("next.success", *EPISODE_COLUMNS)
"""Features of `data/` that label frames: an episode succeeded if any of its frames did."""


def success_labels(meta: "LeRobotDatasetMetadata") -> dict[int, bool]:
    """Label by episode; empty where the dataset has none.

    From the simulator's sidecar, a column of `meta/episodes` (`EPISODE_COLUMNS`) or a feature of the frames
    (`FRAME_COLUMNS`), in this order.
    """
    from rabc.sim.recorder import read_ground_truth

    truth = read_ground_truth(Path(meta.root))
    if truth:
        return {episode: record.success for episode, record in enumerate(truth)}
    records: Any = meta.episodes
    for name in EPISODE_COLUMNS:
        if name in records.column_names:
            return {episode: bool(np.any(value)) for episode, value in enumerate(records[name])}
    for name in FRAME_COLUMNS:
        if name in meta.features:
            return _from_frames(Path(meta.root), name)
    return {}


def _from_frames(root: Path, name: str) -> dict[int, bool]:
    labels: dict[int, bool] = {}
    for path in sorted((root / "data").glob("*/*.parquet")):
        table: Any = pq.read_table(path, columns=["episode_index", name]).to_pydict()
        for episode, value in zip(table["episode_index"], table[name], strict=True):
            labels[int(episode)] = labels.get(int(episode), False) or bool(np.any(value))
    return labels
