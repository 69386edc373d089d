"""The house: rooms that import only what lies below them, and small files."""

from collections import Counter
from statistics import median

import pytest
from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

from tests.support import REPO

CODE = sorted((REPO / "rabc").rglob("*.py"))


def test_the_contract_of_the_rooms_holds(monkeypatch: pytest.MonkeyPatch) -> None:
    """pyproject.toml: layers in the order of the data, no room left out, no circle among siblings."""
    monkeypatch.chdir(REPO)
    assert lint_imports(no_cache=True) == EXIT_STATUS_SUCCESS


def test_rooms_and_files_are_small() -> None:
    lines = {path: len(path.read_text().splitlines()) for path in CODE}
    assert max(lines.values()) < 350, max(lines, key=lambda path: lines[path])
    assert median(lines.values()) < 130
    assert max(Counter(path.parent for path in CODE).values()) <= 25


def test_every_room_says_what_it_is_for() -> None:
    for folder in {path.parent for path in CODE}:
        assert (folder / "__init__.py").read_text().startswith('"""'), folder


def test_tests_mirror_the_rooms() -> None:
    rooms = {path.name for path in (REPO / "rabc").iterdir() if (path / "__init__.py").exists()}
    tested = {
        path.parent.relative_to(REPO / "tests").parts[0] for path in (REPO / "tests").glob("*/**/test_*.py")
    }
    assert rooms == tested - {"docs", "faults", "mutation", "support"}
