"""Simulation work in several processes: one simulator a process, results as they are done."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, wait
from itertools import islice


def in_processes[Job, Result](
    function: Callable[[Job], Result], jobs: Iterable[Job], processes: int
) -> Iterator[Result]:
    """Yield `function(job)` for every job, in the order of completion.

    `function` must be importable by name and jobs picklable: the processes are spawned, because
    OpenGL contexts and torch threads do not survive a fork. The first error stops the rest.
    """
    pending = list(jobs)
    if not pending:
        return
    context = multiprocessing.get_context("spawn")
    size = min(processes, len(pending))
    with ProcessPoolExecutor(size, mp_context=context, initializer=_end_with_parent) as pool:
        # Only so many at a time that no process waits: results are large, and each is let go once used.
        waiting = iter(pending)
        running = {pool.submit(function, job) for job in islice(waiting, 2 * size)}
        try:
            while running:
                done, running = wait(running, return_when=FIRST_COMPLETED)
                for job in islice(waiting, len(done)):
                    running.add(pool.submit(function, job))
                while done:
                    yield done.pop().result()
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _end_with_parent() -> None:
    """End this process when its parent is killed; otherwise it would wait for work for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None

    def watch() -> None:
        parent.join()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
