"""Trains the runs of a comparison, several at a time, each in a process of its own.

A run is what `rabc train` does: it skips what is finished and resumes what was interrupted, so a
comparison that is started again repeats no finished run.
"""

import multiprocessing
import os
import re
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from rabc.comparison.plan import PlannedRun, distinct
from rabc.config.settings import Config
from rabc.system.errors import CheckFailed, InputError, RabcError, Stopped, VerdictRefused

LOG = "comparison.log"
"""What a run prints, in its outputs."""
_STEPS = re.compile(rb"training:[^\r\n]*?\| (\d+)/\d+ \[")


@dataclass(frozen=True)
class _Running:
    run: PlannedRun
    process: BaseProcess
    log: Path


def train_all(runs: Sequence[PlannedRun], jobs: int) -> None:
    """Train every run that is not finished, `jobs` at a time, in the given order.

    Raises:
        InputError, VerdictRefused, CheckFailed: a run failed, for bad input, for its scores or otherwise;
            the others have stopped with a checkpoint.
        Stopped: by Ctrl-C or SIGTERM; what runs has stopped with a checkpoint.
    """
    from rabc.pipeline import state

    runs = distinct(runs)
    steps = runs[0].config.trainer.max_steps
    waiting = [run for run in runs if "training" not in state.finished(run.config)]
    finished = before = len(runs) - len(waiting)
    if not waiting:
        print(f"trainings: all {len(runs)} are finished")
        return
    total, running = len(runs) * steps, list[_Running]()
    resumed: dict[Path, int] = {}
    received: list[int] = []
    asked = False
    handlers = {
        number: signal.signal(number, lambda found, _: received.append(found))
        for number in (signal.SIGINT, signal.SIGTERM)
    }
    try:
        with tqdm(total=total, initial=finished * steps, desc="trainings", unit="step") as bar:
            while waiting or running:
                while waiting and len(running) < jobs and not received:
                    running.append(_start(waiting.pop(0)))
                time.sleep(1)
                for done in [one for one in running if not one.process.is_alive()]:
                    running.remove(done)
                    if done.process.exitcode and not received:
                        raise failure(done.run.config.run, done.process.exitcode, done.log)
                    finished += not done.process.exitcode
                if received and not running:
                    break
                if received and not asked:
                    asked = True
                    _stop(running)
                logged = {one.log: steps_logged(one.log) for one in running}
                resumed.update({log: first for log, (first, _) in logged.items()})
                # Steps of earlier calls count as done, and not for the speed of this one.
                bar.initial = before * steps + sum(resumed.values())
                bar.n = finished * steps + sum(last for _, last in logged.values())
                names = ", ".join(f"{one.run.arm.name} s{one.run.seed}" for one in running)
                bar.set_postfix_str(f"{finished} of {len(runs)} finished, training {names}")
    finally:
        if not asked:
            _stop(running)
        for one in running:
            one.process.join()
        for number, handler in handlers.items():
            signal.signal(number, handler)
    if received:
        raise Stopped(
            f"{finished} of {len(runs)} trainings are finished; the same command goes on", received[0]
        )


def _start(run: PlannedRun) -> _Running:
    from rabc.pipeline.state import paths

    log = paths(run.config).outputs / LOG
    log.parent.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    process = multiprocessing.get_context("spawn").Process(target=_train, args=(run.config, log))
    process.start()
    return _Running(run, process, log)


def _train(config: Config, log: Path) -> NoReturn:
    from rabc.config import cli
    from rabc.pipeline import main_job
    from rabc.system.processes import end_with_parent

    end_with_parent()
    os.setsid()  # Ctrl-C reaches the comparison alone, which passes it on once
    with log.open("ab") as file:
        os.dup2(file.fileno(), sys.stdout.fileno())
        os.dup2(file.fileno(), sys.stderr.fileno())
    cli.run(lambda _: _quietly(main_job.run(config, compared=True)))


def _quietly(_: object) -> None:
    return None


def _stop(running: Sequence[_Running]) -> None:
    """Ask once: a second signal would end a training without a checkpoint."""
    for one in running:
        if one.process.is_alive() and one.process.pid is not None:
            os.kill(one.process.pid, signal.SIGTERM)


def steps_logged(log: Path) -> tuple[int, int]:
    """Training steps that the first and the last line of a run's log count: 0 and 0 before the first."""
    found = _STEPS.findall(log.read_bytes())
    return (int(found[0]), int(found[-1])) if found else (0, 0)


def failure(run: str, exit_code: int, log: Path) -> RabcError:
    """The error that says how a run ended, with its exit code where that has a meaning of its own."""
    if exit_code < 0:
        name = signal.Signals(-exit_code).name
        hint = "; if memory ran out, give a smaller --comparison.jobs" if name == "SIGKILL" else ""
        return CheckFailed(f"run {run}: was killed ({name}){hint}; the same command goes on; see {log}")
    lines = log.read_text(errors="replace").replace("\r", "\n").splitlines()
    last = next((line for line in reversed(lines) if line.strip()), "it printed nothing").strip()
    kinds = {kind.exit_code: kind for kind in (InputError, VerdictRefused)}
    return kinds.get(exit_code, CheckFailed)(f"run {run}: failed ({last}); see {log}")
