"""How fast this machine is at the work of a run: measured once, remembered in the user's cache.

What was measured is kept with all it depends on: the processor and what of it may be used, torch, and the
work itself. It is measured anew where any of that changed, after 30 days, and after ten minutes where other
processes were busy meanwhile.
"""

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rabc.system import threads
from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.home import user_cache

VALID_S = 30 * 24 * 3600.0
"""Seconds after which a measurement is made again."""
VALID_WHEN_BUSY_S = 600.0
"""The same of one beside busy processes."""
# Environment variables that keep torch from using instructions that the processor has.
_LIMITS = ("ATEN_CPU_CAPABILITY", "ONEDNN_MAX_CPU_ISA", "DNNL_MAX_CPU_ISA", "MKL_ENABLE_INSTRUCTIONS")


@dataclass(frozen=True)
class Measured:
    """How long a piece of work took."""

    seconds: float
    others: float
    """Cores that other processes kept busy meanwhile."""
    time: float
    """When, seconds since 1970."""

    @property
    def busy(self) -> bool:
        """Other processes were in the way."""
        return self.others > threads.UNNOTICED

    def valid(self, now: float) -> bool:
        """Whether it still counts at a time, seconds since 1970."""
        return 0 <= now - self.time < (VALID_WHEN_BUSY_S if self.busy else VALID_S)


def memory_file() -> Path:
    """Where measurements are remembered."""
    return user_cache() / "machine.json"


def machine(device: str) -> dict[str, Any]:
    """What the speed of `device` depends on, as JSON values."""
    import torch

    from rabc.system.device import resolve_precision

    facts: dict[str, Any] = {
        "processor": processor(),
        "cores": threads.usable_cores(),
        "threads": torch.get_num_threads(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "limits": {name: os.environ[name] for name in _LIMITS if name in os.environ},
        "torch": torch.__version__,
        "precision": resolve_precision("auto", device),
    }
    if device == "cuda":
        facts["device"] = torch.cuda.get_device_name()
    elif device != "cpu":
        facts["device"] = device
    return facts


def processor() -> str:
    """The processor's model."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        return next(line.split(":", 1)[1].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()


def key(facts: Mapping[str, Any]) -> str:
    """Short name of what a measurement depends on."""
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:16]


def remembered(facts: Mapping[str, Any]) -> Measured | None:
    """The measurement that was made of `facts`, while it counts."""
    try:
        found = Measured(**_memory()[key(facts)]["measured"])
        return found if found.valid(time.time()) else None
    except (KeyError, TypeError):
        return None


def measure(facts: Mapping[str, Any], work: Callable[[], float]) -> Measured:
    """Does `work`, which returns its seconds, and remembers that.

    Beside busy processes with as many threads as a training would take there.
    """
    import torch

    most = torch.get_num_threads()
    free = threads.FreeCores(most)
    torch.set_num_threads(free.look())
    try:
        before = threads.now()
        seconds = work()
        after = threads.now()
    finally:
        torch.set_num_threads(most)
    others = threads.others_busy(before, after) if before and after else 0.0
    measured = Measured(seconds, round(others, 2), time.time())
    _remember(facts, measured)
    return measured


def _memory() -> dict[str, Any]:
    """All that is remembered; nothing where the file is damaged."""
    try:
        found = json.loads(memory_file().read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def _remember(facts: Mapping[str, Any], measured: Measured) -> None:
    kept = {
        name: one
        for name, one in _memory().items()
        if isinstance(one, dict) and time.time() - one.get("measured", {}).get("time", 0) < VALID_S
    }
    kept[key(facts)] = {"facts": dict(facts), "measured": asdict(measured)}
    try:
        write_json(memory_file(), kept)
    except InputError:
        return  # then it is measured again the next time
