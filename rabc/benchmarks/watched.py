"""Peak memory of a command of ours."""

import sys
from collections.abc import Sequence
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
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def watched(script: Path, arguments: Sequence[str], peak: Path) -> list[str]:
    """The command line of a script in a process of its own, which leaves its peak memory in file `peak`."""
    return [sys.executable, "-c", _WATCHED, str(peak), str(script), *arguments]


def megabytes(peak: Path) -> float:
    """What `watched` left: MB."""
    return int(peak.read_text()) / 1024


def script(name: str) -> Path:
    """A script of the project."""
    return Path(__file__).resolve().parents[2] / "scripts" / name
