"""Commands of this program in processes of their own: how long they take, and how much memory."""

import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

# The peak of a process's own memory: what the system reports of a child includes that of its parent at birth.
_WATCHED = """
import atexit, runpy, sys
def report():
    status = open("/proc/self/status").read()
    open(peak, "w").write(status.split("VmHWM:")[1].split()[0])
del sys.argv[0]
peak = sys.argv.pop(0)
atexit.register(report)
runpy.run_module("rabc", run_name="__main__")
"""


@dataclass(frozen=True)
class Ended:
    """What a command took."""

    seconds: float
    peak_mb: float
    """Its largest resident memory, Python and libraries included."""


def run_command(arguments: Sequence[str], folder: Path) -> Ended:
    """`rabc ARGUMENTS` in `folder`. Raises RuntimeError, with the end of what it said, where it fails."""
    with tempfile.TemporaryDirectory() as scratch:
        peak = Path(scratch) / "peak"
        start = time.perf_counter()
        child = subprocess.run(
            [sys.executable, "-c", _WATCHED, str(peak), "rabc", *arguments],
            cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
        seconds = time.perf_counter() - start
        if child.returncode != 0:
            raise RuntimeError(f"rabc {' '.join(arguments)} failed:\n{child.stdout[-2000:]}")
        return Ended(seconds, int(peak.read_text()) / 1024)
