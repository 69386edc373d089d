"""Training on the small dataset with the real ACT policy: parity, resume, export."""

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.configs.train import TrainPipelineConfig
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.factory import make_pre_post_processors
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rabc.config.settings import DatasetConfig
from rabc.config.training_settings import TrainerConfig
from rabc.datasets.frames import cached_frames
from rabc.datasets.metadata import load_meta
from rabc.datasets.source import open_dataset
from rabc.datasets.tables import read_frames
from rabc.export.folder import export, lerobot_train_config, write_policy
from rabc.export.proof import proof_frames
from rabc.policies.build import build_policy
from rabc.system.device import resolve_precision
from rabc.system.errors import InputError
from rabc.training.checkpoints import last_good_checkpoint
from rabc.training.data import ChunkDataset
from rabc.training.identity import identity
from rabc.training.module import WeightedPolicy
from rabc.training.optimizers import learning_rate_factor
from rabc.training.order import BatchOrder, frames_of
from rabc.training.run import train
from rabc.training.windows import Windows
from tests.support import forked
from tests.support.closeness import assert_close
from tests.support.training_runs import (
    ELEMENTS,
    FRAMES,
    LONG_STRETCHES,
    WEIGHTS,
    assert_same_training,
    scalars,
    tiny,
    with_resnet18,
)

CONFIG = tiny()
TINY = CONFIG.policy


