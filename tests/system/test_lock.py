"""A lock that is held by one process, which it names, and by nobody once that has ended in whatever way."""

import json
import os
import socket
import time
from pathlib import Path

import pytest

from rabc.system.errors import InputError
from rabc.system.lock import held
from tests.support import forked

REMEDY = "wait for it"


def hold(path: Path, inside: Path, starts_another: bool = False) -> None:
    """Holds the lock until it is killed."""
    with held(path, "run one", REMEDY):
        child = starts_another and os.fork() == 0
        inside.with_name("child" if child else inside.name).touch()
        time.sleep(600)


def wait_for(path: Path) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_second_is_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "outputs" / "one" / ".lock"
    before = time.strftime("%Y-%m-%d")
    holder = forked.start(hold, path, tmp_path / "inside")
    try:
        wait_for(tmp_path / "inside")
        with pytest.raises(InputError) as refused, held(path, "run one", REMEDY):
            pass
    finally:
        holder.kill()
        holder.wait()
    said = str(refused.value)
    assert said.startswith(f"run one: process {holder.pid} on {socket.gethostname()}, since {before[:8]}")
    assert said.endswith(f" is at work on it ({path}); wait for it")
    assert "\n" not in said


def test_a_killed_holder_holds_nothing_though_what_it_started_lives(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    holder = forked.start(hold, path, tmp_path / "inside", True)
    wait_for(tmp_path / "inside")
    wait_for(tmp_path / "child")
    try:
        holder.kill()
        holder.wait()
        with held(path, "run one", REMEDY):
            assert json.loads(path.read_text())["process"] == os.getpid()
    finally:
        os.killpg(holder.pid, 9)  # the child is of its session


def test_it_can_be_held_again_and_a_torn_name_stops_nobody(tmp_path: Path) -> None:
    path = tmp_path / ".lock"
    path.write_bytes(b'{"process": 1, "mach')
    for _ in range(2):
        with held(path, "run one", REMEDY):
            assert json.loads(path.read_text())["process"] == os.getpid()


def test_a_lock_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with (
        pytest.raises(InputError, match=r"lock .*file/\.lock: cannot be made"),
        held(tmp_path / "file" / ".lock", "run one", REMEDY),
    ):
        pass
