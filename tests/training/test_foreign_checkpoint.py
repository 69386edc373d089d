"""A checkpoint that others made runs nothing when it is looked for, trained on or exported."""

import json
import os
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rabc.config.settings import Config
from rabc.system.errors import InputError
from rabc.training.checkpoint_policy import checkpoint_parts, find_checkpoint, trained_config
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


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    (folder / "step=5.ckpt").write_bytes(b"x")
    os.mkfifo(tmp_path / "identity.json")
    with pytest.raises(InputError, match=r"identity.json cannot be read .*it is no file.*copy it again"):
        find_checkpoint(folder / "step=5.ckpt")
    (folder / "step=5.ckpt").unlink()
    os.mkfifo(folder / "step=7.ckpt")
    assert last_good_checkpoint(folder) is None


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


GOOD = {"policy": {"type": "act"}, "trainer": {"max_steps": 5}, "seed": 0}
IDENTITIES: dict[str, tuple[Any, str]] = {
    "a list": ([1], "not a JSON object"),
    "a policy that is a list": ({**GOOD, "policy": [1]}, "section policy of its training is missing"),
    "no policy": ({**GOOD, "policy": None}, "section policy of its training is missing"),
    "a width that is a text": ({**GOOD, "policy": {"dim_model": "$(x)"}}, r"policy.dim_model '\$\(x\)'"),
    "a list of texts": ({**GOOD, "policy": {"down_dims": ["a"]}}, "policy.down_dims"),
    "a choice that is none": ({**GOOD, "policy": {"type": "groot"}}, "policy.type 'groot'"),
    "a number that is a truth": ({**GOOD, "trainer": {"max_steps": True}}, "trainer.max_steps True"),
    "no seed": ({**GOOD, "seed": None}, "seed None"),
    "a seed beyond all": ({**GOOD, "seed": 10**30}, "seed 1000"),
}  # fmt: skip


@pytest.mark.parametrize("name", IDENTITIES)
def test_what_describes_it_is_data_of_our_form(name: str, tmp_path: Path) -> None:
    content, said = IDENTITIES[name]
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "step=5.ckpt"
    torch.save({"state_dict": {}}, path)
    (tmp_path / "identity.json").write_text(json.dumps(content))
    with pytest.raises(InputError, match=said):
        trained_config(Config(), find_checkpoint(path))
    (tmp_path / "identity.json").write_text(json.dumps(GOOD))
    assert trained_config(Config(), find_checkpoint(path)).trainer.max_steps == 5


@pytest.mark.parametrize(
    "state",
    [
        [],
        {},
        {"state_dict": "x"},
        {"state_dict": {}},
        {"state_dict": {"a": 1}},
        {"state_dict": {1: torch.ones(1)}},
    ],
    ids=str,
)
def test_what_it_holds_are_weights(state: object, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    path = tmp_path / "checkpoints" / "step=5.ckpt"
    torch.save(state, path)
    (tmp_path / "identity.json").write_text(json.dumps(GOOD))
    meta: Any = None  # it is not asked for
    with pytest.raises(InputError, match=r"no `state_dict`|holds no weights"):
        checkpoint_parts(Config(), meta, find_checkpoint(path))


def test_a_number_that_is_none_names_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "step=\N{SUPERSCRIPT TWO}.ckpt").touch()
    assert last_good_checkpoint(tmp_path) is None
