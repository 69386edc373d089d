"""A fine-tuning depends on what the policy that it starts from holds, not on that one's name alone."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rabc.config.settings import Config
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.export.folder import lerobot_train_config, write_policy
from rabc.pipeline.checks import check_beforehand
from rabc.pipeline.state import inputs
from rabc.policies.build import build_policy, stock_policy
from rabc.policies.start import start_content
from rabc.system.errors import InputError
from rabc.system.stages import key
from rabc.training.identity import claim, identity
from tests.support.training_runs import tiny

RESULTS = {"demonstrations": {"content": "d"}, "weights": {"content": "w"}, "training": {"content": "t"}}
ACT = PolicyConfig(
    chunk_size=5, n_action_steps=5, dim_model=32, n_heads=4, dim_feedforward=64, n_encoder_layers=1
)


@pytest.fixture
def folder(recorded_dataset: Path, tmp_path: Path) -> Path:
    """A policy folder to start from."""
    meta = load_meta(recorded_dataset)
    parts = build_policy(ACT, meta)
    stock = replace(parts, policy=stock_policy(parts.policy))
    return write_policy(stock, tmp_path / "first", lerobot_train_config(Config(), meta, stock.policy))


def from_(path: Path | str) -> Config:
    return replace(tiny(), policy=PolicyConfig(pretrained_path=str(path), chunk_size=5, n_action_steps=3))


def train_on(weights: Path) -> None:
    """What another training into the same folder changes: numbers, with the same names and sizes."""
    tensors = load_file(weights)
    tensors["model.action_head.bias"] += 1
    save_file(tensors, weights)


def test_other_weights_under_the_same_name_are_another_training(folder: Path, tmp_path: Path) -> None:
    config, ones = from_(folder), np.ones(10)
    before = {stage: inputs(config, stage, RESULTS) for stage in ("weights", "training", "rollouts")}
    claim(tmp_path / "training", identity(config, "d", None, ones, "cpu"))
    claim(tmp_path / "training", identity(config, "d", None, ones, "cpu"))
    train_on(folder / "model.safetensors")
    after = {stage: inputs(config, stage, RESULTS) for stage in before}
    assert [stage for stage in before if key(before[stage]) != key(after[stage])] == ["training", "rollouts"]
    with pytest.raises(InputError, match="holds a training with other pretrained_content"):
        claim(tmp_path / "training", identity(config, "d", None, ones, "cpu"))


def test_another_card_is_the_same_policy_and_other_settings_are_not(folder: Path) -> None:
    before = start_content(str(folder))
    (folder / "README.md").write_text("a card\n")
    assert start_content(str(folder)) == before
    config = folder / "config.json"
    config.write_text(config.read_text().replace('"dropout": 0.1', '"dropout": 0.2'))
    assert start_content(str(folder)) != before


def test_from_scratch_nothing_is_added() -> None:
    """So that the folders of trainings from before are found again."""
    assert start_content(None) is None
    assert "policy.pretrained_content" not in inputs(Config(), "training", RESULTS)
    assert "pretrained_content" not in identity(Config(), "d", None, np.ones(1), "cpu")


def test_a_hub_policy_is_known_by_its_commit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / "hub"
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(cache))
    assert start_content("you/pick") == "you/pick@main"
    home = cache / "models--you--pick"
    seen: list[str | None] = []
    for commit in ("a" * 40, "b" * 40):
        snapshot = home / "snapshots" / commit
        snapshot.parent.mkdir(parents=True, exist_ok=True)
        snapshot.symlink_to(folder, target_is_directory=True)
        (home / "refs").mkdir(exist_ok=True)
        (home / "refs" / "main").write_text(commit)
        seen.append(start_content("you/pick"))
    assert seen == [f"you/pick@{'a' * 40}", f"you/pick@{'b' * 40}"]


def test_a_run_does_not_start_from_what_it_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every start of it would be another training, of what the one before has left."""
    monkeypatch.chdir(tmp_path)
    for path in (
        "checkpoints/tuned/pretrained_model",
        tmp_path / "checkpoints" / "tuned" / "pretrained_model",
    ):
        with pytest.raises(
            InputError, match=r"^policy\.pretrained_path .*: is where run tuned leaves its own"
        ):
            check_beforehand(replace(from_(path), run="tuned"))


def test_a_path_that_is_gone_is_no_hub_policy(tmp_path: Path) -> None:
    assert start_content(str(tmp_path / "gone")) == f"{tmp_path}/gone@main"


def test_training_starts_from_the_weights_that_were_hashed(folder: Path, recorded_dataset: Path) -> None:
    train_on(folder / "model.safetensors")
    built = build_policy(from_(folder).policy, load_meta(recorded_dataset)).policy
    assert torch.equal(
        built.state_dict()["model.action_head.bias"],
        load_file(folder / "model.safetensors")["model.action_head.bias"],
    )
