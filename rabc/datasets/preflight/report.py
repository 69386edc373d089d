"""Findings as people read them."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from rabc.datasets.preflight.findings import SEVERITIES, Finding, Severity
from rabc.system.terminal import table

_WORDS: dict[Severity, str] = {"refused": "REFUSED", "wrong": "WRONG", "note": "note"}
_WIDTH = 100


def findings_table(findings: Sequence[Finding]) -> str:
    """What was found, the place and the remedy below one another; commands in one piece, to be copied."""
    rows: list[list[str]] = []
    for finding in findings:
        lines = [*([finding.place] if finding.place else []), *textwrap.wrap(finding.what, _WIDTH)]
        if finding.remedy:
            lines.append(f"> {finding.remedy}")
        first = f"{_WORDS[finding.severity]}: {finding.kind}"
        rows += [[first if place == 0 else "", line] for place, line in enumerate(lines)]
    return table(rows, ["result", ""])


def verdict(findings: Sequence[Finding]) -> tuple[bool, str]:
    """Whether a training may go on without learning something false, and the findings counted."""
    counted = Counter(finding.severity for finding in findings)
    words: dict[Severity, str] = {
        "refused": "refused", "wrong": "would train something wrong", "note": "worth knowing"
    }  # fmt: skip
    said = [f"{counted[severity]} {words[severity]}" for severity in SEVERITIES if counted[severity]]
    sound = not (counted["refused"] or counted["wrong"])
    return sound, ", ".join(said) if said else "nothing is wrong with it"
