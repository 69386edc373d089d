"""Lines of a benchmark: what was measured, what was required, and how runs are timed side by side."""

import platform
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch


@dataclass(frozen=True)
class Line:
    """One row of the table."""

    what: str
    measured: float
    unit: str
    """`s`, `x`, `nats`, `MB`, ..."""
    required: str = ""
    """The bound in words, e.g. `<= 1.15`; empty: none."""
    holds: bool | None = None
    """None: no bound."""
    detail: str = ""
    """How it came about."""

    def cells(self) -> list[str]:
        """The row as text."""
        holds = {None: "", True: "yes", False: "NO"}[self.holds]
        return [self.what, f"{self.measured:.4g} {self.unit}", self.required, holds, self.detail]


HEADERS = ["what", "measured", "required", "holds", "detail"]


def at_most(what: str, measured: float, bound: float, unit: str, detail: str = "") -> Line:
    """A line that holds up to `bound`."""
    return Line(what, measured, unit, f"<= {bound:g}", measured <= bound, detail)


def at_least(what: str, measured: float, bound: float, unit: str, detail: str = "") -> Line:
    """A line that holds from `bound` on."""
    return Line(what, measured, unit, f">= {bound:g}", measured >= bound, detail)


def side_by_side(runs: Mapping[str, tuple[Callable[[], Any], int]], device: str) -> dict[str, list[float]]:
    """Seconds of every run, so many times each, in turn, so that all meet the same state of the machine."""
    seconds: dict[str, list[float]] = {name: [] for name in runs}
    for repeat in range(max(repeats for _, repeats in runs.values())):
        for name, (work, repeats) in runs.items():
            if repeat >= repeats:
                continue
            synchronise(device)
            start = time.perf_counter()
            work()
            synchronise(device)
            seconds[name].append(time.perf_counter() - start)
            print(f"  {name}: {seconds[name][-1]:.2f} s ({repeat + 1}/{repeats})", flush=True)
    return seconds


def ratio(seconds: Mapping[str, list[float]], numerator: str, denominator: str) -> tuple[float, str]:
    """Ratio of the median seconds of two runs, and both in words."""
    above, below = (float(np.median(seconds[name])) for name in (numerator, denominator))
    times = f"{len(seconds[numerator])} and {len(seconds[denominator])} runs"
    return above / below, f"{above:.2f} s / {below:.2f} s, {times}"


def synchronise(device: str) -> None:
    """Waits for a GPU."""
    if torch.device(device).type == "cuda":
        torch.cuda.synchronize()


def machine(device: str) -> dict[str, str | int]:
    """What the figures were measured on."""
    from importlib.metadata import version

    facts: dict[str, str | int] = {
        "device": torch.cuda.get_device_name() if torch.device(device).type == "cuda" else "cpu",
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
    }
    return facts | {name: version(name) for name in ("torch", "transformers", "lerobot")}


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()
