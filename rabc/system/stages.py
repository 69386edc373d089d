"""Stages that are skipped when nothing they depend on has changed.

A finished stage leaves `<name>.json` with everything it depended on, how long it took and what it found.
The file appears only when the stage is whole, so a killed run begins at the stage it was killed in.
"""

import contextlib
import hashlib
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.terminal import duration

Inputs = dict[str, Any]
Result = dict[str, Any]
Lost = Callable[[Result], str]
"""Says what of a finished stage's result is gone or was changed since; empty when all is as it was left."""


@dataclass(frozen=True)
class StageState:
    """Whether a stage has to run, and why."""

    name: str
    status: Literal["done", "stale", "to do"]
    reason: str


@dataclass(frozen=True)
class Finished:
    """A finished stage."""

    result: Result
    seconds: float
    """Wall-clock time it took when it ran, with interrupted sessions; one that was killed leaves no time."""
    skipped: bool
    """It had been finished before."""


def key(inputs: Inputs) -> str:
    """Short hash of a stage's inputs: names the folder of what the stage makes."""
    return hashlib.sha256(json.dumps(inputs, sort_keys=True).encode()).hexdigest()[:12]


@dataclass(frozen=True)
class Stages:
    """The finished stages of one run, in one folder."""

    folder: Path

    def state(self, name: str, inputs: Inputs, lost: Lost) -> StageState:
        """Compare `inputs` (flat, JSON values) with those the stage was finished with; ask what is lost."""
        marker = self._read(name)
        if marker is None:
            return StageState(name, "to do", "not finished yet")
        changed = [item for item in inputs if marker["inputs"].get(item) != inputs[item]]
        if changed:
            first = changed[0]
            more = f" and {len(changed) - 1} more" if len(changed) > 1 else ""
            return StageState(
                name, "stale", f"{first}: {marker['inputs'].get(first)} -> {inputs[first]}{more}"
            )
        reason = lost(marker["result"])
        if reason:
            return StageState(name, "stale", reason)
        return StageState(name, "done", f"took {duration(marker['seconds'])}")

    def run(self, name: str, inputs: Inputs, work: Callable[[], Result], lost: Lost) -> Finished:
        """The result of the stage: from its marker if that is current, else by doing the work."""
        state = self.state(name, inputs, lost)
        if state.status == "done":
            print(f"{name}: done before ({state.reason})")
            marker = self._read(name)
            assert marker is not None
            return Finished(marker["result"], marker["seconds"], skipped=True)
        if state.status == "stale":
            print(f"{name}: anew, because {state.reason}")
        earlier = self._earlier_seconds(name, inputs)
        started = time.monotonic()
        with _Clock(self._clock(name), inputs, earlier, started):
            result = work()
        seconds = earlier + time.monotonic() - started
        write_json(self._path(name), {"inputs": inputs, "result": result, "seconds": round(seconds, 1)})
        self._clock(name).unlink(missing_ok=True)
        return Finished(result, seconds, skipped=False)

    def result(self, name: str) -> Result:
        """The result of a stage that is done."""
        marker = self._read(name)
        assert marker is not None
        return marker["result"]

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.json"

    def _clock(self, name: str) -> Path:
        return self.folder / f"{name}.clock"

    def _read(self, name: str) -> dict[str, Any] | None:
        path = self._path(name)
        if not path.exists():
            return None
        try:
            return json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(
                f"stage file {path}: cannot be read; delete it, and the stage is done again"
            ) from error

    def _earlier_seconds(self, name: str, inputs: Inputs) -> float:
        """Time an interrupted session of this very stage has already spent."""
        try:
            clock = json.loads(self._clock(name).read_text())
        except (OSError, ValueError):
            return 0.0
        return float(clock["seconds"]) if clock["key"] == key(inputs) else 0.0


class _Clock:
    """Notes the time a stage has spent when it stops with an error or an interrupt."""

    def __init__(self, path: Path, inputs: Inputs, earlier: float, started: float) -> None:
        self._path, self._key, self._earlier, self._started = path, key(inputs), earlier, started

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            seconds = self._earlier + time.monotonic() - self._started
            # What stopped the stage is told, a full disk for one; that this could not be noted is not.
            with contextlib.suppress(InputError):
                write_json(self._path, {"key": self._key, "seconds": round(seconds, 1)})
