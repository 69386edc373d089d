"""What a check found, and units in words."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from rabc.system.terminal import table

Status = Literal["pass", "FAIL", "not checked"]


@dataclass(frozen=True)
class Finding:
    """One line of the table."""

    check: str
    status: Status
    text: str
    """The thing, its value, and for a failure the remedy."""


def passed(check: str, text: str) -> Finding:
    """All is well."""
    return Finding(check, "pass", text)


def failed(check: str, text: str) -> Finding:
    """The folder should not move a robot."""
    return Finding(check, "FAIL", text)


def skipped(check: str, text: str) -> Finding:
    """There is nothing to compare with; `text` says what to give."""
    return Finding(check, "not checked", text)


def all_or(check: str, problems: list[str], text: str) -> Iterator[Finding]:
    """The problems of a check, or that there are none and `text`."""
    if not problems:
        yield passed(check, text)
    yield from (failed(check, problem) for problem in problems)


def findings_table(findings: list[Finding], wrap: Callable[[str], list[str]] = lambda text: [text]) -> str:
    """The findings as text, one below the other; a long text goes on in the next line."""
    rows: list[list[str]] = []
    for finding in findings:
        first, *more = wrap(finding.text) or [""]
        rows += [[finding.check, finding.status, first], *(["", "", line] for line in more)]
    return table(rows, ["check", "result", ""])
