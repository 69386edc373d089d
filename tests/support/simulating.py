"""Simulation in the process that asks for it, for tests that are not about the processes it is spread over.

A process of its own imports LeRobot anew and simplifies the arm's meshes again: 20 s. The real ones are
tested by the run of tests/pipeline/test_main_job.py.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import pytest

from rabc.rollouts import play
from rabc.sim import recorder, scorer_data


@contextmanager
def simulating_here() -> Iterator[None]:
    """Recordings, episodes for the scorer and rollouts are simulated in this process, one after another."""

    def one_after_another[Job, Result](
        function: Callable[[Job], Result], jobs: Iterable[Job], processes: int
    ) -> Iterator[Result]:
        return map(function, jobs)

    with pytest.MonkeyPatch.context() as patched:
        for module in (recorder, scorer_data, play):
            patched.setattr(module, "in_processes", one_after_another)
        yield
