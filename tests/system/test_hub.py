"""Hub datasets: where what is made from them is kept, and what LeRobot's refusals mean."""

from pathlib import Path

import pytest
from lerobot.datasets.utils import BackwardCompatibilityError, ForwardCompatibilityError
from packaging.version import Version

from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.source import refusal


def test_what_is_made_from_a_local_dataset_is_beside_it(tmp_path: Path) -> None:
    assert derived_folder(tmp_path) == tmp_path / ".rabc"


@pytest.mark.parametrize("given", [True, False])
def test_what_is_made_from_a_hub_dataset_is_in_the_users_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, given: bool
) -> None:
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "hub")
    monkeypatch.setenv("HOME", str(tmp_path))
    if given:
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    else:
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    cache = tmp_path / ("cache" if given else ".cache") / "rabc"
    one, other = (tmp_path / "hub" / "you" / name / "snapshots" / "abc" for name in ("pick", "place"))
    assert derived_folder(one).parent == derived_folder(other).parent == cache
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
