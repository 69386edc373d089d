"""Tables for people."""

import pytest

from rabc.system.terminal import table


def test_columns_are_aligned() -> None:
    text = table([["train", 412.25, 3], ["score", 0.5, 12]], ["stage", "seconds", "files"])
    assert text.splitlines() == [
        "stage  seconds  files",
        "-----  -------  -----",
        "train    412.2      3",
        "score      0.5     12",
    ]


def test_empty_table_has_its_headers() -> None:
    assert table([], ["stage", "seconds"]) == "stage  seconds\n-----  -------"


def test_ragged_row_is_an_error() -> None:
    with pytest.raises(ValueError, match="1 cells for 2 headers"):
        table([["train"]], ["stage", "seconds"])
