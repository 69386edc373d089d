"""A fault at every file operation of a command, one after another, and the same command again after each.

    python -m tests.faults.sweeps FOLDER COMMAND:FAULT:MOST ...

COMMAND is one of `COMMANDS`, FAULT one of `FAULTS`; of more than MOST operations that many are taken, evenly
spread. Prints a line of JSON for each.
"""

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict, dataclass, field
from pathlib import Path

import yaml

from tests.faults.injected import BROKEN, FULL, GONE, READ_ONLY, Fault
from tests.faults.kills import MAIN_JOB, attempt, read_trace
from tests.faults.outcome import differences, outcome, torn
from tests.support import REPO
from tests.support.recordings import record_dataset

FILLED = "filled"
"""A disk that is really full from an operation on: a small one of this memory, which only root can mount."""
ROOM = (0, 5_000, 60_000, 1_000_000)
"""Bytes that are left on it, in turns."""
FAULTS = {"kill": None, "full": FULL, "read-only": READ_ONLY, "gone": GONE, "broken": BROKEN, FILLED: FULL}
SCORER = ("--scorer.model", str(REPO / "checkpoints" / "so101-scorer"), "--scorer.num_prefixes", "6")
DATA = ("--dataset.path", "data/tiny", "--device", "cpu")
TRAINING = (
    *DATA, "--demonstrations.simulate", "false", "--run", "tiny", "--weights.scheme", "none",
    "--rollouts.episodes", "0", "--policy.chunk_size", "5", "--policy.n_action_steps", "5",
    "--policy.dim_model", "32", "--policy.n_heads", "2", "--policy.dim_feedforward", "32",
    "--policy.n_encoder_layers", "1", "--policy.use_vae", "false", "--trainer.max_steps", "4",
    "--trainer.batch_size", "2", "--trainer.warmup_steps", "1", "--trainer.checkpoint_every", "2",
)  # fmt: skip


@dataclass(frozen=True)
class Command:
    """A command, and what has to be there before it."""

    words: tuple[str, ...]
    before: tuple[str, ...] = ()
    """Another command that has ended well."""


COMMANDS = {
    "check-dataset": Command(("check_dataset", "data/tiny")),
    "score": Command(
        ("score", *DATA, *SCORER, "--diagnostics.episodes", "2", "--weights.length_bias", "subtract")
    ),
    "train": Command(("train", *TRAINING)),
    "export": Command(
        ("export", "--dataset.path", "data/tiny", "--run", "tiny"), ("train", *TRAINING)
    ),
    "main job": Command(("train", "--config", "small.yaml")),
    "compare": Command(
        ("compare", "--config", "small.yaml", "--arms", "plain,shuffled", "--seeds", "1", "--rollouts", "2",
         "--comparison.jobs", "1"),
    ),
}  # fmt: skip


@dataclass
class Report:
    """What came of it."""

    command: str
    fault: str
    operations: int
    """Of the undisturbed command."""
    tried: int = 0
    codes: dict[str, int] = field(default_factory=dict[str, int])
    """Exit code -> how often."""
    messages: dict[str, int] = field(default_factory=dict[str, int])
    """Of errors, without what differs between two of a kind."""
    wrong: list[str] = field(default_factory=list[str])
    """Tracebacks, other exit codes, torn files, outcomes that differ."""


def base_folder(base: Path, command: Command) -> Path:
    """A folder in which the command can begin."""
    folder = base / "before"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    job = {**MAIN_JOB, "rollouts": {"episodes": 2, "max_ticks": 12, "videos": 1}}
    (folder / "small.yaml").write_text(yaml.safe_dump(job))
    record_dataset(folder / "data" / "tiny")
    if command.before:
        code, errors = attempt(folder, base / "trace", None, *command.before)
        assert code == 0, errors
    return folder


@contextmanager
def small_disk(folder: Path) -> Generator[None]:
    """A disk of 2 GB in memory at `folder`. Raises CalledProcessError where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2g", "none", str(folder)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def copied(source: Path, folder: Path) -> Path:
    shutil.rmtree(folder, ignore_errors=True)
    return shutil.copytree(source, folder, symlinks=True)


def spread(count: int, most: int) -> list[int]:
    """At most so many of the first `count` numbers, evenly spread, the first and the last among them."""
    if count <= most:
        return list(range(count))
    if most == 1:
        return [count // 2]
    return sorted({round(i * (count - 1) / (most - 1)) for i in range(most)})


def sweep(base: Path, name: str, fault: str, most: int, say: Callable[[str], None] = print) -> Report:
    """Every fault at its operation, and the command again."""
    command, error = COMMANDS[name], FAULTS[fault]
    before = base_folder(base, command)
    trace = base / "trace"

    def run(folder: Path, injected: Fault | None) -> tuple[int, str]:
        trace.unlink(missing_ok=True)
        return attempt(folder, trace, injected, *command.words)

    folder = base / "run"  # one for all: its name is in what a command leaves
    code, errors = run(copied(before, folder), Fault(at=-1, error=error))
    assert code == 0, errors
    expected, count = outcome(folder), len(read_trace(trace))
    report = Report(name, fault, count)
    for number in spread(count, most):
        injected = Fault(at=number, error=error)
        if fault == FILLED:
            room = ROOM[report.tried % len(ROOM)]
            injected = Fault(at=number, error=error, room=(base / "filler", room))
        code, errors = run(copied(before, folder), injected)
        (base / "filler").unlink(missing_ok=True)
        lines = read_trace(trace)
        where = f"operation {number} ({lines[min(number, len(lines) - 1)][1:]})" if lines else f"{number}"
        report.tried += 1
        report.codes[str(code)] = report.codes.get(str(code), 0) + 1
        found = told(code, errors, error is None)
        if code == 2 and not found:
            line = message(errors, folder)
            report.messages[line] = report.messages.get(line, 0) + 1
        found += torn(folder)
        code, errors = run(folder, None)
        if code == 0:
            found += differences(outcome(folder), expected)
        else:
            found.append(f"again: exit code {code}: {errors[-1500:]}")
        report.wrong += [f"{where}: {one}" for one in found]
        say(f"{name}, {fault}: {where}: {found or 'as it should be'}")
    return report


def told(code: int, errors: str, killed: bool) -> list[str]:
    """What is wrong with the end of a command that a fault befell."""
    lines = [line for line in errors.replace("\r", "\n").splitlines() if line.strip()]
    said = [line for line in lines if line.startswith("error: ")]
    if killed and code in (0, -9):
        return []
    if code == 0 and not said and not any("Traceback" in line for line in lines):
        return []  # it could do without
    if code == 2 and len(said) == 1 and lines[-1] == said[0] and "Traceback" not in errors:
        return []
    return [f"exit code {code}: {errors[-2500:]}"]


def message(errors: str, folder: Path) -> str:
    """The error's line without the folder and numbers of processes."""
    (line,) = [one for one in errors.replace("\r", "\n").splitlines() if one.startswith("error: ")]
    return line.replace(str(folder) + "/", "")


def main(folder: str, *sweeps: str) -> None:
    """Sweeps, and prints what came of it, a line of JSON for each sweep."""
    for one in sweeps:
        name, fault, most = one.split(":")
        with small_disk(Path(folder)) if fault == FILLED else nullcontext():
            report = sweep(
                Path(folder), name, fault, int(most), lambda line: print(line, file=sys.stderr, flush=True)
            )
        print(json.dumps(asdict(report)), flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
