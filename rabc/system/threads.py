"""How the threads of several processes share the cores of one machine. Imports no torch: it comes first.

Torch divides every operation among as many threads as there are cores, and waits for the last of them before
the next. Where another process keeps one of the cores busy, each of the thousands of operations of a training
step waits until that process is interrupted: on two cores beside one busy process, a step of the shipped
training took 10 s with two threads (2.5 s where they sleep instead of spinning), and 0.29 s with one; with
two it is 0.23 s where nobody else computes. So no more threads are used than there are cores that nobody
else keeps busy.
"""

import math
import os
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

SECONDS_OF_LOOKING = 0.5
"""How long the others are watched where there is nothing yet to compare with."""
SECONDS_BETWEEN_LOOKS = 5.0
UNNOTICED = 0.25
"""Cores that others may keep busy without being noticed: a desktop, a browser."""
_STAT = Path("/proc/stat")
_QUOTAS = (Path("/sys/fs/cgroup/cpu.max"), Path("/sys/fs/cgroup/cpu/cpu.cfs_quota_us"))


def sleep_when_idle() -> None:
    """Lets idle threads sleep instead of spinning; call it before torch is imported.

    Processes that score side by side on a CPU each compute with as many threads as one process alone would,
    because the last bits of a score depend on their number. Spinning threads would then stop each other: on
    two cores, two processes took twice as long as with sleeping ones.
    """
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")


@dataclass(frozen=True)
class Moment:
    """How much the cores had computed at some time."""

    time: float
    """Seconds, of a clock that only goes forward."""
    all: float
    """Core seconds of everything that has run on this process's cores."""
    own: float
    """Core seconds of this process, all its threads together."""


def now() -> Moment | None:
    """This moment; None where the system does not say (only Linux does)."""
    try:
        lines = _STAT.read_text().splitlines()
        all_ = busy_seconds(lines, os.sched_getaffinity(0), os.sysconf("SC_CLK_TCK"))
    except (OSError, ValueError, AttributeError):
        return None
    return Moment(time.monotonic(), all_, time.process_time())


def busy_seconds(stat: Sequence[str], cores: set[int], ticks_per_second: int) -> float:
    """Core seconds that were not idle, by the lines of Linux's /proc/stat.

    Of a virtual machine, what its host took from it counts as well. Raises ValueError for lines of another
    form.
    """
    total = 0
    for line in stat:
        name, *values = line.split()
        if name.startswith("cpu") and name != "cpu" and int(name[3:]) in cores:
            user, nice, system, _idle, _waiting, interrupts, soft_interrupts, stolen = map(int, values[:8])
            total += user + nice + system + interrupts + soft_interrupts + stolen
    return total / ticks_per_second


def others_busy(before: Moment, after: Moment) -> float:
    """Cores that other processes kept busy between two moments, 0 and more."""
    computed = (after.all - before.all) - (after.own - before.own)
    return max(0.0, computed / max(after.time - before.time, 1e-9))


def usable_cores() -> int:
    """Cores this process may use: by its affinity, and by the share of a container's."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS
        cores = os.cpu_count() or 1
    shares = [share for path in _QUOTAS if (share := _quota(path)) is not None]
    return max(1, min([cores, *(math.ceil(share) for share in shares)]))


def _quota(path: Path) -> float | None:
    """Cores that a control group (version 2 or 1) may use together; None for no limit."""
    try:
        words = path.read_text().split()
        period = words[1] if len(words) > 1 else path.with_name("cpu.cfs_period_us").read_text()
        quota = float(words[0])
        return quota / float(period) if quota > 0 else None
    except (OSError, ValueError, IndexError):  # `max`: none
        return None


def free_threads(most: int, cores: int, others: float) -> int:
    """Threads to compute with, at least 1.

    Args:
        most: without others.
        cores: usable ones.
        others: cores that other processes keep busy.
    """
    taken = math.ceil(others - UNNOTICED) if others > UNNOTICED else 0
    return max(1, min(most, cores - taken))


class FreeCores:
    """Says now and then how many threads to compute with; costs nothing in between."""

    def __init__(self, most: int) -> None:
        """most: threads where nobody else computes; with 1 the others are never looked at."""
        self.others = 0.0
        """Cores that other processes kept busy when they were last looked at."""
        self._most = most
        self._before: Moment | None = None
        self._seen = 1

    def look(self) -> int:
        """How many threads now, after watching for `SECONDS_OF_LOOKING`."""
        if self._most == 1:
            return 1
        self._before = now()
        time.sleep(SECONDS_OF_LOOKING)
        return self._free()

    def threads(self, current: int) -> int:
        """How many threads from now on, with `current` until now; looks every `SECONDS_BETWEEN_LOOKS`.

        Cores are given up at once, and taken back when they were free at two looks: others may compute every
        few seconds.
        """
        if self._most == 1:
            return 1
        if self._before is None:
            self._before = now()
            return current
        if time.monotonic() - self._before.time < SECONDS_BETWEEN_LOOKS:
            return current
        seen, self._seen = self._seen, self._free()
        return min(self._seen, max(seen, current))

    def forget(self) -> None:
        """Something else than the work has run since the last look: what it took says nothing of others."""
        self._before = None

    def _free(self) -> int:
        before, self._before = self._before, now()
        if before is None or self._before is None:
            return self._most
        self.others = others_busy(before, self._before)
        return free_threads(self._most, usable_cores(), self.others)


@contextmanager
def beside_others(adapts: bool = True) -> Generator[Callable[[], None]]:
    """Gives a function to call between two pieces of work: torch then has a thread for every free core.

    For work whose last bits may depend on that. Afterwards torch has as many threads as before.

    Args:
        adapts: false: the function does nothing.
    """
    import torch

    most = torch.get_num_threads()
    cores = FreeCores(most)

    def adapt() -> None:
        current = torch.get_num_threads()
        wanted = cores.threads(current)
        if wanted != current:
            torch.set_num_threads(wanted)

    try:
        yield adapt if adapts else lambda: None
    finally:
        if torch.get_num_threads() != most:
            torch.set_num_threads(most)
