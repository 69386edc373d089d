"""What is written whole or not at all."""

import multiprocessing
import os
import shutil
from multiprocessing.synchronize import Event
from pathlib import Path

import pytest

from rabc.system.atomic import remove_left, whole_file, whole_folder
from rabc.system.errors import InputError

FORKED = multiprocessing.get_context("fork")


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


def slow_file(path: Path, begun: Event, go_on: Event) -> None:
    with whole_file(path) as partial, partial.open("w") as file:
        file.write("first ")
        file.flush()
        begun.set()
        go_on.wait(30)
        file.write("first")


def slow_folder(folder: Path, begun: Event, go_on: Event) -> None:
    with whole_folder(folder) as partial:
        (partial / "weights").write_text("first")
        begun.set()
        go_on.wait(30)
        (partial / "more").write_text("first")


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_two_processes_that_write_the_same_do_not_meet(tmp_path: Path, kind: str) -> None:
    place, begun, go_on = tmp_path / "made", FORKED.Event(), FORKED.Event()
    other = FORKED.Process(
        target={"file": slow_file, "folder": slow_folder}[kind], args=(place, begun, go_on)
    )
    other.start()
    assert begun.wait(30)
    if kind == "file":
        with whole_file(place) as partial:
            partial.write_text("second second")
        assert place.read_text() == "second second"
    else:
        write(place)
        assert os.listdir(place) == ["weights"]
    go_on.set()
    other.join(30)
    assert other.exitcode == 0
    if kind == "file":
        assert place.read_text() == "first first"
    else:
        assert {item.name: item.read_text() for item in place.iterdir()} == dict.fromkeys(
            ("weights", "more"), "first"
        )
    assert os.listdir(tmp_path) == ["made"]


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(
    tmp_path: Path, kind: str
) -> None:
    begun, never = FORKED.Event(), FORKED.Event()
    work = {"file": slow_file, "folder": slow_folder}[kind]
    other = FORKED.Process(target=work, args=(tmp_path / "made", begun, never))
    other.start()
    assert begun.wait(30)
    remove_left(tmp_path)
    (left,) = tmp_path.iterdir()
    other.kill()
    other.join(30)
    with whole_file(tmp_path / "another") as partial:
        partial.touch()
    assert left.exists()
    (tmp_path / ".partial.third").touch()  # as earlier releases named it
    remove_left(tmp_path)
    assert os.listdir(tmp_path) == ["another"]
    remove_left(tmp_path / "not there yet")


def test_another_process_that_was_given_the_number_of_the_writer_is_not_taken_for_it(tmp_path: Path) -> None:
    begun, never = FORKED.Event(), FORKED.Event()
    other = FORKED.Process(target=slow_file, args=(tmp_path / "made", begun, never))
    other.start()
    assert begun.wait(30)
    try:
        (living,) = tmp_path.iterdir()
        head, _, tail = living.name.rpartition(".")
        writer, _, beginning = head.rpartition("-")
        assert writer.split("-")[1] == str(other.pid)
        earlier = living.with_name(f"{writer}-{int(beginning) - 1}.{tail}")
        earlier.touch()
        remove_left(tmp_path)
        assert list(tmp_path.iterdir()) == [living]
    finally:
        other.kill()
        other.join(30)


def cleaned_in_a_container(folder: Path) -> None:
    """Ends with 0 when a process with numbers of its own, as in a container of the same name, has cleaned."""
    try:
        os.unshare(os.CLONE_NEWUSER | os.CLONE_NEWPID)
    except OSError:
        os._exit(99)
    child = os.fork()
    if child == 0:
        assert os.getpid() == 1
        remove_left(folder)
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


@pytest.mark.skipif(not hasattr(os, "unshare"), reason="needs Linux")
def test_a_container_of_the_same_name_leaves_what_is_written_outside_of_it(tmp_path: Path) -> None:
    begun, never = FORKED.Event(), FORKED.Event()
    other = FORKED.Process(target=slow_file, args=(tmp_path / "made", begun, never))
    other.start()
    assert begun.wait(30)
    try:
        before = os.listdir(tmp_path)
        container = FORKED.Process(target=cleaned_in_a_container, args=(tmp_path,))
        container.start()
        container.join(30)
        if container.exitcode == 99:
            pytest.skip("needs the right to make namespaces")
        assert container.exitcode == 0
        assert os.listdir(tmp_path) == before
    finally:
        other.kill()
        other.join(30)


def test_another_machines_partial_is_left_for_a_day(tmp_path: Path) -> None:
    left = tmp_path / ".partial.000000-1-1.figures.json"
    left.touch()
    with whole_file(tmp_path / "figures.json") as partial:
        partial.touch()
    assert left.exists()
    os.utime(left, (0, 0))
    remove_left(tmp_path)
    assert os.listdir(tmp_path) == ["figures.json"]


@pytest.mark.parametrize("name", ["a" * 250 + ".json", "ä" * 120 + ".json"])
def test_a_name_may_be_as_long_as_the_file_system_allows(tmp_path: Path, name: str) -> None:
    with whole_file(tmp_path / name) as partial:
        partial.write_text("whole")
        assert partial.suffix == ".json"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["whole"]
    with pytest.raises(InputError, match=r"File name too long\); choose a shorter name"):  # noqa: SIM117
        with whole_file(tmp_path / f"{name}{'a' * 20}"):
            raise AssertionError("the work has begun")


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
