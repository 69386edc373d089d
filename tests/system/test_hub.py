"""Hub datasets: where what is made from them is kept, and what LeRobot's refusals mean."""

from pathlib import Path

import pytest
from lerobot.datasets.utils import BackwardCompatibilityError, ForwardCompatibilityError
from packaging.version import Version

from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.source import refusal


@pytest.mark.parametrize(
    ("given", "cache"),
    [
        ({}, ".cache/rabc"),
        ({"XDG_CACHE_HOME": "{home}/fast"}, "fast/rabc"),
        ({"XDG_CACHE_HOME": "{home}/fast", "RABC_CACHE": "~/mine"}, "mine"),
    ],
)
def test_what_is_made_from_a_dataset_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: dict[str, str], cache: str
) -> None:
    """Also of datasets of one name, as the snapshots of the hub are."""
    for name in ("XDG_CACHE_HOME", "RABC_CACHE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, text in given.items():
        monkeypatch.setenv(name, text.format(home=tmp_path))
    one, other = (tmp_path / "hub" / "you" / name / "snapshots" / "abc" for name in ("pick", "place"))
    assert derived_folder(one).parent == derived_folder(other).parent == tmp_path / cache
    assert derived_folder(one) != derived_folder(other)


def before_2_1() -> Exception:
    try:
        raise BackwardCompatibilityError("you/pick", Version("2.0"))
    except NotImplementedError as error:
        return error


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            BackwardCompatibilityError("you/pick", Version("2.1")),
            ["format 2.1", "convert_dataset_v21_to_v30 --repo-id=you/pick"],
        ),
        (before_2_1(), ["before 2.1", "convert_dataset_v21_to_v30 --repo-id=you/pick"]),
        (ForwardCompatibilityError("you/pick", Version("4.0")), ["newer format", "update lerobot"]),
        (RuntimeError("\nYour dataset must be tagged\n..."), ["must be tagged", "dataset.revision"]),
        (OSError("offline"), ["offline", "hub id"]),
    ],
)
def test_what_lerobot_refuses_is_one_line_with_a_remedy(error: Exception, words: list[str]) -> None:
    message = str(refusal("you/pick", error))
    assert message.startswith("dataset.path you/pick: ")
    assert "\n" not in message
    assert all(word in message for word in words)
