"""Kills the main job at random until it was killed often enough, and looks what is left when it is through.

    python -m tests.faults.kills FOLDER KILLS SEED

Every moment is drawn from an uninterrupted run: half of them file operations, each as likely as the next,
half of them points of its time, each as likely. The same command goes on after each kill; after at most eight
kills a run is let through, and what it leaves is compared with what the uninterrupted one left. Prints a JSON
report.
"""

import json
import os
import random
import shutil
import signal
import sys
from collections import Counter
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.faults.injected import Fault, Place, Watch, command, masked
from tests.faults.outcome import differences, outcome, torn
from tests.support import REPO, forked

MAIN_JOB = {
    "run": "small",
    "device": "cpu",
    "dataset": {"path": "data/small"},
    "demonstrations": {
        "simulate": True, "episodes": 5, "processes": 1, "clean": 0.4, "give_up": 0.2, "stall": 0.4,
        "retry": 0, "drop": 0, "detour": 0,
    },
    "scorer": {"model": str(REPO / "checkpoints" / "so101-scorer"), "num_prefixes": 6},
    "policy": {"dim_model": 32, "n_heads": 2, "dim_feedforward": 64, "n_encoder_layers": 1, "use_vae": False},
    "trainer": {"max_steps": 8, "batch_size": 4, "warmup_steps": 1, "checkpoint_every": 2},
    "rollouts": {"episodes": 3, "max_ticks": 30, "videos": 1},
}  # fmt: skip
KILLS_IN_A_RUN = 8

PARTS = (
    ("recording", ("data/small.partial/",)),
    ("training: export", ("checkpoints/small/.partial",)),
    ("training: checkpoints", ("/checkpoints/",)),
    ("training: steps and curves", ("outputs/small/training-",)),
    ("rollouts", ("outputs/small/rollouts-",)),
    ("scores: diagnosis", ("outputs/small/diagnosis",)),
    (
        "weights",
        ("outputs/small/weights", "outputs/small/.partial.weights", "/topreward_progress", "/.progress.lock"),
    ),
    ("scores: prefixes", ("/scores/",)),
    ("frame cache", ("/frames/", "observation.images.")),
    ("stage files", ("outputs/small/stages",)),
    ("summary and model card", ("summary.json", "README.md")),
)
"""Part of the main job -> what its paths have in them."""


@dataclass
class Report:
    """What came of it."""

    kills: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    """Of each: run, attempt, part, last operation."""
    runs: int = 0
    differing: list[str] = field(default_factory=list[str])
    torn: list[str] = field(default_factory=list[str])
    failed: list[str] = field(default_factory=list[str])


def environment(folder: Path) -> dict[str, str]:
    """Of a run all of whose files lie in `folder`."""
    return {
        **os.environ,
        "XDG_CACHE_HOME": str(folder / "cache"),
        "XDG_DATA_HOME": str(folder / "share"),
        "RABC_CACHE": str(folder / "rabc"),
        "MESA_SHADER_CACHE_DIR": str(folder.parent / "shaders"),
        "OMP_NUM_THREADS": "1",
    }


def attempt(folder: Path, trace: Path, fault: Fault | None, name: str, *arguments: object) -> tuple[int, str]:
    """Runs a command in `folder`; its exit code and stderr."""
    ended = forked.run(
        command, Watch(folder, trace), fault, name, *arguments, cwd=folder, env=environment(folder)
    )
    return ended.returncode, ended.stderr


def read_trace(trace: Path) -> list[tuple[float, str, str]]:
    """(seconds, event, masked path) of all operations."""
    return [
        (seconds, event, masked(path))
        for seconds, event, path in map(json.loads, trace.read_text().splitlines())
    ]


def drawn(operations: list[tuple[float, str, str]], rng: random.Random) -> list[Fault]:
    """The moments of one run, in their order.

    A run that was killed does not do again what it has done: each moment comes with the first operation that
    the uninterrupted run did then or later.
    """
    seen: Counter[tuple[str, str]] = Counter()
    places: list[Place] = []
    for _, event, path in operations:
        places.append((event, path, seen[event, path]))
        seen[event, path] += 1
    moments: list[tuple[int, float]] = []
    for _ in range(KILLS_IN_A_RUN):
        if rng.random() < 0.5:
            moments.append((rng.randrange(len(places)), 0.0))
        else:
            second = rng.uniform(operations[0][0], operations[-1][0])
            before = max(i for i, one in enumerate(operations) if one[0] <= second)
            moments.append((before, second - operations[before][0]))
    return [
        Fault(beyond=tuple(places[i:]), after=after, together=rng.random() < 0.5)
        for i, after in sorted(moments)
    ]


def part_of(path: str) -> str:
    """The part of the main job that a path belongs to."""
    return next((name for name, signs in PARTS if any(sign in path for sign in signs)), "start and locks")


def prepare(folder: Path) -> None:
    """An empty folder with the configuration."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    (folder / "small.yaml").write_text(yaml.safe_dump(MAIN_JOB))


def kill_often(base: Path, wanted: int, seed: int) -> Report:
    """At least `wanted` kills, over as many whole runs as that takes."""
    arguments = ("train", "--config", "small.yaml")
    rng = random.Random(seed)
    folder, trace = base / "run", base / "trace"  # one folder: its name is in what a run leaves
    prepare(folder)
    code, errors = attempt(folder, trace, None, *arguments)
    assert code == 0, errors
    expected, operations = outcome(folder), read_trace(trace)
    shutil.copytree(folder, base / "whole")
    report = Report()
    while len(report.kills) < wanted:
        prepare(folder)
        report.runs += 1
        for number, fault in enumerate([*drawn(operations, rng), None]):
            trace.unlink(missing_ok=True)
            code, errors = attempt(folder, trace, fault, *arguments)
            if code == 0:
                break
            if code != -signal.SIGKILL:
                report.failed.append(
                    f"run {report.runs}, attempt {number}: exit code {code}: {errors[-2000:]}"
                )
                break
            _, event, path = [one for one in read_trace(trace) if one[1] != "killed"][-1]
            report.kills.append(
                {"run": report.runs, "attempt": number, "part": part_of(path), "last": f"{event} {path}",
                 "after": round(fault.after, 2) if fault else 0}
            )  # fmt: skip
            print(json.dumps(report.kills[-1]), file=sys.stderr, flush=True)
            report.torn += [f"run {report.runs}, attempt {number}: {one}" for one in torn(folder)]
        if code == 0:
            differing = differences(outcome(folder), expected)
            report.differing += [f"run {report.runs}: {one}" for one in differing]
            if differing:
                shutil.copytree(folder, base / f"differing-{report.runs}")
        found = (report.differing, report.torn, report.failed)
        print(f"run {report.runs} ended: {len(report.kills)} kills, {found}", file=sys.stderr, flush=True)
    return report


def main(folder: Path, wanted: int, seed: int) -> None:
    """Kills, and prints what came of it."""
    report = kill_often(folder, wanted, seed)
    parts = Counter(kill["part"] for kill in report.kills)
    print(json.dumps({"parts": dict(parts.most_common()), **asdict(report)}, indent=1))


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
