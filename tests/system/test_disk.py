"""What no place of the program knew better: a full or broken disk, a share that is gone."""

import errno
import os
from pathlib import Path

import pytest

from rabc.config import cli
from rabc.system.errors import InputError


def ended(error: OSError, capsys: pytest.CaptureFixture[str]) -> str:
    """The line that a command leaves in which `error` was raised."""

    def main(_: object) -> None:
        raise error

    with pytest.raises(SystemExit) as left:
        cli.run(main, [])
    assert left.value.code == 2
    return capsys.readouterr().err


@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "No space left on device; make room, then run the same command again"),
        (errno.EROFS, "Read-only file system; make it writable or work in another folder, then run the same"),
        (errno.EIO, "Input/output error; see whether the disk or the network share is well, then run"),
        (errno.ESTALE, "Stale file handle; mount the network share anew, then run the same command again"),
        (errno.ENAMETOOLONG, "File name too long; give a shorter name"),
        (
            errno.EACCES,
            "Permission denied; mend the permissions or work in another folder, then run the same",
        ),
    ],
)
def test_it_is_one_line_with_the_path_and_a_remedy(
    number: int, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    said = ended(OSError(number, os.strerror(number), "outputs/a\nrun"), capsys)
    assert said.startswith(rf"error: path outputs/a\nrun: {line}")
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("number", "replaced"), [(errno.ESTALE, True), (errno.EIO, True), (errno.EACCES, False)]
)
def test_a_remedy_that_does_not_help_is_not_given(
    number: int, replaced: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    """A table on a share that is gone is not damaged: to download it again helps nobody."""

    def main(_: object) -> None:
        try:
            raise OSError(number, os.strerror(number), "data/arm/meta/info.json")
        except OSError as error:
            raise InputError("dataset data/arm: cannot be read; download it again") from error

    with pytest.raises(SystemExit) as left:
        cli.run(main, [])
    said = capsys.readouterr().err
    assert left.value.code == 2
    assert said.startswith("error: path data/arm/meta/info.json: ") == replaced
    assert ("download it again" in said) != replaced


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_write_names_no_path_and_is_told_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(OSError, match="No space") as full:
        Path("/dev/full").write_text("x")
    assert ended(full.value, capsys).startswith("error: disk: No space left on device; make room")


def test_what_says_nothing_of_a_disk_keeps_its_traceback() -> None:
    def missing(_: object) -> None:
        Path("no/such/file").read_text()

    def disconnected(_: object) -> None:
        raise OSError(errno.ENOTCONN, "not connected")

    with pytest.raises(FileNotFoundError):
        cli.run(missing, [])
    with pytest.raises(OSError, match="not connected"):
        cli.run(disconnected, [])
