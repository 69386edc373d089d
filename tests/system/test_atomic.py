"""What is written whole or not at all."""

import os
import shutil
from pathlib import Path

import pytest

from rabc.system.atomic import whole_file, whole_folder
from rabc.system.errors import InputError


def test_a_file_appears_when_it_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "new" / "figures.json"
    with whole_file(path) as partial:
        partial.write_text("half")
        assert not path.exists()
    assert path.read_text() == "half"
    assert os.listdir(path.parent) == ["figures.json"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "figures.json"
    path.write_text("old")

    def interrupted() -> None:
        with whole_file(path) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["figures.json"]


def test_an_unwritable_place_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"file .*file/figures\.json: cannot be written"):  # noqa: SIM117
        with whole_file(tmp_path / "file" / "figures.json") as partial:
            partial.write_text("")
    with pytest.raises(InputError, match=r"folder .*file/policy: cannot be written"):  # noqa: SIM117
        with whole_folder(tmp_path / "file" / "policy"):
            pass
    assert os.listdir(tmp_path) == ["file"]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    folder = tmp_path / "policy"
    folder.mkdir()
    (folder / "weights").write_text("old")
    return folder


def write(folder: Path) -> None:
    with whole_folder(folder) as partial:
        (partial / "weights").write_text("new")


def test_a_folder_is_replaced_and_what_kills_left_is_removed(policy: Path) -> None:
    for left in (".partial.policy", ".old.policy"):
        (policy.parent / left).mkdir()
        (policy.parent / left / "left").write_text("")
    write(policy)
    assert (policy / "weights").read_text() == "new"
    assert os.listdir(policy.parent) == ["policy"]
    assert os.listdir(policy) == ["weights"]


def test_the_old_folder_comes_back_where_the_new_one_cannot_take_its_place(policy: Path) -> None:
    with pytest.raises(InputError, match="cannot be written"):  # noqa: SIM117
        with whole_folder(policy) as partial:
            shutil.rmtree(partial)  # so that the second rename fails
    assert (policy / "weights").read_text() == "old"
    assert os.listdir(policy.parent) == ["policy"]


def test_killed_between_the_two_renames(policy: Path) -> None:
    policy.rename(policy.parent / ".old.policy")

    def interrupted() -> None:
        with whole_folder(policy):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert (policy / "weights").read_text() == "old"
    assert os.listdir(policy.parent) == ["policy"]
