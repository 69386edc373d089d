"""Two processes of one command at once: one is refused and told who is at it, or both end alike."""

import re
import time
from pathlib import Path

import pytest

from tests.faults.injected import Watch, command
from tests.faults.kills import attempt, environment
from tests.faults.outcome import differences, outcome, torn
from tests.faults.sweeps import COMMANDS, base_folder, copied
from tests.support import forked

SHORT = ("check-dataset", "score", "train", "export")


def both(base: Path, name: str, apart: float) -> tuple[list[int], list[str]]:
    """Runs a command twice, the second so many seconds after the first; exit codes and last errors."""
    folder = base / "run"
    started: list[forked.Forked] = []
    for number in range(2):
        watch = Watch(folder, base / f"trace-{number}")
        words = COMMANDS[name].words
        started.append(forked.start(command, watch, None, *words, cwd=folder, env=environment(folder)))
        time.sleep(apart)
    codes = [one.wait() for one in started]
    return codes, [one.stderr for one in started]


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize(
    ("name", "refusal"),
    [
        ("check-dataset", ""),
        ("score", "scores .*: is being scored by another process; wait for it or stop it"),
        ("train", r"run tiny: process \d+ on .* is at work on it \("),
        ("export", ""),
        ("main job", r"run small: process \d+ on .* is at work on it \("),
        ("compare", r"comparison small: process \d+ on .* is at work on it \("),
    ],
)
def test_nothing_is_torn(name: str, refusal: str, tmp_path: Path) -> None:
    before = base_folder(tmp_path, COMMANDS[name])
    copied(before, tmp_path / "run")
    code, errors = attempt(tmp_path / "run", tmp_path / "trace", None, *COMMANDS[name].words)
    assert code == 0, errors
    expected = outcome(tmp_path / "run")
    for apart in (0.0, 0.3, 1.0) if name in SHORT else (0.3,):
        copied(before, tmp_path / "run")
        codes, said = both(tmp_path, name, apart)
        assert torn(tmp_path / "run") == []
        assert differences(outcome(tmp_path / "run"), expected) == [], codes
        assert sorted(codes) in ([[0, 2]] if waits_for_nobody(name) else [[0, 0], [0, 2]]), said
        if 2 in codes:
            (line,) = [one for one in said[codes.index(2)].splitlines() if one.startswith("error: ")]
            assert refusal, line
            assert re.match(rf"error: {refusal}", line), line


def waits_for_nobody(name: str) -> bool:
    """Whether the second process is refused and never waits for its turn."""
    return name in ("train", "main job", "compare")