@pytest.fixture(scope="module")
def finished(recorded_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a training that ran its four steps without interruption."""
    folder = tmp_path_factory.mktemp("finished")
    train(CONFIG, recorded_dataset, WEIGHTS, folder)
    return folder


def load(folder: Path, step: int) -> dict[str, Any]:
    return torch.load(folder / "checkpoints" / f"step={step}.ckpt", weights_only=True)


def test_two_steps_and_two_resumed_are_four(finished: Path, recorded_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "checkpoints").mkdir()
    shutil.copy(finished / "checkpoints/step=2.ckpt", tmp_path / "checkpoints")
    result = train(CONFIG, recorded_dataset, WEIGHTS, tmp_path)
    assert result.steps == 4
    assert_same_training(load(tmp_path, 4), load(finished, 4))
    # The weights are in TensorBoard once; the first session, which is not here, has written them.
    assert EventAccumulator(str(tmp_path / "tensorboard")).Reload().Tags()["histograms"] == []


@pytest.mark.parametrize("apply", ["ticks", "cuts"])
@pytest.mark.parametrize("policy", ["act", "diffusion"])
def test_with_weights_of_actions_too(policy: str, apply: str, recorded_dataset: Path, tmp_path: Path) -> None:
    """Two steps and two resumed are four, which are not those of the weights of samples."""
    config = tiny(policy, apply)
    train(config, recorded_dataset, LONG_STRETCHES, tmp_path / "whole")
    (tmp_path / "resumed" / "checkpoints").mkdir(parents=True)
    shutil.copy(tmp_path / "whole/checkpoints/step=2.ckpt", tmp_path / "resumed" / "checkpoints")
    train(config, recorded_dataset, LONG_STRETCHES, tmp_path / "resumed")
    assert_same_training(load(tmp_path / "resumed", 4), load(tmp_path / "whole", 4))
    train(tiny(policy), recorded_dataset, LONG_STRETCHES, tmp_path / "samples")
    with pytest.raises(AssertionError):
        assert_same_training(load(tmp_path / "samples", 4), load(tmp_path / "whole", 4))


@pytest.mark.parametrize("apply", ["ticks", "cuts"])
def test_equal_weights_of_actions_are_plain_to_the_last_bit(
    apply: str, recorded_dataset: Path, tmp_path: Path
) -> None:
    for name in ("loss", apply):
        train(tiny("act", name), recorded_dataset, np.ones(FRAMES), tmp_path / name)
    assert_same_training(load(tmp_path / apply, 4), load(tmp_path / "loss", 4))


def test_cuts_that_leave_nothing_to_draw(recorded_dataset: Path, tmp_path: Path) -> None:
    short = np.resize([1.0, 1.0, 1.0, 0.0], FRAMES)
    with pytest.raises(InputError, match=r"^weights.apply cuts: no stretch .* than the 3 frames .*ticks or"):
        train(tiny("diffusion", "cuts"), recorded_dataset, short, tmp_path / "none")
    assert not (tmp_path / "none").exists()


def test_killed_at_any_time_it_ends_the_same(recorded_dataset: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, trainer=replace(CONFIG.trainer, max_steps=12, checkpoint_every=3))
    train(config, recorded_dataset, WEIGHTS, tmp_path / "whole")
    folder = tmp_path / "killed"
    process = forked.start(train, config, recorded_dataset, WEIGHTS, folder)
    while not (folder / "checkpoints" / "step=6.ckpt").exists():
        assert process.poll() is None, process.stderr
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    # What a kill in the middle of writing leaves behind must not be taken for a checkpoint.
    (folder / "checkpoints" / ".partial.step=9.ckpt").write_bytes(b"half")
    train(config, recorded_dataset, WEIGHTS, folder)
    assert_same_training(load(folder, 12), load(tmp_path / "whole", 12))
    assert sorted(os.listdir(folder / "checkpoints")) == ["step=12.ckpt", "step=9.ckpt"]


def test_damaged_checkpoint_is_passed_over(finished: Path, tmp_path: Path) -> None:
    shutil.copytree(finished / "checkpoints", tmp_path, dirs_exist_ok=True)
    os.truncate(tmp_path / "step=4.ckpt", 10_000)
    (tmp_path / "step=3.ckpt").write_bytes(b"some other file")
    assert last_good_checkpoint(tmp_path) == tmp_path / "step=2.ckpt"


def test_finished_training_is_not_repeated(finished: Path, recorded_dataset: Path) -> None:
    files = {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()}
    first, second = (train(CONFIG, recorded_dataset, WEIGHTS, finished) for _ in range(2))
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*") if path.is_file()} == files
    assert replace(first, parts=second.parts) == second
    assert first.seconds > 0
    assert np.isfinite(first.loss)


def test_folder_of_another_training_is_refused(finished: Path, recorded_dataset: Path) -> None:
    other = replace(CONFIG, seed=1, trainer=replace(CONFIG.trainer, lr=1e-3))
    with pytest.raises(InputError, match=r"holds a training with other seed, trainer\.lr; remove it"):
        train(other, recorded_dataset, WEIGHTS, finished)
    with pytest.raises(InputError, match="holds a training with other weights"):
        train(CONFIG, recorded_dataset, np.ones(FRAMES), finished)


def test_another_precision_does_not_go_on_with_this_training(finished: Path, recorded_dataset: Path) -> None:
    """`auto` is what this machine resolves it to, which another machine with the same folder may not."""
    mixed = replace(CONFIG, trainer=replace(CONFIG.trainer, precision="bf16-mixed"))
    with pytest.raises(InputError, match=r"holds a training with other trainer\.precision"):
        train(mixed, recorded_dataset, WEIGHTS, finished)
    auto = replace(CONFIG, trainer=replace(CONFIG.trainer, precision="auto"))
    resolved = resolve_precision("auto", "cpu")
    facts = identity(auto, "fingerprint", None, WEIGHTS, "cpu")
    assert facts["trainer"]["precision"] == resolved != "auto"


def test_folder_that_cannot_be_written(recorded_dataset: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"identity\.json: cannot be written"):
        train(CONFIG, recorded_dataset, WEIGHTS, tmp_path / "file" / "training")
    assert os.listdir(tmp_path) == ["file"]


def test_bfloat16_resumes_exactly_too(recorded_dataset: Path, tmp_path: Path) -> None:
    config = replace(CONFIG, trainer=replace(CONFIG.trainer, precision="bf16-mixed"))
    train(config, recorded_dataset, WEIGHTS, tmp_path / "whole")
    (tmp_path / "resumed/checkpoints").mkdir(parents=True)
    shutil.copy(tmp_path / "whole/checkpoints/step=2.ckpt", tmp_path / "resumed/checkpoints")
    train(config, recorded_dataset, WEIGHTS, tmp_path / "resumed")
    assert_same_training(load(tmp_path / "resumed", 4), load(tmp_path / "whole", 4))


def test_tensorboard_has_every_step(finished: Path) -> None:
    events = EventAccumulator(str(finished / "tensorboard")).Reload()
    tags = events.Tags()
    losses = {"loss", "loss_parts/l1_loss", "loss_parts/kld_loss", "learning_rate", "gradient_norm"}
    weights = {f"weights/{name}" for name in ("effective_sample_size", "share_zero", "share_saturated")}
    of_batch = {"weight_mean", "weight_min", "weight_max"}
    assert set(tags["scalars"]) == losses | weights | of_batch | {"samples_per_second", "data_wait"}
    assert tags["histograms"] == ["weights"]
    assert [event.value for event in events.Scalars("weights/share_zero")] == [
        pytest.approx(np.mean(WEIGHTS == 0))
    ]
    assert all(0 <= event.value < 1 for event in events.Scalars("data_wait"))
    assert [event.step for event in events.Scalars("loss")] == [0, 1, 2, 3]


def step_by_hand(policy: Any, loss: torch.Tensor, optimizer: Any, clip_norm: float) -> float:
    """The rest of a step of `lerobot-train` after its forward pass; returns the loss."""
    loss.backward()
    torch.nn.utils.clip_grad_norm_(policy.parameters(), clip_norm)
    optimizer.step()
    optimizer.zero_grad()
    return float(loss.detach())


def test_ten_steps_are_lerobots_ten_steps(recorded_dataset: Path, tmp_path: Path) -> None:
    """Weights 1, frozen layers, no state noise, no randomness: the loop of `lerobot-train` by hand.

    LeRobot's preset has a learning rate of its own for the backbone; ours is the same for all, and stated so
    in the policy's configuration.
    """
    policy = replace(TINY, batch_norm="frozen", use_vae=False, dropout=0.0)
    trainer = replace(
        CONFIG.trainer, max_steps=10, checkpoint_every=10, state_noise=0.0, gradient_clip_norm=1.0
    )
    config = replace(CONFIG, policy=policy, trainer=trainer)
    trained = train(config, recorded_dataset, np.ones(FRAMES), tmp_path).parts.policy

    torch.manual_seed(config.seed)
    parts = build_policy(policy, load_meta(recorded_dataset), "cpu")
    theirs = parts.policy.train()
    act = theirs.config
    assert (trained.config.optimizer_lr, trained.config.optimizer_lr_backbone) == (trainer.lr, trainer.lr)
    act.optimizer_lr = act.optimizer_lr_backbone = trainer.lr
    act.optimizer_weight_decay = trainer.weight_decay
    start = {name: value.clone() for name, value in theirs.state_dict().items()}
    # Layout and kernel as in ours: Adam divides by the gradient's size, so a rounding difference in a
    # vanishing gradient would move its parameter by a whole step.
    theirs.model.backbone.to(memory_format=torch.channels_last)
    preset = act.get_optimizer_preset()
    optimizer = torch.optim.AdamW(
        theirs.get_optim_params(), lr=preset.lr, weight_decay=preset.weight_decay, betas=preset.betas,
        eps=preset.eps, fused=True,
    )  # fmt: skip
    rates = [group["lr"] for group in optimizer.param_groups]  # of the rest and of the backbone
    assert len(rates) == 2
    deltas = {"action": [t / 10 for t in range(policy.chunk_size)]}
    dataset = LeRobotDataset("local/tiny", root=recorded_dataset, delta_timestamps=deltas)
    order = BatchOrder(np.arange(FRAMES), trainer.batch_size, config.seed)
    losses: list[float] = []
    for step in range(trainer.max_steps):
        factor = learning_rate_factor(step, trainer.warmup_steps, trainer.max_steps)
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * factor
        batch = torch.utils.data.default_collate([dataset[int(i)] for i in order.indices(step)])
        loss, _ = theirs(parts.preprocessor(batch))
        losses.append(step_by_hand(theirs, loss, optimizer, trainer.gradient_clip_norm))
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert_close([event.value for event in events.Scalars("loss")], losses, ELEMENTS, size=0.0)
    found = trained.state_dict()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=1e-5, atol=1e-6, msg=name)
    assert losses[-1] != losses[0]
    assert not torch.equal(found["model.action_head.weight"], start["model.action_head.weight"])


@pytest.mark.parametrize("kind", ["act", "diffusion"])
def test_ten_steps_of_lerobots_preset_are_lerobots(
    kind: str, recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its optimizer, rates, schedule and clipping, on samples with and without padding."""
    config = tiny(
        "steady act" if kind == "act" else kind, max_steps=10, checkpoint_every=10, state_noise=0.0,
        lerobot_preset=True, lr=TrainerConfig.lr,
    )  # fmt: skip
    trained = train(config, recorded_dataset, np.ones(FRAMES), tmp_path).parts.policy

    torch.manual_seed(config.seed)
    meta = load_meta(recorded_dataset)
    parts = build_policy(config.policy, meta, "cpu")
    # For our layout of the encoders in memory, and for the noise of our steps.
    module = WeightedPolicy(parts, np.ones(FRAMES), config.trainer, config.seed, live_norm=False).train()
    theirs = parts.policy
    start = {name: value.clone() for name, value in theirs.state_dict().items()}
    preset, schedule = theirs.config.get_optimizer_preset(), theirs.config.get_scheduler_preset()
    optimizer = preset.build(theirs.get_optim_params())
    scheduler = schedule.build(optimizer, config.trainer.max_steps) if schedule else None
    deltas = resolve_delta_timestamps(theirs.config, meta)
    dataset = LeRobotDataset("local/tiny", root=recorded_dataset, delta_timestamps=deltas)
    last = int(getattr(theirs.config, "drop_n_last_frames", 0))
    drawable = np.flatnonzero(frames_of(read_frames(meta, []), np.ones(meta.total_episodes, bool), last))
    order = BatchOrder(drawable, config.trainer.batch_size, config.seed)
    losses, padded = list[float](), 0
    for step in range(config.trainer.max_steps):
        batch = torch.utils.data.default_collate([dataset[int(i)] for i in order.indices(step)])
        padded += int(batch["action_is_pad"].any())
        with monkeypatch.context() as patched:
            if kind == "diffusion":
                noise = module._diffusion_noise(config.trainer.batch_size, step)
                assert noise is not None
                patched.setattr(torch, "randn", lambda *_, drawn=noise.noise, **__: drawn)
                patched.setattr(torch, "randint", lambda *_, drawn=noise.timesteps, **__: drawn)
            loss, _ = theirs(parts.preprocessor(batch))
        losses.append(step_by_hand(theirs, loss, optimizer, preset.grad_clip_norm))
        if scheduler is not None:
            scheduler.step()
    assert padded > 0
    assert_close(list(scalars(tmp_path, "loss").values()), losses, ELEMENTS, size=0.0)
    moved = max(float((value - start[name]).abs().max()) for name, value in theirs.state_dict().items())
    assert moved > 5e-6
    found = trained.state_dict()
    for name, value in theirs.state_dict().items():
        torch.testing.assert_close(found[name], value, rtol=0, atol=moved / 50, msg=name)


def test_one_batch_is_overfitted(recorded_dataset: Path, tmp_path: Path) -> None:
    """Four samples with positive weight are one batch, drawn again and again."""
    weights = np.zeros(FRAMES)
    weights[[1, 15, 28, 40]] = 1.0
    policy = replace(TINY, dropout=0.0, kl_weight=0.1)
    trainer = replace(CONFIG.trainer, max_steps=120, lr=2e-3, warmup_steps=5, state_noise=0.0)
    trainer = replace(trainer, checkpoint_every=120)
    result = train(replace(CONFIG, policy=policy, trainer=trainer), recorded_dataset, weights, tmp_path)
    assert result.loss < 0.1  # predicting the mean gives about 0.8


def test_noise_follows_from_seed_and_step(recorded_dataset: Path, tmp_path: Path) -> None:
    meta = load_meta(recorded_dataset)
    cameras = meta.camera_keys
    table = read_frames(meta, ["observation.state", "action"])
    dataset = ChunkDataset(table, cached_frames(meta, cameras, tmp_path), Windows.chunk(5))
    batch = {**dataset.batch(np.arange(4)), "position": 0, "step_samples": 4}

    def loss(seed: int) -> float:
        torch.manual_seed(0)
        parts = build_policy(TINY, meta)
        torch.rand(100)  # whatever was drawn before must not matter
        module = WeightedPolicy(parts, np.ones(FRAMES), CONFIG.trainer, seed, live_norm=False).train()
        return float(module.losses(batch, step=3)["l1_loss"].sums.sum())

    assert loss(0) == loss(0)
    assert loss(0) != loss(1)


def test_a_hub_dataset_keeps_its_name(finished: Path, recorded_dataset: Path) -> None:
    config = replace(CONFIG, dataset=DatasetConfig("you/pick", "v3.0"))
    meta = open_dataset(config, recorded_dataset)
    policy = build_policy(TINY, meta).policy
    assert lerobot_train_config(config, meta, policy)["dataset"]["repo_id"] == "you/pick"
    local = replace(CONFIG, dataset=DatasetConfig(str(recorded_dataset)))
    assert open_dataset(local, recorded_dataset).repo_id == "local/tiny"


LEROBOT_ALONE = """
import sys
sys.modules["rabc"] = None  # any import of it now fails
import numpy as np, torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.policies.act.modeling_act import ACTPolicy
from lerobot.policies.factory import make_pre_post_processors
folder, root, out = sys.argv[1:]
policy = ACTPolicy.from_pretrained(folder)
pre, post = make_pre_post_processors(policy.config, pretrained_path=folder)
dataset = LeRobotDataset("local/tiny", root=root)
frame = {key: value for key, value in dataset[20].items() if key.startswith("observation.")}
policy.reset()
np.save(out, np.stack([post(policy.select_action(pre(dict(frame)))).numpy() for _ in range(5)]))
assert not any(name.startswith("rabc.") for name in sys.modules)
"""


@pytest.mark.slow
def test_lerobot_alone_loads_the_folder_and_gives_the_same_actions(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    meta = load_meta(recorded_dataset)
    resnet18 = with_resnet18(CONFIG)
    parts = train(resnet18, recorded_dataset, WEIGHTS, tmp_path / "training").parts
    folder = tmp_path / "policy" / "pretrained_model"
    config = lerobot_train_config(resnet18, meta, parts.policy)
    write_policy(parts, folder, config)
    proof = export(parts, folder, config, proof_frames(meta, parts))  # replaces it
    assert proof.largest_difference <= 1e-6
    assert os.listdir(folder.parent) == ["pretrained_model"]
    wanted = {"config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json"}
    assert wanted | {"train_config.json"} <= set(os.listdir(folder))
    recorded = TrainPipelineConfig.from_pretrained(folder)
    assert recorded.steps == CONFIG.trainer.max_steps
    assert recorded.policy is not None
    assert recorded.policy.optimizer_lr_backbone == CONFIG.trainer.lr

    out = tmp_path / "actions.npy"
    command = [sys.executable, "-c", LEROBOT_ALONE, str(folder), str(recorded_dataset), str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    # The training network itself, with its live layers, before anything was exported.
    module = WeightedPolicy(build_policy(resnet18.policy, meta), WEIGHTS, CONFIG.trainer, 0, live_norm=True)
    module.eval().load_state_dict(load(tmp_path / "training", 4)["state_dict"])
    frame = LeRobotDataset("local/tiny", root=recorded_dataset)[20]
    batch = parts.preprocessor({key: value for key, value in frame.items() if key.startswith("observation.")})
    chunk = parts.postprocessor(module.policy.predict_action_chunk(batch))[0].numpy()
    np.testing.assert_allclose(np.load(out)[:, 0], chunk, rtol=1e-4, atol=1e-3)
    reloaded, _ = make_pre_post_processors(parts.policy.config, pretrained_path=str(folder))
    assert torch.equal(reloaded(dict(frame))["observation.state"], batch["observation.state"])
    stock = parts.postprocessor(parts.policy.predict_action_chunk(batch))[0].numpy()
    assert np.array_equal(np.load(out)[:, 0], stock)
