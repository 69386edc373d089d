"""Labelling in processes of its own: killed, or shared by two, it leaves what one that ran through leaves."""

import ctypes
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.scoring.killed_scoring import real_lines, scores_of, snapshot
from tests.support import REPO, forked
from tests.support.numbered import Recording, record_numbered
from tests.support.recordings import record_dataset

# The second of two processes is a new Python, which imports for 10 to 20 s, more where cores are shared.
pytestmark = pytest.mark.timeout(900)

SCORER = REPO / "checkpoints" / "so101-scorer"
LENGTHS = (12, 15, 9, 14, 30, 8, 11, 20, 13, 10)


def arguments(root: Path) -> list[str]:
    return [
        "--dataset.path", str(root), "--scorer.model", str(SCORER), "--scorer.num_prefixes", "6",
        "--diagnostics.episodes", "4", "--weights.length_bias", "subtract", "--device", "cpu",
        "--scorer.scores_folder", str(scores_of(root)),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_dataset(tmp_path_factory.mktemp("killed") / "tiny", lengths=LENGTHS)


def fresh(dataset: Path, folder: Path) -> Path:
    return shutil.copytree(dataset, folder / "tiny")


def run(root: Path, *extra: str) -> None:
    ended = forked.run("score", *arguments(root), *extra)
    assert ended.returncode == 0, ended.stderr


@pytest.fixture(scope="module")
def expected(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What one command leaves that nobody stops."""
    root = fresh(dataset, tmp_path_factory.mktemp("whole"))
    run(root)
    return snapshot(root)


@pytest.mark.slow
def test_twenty_kills_change_nothing(dataset: Path, tmp_path: Path) -> None:
    root = fresh(dataset, tmp_path)
    command = [
        sys.executable, Path(__file__).with_name("killed_scoring.py"), root, tmp_path / "log", "20", "0",
        "--", *arguments(root),
    ]  # fmt: skip
    ended = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert len(report["kills"]) >= 20
    assert sum(lines >= 1 for lines in report["kills"]) >= 15
    assert len({lines for lines in report["kills"] if lines}) >= 5  # the moments differ
    assert report["differing"] == 0
    assert sum(name.endswith("scores.jsonl") for name in report["files"]) == 4
    assert sum(name.endswith(".parquet") for name in report["files"]) == 1
    assert not [name for name in report["files"] if "part" in Path(name).name]


def test_the_command_goes_on_where_it_was_killed(
    dataset: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    root = fresh(dataset, tmp_path)
    process = forked.start("score", *arguments(root))
    while not real_lines(root):
        assert process.poll() is None, process.stderr
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert 1 <= real_lines(root) < len(LENGTHS)
    run(root)
    assert snapshot(root) == expected


def test_two_processes_leave_the_files_of_one(
    dataset: Path, tmp_path: Path, expected: dict[str, bytes]
) -> None:
    root = fresh(dataset, tmp_path)
    run(root, "--devices", "2")
    assert snapshot(root) == expected


def obeying_permissions(*arguments: str) -> None:
    """Scores as a user whom permissions stop, as they do not stop root."""
    if os.getuid() == 0:
        libc, header, sets = ctypes.CDLL(None), (ctypes.c_uint32 * 2)(0x20080522), (ctypes.c_uint32 * 6)()
        assert libc.capget(header, sets) == 0
        for place in (0, 1):  # effective and permitted
            sets[place] &= ~(1 << 1)  # CAP_DAC_OVERRIDE
        assert libc.capset(header, sets) == 0
    sys.argv = ["score.py", *arguments]
    runpy.run_path(str(REPO / "scripts" / "score.py"), run_name="__main__")


def test_a_dataset_that_cannot_be_written_is_scored(tmp_path: Path) -> None:
    root = record_numbered(tmp_path / "closed", Recording((9, 9), cameras=("front",)))
    before = sorted(root.rglob("*"))
    folders = [root, *(path for path in before if path.is_dir())]
    for folder in folders:
        folder.chmod(0o555)
    try:
        cache = {**os.environ, "RABC_CACHE": str(tmp_path / "cache")}
        ended = forked.run(obeying_permissions, *arguments(root), env=cache)
        assert ended.returncode == 0, ended.stderr
        assert sorted(root.rglob("*")) == before
        assert len(list(tmp_path.rglob("scores.jsonl"))) == 4
    finally:
        for folder in folders:
            folder.chmod(0o755)
