"""The measured tables of `docs/benchmarks.md`, written by the command that measured them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rabc.atomic import whole_file
from rabc.benchmarks.lines import HEADERS, Line
from rabc.errors import InputError


def fill(page: Path, name: str, machine: Mapping[str, str | int], lines: Sequence[Line]) -> None:
    """Puts machine and table between `<!-- NAME -->` and `<!-- /NAME -->` in a Markdown file.

    Raises InputError for a file without these marks.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"--page {page}: cannot be read ({error.strerror}); give docs/benchmarks.md"
        ) from error
    before, opened, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise InputError(f"--page {page}: has no {start.strip()} ... {end}; give docs/benchmarks.md")
    rows = [HEADERS, ["---"] * len(HEADERS), *(line.cells() for line in lines)]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    facts = ", ".join(f"{key} {value}" for key, value in machine.items())
    with whole_file(page) as partial:
        partial.write_text(f"{before}{start}{facts}.\n\n{table}\n{end}{after}", encoding="utf-8")
