"""Exports prove themselves, hold the weights that were asked for, and are there whole or not at all."""

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.configs.train import TrainPipelineConfig
from safetensors.torch import load_file

from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.metadata import load_meta
from rabc.export.folder import export, lerobot_train_config, write_policy
from rabc.export.proof import proof_frames
from rabc.pipeline.export import export_checkpoint, known_results
from rabc.policies.build import build_policy
from rabc.system.errors import CheckFailed, InputError
from rabc.training.checkpoint_policy import checkpoint_parts, find_checkpoint, trained_config
from rabc.training.run import train
from tests.support import REPO
from tests.support.training_runs import WEIGHTS, tiny, with_resnet18

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def run(recorded_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Config]:
    """A folder with a training in its `outputs`, and the run's configuration. Its weights were averaged."""
    folder = tmp_path_factory.mktemp("run")
    config = dataclasses.replace(
        with_resnet18(tiny(ema_decay=0.9)), run="small", dataset=DatasetConfig(str(recorded_dataset))
    )
    train(config, recorded_dataset, WEIGHTS, folder / "outputs" / "small" / "training-0123456789ab")
    return folder, config


@pytest.mark.slow
def test_a_checkpoint_becomes_a_folder(run: tuple[Path, Config], tmp_path: Path) -> None:
    """By the script, in a process of its own, from the run's only training."""
    folder, config = run
    (tmp_path / "small.yaml").write_text(
        f"run: small\ndataset: {{path: {config.dataset.path}}}\ndevice: cpu\n"
    )
    (tmp_path / "outputs").symlink_to(folder / "outputs")
    done = subprocess.run(
        [sys.executable, str(REPO / "scripts" / "export.py"), "--config", "small.yaml", "--license", "mit"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "LeRobot alone gives the same 120 joint targets on 4 dataset frames" in done.stdout
    policy = tmp_path / "checkpoints" / "small" / "step=4" / "pretrained_model"
    assert os.listdir(policy.parent) == ["pretrained_model"]
    state = torch.load(next(folder.rglob("step=4.ckpt")), weights_only=True)
    weights = load_file(policy / "model.safetensors")
    name = "model.action_head.weight"
    assert torch.equal(weights[name], state["state_dict"][f"policy.{name}"])
    assert not torch.equal(weights[name], state["current_model_state"][f"policy.{name}"])
    assert json.loads((policy / "train_config.json").read_text())["policy"]["chunk_size"] == 5
    card = (policy / "README.md").read_text()
    for words in (
        "license: mit",
        "4 episodes, 50 frames at 10 Hz",
        "4 steps of 4 samples",
        "the average of its",
    ):
        assert words in card, card
    assert "Scorer and weights: not known" in card
    assert "the card says nothing of scorer and weights" in done.stdout


def test_which_weights(run: tuple[Path, Config]) -> None:
    folder, config = run
    checkpoint = find_checkpoint(next(folder.rglob("identity.json")).parent)
    assert checkpoint.step == 4
    trained, meta = trained_config(config, checkpoint), load_meta(Path(config.dataset.path))
    state = torch.load(checkpoint.path, weights_only=True)
    name = "model.action_head.weight"
    for which, key in (("auto", "state_dict"), ("ema", "state_dict"), ("live", "current_model_state")):
        parts, words = checkpoint_parts(trained, meta, checkpoint, which)
        assert torch.equal(parts.policy.state_dict()[name], state[key][f"policy.{name}"])
        assert ("average" in words) == (which != "live")
        # As stock LeRobot: the layers that were trained live are frozen again.
        assert not any(isinstance(layer, torch.nn.BatchNorm2d) for layer in parts.policy.modules())


def test_the_policy_is_that_of_the_checkpoint_whatever_the_configuration_says(
    run: tuple[Path, Config],
) -> None:
    folder, config = run
    checkpoint = find_checkpoint(next(folder.rglob("step=2.ckpt")))
    other = dataclasses.replace(config, policy=dataclasses.replace(config.policy, dim_model=64), seed=5)
    assert trained_config(other, checkpoint).policy == config.policy
    assert known_results(other, checkpoint, "auto") == {}


@pytest.mark.slow
def test_diffusion_with_given_noise_and_a_resize(recorded_dataset: Path, tmp_path: Path) -> None:
    meta = load_meta(recorded_dataset)
    config = tiny("diffusion")
    small = dataclasses.replace(
        with_resnet18(config).policy, resize_shape=[24, 28], noise_scheduler_type="DDPM"
    )
    parts = build_policy(small, meta).for_robot()
    record = lerobot_train_config(config, meta, parts.policy)
    proof = export(parts, tmp_path / "policy", record, proof_frames(meta, parts), "a card")
    assert proof.actions == 4 * 4 * 6
    assert proof.largest_difference <= 1e-6
    assert (tmp_path / "policy" / "README.md").read_text() == "a card"


@pytest.mark.parametrize("backbone", [None, "ResNet18_Weights.IMAGENET1K_V1"])
def test_the_training_is_told_in_lerobots_words(
    backbone: str | None, recorded_dataset: Path, tmp_path: Path
) -> None:
    """Of ImageNet's statistics are the pictures of a backbone that was trained on ImageNet, and no others."""
    meta, config = load_meta(recorded_dataset), tiny()
    trainer = dataclasses.replace(
        config.trainer, batch_size=3, max_steps=17, log_every=5, checkpoint_every=7, lr=3e-4,
        weight_decay=0.02, gradient_clip_norm=2.5, warmup_steps=6,
    )  # fmt: skip
    parts = build_policy(config.policy, meta)
    config = dataclasses.replace(
        config, trainer=trainer, run="told", seed=11, dataset=DatasetConfig(str(recorded_dataset), "v3.0"),
        policy=dataclasses.replace(config.policy, pretrained_backbone_weights=backbone),
    )  # fmt: skip
    folder = write_policy(parts, tmp_path / "policy", lerobot_train_config(config, meta, parts.policy))
    told: Any = TrainPipelineConfig.from_pretrained(folder)
    assert told.dataset.use_imagenet_stats == (backbone is not None)
    assert (told.dataset.repo_id, told.dataset.revision) == (meta.repo_id, "v3.0")
    assert (told.batch_size, told.steps, told.log_freq, told.save_freq) == (3, 17, 5, 7)
    assert (told.job_name, told.seed, told.use_policy_training_preset) == ("told", 11, False)
    optimizer, schedule = told.optimizer, told.scheduler
    assert (optimizer.lr, optimizer.weight_decay, optimizer.grad_clip_norm) == (3e-4, 0.02, 2.5)
    assert schedule.num_warmup_steps == 6


@pytest.mark.parametrize("damage", ["another function", "another weight"])
def test_an_export_that_acts_otherwise_leaves_nothing(
    damage: str, recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    meta, config = load_meta(recorded_dataset), with_resnet18(tiny())
    parts = build_policy(config.policy, meta).for_robot()
    policy: Any = parts.policy
    if damage == "another function":  # which is not saved
        policy.model.register_forward_hook(lambda _, __, out: (out[0] * 1.001, out[1]))
    else:  # a policy that loses a weight when it is saved
        state = {k: v for k, v in policy.state_dict().items() if k != "model.action_head.bias"}
        monkeypatch.setattr(policy, "state_dict", lambda *_, **__: state)
    record, folder = lerobot_train_config(config, meta, policy), tmp_path / "policy"
    words = (
        "acts otherwise .* by up to"
        if damage == "another function"
        else "cannot run the policy .*action_head"
    )
    with pytest.raises(CheckFailed, match=words):
        export(parts, folder, record, proof_frames(meta, parts))
    assert os.listdir(tmp_path) == []


def test_what_cannot_be_exported(
    run: tuple[Path, Config], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = run
    monkeypatch.chdir(folder)
    training = next(folder.rglob("identity.json")).parent
    things = tmp_path / "things"
    things.mkdir()
    (things / "letter.txt").write_text("dear")
    alone = tmp_path / "training-1" / "checkpoints"
    alone.mkdir(parents=True)
    (alone / "step=2.ckpt").write_bytes((training / "checkpoints" / "step=2.ckpt").read_bytes())

    def message(given: Path | None = training, **changes: Any) -> str:
        options = {"which": "auto", "output": None, "license_id": "mit", "push": None, **changes}
        with pytest.raises(InputError) as caught:
            export_checkpoint(options.pop("config", config), given and str(given), **options)
        return str(caught.value)

    assert "is there and is no policy folder" in message(output=str(things))
    assert "is no repository of the hub; give owner/name" in message(push="pick")
    assert "no such file or folder" in message(tmp_path / "nothing.ckpt")
    assert "identity.json says what it is of, and cannot be read" in message(alone)
    (alone.parent / "identity.json").write_text(
        (training / "identity.json").read_text().replace("dim_model", "dim")
    )
    assert "policy.dim of its training is unknown here" in message(alone)
    (alone.parent / "identity.json").write_text((training / "identity.json").read_text())
    (alone / "step=2.ckpt").write_bytes(b"no checkpoint")
    assert "cannot be read" in message(alone / "step=2.ckpt")
    (alone / "step=2.ckpt").unlink()
    assert "no step=<steps>.ckpt in there" in message(alone)
    other = dataclasses.replace(config, run="other")
    assert "trainings with checkpoints in outputs/other: none" in message(None, config=other)
    assert (things / "letter.txt").read_text() == "dear"
    assert not (folder / "checkpoints").exists()


def test_another_dataset_is_refused(
    run: tuple[Path, Config], recorded_pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, config = run
    monkeypatch.chdir(folder)
    other = dataclasses.replace(config, dataset=DatasetConfig(str(recorded_pictures)))
    with pytest.raises(InputError, match=r"is not the one that .* was trained on"):
        export_checkpoint(other, None, "auto", None, "mit", None)


def test_an_average_that_is_not_there(recorded_dataset: Path, tmp_path: Path) -> None:
    config = dataclasses.replace(tiny(max_steps=2), dataset=DatasetConfig(str(recorded_dataset)))
    train(config, recorded_dataset, np.ones(50), tmp_path)
    checkpoint, meta = find_checkpoint(tmp_path), load_meta(recorded_dataset)
    with pytest.raises(InputError, match="holds no average of the weights"):
        checkpoint_parts(config, meta, checkpoint, "ema")
    state = torch.load(checkpoint.path, weights_only=True)
    state["state_dict"]["policy.model.action_head.bias"][0] = torch.inf
    torch.save(state, checkpoint.path)
    with pytest.raises(InputError, match=r"weight policy.model.action_head.bias is not finite"):
        checkpoint_parts(config, meta, checkpoint)


@pytest.mark.slow
def test_killed_at_any_moment_the_folder_is_whole_or_absent(recorded_dataset: Path, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, str(HERE / "killed_export.py"), str(recorded_dataset), str(tmp_path / "killed")],
        capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(REPO)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    outcome = json.loads(done.stdout.splitlines()[-1])
    assert min(outcome["operations"]) > 10
    found = {
        kind: {name for was, name, *_ in outcome["outcomes"] if was == kind} for kind in ("new", "replaced")
    }
    assert found["new"] == {"absent", "new"}
    assert found["replaced"] == {"old", "absent", "new"}  # absent between two renames, and brought back
    assert all(len(row) == 2 for row in outcome["outcomes"]), "something was left behind"
    assert outcome["proving"] == ["absent", "absent"]
