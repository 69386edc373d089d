"""What a check of a dataset found, and whom it concerns."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Literal

import numpy as np

from rabc.system.errors import InputError

Severity = Literal["refused", "wrong", "note"]
"""refused: this program does not go on with it; wrong: training goes on and would learn something false;
note: worth knowing."""
Use = Literal["training", "scoring"]
EVERY: tuple[Use, ...] = ("training", "scoring")
SEVERITIES: tuple[Severity, ...] = ("refused", "wrong", "note")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong, or worth knowing."""

    severity: Severity
    kind: str
    """What was looked at, in a word or two: `video`, `jump`."""
    what: str
    """One sentence with the value, without the place: that is in the other fields."""
    remedy: str = ""
    """A command where there is one, else words; empty where nothing needs to be done."""
    file: str = ""
    """Within the dataset's folder; empty where it is about no single file."""
    episodes: tuple[int, ...] = ()
    """Those concerned, ascending; empty: the dataset as a whole."""
    column: str = ""
    """Column or camera; empty where it is about none."""
    concerns: tuple[Use, ...] = EVERY
    """Which uses of the dataset it spoils: what only scoring needs never stops plain behavior cloning."""

    @property
    def place(self) -> str:
        """File, column and episodes, as far as they are known."""
        numbers = f"episode{'s' * (len(self.episodes) > 1)} {spoken(self.episodes)}" if self.episodes else ""
        return ", ".join(part for part in (self.file, self.column, numbers) if part)

    def __str__(self) -> str:
        """One line: the place, what is wrong there, the remedy."""
        line = f"{self.place}: {self.what}" if self.place else self.what
        return f"{line}; {self.remedy}" if self.remedy else line


def sorted_findings(findings: Iterable[Finding]) -> list[Finding]:
    """The gravest first, otherwise as they came."""
    return sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))


def refusal(error: InputError, kind: str, concerns: tuple[Use, ...] = EVERY) -> Finding:
    """The finding that an error of our own readers is: `<thing>: <what>; <remedy>`."""
    what, _, remedy = str(error).partition("; ")
    return Finding("refused", kind, what, remedy, concerns=concerns)


def spoken(episodes: Sequence[int], most: int = 8) -> str:
    """`3`, `3, 7` or `0 to 11, 15`, cut where there are more than `most` pieces."""
    pieces = [str(a) if a == b else f"{a} to {b}" if b > a + 1 else f"{a}, {b}" for a, b in _runs(episodes)]
    return ", ".join(pieces[:most]) + (f" and {len(pieces) - most} more" if len(pieces) > most else "")


def exclude(episodes: Sequence[int], total: int) -> str:
    """The option that leaves the episodes out; words where that would leave none."""
    if len(set(episodes)) >= total:
        return "no episode is left without it: record or download the dataset again"
    listed = ",".join(str(a) if a == b else f"{a}:{b + 1}" for a, b in _runs(episodes))
    return f"leave it out: --dataset.exclude {listed}"


def edit_command(root: Path, operation: str) -> str:
    """LeRobot's command that edits a local dataset in its place (it keeps the old one as `<name>_old`)."""
    name, place = quote(f"local/{root.name}"), quote(str(root))
    return (
        f"`lerobot-edit-dataset --repo_id {name} --root {place} --new_repo_id {name} --new_root {place} "
        f"--operation.type {operation}`"
    )


def _runs(episodes: Sequence[int]) -> list[tuple[int, int]]:
    """First and last of each run of consecutive numbers."""
    numbers = np.unique(np.asarray(episodes, np.int64))
    return [
        (int(run[0]), int(run[-1])) for run in np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    ]
