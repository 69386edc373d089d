"""Processes of their own that start at once: forked from one that has imported everything.

    ended = run("train", ["--config", "small.yaml"], cwd=folder)        # scripts/train.py
    process = start(train, config, dataset, weights, folder)            # or any function of a module

Importing anew takes 15 s of a processor for each. The process that is forked has done nothing else, and a
child is what `subprocess` would have started: a session, environment, folder and output of its own. Only what
libraries read from the environment when they are imported is that of the tests. A test of the start itself
(`--help` answers at once, what is imported when) needs a new Python.
"""

import atexit
import multiprocessing
import os
import pickle
import runpy
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib import import_module
from multiprocessing import forkserver
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPO

PRELOADED = "tests.support.preloaded"
Work = str | Path | Callable[..., object]


class Forked:
    """A child, with the face of `subprocess.Popen`."""

    def __init__(self, work: Work, arguments: Sequence[Any], cwd: Path, env: Mapping[str, str]) -> None:
        self._outputs = tempfile.TemporaryDirectory()
        self._stdout, self._stderr = (Path(self._outputs.name, name) for name in ("stdout", "stderr"))
        for path in (self._stdout, self._stderr):
            path.touch()
        content = pickle.dumps((work, arguments))
        outputs = (str(self._stdout), str(self._stderr))
        self._process = _server().Process(target=_become, args=(content, outputs, str(cwd), dict(env)))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    @property
    def returncode(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.exitcode

    @property
    def stdout(self) -> str:
        """What it has written so far."""
        return self._stdout.read_text()

    @property
    def stderr(self) -> str:
        """What it has written so far."""
        return self._stderr.read_text()

    def poll(self) -> int | None:
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        self._process.join(timeout)
        if self.returncode is None:
            raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0.0)
        return self.returncode

    def communicate(self, timeout: float | None = None) -> tuple[str, str]:
        """Waits for its end: (stdout, stderr)."""
        self.wait(timeout)
        return self.stdout, self.stderr

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def killpg(self, number: int = signal.SIGKILL) -> None:
        """Signals the process and all that it started."""
        while self.poll() is None and os.getpgid(self.pid) != self.pid:
            time.sleep(0.001)  # it has not come to its own session yet
        os.killpg(self.pid, number)


def start(
    work: Work, *arguments: Any, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> Forked:
    """Starts `work` in a process of its own.

    Args:
        work: the name of a script in `scripts/`, the path of another, or a function that a module has at its
            top level.
        arguments: of the script's command line, or of the function; they can be pickled.
        cwd: None: where the tests run.
        env: all of its environment; None: that of the tests.
    """
    return Forked(work, arguments, cwd or Path.cwd(), os.environ if env is None else env)


def run(
    work: Work, *arguments: Any, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """`start`, and waits for the end."""
    process = start(work, *arguments, cwd=cwd, env=env)
    stdout, stderr = process.communicate()
    assert process.returncode is not None
    return subprocess.CompletedProcess(arguments, process.returncode, stdout, stderr)


@cache
def _server() -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([PRELOADED])
    with pytest.MonkeyPatch.context() as patched:  # the server starts with the path of this moment
        patched.setenv("PYTHONPATH", str(REPO))
        forkserver.ensure_running()
    return context


def _become(content: bytes, outputs: tuple[str, str], cwd: str, env: dict[str, str]) -> None:
    import_module(PRELOADED)  # it is there, or raises what the server passed over
    os.setsid()
    for number, path in enumerate(outputs, start=1):
        os.dup2(os.open(path, os.O_WRONLY | os.O_APPEND), number)
    sys.stdout = open(1, "w", closefd=False)  # noqa: SIM115  (as a new Python would open them)
    sys.stderr = open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    work, arguments = pickle.loads(content)
    try:
        if isinstance(work, str | Path):
            script = work if isinstance(work, Path) else REPO / "scripts" / f"{work}.py"
            sys.argv = [str(script), *map(str, arguments)]
            runpy.run_path(str(script), run_name="__main__")
        else:
            work(*arguments)
    finally:
        atexit._run_exitfuncs()
