"""Six faults of different kinds in one dataset: all are found and nothing else; a second look is free."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight import check as checking
from rabc.datasets.preflight.check import preflight, refusals_and_warnings
from rabc.datasets.preflight.findings import Finding, exclude, spoken
from rabc.system.errors import InputError
from tests.support import damaging as damage
from tests.support.numbered import Recording, record_numbered
from tests.support.shared import made_once

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
LENGTHS = (30, 36, 33, 40, 28, 31, 31, 38)
STARTS = np.cumsum([0, *LENGTHS])


def plant(root: Path) -> None:
    """Frozen telemetry in 1, a black wrist camera in 2, a jump in 3, another task for 4, 6 a copy of 5, and a
    stretch of video for 7 that begins where that of 6 is not over."""

    def joints(values: Any, rows: pd.DataFrame) -> Any:
        episode = rows.episode_index.to_numpy()
        held = np.flatnonzero(episode == 1)[8:26]
        values[held] = values[held[0]]
        values[np.flatnonzero(episode == 3)[20], 2] -= 130
        return copied(values, rows)

    def copied(values: Any, rows: pd.DataFrame) -> Any:
        values[STARTS[6] : STARTS[7]] = values[STARTS[5] : STARTS[6]]
        return values

    damage.set_vector(root, "observation.state", joints)
    damage.set_vector(root, "action", copied)
    damage.recompute_statistics(root, "observation.state", "action")

    def darken(frames: list[Any]) -> list[Any]:
        for frame in frames[STARTS[2] : STARTS[3]]:
            frame[:] = 2
        return frames

    damage.change_video(root, "wrist", darken)

    def episodes(rows: pd.DataFrame) -> None:
        rows["tasks"] = [np.array(["Push it."]) if e == 4 else t for e, t in enumerate(rows["tasks"])]
        for end in ("from", "to"):
            rows.loc[7, f"videos/{FRONT}/{end}_timestamp"] -= 0.6

    damage.edit_episodes(root, episodes)


@pytest.fixture(scope="module")
def planted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(root: Path) -> None:
        plant(record_numbered(root, Recording(lengths=LENGTHS)))

    return made_once(tmp_path_factory, "planted", make)


def test_six_faults_and_nothing_else(check: Callable[..., Any], planted: Path):
    checked = check(planted, quick=False)
    assert checked.code == 1
    assert sorted(
        (one["severity"], one["kind"], one["episodes"], one["column"]) for one in checked.findings
    ) == [
        ("refused", "video", [6, 7], FRONT),
        ("wrong", "copy", [6], ""),
        ("wrong", "frozen", [1], "observation.state"),
        ("wrong", "jump", [3], "observation.state"),
        ("wrong", "picture", [2], WRIST),
        ("wrong", "task", [4], "tasks"),
    ]
    assert "1 refused, 5 would train something wrong" in checked.err
    for finding in checked.findings:
        assert "--dataset.exclude" in finding["remedy"]


def test_left_out_it_is_sound(check: Callable[..., Any], planted: Path):
    checked = check(planted, "--dataset.exclude", "1:5,6,7", quick=False)
    assert (checked.code, checked.findings) == (0, [])


@pytest.mark.parametrize(
    ("uses", "cameras", "episodes", "said"),
    [
        (["training"], [FRONT, WRIST], range(8), "refused"),
        (["scoring"], [WRIST], range(8), ["warning: dataset here, meta/episodes, tasks, episode 4",
                                          "warning: dataset here, observation.images.wrist, episode 2"]),
        (["training"], [], [0, 1, 7], ["warning: dataset here, data, observation.state, episode 1"]),
        (["training"], [FRONT], [0, 5], []),
    ],
)  # fmt: skip
def test_what_concerns_a_run(planted: Path, capsys: pytest.CaptureFixture[str], uses: Any, cameras: Any,
                             episodes: Any, said: Any):  # fmt: skip
    found = preflight(load_meta(planted), decoded=True, progress=False)
    capsys.readouterr()
    if said == "refused":
        with pytest.raises(InputError, match=r"episodes 6, 7: both are said to be shown by the same"):
            refusals_and_warnings(found, uses, cameras, episodes, Path("here"))
        return
    refusals_and_warnings(found, uses, cameras, episodes, Path("here"))
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(said), lines
    for line, start in zip(lines, said, strict=True):
        assert line.startswith(start)


def test_a_second_look_reads_nothing(planted: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A change of anything that matters is looked at anew."""
    moved = shutil.copytree(planted, tmp_path / "elsewhere")
    preflight(load_meta(moved))
    with monkeypatch.context() as patched:
        patched.setattr(checking, "_cheap", lambda *_: pytest.fail("looked again"))
        found = preflight(load_meta(moved))
    assert [one for one in found if str(moved) in one.remedy]
    assert not [one for one in found if str(planted) in one.remedy]
    damage.edit_statistics(moved, lambda statistics: statistics["action"].update(mean=[500.0] * 6))
    assert "statistics" in {one.kind for one in preflight(load_meta(moved))}
    assert len(list((derived_folder(moved) / "preflight").glob("*.json"))) == 1


def test_how_many_more_are_refused(capsys: pytest.CaptureFixture[str]):
    found = [
        Finding("refused", "video", "is missing", "x", column=FRONT),
        Finding("refused", "rows", "y"),
        Finding("refused", "task", "z", concerns=("scoring",)),
        Finding("note", "task", "n"),
    ]
    with pytest.raises(InputError, match=r"is missing; x \(1 more: `rabc check-dataset here`\)"):
        refusals_and_warnings(found, ["training"], [FRONT], [0], Path("here"))
    refusals_and_warnings([found[2], found[3]], ["training"], [FRONT], [0], Path("here"))
    assert capsys.readouterr().out == ""


def test_episodes_in_words_and_as_an_option():
    assert spoken([7, 3, 4, 5, 9, 10]) == "3 to 5, 7, 9, 10"
    assert exclude([3, 4, 5, 9], 12) == "leave it out: --dataset.exclude 3:6,9"
    assert "no episode is left" in exclude([0, 1], 2)
    assert spoken(range(0, 40, 2)).endswith("and 12 more")


def test_what_is_written_is_what_is_printed(check: Callable[..., Any], planted: Path, tmp_path: Path):
    checked = check(planted)
    content = json.loads((tmp_path / "findings.json").read_text())
    assert content["dataset"] == str(planted)
    assert len(content["findings"]) == checked.out.count("REFUSED ") + checked.out.count("WRONG ")
