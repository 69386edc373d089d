"""The joints of a dataset in words."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata


def joint_names(meta: LeRobotDatasetMetadata, column: str) -> list[str]:
    """The names of a vector's numbers; `joint 0`, `joint 1`, ... where it has none or not as many."""
    feature = meta.features[column]
    names = list(flat_names(feature.get("names")))
    size = int(feature["shape"][0]) if feature["shape"] else 1
    return names if len(names) == size else [f"joint {place}" for place in range(size)]


def joint(meta: LeRobotDatasetMetadata, column: str, place: int) -> str:
    """The name of one of a vector's numbers."""
    return joint_names(meta, column)[place]


def flat_names(names: Any) -> Iterator[str]:
    """Recorders nest them: `["a"]`, `[["a"]]`, `{"motors": ["a"]}`."""
    if isinstance(names, str):
        yield names
    elif isinstance(names, Mapping):
        for value in names.values():  # pyright: ignore[reportUnknownVariableType]
            yield from flat_names(value)
    elif isinstance(names, Iterable):
        for value in names:  # pyright: ignore[reportUnknownVariableType]
            yield from flat_names(value)
