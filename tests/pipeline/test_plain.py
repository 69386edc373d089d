"""`rabc train --weights.scheme none`: plain behavior cloning asks for nothing that only weighting needs."""

import json
import runpy
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests.support import REPO
from tests.support.numbered import Recording, record_numbered

PLAIN = [
    "--weights.scheme", "none", "--scorer.model", "no/such/model", "--scorer.camera", "no_such_camera",
    "--demonstrations.simulate", "false", "--rollouts.episodes", "0", "--device", "cpu", "--run", "plain",
    "--policy.chunk_size", "15",
    "--policy.n_action_steps", "5",
    "--policy.dim_model", "32", "--policy.n_heads", "2", "--policy.dim_feedforward", "32",
    "--trainer.max_steps", "2", "--trainer.batch_size", "2", "--trainer.warmup_steps", "1",
]  # fmt: skip


@pytest.fixture
def train(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str, str]]:
    """Runs scripts/train.py in an empty folder; gives its exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))

    def run(*argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *PLAIN, *argv])
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPO / "scripts" / "train.py"), run_name="__main__")
        code = ended.value.code
        assert isinstance(code, int)
        return code, *capsys.readouterr()

    return run


def episodes_file(root: Path) -> Path:
    return next((root / "meta" / "episodes").rglob("*.parquet"))


def test_two_datasets_without_instructions_of_which_some_episodes_are_left_out(tmp_path: Path, train) -> None:
    one = record_numbered(tmp_path / "one", Recording(lengths=(20, 18, 22), tasks=("",)))
    record_numbered(tmp_path / "two", Recording(lengths=(21, 9), tasks=("Pick up the cube.",)))
    datasets = ["--dataset.path=[one,two]", "--dataset.exclude", "1"]
    code, out, err = train(*datasets)
    assert code == 0, err
    assert "not asked about the demonstrations: weights.scheme none" in out
    # An episode of 9 frames is shorter than a chunk of 15: padded, counted and said.
    assert "1 of 4 episodes" in out
    assert "shorter than a chunk of 15" in out
    weights = np.load("outputs/plain/weights.npy")
    expected = np.repeat([1.0, 0.0, 1.0, 1.0, 1.0], [20, 18, 22, 21, 9])
    np.testing.assert_array_equal(weights, expected)
    assert not list(Path().rglob("scores"))
    assert "scorer" not in Path("checkpoints/plain/pretrained_model/README.md").read_text().lower()
    # Another note on the episodes, here of their success, and another layout of a file are no other dataset.
    table = pd.read_parquet(episodes_file(one))
    table["success"] = [True, False, True]
    table.to_parquet(episodes_file(one))
    info = one / "meta" / "info.json"
    info.write_text(json.dumps(json.loads(info.read_text()), indent=1))
    before = torch.load(next(Path("outputs").rglob("*.ckpt")), weights_only=True)["global_step"]
    code, out, err = train(*datasets)
    assert code == 0, err
    assert out.count("done before") == 5
    assert torch.load(next(Path("outputs").rglob("*.ckpt")), weights_only=True)["global_step"] == before
    # Other episodes are another training.
    code, out, err = train("--dataset.path=[one,two]", "--dataset.episodes", "0:2", "--dry_run")
    assert code == 0, err
    assert [line.split()[:2] for line in out.splitlines() if line.startswith(("demonstr", "scores"))][:2] == [
        ["demonstrations", "done"], ["scores", "stale"]
    ]  # fmt: skip


def without_action(root: Path) -> None:
    info = root / "meta" / "info.json"
    info.write_text(info.read_text().replace('"action"', '"actions"'))
    table = next((root / "data").rglob("*.parquet"))
    pd.read_parquet(table).rename(columns={"action": "actions"}).to_parquet(table)
    statistics = root / "meta" / "stats.json"
    content = json.loads(statistics.read_text())
    content["actions"] = content.pop("action")
    statistics.write_text(json.dumps(content))


@pytest.mark.parametrize("dry", [["--dry_run"], []], ids=["dry", "real"])
def test_actions_under_another_name(tmp_path: Path, train, dry: list[str]) -> None:
    root = record_numbered(tmp_path / "other", Recording(lengths=(20, 18)))
    without_action(root)
    code, _, err = train("--dataset.path", "other", *dry)
    assert code == 2
    assert "has no `action` column but `actions`" in err
    rename = '{"actions": "action"}'
    assert f"--dataset.rename_map '{rename}'" in err
    code, out, err = train("--dataset.path", "other", "--dataset.rename_map", rename, "--dry_run")
    assert code == 0, err
    assert "could not be measured" not in out


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (["--dataset.episodes", "0,9"], "dataset.episodes 9: the dataset has episodes 0 to 1"),
        (["--dataset.exclude", "0:2"], "leave none of the 2 episodes"),
        (["--dataset.exclude", "1:x"], "no episode and no range"),
    ],
)
def test_episodes_that_cannot_be_chosen(tmp_path: Path, train, given: list[str], says: str) -> None:
    record_numbered(tmp_path / "one", Recording(lengths=(20, 18)))
    code, _, err = train("--dataset.path", "one", *given, "--dry_run")
    assert code == 2
    assert says in err
