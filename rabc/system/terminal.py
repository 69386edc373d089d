"""Plain text for people: tables, durations."""

from collections.abc import Sequence


def table(rows: Sequence[Sequence[object]], headers: Sequence[str]) -> str:
    """`rows` under `headers`, columns aligned: numbers to the right, text to the left.

    A float shows four significant digits; for anything else pass the text you want. ValueError for a row
    that has not one cell per header.
    """
    for row in rows:
        if len(row) != len(headers):
            raise ValueError(f"row {list(row)}: {len(row)} cells for {len(headers)} headers")
    cells = [[_text(value) for value in row] for row in rows]
    widths = [max(len(text) for text in column) for column in zip(headers, *cells, strict=True)]
    right = [bool(rows) and all(isinstance(row[i], int | float) for row in rows) for i in range(len(headers))]
    lines = [list(headers), ["-" * width for width in widths], *cells]
    return "\n".join(
        "  ".join(
            text.rjust(width) if to_right else text.ljust(width)
            for text, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in lines
    )


def shown(text: str) -> str:
    """The text without what a terminal obeys: names and texts of others' files may hold such characters."""
    return "".join(
        one if one.isprintable() or one in "\n\t" else one.encode("unicode_escape").decode() for one in text
    )


def one_line(text: str) -> str:
    """The text in one line: names and texts of others' files may hold several."""
    return " ".join(text.split())


def shell_word(text: str) -> str:
    """The text as one word of a command line to copy, whatever others have put into it."""
    return "'" + text.replace("'", "'\"'\"'") + "'"


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else shown(str(value))


def duration(seconds: float) -> str:
    """`42 s` or `3 min 20 s`."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
