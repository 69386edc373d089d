"""Columns and cameras that a policy does not see, as notes."""

from collections.abc import Iterator

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.cameras import depth_cameras
from rabc.datasets.features import STATE, ignored, likely_names, renaming
from rabc.datasets.preflight.findings import Finding


def column_findings(meta: LeRobotDatasetMetadata) -> Iterator[Finding]:
    """What a user may think is trained on, and is not."""
    depth = set(depth_cameras(meta))
    for camera in depth:
        yield Finding(
            "note", "column", "is a depth camera, which no policy here sees and no scorer watches", "",
            "meta/info.json", (), camera,
        )  # fmt: skip
    others = [column for column in ignored(meta) if column.name not in depth]
    if others:
        named = ", ".join(
            f"{column.name} ({column.what.rpartition(', ')[0] or column.what})" for column in others
        )
        yield Finding("note", "column", f"no policy here sees {named}", "", "meta/info.json")
    if STATE not in meta.features:
        near = [name for name, ours in likely_names(meta).items() if ours == STATE]
        remedy = renaming(meta) if near else ""
        has = f"; it has {near[0]}" if near else ""
        yield Finding(
            "note", "column", f"the dataset has no {STATE}: policies see the cameras alone{has}", remedy,
            "meta/info.json",
        )  # fmt: skip
