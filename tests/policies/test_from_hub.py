"""A policy of the hub is looked at before LeRobot reads it, as a folder is."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from rabc.datasets.metadata import load_meta
from rabc.policies.build import build_policy
from rabc.policies.settings import policy_settings
from rabc.system.errors import InputError
from tests.policies.test_build import ACT, saved
from tests.support.hub import serving


@pytest.fixture
def pushed(recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What is on the hub; the cache is empty."""
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "cache"))
    good = saved(build_policy(ACT, load_meta(recorded_dataset)), recorded_dataset, tmp_path / "policy")
    return shutil.move(good, tmp_path / "pushed")


def test_a_good_one_is_trained_on_from(pushed: Path, recorded_dataset: Path) -> None:
    meta = load_meta(recorded_dataset)
    with serving({}, {"you/policy": {"main": pushed}}):
        parts = build_policy(replace(ACT, pretrained_path="you/policy"), meta)
    from safetensors.torch import load_file

    held = load_file(pushed / "model.safetensors")
    assert all(torch.equal(value, held[name]) for name, value in parts.policy.state_dict().items())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"type": "groot"}, "type 'groot' is none of"),
        ({"vlm_model_name": "somebody/else"}, "vlm_model_name 'somebody/else'"),
        ({"n_encoder_layers": 10**6}, "may be no more than 1000"),
    ],
)
def test_a_planted_one_is_not_read_by_lerobot(
    change: dict[str, object],
    said: str,
    pushed: Path,
    recorded_dataset: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    content = json.loads((pushed / "config.json").read_text())
    (pushed / "config.json").write_text(json.dumps({**content, **change}))
    read: list[Callable[..., object]] = []
    monkeypatch.setattr("lerobot.configs.PreTrainedConfig.from_pretrained", read.append)
    with serving({}, {"you/policy": {"main": pushed}}), pytest.raises(InputError) as error:
        policy_settings(replace(ACT, pretrained_path="you/policy"), load_meta(recorded_dataset), "cpu")
    assert str(error.value).startswith("policy you/policy: config.json: ")
    assert said in str(error.value)
    assert not read


def test_one_that_asks_for_more_than_its_weights_hold(pushed: Path, recorded_dataset: Path) -> None:
    content = json.loads((pushed / "config.json").read_text())
    (pushed / "config.json").write_text(json.dumps({**content, "n_encoder_layers": 1000, "dim_model": 4096}))
    with serving({}, {"you/policy": {"main": pushed}}), pytest.raises(InputError, match="gives its network"):
        build_policy(replace(ACT, pretrained_path="you/policy"), load_meta(recorded_dataset))
