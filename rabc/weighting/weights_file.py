"""Sample weights as a parquet `index, weight`: ours for others to use, and others' for ours."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.columns import check_made_for, check_whole, column, read_table, write_table
from rabc.system.errors import InputError

FILE_NAME = "weights.parquet"
DATASET = "rabc.dataset"
"""Metadata: fingerprint of the dataset that the weights were made for."""
_REMEDY = "give a parquet with columns index and weight for every frame of this dataset"


def write_weights(path: Path, weights: NDArray[np.float64], facts: dict[str, str]) -> None:
    """Writes the weight (N,) of every frame as `index` int64 and `weight` float32; `facts` as metadata.

    At once or not at all. Raises InputError if it cannot be written.
    """
    index = np.arange(len(weights), dtype=np.int64)
    write_table(path, {"index": index, "weight": weights.astype(np.float32)}, facts)


def read_weights(path: Path, episode_index: NDArray[np.int64], dataset: str) -> NDArray[np.float64]:
    """The weight (N,) of every frame, in the order of the dataset's `index`.

    episode_index: (N,) of the dataset's frames. dataset: its fingerprint; files of other tools do not say
    what dataset they are of, and have to fit in their frames alone. Raises InputError, naming the file, if it
    is missing, damaged, of another dataset, or has a weight that is negative or not finite, or none above 0.
    """
    label = f"weights.weights_file {path}"
    table = read_table(path, "weights.weights_file", _REMEDY)
    weights = column(table, "weight", label, _REMEDY, episode_index)
    check_whole(weights, "weight", label, _REMEDY, episode_index)
    check_made_for(table, DATASET, dataset, label, _REMEDY)
    negative = np.flatnonzero(weights < 0)
    if len(negative):
        raise InputError(
            f"{label}: frame {negative[0]} has weight {weights[negative[0]]:g}; give weights of 0 or more"
        )
    if not weights.any():
        raise InputError(f"{label}: every weight is 0; give one above 0")
    return weights
