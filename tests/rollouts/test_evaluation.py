"""Kept rollouts: read back, torn and damaged files, videos that are missing."""

import json
from dataclasses import asdict
from pathlib import Path

import pytest

from rabc.config.settings import RolloutsConfig
from rabc.rollouts.evaluation import ScoredRollout, read_rollouts, unfilmed
from rabc.sim import seeds
from rabc.system.errors import InputError

ROLLOUTS = [ScoredRollout(seed, seed == 7, 30, 0.02, -1.5, (1, 3), (-2.0, -1.0)) for seed in (7, 8)]


def keep(file: Path) -> None:
    file.write_text("".join(json.dumps(asdict(rollout)) + "\n" for rollout in ROLLOUTS))


def test_rollouts_come_back(tmp_path: Path) -> None:
    file = tmp_path / "rollouts.jsonl"
    assert read_rollouts(file) == {}
    keep(file)
    assert read_rollouts(file) == {rollout.seed: rollout for rollout in ROLLOUTS}


def test_a_torn_last_line_is_dropped(tmp_path: Path) -> None:
    file = tmp_path / "rollouts.jsonl"
    keep(file)
    file.write_bytes(file.read_bytes()[:-5])
    assert list(read_rollouts(file)) == [7]
    assert file.read_bytes().endswith(b"\n")


@pytest.mark.parametrize("line", ["{", "[]", '{"seed": 7}'])
def test_a_damaged_line_is_named(tmp_path: Path, line: str) -> None:
    file = tmp_path / "rollouts.jsonl"
    keep(file)
    file.write_text(line + "\n" + file.read_text())
    with pytest.raises(InputError, match=r"rollouts\.jsonl: line 1 is damaged"):
        read_rollouts(file)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_rollouts(tmp_path)


def test_which_rollouts_have_no_video(tmp_path: Path) -> None:
    first = seeds.ROLLOUTS + 5
    (tmp_path / f"rollout-{first}-lifted.mp4").write_text("")
    (tmp_path / f".partial.rollout-{first + 1}-failed.mp4").write_text("half")
    settings = RolloutsConfig(episodes=3, first_seed=5, videos=10)
    assert unfilmed(settings, tmp_path) == [first + 1, first + 2]
    assert unfilmed(RolloutsConfig(episodes=3, first_seed=5, videos=1), tmp_path) == []
    assert unfilmed(RolloutsConfig(episodes=3, first_seed=5, videos=0), tmp_path) == []
