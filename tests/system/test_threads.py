"""How many threads there are for: cores that others keep busy are left to them."""

import os
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from rabc.system import threads
from rabc.system.threads import FreeCores, Moment, busy_seconds, free_threads, others_busy
from tests.support import forked

BUSY = "import os; parent = os.getppid()\nwhile os.getppid() == parent: pass"
"""Ends with the test, however that ends."""


@contextmanager
def busy_processes(count: int) -> Generator[None]:
    """Others that compute without a break."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


@pytest.mark.parametrize(
    ("most", "cores", "others", "expected"),
    [
        (2, 2, 0.0, 2),
        (2, 2, 0.2, 2),  # a desktop
        (2, 2, 0.5, 1),  # one process that has to share a core with one of our threads
        (2, 2, 1.0, 1),
        (2, 2, 2.0, 1),  # never none
        (8, 16, 4.0, 8),  # of two threads a core, torch uses one
        (16, 16, 1.1, 15),
        (16, 16, 8.0, 8),
        (64, 2, 0.0, 2),  # a container with two cores of a large machine
        (1, 8, 0.0, 1),
    ],
)
def test_threads_are_for_cores_that_nobody_keeps_busy(
    most: int, cores: int, others: float, expected: int
) -> None:
    assert free_threads(most, cores, others) == expected


def test_what_others_computed_is_all_but_ours_and_idle_time_on_our_cores() -> None:
    stat = [
        "cpu  999 9 9 9 9 9 9 9 0 0",
        "cpu0 100 10 5 7000 80 3 2 30 50 0",
        "cpu1 1 1 1 9 9 1 1 1 0 0",
        "cpu10 500 0 0 0 0 0 0 0 0 0",
        "intr 12345 0 9",
    ]
    assert busy_seconds(stat, {0}, 100) == 1.5
    assert busy_seconds(stat, {0, 1}, 100) == 1.56
    with pytest.raises(ValueError, match="unpack"):
        busy_seconds(["cpu0 1 2 3"], {0}, 100)
    assert others_busy(Moment(10.0, 7.0, 3.0), Moment(14.0, 13.0, 5.0)) == 1.0
    assert others_busy(Moment(10.0, 7.0, 3.0), Moment(14.0, 8.0, 4.01)) == 0.0  # clocks of unequal grain


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"cpu.max": "150000 100000\n"}, 1.5),
        ({"cpu.max": "max 100000\n"}, None),
        ({"cpu.cfs_quota_us": "400000\n", "cpu.cfs_period_us": "100000\n"}, 4.0),
        ({"cpu.cfs_quota_us": "-1\n", "cpu.cfs_period_us": "100000\n"}, None),
        ({"cpu.cfs_quota_us": "400000\n"}, None),
        ({"cpu.max": ""}, None),
        ({"other": ""}, None),
    ],
)
def test_a_container_has_the_cores_of_its_share(
    files: dict[str, str], expected: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    quotas = [tmp_path / name for name in ("cpu.max", "cpu.cfs_quota_us")]
    monkeypatch.setattr(threads, "_QUOTAS", quotas)
    mine = len(os.sched_getaffinity(0))
    wanted = mine if expected is None else min(mine, -(-expected // 1))
    assert threads.usable_cores() == wanted


def test_a_busy_process_beside_is_seen() -> None:
    cores = len(os.sched_getaffinity(0))
    with busy_processes(cores):
        time.sleep(0.1)
        looking = FreeCores(most=cores)
        assert looking.look() == 1
        assert looking.others > 0.5 * cores
    assert FreeCores(most=1).look() == 1


def test_cores_are_given_up_at_once_and_taken_back_at_the_second_look(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = [0.0]
    busy = [0.0]

    def now() -> Moment:
        return Moment(clock[0], busy[0], 0.0)

    def passes(seconds: float, others: float) -> None:
        clock[0] += seconds
        busy[0] += seconds * others

    monkeypatch.setattr(threads, "now", now)
    monkeypatch.setattr(threads, "time", SimpleNamespace(monotonic=lambda: clock[0]))
    monkeypatch.setattr(threads, "usable_cores", lambda: 4)
    looking = FreeCores(most=4)
    current = looking.threads(4)
    found: list[int] = []
    for others in (0.0, 0.2, 3.0, 0.0, 3.0, 0.0, 0.0):
        passes(1.0, others)
        assert looking.threads(current) == current  # too soon to look again
        passes(threads.SECONDS_BETWEEN_LOOKS - 1.0, others)
        current = looking.threads(current)
        found.append(current)
    assert found == [4, 4, 1, 1, 1, 1, 4]
    passes(threads.SECONDS_BETWEEN_LOOKS, 4.0)
    looking.forget()
    assert looking.threads(current) == 4  # what went before does not count


def works_between() -> None:
    threads.SECONDS_BETWEEN_LOOKS = 0.3
    cores = len(os.sched_getaffinity(0))
    most = max(2, cores)
    torch.set_num_threads(most)
    with busy_processes(cores):
        for adapts, beside in ((True, 1), (False, most)):
            with threads.beside_others(adapts) as adapt:
                adapt()
                time.sleep(0.4)
                adapt()
                assert torch.get_num_threads() == beside
            assert torch.get_num_threads() == most


def test_work_between_which_is_asked_has_threads_for_free_cores_and_gives_them_back() -> None:
    done = forked.run(works_between)
    assert done.returncode == 0, done.stderr
