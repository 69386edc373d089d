"""`meta/stats.json` against the rows whose statistics it is to state."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cameras import colour_cameras
from rabc.datasets.metadata import recompute_statistics
from rabc.datasets.preflight.findings import Finding
from rabc.datasets.preflight.names import joint
from rabc.datasets.tables import FrameTable

_FILE = "meta/stats.json"
_SHIFT = 0.25
"""Standard deviations by which a stated mean may miss that of the rows; an episode more moves it less."""
_SPREAD = 1.25
"""Factor by which a stated standard deviation may miss it."""
_BEYOND = 0.1
"""Share of the stated range by which values may lie beyond it."""


def statistics_findings(meta: LeRobotDatasetMetadata, rows: FrameTable) -> Iterator[Finding]:
    """What training would normalise wrongly."""
    stated: dict[str, dict[str, Any]] = dict(meta.stats or {})
    for name, values in rows.vectors.items():
        finite = values[np.isfinite(values).all(axis=1)].astype(np.float64)
        if len(finite):
            yield from _vector(meta, name, finite, stated.get(name, {}))
    blind = [camera for camera in colour_cameras(meta) if not {"mean", "std"} <= set(stated.get(camera, {}))]
    if blind:
        yield Finding(
            "note", "statistics", f"has no mean and std of {', '.join(blind)}: training takes ImageNet's, as "
            "LeRobot's does", "", _FILE, (), blind[0], ("training",),
        )  # fmt: skip


def _vector(
    meta: LeRobotDatasetMetadata, name: str, values: NDArray[np.float64], stated: dict[str, Any]
) -> Iterator[Finding]:
    remedy = f"`{recompute_statistics(meta.root)}`"

    def finding(what: str, grave: bool = True) -> Finding:
        severity = "refused" if grave else "wrong"
        return Finding(severity, "statistics", what, remedy, _FILE, (), name, ("training",))

    try:
        found = {key: np.asarray(stated[key], np.float64).reshape(-1) for key in _KEYS if key in stated}
    except (TypeError, ValueError):
        yield finding(f"holds something else than numbers in one of {', '.join(_KEYS)}")
        return
    lacking = [key for key in ("mean", "std") if key not in found]
    if lacking:
        # Refused by the policy that needs them; LeRobot itself trains on what is not normalised.
        yield finding(f"has no {' and no '.join(lacking)}", grave=False)
        return
    sizes = {key: len(value) for key, value in found.items() if len(value) != values.shape[1]}
    if sizes:
        key, size = next(iter(sizes.items()))
        yield finding(f"{key} is of {size} numbers, the rows have {values.shape[1]}")
        return
    if not all(np.isfinite(value).all() for value in found.values()):
        yield finding("is not finite", grave=False)
        return
    mean, std = values.mean(axis=0), values.std(axis=0)
    yield from _still(meta, name, values)
    # Of joints that hardly move next to what they are worth, rounding alone is a standard deviation.
    floor = np.maximum(std, 1e-4 * np.maximum(np.abs(values).max(axis=0), 1e-6))
    shift = np.abs(found["mean"] - mean) / floor
    spread = np.maximum(found["std"], 1e-9) / floor
    if shift.max() > _SHIFT:
        at = int(shift.argmax())
        yield finding(
            f"mean of {joint(meta, name, at)} is {found['mean'][at]:.4g}, that of the rows {mean[at]:.4g}: "
            "it is of other rows", grave=False,
        )  # fmt: skip
        return
    moving = std > 1e-4 * np.maximum(np.abs(values).max(axis=0), 1e-6)
    odd = moving & ((spread > _SPREAD) | (spread < 1 / _SPREAD))
    if odd.any():
        at = int(np.flatnonzero(odd)[0])
        yield finding(
            f"std of {joint(meta, name, at)} is {found['std'][at]:.4g}, that of the rows {std[at]:.4g}: it "
            "is of other rows", grave=False,
        )  # fmt: skip
        return
    if {"min", "max"} <= found.keys():
        room = _BEYOND * np.maximum(found["max"] - found["min"], floor)
        beyond = np.maximum(values.max(axis=0) - found["max"], found["min"] - values.min(axis=0)) > room
        if beyond.any():
            at = int(np.flatnonzero(beyond)[0])
            yield finding(
                f"{joint(meta, name, at)} is said to be from {found['min'][at]:.4g} to {found['max'][at]:.4g}"
                f", the rows are from {values[:, at].min():.4g} to {values[:, at].max():.4g}", grave=False,
            )  # fmt: skip


_KEYS = ("mean", "std", "min", "max")


def _still(meta: LeRobotDatasetMetadata, name: str, values: NDArray[np.float64]) -> Iterator[Finding]:
    """Joints that never move, whose standard deviation of 0 a robot's reading would be divided by."""
    still = np.flatnonzero(np.ptp(values, axis=0) == 0)
    if len(still) and len(values) > 1:
        named = ", ".join(f"{joint(meta, name, int(at))} (always {values[0, at]:.4g})" for at in still[:6])
        more = f" and {len(still) - 6} more" if len(still) > 6 else ""
        yield Finding(
            "note", "statistics", f"{named}{more} never moves in any episode, so nothing can be learnt of "
            "it and its standard deviation is 0", "", _FILE, (), name, ("training",),
        )  # fmt: skip
