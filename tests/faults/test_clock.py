"""A clock that is set back, and files that claim to be of tomorrow, change nothing."""

import os
import time
from pathlib import Path

import pytest

from tests.faults.injected import Fault
from tests.faults.kills import attempt, read_trace
from tests.faults.outcome import differences, files, outcome
from tests.faults.sweeps import COMMANDS, base_folder, copied

DAY = 86400.0


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "moment"),
    [("check-dataset", 0.5), ("score", 0.3), ("score", 0.8), ("train", 0.3), ("train", 0.8), ("export", 0.5),
     ("main job", 0.7)],
)  # fmt: skip
def test_the_results_are_the_same(name: str, moment: float, tmp_path: Path) -> None:
    command = COMMANDS[name]
    before, folder, trace = base_folder(tmp_path, command), tmp_path / "run", tmp_path / "trace"
    trace.unlink(missing_ok=True)
    code, errors = attempt(copied(before, folder), trace, None, *command.words)
    assert code == 0, errors
    expected, operations = outcome(folder), len(read_trace(trace))
    copied(before, folder)
    # It is killed, all files are of tomorrow, and while the rest is done the clock is set back by a day.
    code, errors = attempt(folder, trace, Fault(at=int(moment * operations)), *command.words)
    assert code == -9, errors
    tomorrow = time.time() + DAY
    for path in files(folder):
        os.utime(path, (tomorrow, tomorrow))
    code, errors = attempt(
        folder, trace, Fault(at=int(0.3 * (1 - moment) * operations), clock=-DAY), *command.words
    )
    assert code == 0, errors
    assert differences(outcome(folder), expected) == []
    # Once more, all of it a day ago: nothing is done again.
    code, errors = attempt(folder, trace, Fault(at=0, clock=-DAY), *command.words)
    assert code == 0, errors
    assert differences(outcome(folder), expected) == []
