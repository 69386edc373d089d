"""Labels of success in the spellings of people's datasets; what nobody can read is named and left out."""

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rabc.datasets.metadata import load_meta
from rabc.datasets.success_labels import Labels, find_labels, truth_value


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((True, 1, 1.0, np.float32(1), "true", "TRUE", " yes", "1", "Success", "succeeded", "t"), True),
        ((False, 0, 0.0, np.int8(0), "false", "No", "0", "failure", "failed ", "FAIL", b"false"), False),
        ((None, float("nan"), "", "null", "unknown", "N/A", [], [None]), None),
        (([True], [[0], [1]], [None, "success"], np.array([0, 1]), (0.0, 1.0)), True),
        (([False], [[0], [0.0]], ["failed", None], np.zeros(2)), False),
    ],
)
def test_spellings(values: Sequence[Any], expected: bool | None) -> None:
    assert {truth_value(value) for value in values} == {expected}


@pytest.mark.parametrize("value", ["maybe", 0.5, 2, -1, ["true", "perhaps"], {"success": True}])
def test_what_is_no_label(value: Any) -> None:
    with pytest.raises(ValueError, match="is no label"):
        truth_value(value)


@pytest.fixture
def label(dataset_copy: Callable[[], Path]) -> Callable[..., Labels]:
    """Labels of the small dataset with these columns: of its four episodes, or of each frame of these."""
    root = dataset_copy()

    def labelled(frames: dict[str, list[Any]] | None = None, **columns: list[Any]) -> Labels:
        (path,) = (root / "meta" / "episodes").rglob("*.parquet")
        pd.read_parquet(path).assign(**columns).to_parquet(path)
        (data,) = (root / "data").rglob("*.parquet")
        table = pd.read_parquet(data)
        info = root / "meta" / "info.json"
        facts = json.loads(info.read_text())
        for name, values in (frames or {}).items():
            table[name] = [values[episode] for episode in table["episode_index"]]
            facts["features"][name] = {"dtype": "string", "shape": [1], "names": None}
        table.to_parquet(data)
        info.write_text(json.dumps(facts))
        return find_labels(load_meta(root))

    return labelled


def test_a_column_of_words_in_another_case(label: Callable[..., Labels]) -> None:
    found = label(Is_Success=["Success", "failed", None, ""])
    assert found == Labels("column Is_Success", {0: True, 1: False})


def test_a_feature_of_the_frames_as_lists_of_words(label: Callable[..., Labels]) -> None:
    found = label({"next.success": [["true"], ["false"], [""], ["true"]]})
    assert found == Labels("column next.success", {0: True, 1: False, 3: True})


def test_one_that_nobody_can_read_is_named_and_the_others_count(label: Callable[..., Labels]) -> None:
    found = label(success=["true", "maybe", "false", "half"])
    assert found.success == {0: True, 2: False}
    assert found.remarks[0] == (
        "episode 1, column success of meta/episodes: 'maybe' is no label; counts as unlabelled; "
        "write true, false or nothing"
    )
    assert len(found.remarks) == 2


def test_columns_that_contradict_each_other_are_said(label: Callable[..., Labels]) -> None:
    frames = {"next.success": ["true", "true", "false", "true"]}
    found = label(frames, success=[1, 0, None, 1])
    assert found.success == {0: True, 1: False, 2: False, 3: True}
    assert found.source == "column success and column next.success"
    assert found.remarks == (
        "episode 1: failure in column success of meta/episodes, success in column next.success of data/; the "
        "former is taken; correct one of them",
    )


def test_a_feature_that_no_table_has_is_named(label: Callable[..., Labels], tmp_path: Path) -> None:
    label({"next.success": ["true"] * 4})
    (data,) = (tmp_path / "tiny" / "data").rglob("*.parquet")
    pd.read_parquet(data).drop(columns="next.success").to_parquet(data)
    found = find_labels(load_meta(tmp_path / "tiny"))
    assert (found.source, found.success) == ("", {})
    assert "column next.success of" in found.remarks[0]
