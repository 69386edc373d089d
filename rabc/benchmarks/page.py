"""The measured tables of `docs/benchmarks.md`, written by the command that measured them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rabc.benchmarks.lines import HEADERS, Line
from rabc.pages.marked import markdown_table, replace_marked


def fill(page: Path, name: str, machine: Mapping[str, str | int], lines: Sequence[Line]) -> None:
    """Puts machine and table between `<!-- NAME -->` and `<!-- /NAME -->` in a Markdown file.

    Raises InputError for a file without these marks.
    """
    facts = ", ".join(f"{key} {value}" for key, value in machine.items())
    table = markdown_table(list(HEADERS), [line.cells() for line in lines])
    replace_marked(page, name, f"{facts}.\n\n{table}", "--page")
