"""Work in two real processes: every job once, errors as they are, nothing left running."""

import math
import multiprocessing
import os

import pytest

from rabc.sim.workers import in_processes


def test_every_job_is_done_once_by_other_processes() -> None:
    done = list(in_processes(math.sqrt, [number * number for number in range(8)], processes=2))
    assert sorted(done) == list(range(8))
    assert list(in_processes(math.sqrt, [], processes=2)) == []
    workers = set(in_processes(eval, ["__import__('os').getpid()"] * 4, processes=2))
    assert os.getpid() not in workers
    assert 1 <= len(workers) <= 2


def test_the_first_error_ends_the_rest() -> None:
    with pytest.raises(ValueError, match=r"nonnegative|math domain"):
        list(in_processes(math.sqrt, [1, -1, *range(2, 40)], processes=2))
    assert multiprocessing.active_children() == []
