"""Findings as people read them."""

import textwrap
from collections import Counter
from collections.abc import Sequence

from rabc.datasets.preflight.findings import SEVERITIES, Finding, Severity

_WORDS: dict[Severity, str] = {"refused": "REFUSED", "wrong": "WRONG", "note": "note"}
_WIDTH = 100


def findings_table(findings: Sequence[Finding]) -> str:
    """Place, what was found and the remedy below one another; a remedy in one piece, to be copied."""
    left = max(map(len, _WORDS.values()))
    lines: list[str] = []
    for finding in findings:
        what = finding.what
        if finding.severity == "refused" and "training" not in finding.concerns:
            what += " (stops scoring alone: --weights.scheme none trains it)"
        text = [*([finding.place] if finding.place else []), *textwrap.wrap(what, _WIDTH)]
        if finding.remedy:
            text.append(f"> {finding.remedy}")
        lines += [
            f"{_WORDS[finding.severity]:<{left}}  {text[0]}",
            *(" " * (left + 2) + one for one in text[1:]),
        ]
    return "\n".join(lines)


def verdict(findings: Sequence[Finding]) -> tuple[bool, str]:
    """Whether a training may go on without learning something false, and the findings counted."""
    counted = Counter(finding.severity for finding in findings)
    words: dict[Severity, str] = {
        "refused": "refused", "wrong": "would train something wrong", "note": "worth knowing"
    }  # fmt: skip
    said = [f"{counted[severity]} {words[severity]}" for severity in SEVERITIES if counted[severity]]
    sound = not (counted["refused"] or counted["wrong"])
    return sound, ", ".join(said) if said else "nothing is wrong with it"
