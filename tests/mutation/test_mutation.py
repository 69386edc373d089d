"""Whether the tests of the pure rooms notice a change of what they test, one small change at a time."""

from pathlib import Path

import pytest

from tests.mutation.mutants import ROOMS, Counted, Mutation, listed, mutate
from tests.support import REPO

ENOUGH = 0.95
"""Of the mutants of a file that are not equivalent, the share that must be noticed."""


def test_what_is_listed_as_equivalent_is_about_lines_that_are_there() -> None:
    for mutation in listed():
        lines = {line.strip() for line in (REPO / mutation.file).read_text().splitlines()}
        gone = [line for line in mutation.change if line.startswith("- ") and line[2:] not in lines]
        assert not gone, str(mutation)
        assert f"def {mutation.function.rpartition('.')[2]}(" in (REPO / mutation.file).read_text()


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("room", ROOMS)
def test_a_change_of_the_arithmetic_is_noticed(
    room: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Prints a line for each file, and every survivor that is not listed."""
    found = mutate(room, tmp_path)
    equivalent = {mutation for mutation in listed() if mutation.file.split("/")[1] == room}
    survived = {mutation for counted in found.values() for mutation in counted.survivors}
    with capsys.disabled():
        print()
        for file, counted in found.items():
            print(_line(file, counted, equivalent))
        print(*(f"\n{mutation}" for mutation in sorted(survived - equivalent, key=str)), sep="\n")
    # A test has come that tells it apart, or the line is another one now: it is to be taken off the list.
    assert not equivalent - survived, "\n\n".join(map(str, equivalent - survived))
    assert {file: _score(counted, equivalent) for file, counted in found.items()} == {
        file: pytest.approx(1, abs=1 - ENOUGH) for file in found
    }


def _score(counted: Counted, equivalent: set[Mutation]) -> float:
    same = sum(mutation in equivalent for mutation in counted.survivors)
    return counted.killed / max(counted.mutants - same, 1)


def _line(file: str, counted: Counted, equivalent: set[Mutation]) -> str:
    same = sum(mutation in equivalent for mutation in counted.survivors)
    score = _score(counted, equivalent)
    return (
        f"{file}: {counted.mutants} mutants, {counted.killed} killed, {same} equivalent, {100 * score:.1f} %"
    )
