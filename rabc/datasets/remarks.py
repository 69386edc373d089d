"""What was left out of a dataset, in lines for people. Pure."""

from collections.abc import Sequence

SHOWN = 3
"""Cases that are named one by one."""


def remarks(cases: Sequence[str], consequence: str) -> tuple[str, ...]:
    """A line for each of the first cases, and one for the others together.

    cases: each names the place and what is wrong there; consequence: what that leads to, and the remedy.
    """
    lines = [f"{case}; {consequence}" for case in cases[:SHOWN]]
    more = len(cases) - SHOWN
    return (*lines, *([f"and {more} more of this kind, the last: {cases[-1]}"] if more > 0 else []))
