"""A forked process is what `subprocess` would have started."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.support.forked import run, start


def test_a_command_has_its_folder_environment_output_and_exit_code(tmp_path: Path) -> None:
    (tmp_path / "small.yaml").write_text("run: small\n")
    ended = run("train", "--config", "small.yaml", "--print_config", cwd=tmp_path)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("run: small\n")
    ended = run("train", "--config", tmp_path / "nothing.yaml")
    assert ended.returncode == 2
    assert ended.stderr.startswith(f"error: --config {tmp_path / 'nothing.yaml'}: no such file")
    ended = run(os.system, "pwd; env", cwd=tmp_path, env={"PATH": os.environ["PATH"], "ONLY": "this"})
    assert ended.stdout.startswith(f"{tmp_path}\n")
    assert {"HOME", "OMP_NUM_THREADS"}.isdisjoint(line.split("=")[0] for line in ended.stdout.splitlines())
    assert "ONLY=this\n" in ended.stdout
    assert run(sys.exit, 7).returncode == 7
    ended = run(int, "seven")
    assert ended.returncode == 1
    assert "ValueError: invalid literal for int()" in ended.stderr


def test_it_can_be_waited_for_and_killed_with_what_it_started() -> None:
    process = start(os.system, "sleep 60 & echo $!; wait")
    while "\n" not in process.stdout:
        assert process.poll() is None, process.stderr
        time.sleep(0.01)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.01)
    process.killpg(signal.SIGTERM)
    assert process.wait(10) == -signal.SIGTERM
    state = Path(f"/proc/{process.stdout.strip()}/stat")
    while state.exists() and ") Z " not in state.read_text():
        time.sleep(0.01)
