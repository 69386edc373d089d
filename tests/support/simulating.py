"""Simulation in the process that asks for it, for tests that are not about the processes it is spread over.

A process of its own imports LeRobot anew and simplifies the arm's meshes again: 20 s. Real ones record in the
run of tests/pipeline/test_main_job.py; tests/sim/test_workers.py has what is the same for all work in them.
"""

import pickle
import runpy
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from rabc.rollouts import play
from rabc.sim import recorder, scorer_data
from tests.support import REPO


@contextmanager
def simulating_here() -> Iterator[None]:
    """Recordings, episodes for the scorer and rollouts are simulated in this process, one after another.

    What would cross over to another process and back does so in bytes here as well.
    """

    def one_after_another[Job, Result](
        function: Callable[[Job], Result], jobs: Iterable[Job], processes: int
    ) -> Iterator[Result]:
        for job in jobs:
            sent, its_job = pickle.loads(pickle.dumps((function, job)))
            yield pickle.loads(pickle.dumps(sent(its_job)))

    with pytest.MonkeyPatch.context() as patched:
        for module in (recorder, scorer_data, play):
            patched.setattr(module, "in_processes", one_after_another)
        yield


def command(name: str, *arguments: object) -> None:
    """Runs `scripts/<name>.py`, simulating in its own process; for `tests.support.forked`."""
    script = str(REPO / "scripts" / f"{name}.py")
    sys.argv = [script, *map(str, arguments)]
    with simulating_here():
        runpy.run_path(script, run_name="__main__")
