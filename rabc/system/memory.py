"""Memory that ran out, of a GPU or of the machine, as one line that says what to turn. Imports no torch."""

import errno
import re
from collections.abc import Generator
from contextlib import contextmanager

from rabc.system.errors import InputError

# Of loading processes: what they hand over lies in /dev/shm, which containers keep small.
_SHARED = re.compile(r"shared memory|</torch_|signal: Bus error|unable to mmap", re.IGNORECASE)
_MEMORY = re.compile(
    r"out of memory|can't allocate memory|cannot allocate memory|not enough memory|unable to allocate|"
    r"STATUS_ALLOC_FAILED|signal: Killed",
    re.IGNORECASE,
)
_LONGEST = 160
"""Characters of a reason; CUDA's is a paragraph."""


@contextmanager
def memory_told(what: str, remedy: str, workers: str = "") -> Generator[None]:
    """Within it, memory that runs out raises InputError; any other error stays what it is.

    Args:
        what: was being done, for the message.
        remedy: the keys to turn, an imperative.
        workers: the same for shared memory of loading processes; empty: there are none.
    """
    try:
        yield
    except (RuntimeError, MemoryError, OSError) as error:
        told = memory_error(error, what, remedy, workers)
        if told is None:
            raise
        raise told from error


def memory_error(error: Exception, what: str, remedy: str, workers: str = "") -> InputError | None:
    """What `memory_told` raises for `error`; None: that is about something else."""
    text = str(error).strip() or type(error).__name__
    if workers and (shared := _SHARED.search(text)):
        reason = _reason(text, shared)
        return InputError(f"{what}: /dev/shm is too small for the loading processes ({reason}); {workers}")
    found = _MEMORY.search(text)
    known = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    if not known and (found is None or (isinstance(error, OSError) and error.errno != errno.ENOMEM)):
        return None
    return InputError(f"{what}: memory ran out ({_reason(text, found)}); {remedy}")


def _reason(text: str, found: re.Match[str] | None) -> str:
    """The line of the text that says so, and of that the beginning."""
    at = 0 if found is None else found.start()
    line = text[text.rfind("\n", 0, at) + 1 :].splitlines()[0].strip().rstrip(".")
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST].rsplit(' ', 1)[0]} ..."
