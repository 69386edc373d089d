"""Malformed input of every kind is one line and exit code 2, leaves nothing behind, and is on the page."""

import re
from pathlib import Path

import pytest

from tests.commands.malformed import HEAD, KINDS, PAGE, page, row
from tests.support.refusing import Case, lay_out, lines, make_stock, refusal, run, tree

CASES = [(kind, case) for kind, cases in KINDS.items() for case in cases]


@pytest.fixture(scope="module")
def stock(recorded_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_stock(recorded_dataset, tmp_path_factory.mktemp("stock"))


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{kind}: {case.name}", marks=[pytest.mark.slow] if case.slow else [])
        for kind, case in CASES
    ],
)
def test_it_is_refused_in_one_line(case: Case, stock: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    lay_out(case, stock, folder)
    before = tree(folder)
    outcome = run(case, folder, tmp_path / "kept")
    assert outcome.code == 2, outcome.said
    assert [line[:7] for line in lines(outcome)] == ["error: "], outcome.said
    said = refusal(outcome, folder)
    assert [words for words in case.says if words not in said] == [], said
    assert tree(folder) == before
    assert row(case, said) in PAGE.read_text(), f"{said}; write the page anew"


def test_the_page_has_these_cases_and_no_others() -> None:
    """In their order; what is said to each is compared above."""
    assert PAGE.read_text().startswith(HEAD)
    given = re.findall(r"^(?:## .*|\| `.*)$", PAGE.read_text(), re.MULTILINE)
    wanted = re.findall(r"^(?:## .*|\| `.*)$", page({case: "" for _, case in CASES}), re.MULTILINE)
    assert [re.sub(r" \| [^|]*(\\\|[^|]*)* \|$", "", line) for line in given] == [
        line.removesuffix(" |  |") for line in wanted
    ]


def test_there_are_many_and_of_most_commands() -> None:
    assert len(CASES) >= 60
    assert len({case.name for _, case in CASES}) > 0.9 * len(CASES)
    assert len({case.command[0] for _, case in CASES}) >= 12
