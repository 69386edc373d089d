"""Shapes and names that are not ours are no faults; what no policy sees is said."""

import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.datasets.preflight.test_metadata import named_actions
from tests.support import damaging as damage
from tests.support.numbered import Recording, record_numbered
from tests.support.shapes import rename_feature

FRONT, WRIST = "observation.images.front", "observation.images.wrist"


def feature(name: str, **changes: Any) -> Callable[[Path], None]:
    return lambda root: damage.edit_info(root, lambda info: info["features"][name].update(changes))


def joint_names(names: Any) -> Callable[[Path], None]:
    def change(root: Path) -> None:
        for column in ("observation.state", "action"):
            feature(column, names=names)(root)

    return change


OTHERS = {
    "pictures without names": feature(FRONT, names=None),
    "pictures with short names": feature(FRONT, names=["h", "w", "c"]),
    "channels first": feature(FRONT, shape=[3, 48, 72], names=["channels", "height", "width"]),
    "joints without names": joint_names(None),
    "joints in a list": joint_names([["a", "b", "c", "d", "e", "f"]]),
    "joints in a mapping": joint_names({"motors": ["a", "b", "c", "d", "e", "f"]}),
    "fewer names than joints": joint_names(["left", "right"]),
}


@pytest.mark.parametrize("case", OTHERS)
def test_other_shapes_and_names(check: Callable[..., Any], dataset: Path, case: str):
    OTHERS[case](dataset)
    checked = check(dataset)
    assert (checked.code, checked.findings) == (0, [])


def test_a_fault_of_a_joint_without_a_name(check: Callable[..., Any], dataset: Path):
    joint_names(None)(dataset)

    def kick(values: Any, rows: Any) -> Any:
        values[100, 3] += 120
        return values

    damage.set_vector(dataset, "action", kick)
    damage.recompute_statistics(dataset, "action")
    assert "joint 3 jumps by 1" in check(dataset).one("wrong")["what"]


def test_a_depth_camera(check: Callable[..., Any], dataset: Path):
    feature(WRIST, info={"is_depth_map": True})(dataset)
    finding = check(dataset, quick=False).one("note")
    assert finding["column"] == WRIST
    assert "is a depth camera" in finding["what"]


def test_columns_that_no_policy_sees(check: Callable[..., Any], tmp_path: Path):
    rng = np.random.default_rng(0)
    extra = {
        "observation.effort": (
            {"dtype": "float32", "shape": (1,), "names": None},
            lambda episode, frame: np.array([frame], np.float32),
        ),
        "observation.touch": (
            {"dtype": "float32", "shape": (4, 4), "names": None},
            lambda episode, frame: rng.random((4, 4), np.float32),
        ),
        "observation.said": (
            {"dtype": "string", "shape": (1,), "names": None},
            lambda episode, frame: "go on",
        ),
    }
    recording = Recording(lengths=(20, 22), cameras=("front",), storage="image", extra=extra)
    finding = check(record_numbered(tmp_path / "mine", recording)).one("note")
    for words in ("observation.effort (float32 [1])", "observation.touch (float32 [4, 4])", "said (text)"):
        assert words in finding["what"]


def test_actions_and_state_by_other_names(check: Callable[..., Any], dataset: Path):
    """One remedy for both: of two that are followed one after the other the second would undo the first."""
    for ours, theirs in (("action", "actions"), ("observation.state", "state")):
        rename_feature(dataset, ours, theirs)
    remedies = {finding["remedy"] for finding in check(dataset).findings if finding["remedy"]}
    assert remedies == {"""--dataset.rename_map '{"actions": "action", "state": "observation.state"}'"""}
    assert check(dataset, *shlex.split(remedies.pop())).findings == []


def test_actions_by_another_name(check: Callable[..., Any], dataset: Path):
    """The remedy that is named for it works."""
    named_actions(dataset)
    (finding,) = check(dataset).of("refused")
    assert finding["concerns"] == ["training"]  # scoring needs none
    option, mapping = finding["remedy"].split(" ", 1)
    assert check(dataset, option, mapping.strip("'")).code == 0
