"""A configuration that would fill the memory is refused by what its weights hold."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from rabc.config.settings import Config
from rabc.datasets.metadata import load_meta
from rabc.pipeline.room import parameters
from rabc.policies.build import build_policy
from rabc.policies.settings import policy_settings
from rabc.policies.sizes import check_sizes
from rabc.policy_check.check import check_folder
from rabc.rollouts.play import load_policy
from rabc.system.errors import InputError
from tests.policies.test_build import ACT, DIFFUSION, saved

LARGE: dict[str, dict[str, Any]] = {
    "act": {"n_encoder_layers": 1000, "dim_model": 4096},
    "diffusion": {"down_dims": [2**20, 2**20]},
}


@pytest.mark.parametrize("kind", ["act", pytest.param("diffusion", marks=pytest.mark.slow)])
def test_what_the_weights_do_not_hold_is_not_built(kind: str, recorded_dataset: Path, tmp_path: Path) -> None:
    """Of 94 billion numbers for one, which no machine here has room for."""
    meta = load_meta(recorded_dataset)
    config = {"act": ACT, "diffusion": DIFFUSION}[kind]
    parts = build_policy(config, meta)
    good = saved(parts, recorded_dataset, tmp_path / "good")
    before = torch.random.get_rng_state()
    check_sizes("good", parts.policy.config, good / "model.safetensors")
    assert torch.equal(before, torch.random.get_rng_state())
    folder = shutil.copytree(good, tmp_path / "policy")
    content = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**content, **LARGE[kind]}))
    with pytest.raises(InputError, match=r"gives its network [\d,]+ numbers, and model.safetensors holds"):
        load_policy(folder)
    with pytest.raises(InputError, match="gives its network"):
        build_policy(replace(config, pretrained_path=str(folder)), meta)
    found = [
        finding for finding in check_folder(str(folder), str(recorded_dataset)) if finding.status == "FAIL"
    ]
    assert any("gives its network" in finding.text for finding in found)


def test_a_table_that_is_made_in_python_is_counted_before(recorded_dataset: Path, tmp_path: Path) -> None:
    long = replace(ACT, chunk_size=2**24, n_action_steps=1)
    settings = policy_settings(long, load_meta(recorded_dataset), "cpu")
    save_file({"weight": torch.zeros(9)}, tmp_path / "model.safetensors")
    with pytest.raises(
        InputError, match=r"gives its tables 536,870,912 numbers, and model.safetensors holds 9;"
    ):
        check_sizes("long", settings, tmp_path / "model.safetensors")


@pytest.mark.parametrize("header", [b"[]", b"[" * 100_000, b'{"a": 1}', b'{"a": {"shape": "x"}}'], ids=len)
def test_a_header_of_another_form_counts_nothing(header: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header)
    config = Config(policy=replace(ACT, pretrained_path=str(tmp_path)))
    assert parameters(config, None) is None
