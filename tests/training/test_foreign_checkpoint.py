"""A checkpoint that others made runs nothing when it is looked for, trained on or exported."""

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rabc.training.checkpoints import last_good_checkpoint


class Evil:
    """Makes the canary when it is unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def pickled(path: Path, canary: Path) -> None:
    torch.save({"state_dict": Evil(canary)}, path)


def old_pickled(path: Path, canary: Path) -> None:
    torch.save({"state_dict": Evil(canary)}, path, _use_new_zipfile_serialization=False)


def archived(path: Path, canary: Path) -> None:
    """Names that lead out of the folder they would be unpacked in."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr(f"../{canary.name}", "x")
        archive.writestr("archive/data.pkl", b"\x80\x02}.")


def compiled(path: Path, canary: Path) -> None:
    """A program of TorchScript."""

    class Nothing(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x

    torch.jit.save(torch.jit.script(Nothing()), str(path))


@pytest.mark.parametrize("make", [pickled, old_pickled, archived, compiled])
def test_nothing_of_it_is_run(
    make: Callable[[Path, Path], None], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder, canary = tmp_path / "training", tmp_path / "canary"
    folder.mkdir()
    make(folder / "step=5.ckpt", canary)
    assert last_good_checkpoint(folder) is None
    assert not canary.exists()
    assert "step=5.ckpt: cannot be read" in capfd.readouterr().err


def test_the_pickles_would_run(tmp_path: Path) -> None:
    """Else the test above could not fail."""
    for make in (pickled, old_pickled):
        make(tmp_path / "step=5.ckpt", tmp_path / "canary")
        torch.load(tmp_path / "step=5.ckpt", weights_only=False)
        assert (tmp_path / "canary").exists()
        (tmp_path / "canary").unlink()
