"""Rows cut off in front of an episode or behind it: pictures that change when the joints move tell."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.datasets.preflight.offsets import cut_in_front
from tests.support import damaging as damage


def speeds(seed: int, count: int) -> Any:
    """Of an arm that starts and stops."""
    rng = np.random.default_rng(seed)
    return np.convolve(rng.random(count) > 0.7, np.ones(5) / 5, "same") + rng.random(count) * 0.05


@given(st.integers(0, 1000), st.sampled_from([6, 10, 25]), st.booleans(), st.integers(0, 2))
@settings(max_examples=40)
def test_where_rows_were_cut_off(seed: int, spare: int, front: bool, late: int):
    speed = speeds(seed, 150)
    changes = 20 * np.roll(speed, late) + np.random.default_rng(seed).random(150)
    left = speed[spare:] if front else speed[:-spare]
    assert cut_in_front(changes, left) in ((spare, None) if front else (0, None))


def test_it_is_decided_where_there_is_something_to_see():
    speed = speeds(3, 150)
    assert cut_in_front(20 * speed, speed[10:]) == 10
    assert cut_in_front(20 * speed, speed[:-10]) == 0
    assert cut_in_front(np.ones(150), speed[10:]) is None  # a picture that stays
    assert cut_in_front(speeds(4, 150), speed[10:]) is None  # one that has nothing to do with it
    assert cut_in_front(20 * speed, speed[:-3]) is None  # within what a camera is late


def cut(root: Path, front: bool) -> None:
    """Takes ten rows of episode 3, whose pictures get brighter by how far the arm has come."""
    (table,) = (root / "data").glob("*/*.parquet")
    rows = pd.read_parquet(table)
    moved = speeds(1, len(rows)).cumsum()[:, None] * np.ones(6)
    damage.set_vector(
        root, "observation.state", lambda values, rows: (values * 0.001 + moved).astype(np.float32)
    )

    def shade(frames: list[Any]) -> list[Any]:
        level = np.round(200 * moved[:, 0] / moved[:, 0].max()).astype(int)
        return [np.full_like(frame, 20 + grey) for frame, grey in zip(frames, level, strict=True)]

    for camera in ("front", "wrist"):
        damage.change_video(root, camera, shade)
    if front:
        damage.trim_front(root, [3], 10, keep_times=False)
    else:
        damage.trim_back(root, 3, 10)
    damage.recompute_statistics(root, "observation.state", "action")


@pytest.mark.parametrize("front", [True, False])
def test_pictures_decide(check: Callable[..., Any], dataset: Path, front: bool):
    cut(dataset, front)
    before = [one for one in check(dataset).findings if one["kind"] == "stretch"]
    assert [(one["severity"], one["episodes"]) for one in before] == [("wrong", [3])] * 2  # of either camera
    after = [one for one in check(dataset, quick=False).findings if one["kind"] == "stretch"]
    assert [one["severity"] for one in after] == ["wrong" if front else "note"] * 2, json.dumps(after)
    assert ("about 10 frames early" if front else "cut off behind") in after[0]["what"]
