"""A disk that is full, read-only or broken and a share that is gone: one line, and nothing is lost."""

import subprocess
from pathlib import Path

import pytest

from tests.faults.sweeps import FILLED, small_disk, sweep


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", ["check-dataset", "score", "train", "export", "main job", "compare"])
@pytest.mark.parametrize("fault", ["full", "read-only", "gone", "broken"])
def test_a_file_operation_that_fails_is_told_in_one_line(command: str, fault: str, tmp_path: Path) -> None:
    report = sweep(tmp_path, command, fault, 6)
    assert report.wrong == []


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("command", ["check-dataset", "score", "train", "export", "main job"])
def test_a_disk_that_is_really_full(command: str, tmp_path: Path) -> None:
    try:
        with small_disk(tmp_path / "disk"):
            report = sweep(tmp_path / "disk", command, FILLED, 8)
    except (subprocess.CalledProcessError, FileNotFoundError):
        pytest.skip("mounting is not allowed here")
    assert report.wrong == []
