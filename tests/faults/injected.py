"""A command with a fault at one of its file operations; for processes of `tests.support.forked`.

    forked.run(command, Watch(folder, trace), Fault(at=17), "train", "--config", "small.yaml", cwd=folder)

Python tells an audit hook of every file it is about to open, rename, remove or make; the hook counts those
below the folder of the run, and at the chosen one kills the process or lets the operation fail. What native
code opens by itself (parquet tables, safetensors, videos) is not told: that is reached by `after`, a time
after an operation, and by a disk that is really full.
"""

import errno
import hashlib
import json
import multiprocessing
import os
import pickle
import re
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from rabc.system.atomic import whole_file
from tests.support import simulating

MAKING = ("os.mkdir", "os.link", "os.symlink")
"""Take room on a disk, as a file opened to be written does."""
CHANGING = (*MAKING, "os.rename", "os.remove", "os.rmdir", "os.truncate", "os.chmod", "os.utime")
READING = ("os.scandir", "os.listdir")
FULL, READ_ONLY, GONE, BROKEN = errno.ENOSPC, errno.EROFS, errno.ESTALE, errno.EIO


@dataclass(frozen=True)
class Watch:
    """What is watched, and where it is noted."""

    folder: Path
    """Operations below it count."""
    trace: Path
    """Receives a line for each: [seconds since the start, event, path below the folder]. Not below it."""


Place = tuple[str, str, int]
"""Event, path with what is random in it masked, and which of the operations of this kind, from 0."""


@dataclass(frozen=True)
class Fault:
    """What happens at which operation."""

    at: int | None = None
    """Number of the operation, from 0."""
    beyond: tuple["Place", ...] = ()
    """Or: the first that is among these."""
    after: float = 0.0
    """Seconds after that operation began: a kill in the middle of whatever comes then."""
    error: int | None = None
    """It and every later one fails with this error number, as a full disk stays full; None: a kill."""
    together: bool = True
    """Processes that it has started are killed as well."""
    clock: float = 0.0
    """Not 0: nothing but that the clock jumps by so many seconds."""
    room: tuple[Path, int] | None = None
    """Nothing but that this file takes all of its disk but for so many bytes."""


def command(watch: Watch, fault: Fault | None, name: str, *arguments: object) -> None:
    """Runs `scripts/<name>.py`, simulating in its own process."""
    _hurry(watch.trace.parent)
    install(watch, fault)
    simulating.command(name, *arguments)


def install(watch: Watch, fault: Fault | None) -> None:
    """Lets the fault happen to this process; it cannot be taken back."""
    sys.addaudithook(_Hook(watch, fault).heard)


_RANDOM = re.compile(r"[0-9a-f]{6}(?:-\d+){2,3}\.|(?<=/tmp)[a-z0-9_]{8}(?=/|$)|(?<=tfevents\.).*")
"""Who writes a hidden file; temporary folders of recordings; time and process in the names of curves."""


def masked(path: str) -> str:
    """The path without what is another in every process."""
    return _RANDOM.sub("", path)


def _hurry(memory: Path) -> None:
    """What takes most of a short run and touches none of its files is done faster.

    The arm's meshes are simplified once for all processes. LeRobot alone proves an export in a process that
    is forked instead of one that imports LeRobot anew, and so are the trainings of a comparison. Recordings
    are in shards of two episodes, so that there are some.

    memory: folder that keeps the meshes.
    """
    import torch

    from rabc.comparison import trainings
    from rabc.export import proof
    from rabc.sim import recorder

    meshes: Any = import_module("rabc.sim.meshes")
    simplify = meshes._simplified

    def simplified(vertices: bytes, faces: bytes, target: int) -> Any:
        path = memory / f"{hashlib.sha256(vertices + faces).hexdigest()[:16]}.mesh"
        if path.exists():
            return pickle.loads(path.read_bytes())
        mesh = simplify(vertices, faces, target)
        with whole_file(path) as partial:
            partial.write_bytes(pickle.dumps(mesh))
        return mesh

    meshes._simplified = simplified
    recorder.EPISODES_PER_SHARD = 2
    proof.subprocess = Forking  # pyright: ignore[reportAttributeAccessIssue]
    trainings.multiprocessing = ForkingContext  # pyright: ignore[reportAttributeAccessIssue]
    # After a fork PyTorch makes its pool anew when it is first asked for: by two threads at once, that fails.
    os.register_at_fork(after_in_child=lambda: torch.set_num_threads(torch.get_num_threads()))


class ForkingContext:
    """In place of `multiprocessing` in `rabc.comparison.trainings`."""

    @staticmethod
    def get_context(_: str) -> Any:
        """Processes that are forked."""
        return multiprocessing.get_context("fork")


