"""A sound dataset to damage, and the command that looks at it."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.support import REPO
from tests.support.numbered import Recording, record_numbered
from tests.support.shared import made_once

LENGTHS = (30, 36, 33, 40, 28, 31)


@dataclass(frozen=True)
class Checked:
    """What `scripts/check_dataset.py` said."""

    code: int
    out: str
    err: str
    findings: list[dict[str, Any]] = field(default_factory=list)

    @property
    def said(self) -> str:
        """What it printed, in one line."""
        return " ".join(self.out.split())

    def of(self, severity: str) -> list[dict[str, Any]]:
        return [finding for finding in self.findings if finding["severity"] == severity]

    def one(self, severity: str) -> dict[str, Any]:
        """The one finding there is, of that severity."""
        assert [finding["severity"] for finding in self.findings] == [severity], self.out + self.err
        return self.findings[0]


@pytest.fixture(scope="session")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six episodes of 28 to 40 frames at 10 Hz; shared, so leave it as it is."""
    return made_once(
        tmp_path_factory, "checked", lambda root: record_numbered(root, Recording(lengths=LENGTHS))
    )


@pytest.fixture
def dataset(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return shutil.copytree(sound, tmp_path / "mine")


@pytest.fixture
def check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., Checked]:
    """Runs the command on a dataset, in this process, without pictures unless `quick` is false."""

    def run(root: Path, *more: str, quick: bool = True) -> Checked:
        found = tmp_path / "findings.json"
        found.unlink(missing_ok=True)
        words: Sequence[str] = [str(root), "--json", str(found), *more, *(["--quick"] if quick else [])]
        monkeypatch.setattr(sys, "argv", ["check_dataset.py", *words])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPO / "scripts" / "check_dataset.py"), run_name="__main__")
        said = capfd.readouterr()
        assert isinstance(ended.value.code, int)
        assert "Traceback" not in said.err
        findings = json.loads(found.read_text())["findings"] if found.exists() else []
        return Checked(ended.value.code, said.out, said.err, findings)

    return run
