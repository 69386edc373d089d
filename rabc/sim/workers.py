"""Simulation work in several processes: one simulator a process, results as they are done."""

import multiprocessing
import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed


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
        futures = [pool.submit(function, job) for job in pending]
        try:
            for future in as_completed(futures):
                yield future.result()
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
