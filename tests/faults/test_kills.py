"""Killed at any moment, at any file operation: the same command then ends as if nothing had been.

`RABC_KILLS=100` for as many random kills of the main job as docs/faults.md tells of.
"""

import json
import os
import random
from pathlib import Path

import numpy as np
import pytest

from tests.faults.injected import masked
from tests.faults.kills import KILLS_IN_A_RUN, drawn, kill_often, part_of
from tests.faults.outcome import differences, outcome, torn
from tests.faults.sweeps import sweep

KILLS = int(os.environ.get("RABC_KILLS", "20"))


@pytest.mark.slow
@pytest.mark.timeout(5400)
def test_random_kills_of_the_main_job_change_nothing(tmp_path: Path) -> None:
    report = kill_often(tmp_path, KILLS, seed=0)
    assert (report.failed, report.torn, report.differing) == ([], [], [])
    assert len(report.kills) >= KILLS
    assert len({kill["part"] for kill in report.kills}) >= 5


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("command", "most"),
    [("check-dataset", 30), ("score", 20), ("train", 20), ("export", 20), ("main job", 12), ("compare", 8)],
)
def test_a_kill_at_any_file_operation_changes_nothing(command: str, most: int, tmp_path: Path) -> None:
    report = sweep(tmp_path, command, "kill", most)
    assert report.wrong == []
    assert report.codes.get("-9", 0) >= report.tried / 2


def test_a_dataset_check_that_was_killed(tmp_path: Path) -> None:
    report = sweep(tmp_path, "check-dataset", "kill", 1)
    assert report.wrong == []
    assert report.codes == {"-9": 1}


def test_the_moments_are_spread_over_the_run() -> None:
    operations = [(float(second), "open", f"file-{second // 2}") for second in range(100)]
    rng = random.Random(0)
    faults = [fault for _ in range(20) for fault in drawn(operations, rng)]
    assert len(faults) == 20 * KILLS_IN_A_RUN
    first = [100 - len(fault.beyond) for fault in faults]
    assert min(first) < 10
    assert max(first) > 90
    assert faults[0].beyond[-1] == ("open", "file-49", 1)
    assert {fault.after > 0 for fault in faults} == {True, False}


@pytest.mark.parametrize(
    ("path", "same"),
    [
        ("a/.partial.5bce98-12-34.summary.json", "a/.partial.summary.json"),
        ("a/.partial.5bce98-12-34-56.b", "a/.partial.b"),
        ("data/tmpw5dhp834/frame.png", "data/tmp/frame.png"),
        ("tensorboard/events.out.tfevents.1795.vm.1.1", "tensorboard/events.out.tfevents."),
        ("a/b.json", "a/b.json"),
    ],
)
def test_names_of_two_processes_are_one(path: str, same: str) -> None:
    assert masked(path) == same


def test_parts_of_the_job_are_told_by_their_files() -> None:
    assert part_of("outputs/small/training-ab/checkpoints/step=2.ckpt") == "training: checkpoints"
    assert part_of("checkpoints/small/.partial.pretrained_model/config.json") == "training: export"
    assert part_of("outputs/small/.lock") == "start and locks"


def test_what_differs_and_what_is_torn_is_found(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    facts = {"seconds": 1.0, "loss": 0.5, "mtime": 1_795_704_273_703_060_573}
    (tmp_path / "deep" / "facts.json").write_text(json.dumps(facts))
    np.save(tmp_path / "weights.npy", np.ones(3))
    before = outcome(tmp_path)
    assert torn(tmp_path) == []
    later = {"seconds": 2.0, "loss": 0.5, "mtime": facts["mtime"] + 1}
    (tmp_path / "deep" / "facts.json").write_text(json.dumps(later))
    assert differences(outcome(tmp_path), before) == []
    (tmp_path / "deep" / "facts.json").write_text(json.dumps({**later, "loss": 0.6}))
    (tmp_path / "weights.npy").unlink()
    (tmp_path / ".partial.a.b").touch()
    assert differences(outcome(tmp_path), before) == [
        ".partial.a.b: too many", "deep/facts.json: differs", "weights.npy: missing",
    ]  # fmt: skip
    (tmp_path / "deep" / "facts.json").write_text('{"loss": ')
    (tmp_path / "deep" / "scores.jsonl").write_text('{"a": 1}\n{"b')  # a last line may be torn
    (tmp_path / "deep" / "scores.parquet").write_bytes(b"PAR1")
    assert [line.partition(":")[0] for line in sorted(torn(tmp_path))] == [
        "deep/facts.json", "deep/scores.parquet",
    ]  # fmt: skip
