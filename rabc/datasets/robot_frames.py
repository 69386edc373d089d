"""Single frames of a dataset as a robot would hand them to a policy."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from einops import rearrange
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from torch import Tensor

from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.features import STATE
from rabc.datasets.tables import FrameTable, read_frames


@dataclass(frozen=True)
class DatasetFrames:
    """Frames in dataset units, under the dataset's own names."""

    values: dict[str, Tensor]
    """input -> (F, ...): cameras uint8 (F, 3, H, W), the rest float32 (F, D)."""
    tasks: list[str]
    """F instructions."""


def read_dataset_frames(
    meta: LeRobotDatasetMetadata, index: Sequence[int], inputs: Sequence[str], table: FrameTable | None = None
) -> DatasetFrames:
    """Frames `index` of the dataset.

    With `observation.state` in any case, as every robot of LeRobot gives it: where the dataset has none, one
    joint that stays at 0. LeRobot's ACT asks it for its device, also where it is no input.

    Args:
        meta: of the dataset.
        index: F frame numbers.
        inputs: camera keys and vector columns, such as `observation.state`.
        table: of the dataset, if it has been read already, with these vector columns and its
            `observation.state`.

    Raises:
        InputError: a frame that cannot be decoded, a damaged table, an unknown camera.
    """
    cameras = [key for key in inputs if key in meta.camera_keys]
    vectors = [key for key in inputs if key not in cameras]
    if STATE in meta.features and STATE not in vectors:
        vectors.append(STATE)
    if table is None:
        table = read_frames(meta, vectors)
    wanted = np.asarray(index, np.int64)
    pictures = DecodedFrames(meta, cameras).read(wanted) if cameras else {}
    values = {
        key: rearrange(torch.from_numpy(value), "t h w c -> t c h w").contiguous()
        for key, value in pictures.items()
    }
    values |= {key: torch.from_numpy(table.vectors[key][wanted]) for key in vectors}
    values.setdefault(STATE, torch.zeros(len(wanted), 1))
    return DatasetFrames(values, [str(task) for task in table.task[wanted]])


def spread(total: int, count: int) -> list[int]:
    """At most `count` frame numbers, evenly spread over `total` frames."""
    return np.unique(np.linspace(0, total - 1, min(count, total)).round().astype(int)).tolist()
