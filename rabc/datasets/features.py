"""What each column of a dataset is, and what a policy makes of it."""

import json
import re
from dataclasses import dataclass
from typing import Any

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.cameras import colour_cameras, depth_cameras
from rabc.system.terminal import shell_word

STATE = "observation.state"
ENVIRONMENT = "observation.environment_state"
ACTION = "action"
OBSERVED = "observation."
"""With which the name of everything begins that LeRobot's processors hand to a policy."""
_BOOKKEEPING = {"index", "episode_index", "frame_index", "timestamp", "task_index"}


@dataclass(frozen=True)
class Column:
    """One feature of `meta/info.json`."""

    name: str
    shape: tuple[int, ...]
    used: bool
    """Whether a policy is trained on it."""
    what: str
    """What it is, or why no policy is trained on it, in words."""


def columns(meta: LeRobotDatasetMetadata) -> list[Column]:
    """What every column is, in the dataset's order.

    ACT, Diffusion and LeRobot's other policies see colour pictures, `observation.state` and
    `observation.environment_state`, and learn `action`. LeRobot hands them whatever else begins with
    `observation` or `action` too: nothing in the networks reads it.
    """
    colour, depth = set(colour_cameras(meta)), set(depth_cameras(meta))
    found: list[Column] = []
    for name, feature in meta.features.items():
        shape = tuple(int(side) for side in feature["shape"])
        if name in (*colour, *depth) and not name.startswith(OBSERVED):
            used, what = (
                False,
                f"camera whose name does not begin with `{OBSERVED}`, so that LeRobot drops it",
            )
        elif name in colour:
            used, what = True, "camera"
        elif name in depth:
            used, what = False, "depth camera, which no policy here sees"
        elif name in _BOOKKEEPING:
            used, what = False, "bookkeeping"
        elif name in (STATE, ENVIRONMENT, ACTION):
            used, what = True, {STATE: "joints", ENVIRONMENT: "environment", ACTION: "actions"}[name]
        else:
            kind = (
                "text" if feature["dtype"] in ("string", "language") else f"{feature['dtype']} {list(shape)}"
            )
            used, what = False, f"{kind}, which no policy here sees"
        found.append(Column(name, shape, used, what))
    return found


def ignored(meta: LeRobotDatasetMetadata) -> list[Column]:
    """The columns that a user may think are trained on, and are not."""
    return [c for c in columns(meta) if not c.used and c.name not in _BOOKKEEPING and _observed(c, meta)]


def policy_features(meta: LeRobotDatasetMetadata) -> dict[str, dict[str, Any]]:
    """The features that a policy is trained on, as LeRobot describes them."""
    return {column.name: meta.features[column.name] for column in columns(meta) if column.used}


def vector_inputs(meta: LeRobotDatasetMetadata) -> list[str]:
    """The columns of numbers that a policy is trained on, `action` last; a dataset may have none but that."""
    return [name for name in (STATE, ENVIRONMENT, ACTION) if name in meta.features]


def _observed(column: Column, meta: LeRobotDatasetMetadata) -> bool:
    return column.name.startswith(("observation", "action")) or column.name in meta.camera_keys


_OTHERWISE = {ACTION: r"^action|(^|[._])act(ion)?s?$", STATE: r"(^|[._])(state|qpos)$"}
"""What other recorders call the columns that a policy is trained on."""


def likely_names(meta: LeRobotDatasetMetadata) -> dict[str, str]:
    """The column that may be meant for one of ours which the dataset has not: its name -> ours."""
    found: dict[str, str] = {}
    for ours, pattern in _OTHERWISE.items():
        near = [name for name in meta.features if re.search(pattern, name) and name != ENVIRONMENT]
        if ours not in meta.features and near:
            found[near[0]] = ours
    return found


def renaming(meta: LeRobotDatasetMetadata) -> str:
    """The option that gives these columns our names, all at once: a second one would replace the first."""
    return f"--dataset.rename_map {shell_word(json.dumps(likely_names(meta)))}"
