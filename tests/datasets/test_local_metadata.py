"""A local dataset is read here, whatever is missing in it: the hub is not asked."""

from collections.abc import Callable
from pathlib import Path

import pytest
from lerobot.datasets import dataset_metadata

from rabc.datasets.metadata import load_meta
from rabc.system.errors import InputError


def test_the_hub_is_not_asked_for_tables_that_are_gone(
    dataset_copy: Callable[[], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    def asked(*_: object, **__: object) -> str:
        raise AssertionError("LeRobot asks the hub")

    monkeypatch.setattr(dataset_metadata, "get_safe_version", asked)
    monkeypatch.setattr(dataset_metadata.LeRobotDatasetMetadata, "_pull_from_repo", asked)
    root = dataset_copy()
    load_meta(root)
    for table in (root / "meta" / "episodes").rglob("*.parquet"):
        table.unlink()  # as where a network share is gone: the folder is there, and nothing in it
    with pytest.raises(InputError, match=r"tiny: its metadata cannot be read \(.*\); download or record"):
        load_meta(root)
