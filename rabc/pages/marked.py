"""Documents whose measured parts are written by the command that measured them."""

from pathlib import Path

from rabc.system.atomic import whole_file
from rabc.system.errors import InputError


def replace_marked(page: Path, name: str, content: str, option: str) -> None:
    """Put `content` between `<!-- NAME -->` and `<!-- /NAME -->` in a Markdown file.

    option: the command-line option that named the page, for errors. Raises InputError for a file without
    these marks.
    """
    start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
    try:
        text = page.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(
            f"{option} {page}: cannot be read ({error.strerror}); give the page of the documentation"
        ) from error
    before, opened, rest = text.partition(start)
    _, closed, after = rest.partition(end)
    if not opened or not closed:
        raise InputError(f"{option} {page}: has no {start.strip()} ... {end}; give the page that has them")
    with whole_file(page) as partial:
        partial.write_text(f"{before}{start}{content.rstrip()}\n{end}{after}", encoding="utf-8")


def markdown_table(headers: list[str], rows: list[list[str]]) -> str:
    """A Markdown table."""
    return "\n".join(f"| {' | '.join(row)} |" for row in [headers, ["---"] * len(headers), *rows])
