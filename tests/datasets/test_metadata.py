"""What a dataset's metadata may say of places, and that whatever they say has an answer."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight.check import preflight
from rabc.system.errors import InputError
from tests.support.damaged_json import damaged
from tests.support.damaging import edit_info

FRONT = "observation.images.front"
Change = Callable[[dict[str, Any]], Any]


def camera(name: str) -> Change:
    return lambda info: info["features"].update({name: info["features"].pop(FRONT)})


def template(key: str, value: str) -> Change:
    return lambda info: info.update({key: value})


OUTSIDE: dict[str, tuple[Change, str]] = {
    "a camera at an absolute path": (camera("/tmp/camera"), "'/tmp/camera' is a path out of the dataset"),
    "a camera above": (camera("observation.images/../../../x"), "is a path out of the dataset"),
    "a camera above, as Windows writes it": (camera("..\\..\\x"), "is a path out of the dataset"),
    "a camera at home": (camera("~/x"), "is a path out of the dataset"),
    "a camera that writes to the terminal": (camera("\x1b[2Jx"), "is a path out of the dataset"),
    "tables elsewhere": (template("data_path", "/etc/{file_index:03d}"), "leads out of the dataset"),
    "tables above": (template("data_path", "data/../../{chunk_index:03d}"), "leads out of the dataset"),
    "a template that asks for more": (
        template("video_path", "{video_key.__class__.__init__}/{chunk_index}"), "asks for more than"
    ),
    "a template wide as memory": (
        template("video_path", "{video_key}/{chunk_index:09999999999d}"), "asks for more than"
    ),
    "a template of text": (template("data_path", "data/{chunk_index}"), "as numbers"),
    "splits that are a truth": (lambda info: info.update(splits=True), "splits True is no table"),
    "a rate beyond all": (lambda info: info.update(fps=10**400), "is no rate in Hz"),
    "a template that is none": (lambda info: info.update(data_path=["data"]), "is no template of paths"),
    "a template without end": (template("video_path", "{video_key"), "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_outside_of_the_folder_is_named(name: str, dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    change, said = OUTSIDE[name]
    edit_info(root, change)
    with pytest.raises(InputError) as error:
        load_meta(root)
    assert said in str(error.value)
    assert "info.json" in str(error.value)
    assert str(error.value).isprintable()


@settings(max_examples=100, derandomize=True)  # at random: tests/commands/test_fuzz.py
@given(data=st.data())
@pytest.mark.parametrize("name", ["info.json", "stats.json"])
def test_whatever_the_metadata_hold_there_is_an_answer(
    name: str, data: st.DataObject, recorded_dataset: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """They are read and everything is looked at, or they are refused in one line."""
    root = tmp_path_factory.mktemp("fuzz")
    for path in recorded_dataset.rglob("*"):
        target = root / path.relative_to(recorded_dataset)
        target.mkdir() if path.is_dir() else target.symlink_to(path)
    (root / "meta" / name).unlink()
    content = data.draw(damaged(json.loads((recorded_dataset / "meta" / name).read_text())))
    (root / "meta" / name).write_text(json.dumps(content))
    said: list[str] = []
    try:
        preflight(load_meta(root), progress=False)
    except InputError as error:
        said.append(str(error))
    assert not any("\n" in line for line in said)


@pytest.mark.parametrize("name", [".rabc", ".rabc/preflight"])
def test_a_link_of_the_dataset_leads_no_file_elsewhere(
    name: str, dataset_copy: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))
    root, elsewhere = dataset_copy(), tmp_path / "elsewhere"
    elsewhere.mkdir()
    (root / name).parent.mkdir(exist_ok=True)
    (root / name).symlink_to(elsewhere)
    preflight(load_meta(root), progress=False)
    assert not list(elsewhere.iterdir())
    assert list((tmp_path / "cache").rglob("*.json"))