class Forking:
    """In place of `subprocess` in `rabc.export.proof`: LeRobot alone in a process that is forked."""

    @staticmethod
    def run(
        command: list[str], input: bytes, capture_output: bool, check: bool
    ) -> subprocess.CompletedProcess[bytes]:
        """As `subprocess.run` of the script in `command`."""
        with (
            tempfile.TemporaryFile() as given,
            tempfile.TemporaryFile() as out,
            tempfile.TemporaryFile() as err,
        ):
            given.write(input)
            given.seek(0)
            for one in (sys.stdout, sys.stderr):
                one.flush()  # or the child would write it once more, into its answer
            pid = os.fork()
            if pid == 0:
                for number, file in enumerate((given, out, err)):
                    os.dup2(file.fileno(), number)
                sys.stdin, sys.stdout, sys.stderr = (
                    open(number, mode, closefd=False)  # noqa: SIM115  (until the process ends)
                    for number, mode in ((0, "r"), (1, "w"), (2, "w"))
                )
                _alone(Path(command[-1]))
            _, status = os.waitpid(pid, 0)
            for file in (out, err):
                file.seek(0)
            code = os.waitstatus_to_exitcode(status)
            return subprocess.CompletedProcess(command, code, out.read(), err.read())


def _alone(folder: Path) -> NoReturn:
    code = 1
    try:
        from rabc.export import lerobot_only

        sys.modules["rabc"] = None  # pyright: ignore[reportArgumentType]
        answer = sys.stdout  # closed where nobody holds it
        lerobot_only.main(folder)
        answer.flush()
        code = 0
    except Exception:
        traceback.print_exc()
        sys.stderr.flush()
    finally:
        os._exit(code)


class _Hook:
    def __init__(self, watch: Watch, fault: Fault | None) -> None:
        self._folder = os.path.realpath(watch.folder) + "/"
        self._trace = os.open(watch.trace, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        self._fault = fault
        self._beyond = frozenset(fault.beyond if fault else ())
        self._process = os.getpid()  # what is forked from it goes its own way
        self._started = time.monotonic()
        self._count = 0
        self._seen: dict[tuple[str, str], int] = {}
        self._failing = self._struck = False
        self._lock = threading.RLock()  # events come from several threads

    def heard(self, event: str, arguments: tuple[Any, ...]) -> None:
        kind, path = _operation(event, arguments)
        if not path.startswith(self._folder) or os.getpid() != self._process:
            return
        path = path.removeprefix(self._folder)
        error = None if self._fault is None else self._fault.error
        if kind == "read" and error not in (GONE, BROKEN):
            return
        if error == FULL and kind != "make":
            return
        with self._lock:
            self._act(event, path)

    def _act(self, event: str, path: str) -> None:
        seconds = round(time.monotonic() - self._started, 4)
        os.write(self._trace, (json.dumps([seconds, event, path]) + "\n").encode())
        fault = self._fault
        if fault is None:
            return
        kind = (event, masked(path))
        seen = self._seen[kind] = self._seen.get(kind, -1) + 1
        here = self._count == fault.at or (*kind, seen) in self._beyond
        self._count += 1
        if fault.clock or fault.room:
            if here and not self._struck:
                self._struck = True
                _turn_clock(fault.clock)
                if fault.room:
                    fill(*fault.room)
        elif fault.error is not None:
            self._failing = self._failing or here
            if self._failing:
                raise OSError(fault.error, os.strerror(fault.error), self._folder + path)
        elif here and not self._struck:
            self._struck = True
            if fault.after > 0:
                threading.Timer(fault.after, self._kill).start()
            else:
                self._kill()

    def _kill(self) -> None:
        os.write(self._trace, b'[0, "killed", ""]\n')
        assert self._fault is not None
        if self._fault.together:
            os.killpg(0, signal.SIGKILL)
        os.kill(os.getpid(), signal.SIGKILL)


def _turn_clock(by: float) -> None:
    seconds, nanoseconds = time.time, time.time_ns
    time.time = lambda: seconds() + by
    time.time_ns = lambda: nanoseconds() + int(by * 1e9)


def fill(filler: Path, left: int) -> None:
    """Takes all of the disk that `filler` lies on, but for so many bytes."""
    with filler.open("ab") as file:
        disk = os.fstatvfs(file.fileno())
        size = disk.f_bavail * disk.f_frsize - left
        if size > 0:
            os.posix_fallocate(file.fileno(), 0, size)


def _operation(event: str, arguments: tuple[Any, ...]) -> tuple[str, str]:
    """(kind, absolute path) of an operation: `make` takes room, `change`, `read`; empty for others."""
    if event == "open":
        path, _, flags = arguments
        if flags & (os.O_WRONLY | os.O_RDWR):
            return "make", _absolute(path)
        return "read", _absolute(path)
    if event in CHANGING:
        at = next((one for one in arguments[1:] if isinstance(one, int)), -1)
        if event in ("os.rename", "os.link"):
            at = arguments[2]
        elif event in ("os.remove", "os.rmdir"):
            at = arguments[1]
        else:
            at = -1
        return "make" if event in MAKING else "change", _absolute(arguments[0], at)
    if event in READING:
        return "read", _absolute(arguments[0])
    return "", ""


def _absolute(path: Any, at: int = -1) -> str:
    if path is None:
        path = "."
    if isinstance(path, int):
        return ""
    path = os.fsdecode(path)
    try:
        base = os.readlink(f"/proc/self/fd/{at}") if at >= 0 else os.getcwd()
    except OSError:
        return ""
    return os.path.normpath(os.path.join(base, path))
