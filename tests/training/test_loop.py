"""The training loop around the step: averages, validation, stopping, diverging, several processes."""

import json
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rabc.config.training_settings import TrainerConfig
from rabc.datasets.metadata import load_meta
from rabc.policies.batch_norm import frozen_state
from rabc.system.errors import InputError, Stopped
from rabc.training.checkpoints import last_good_checkpoint
from rabc.training.run import train
from tests.support import REPO, forked
from tests.support.closeness import assert_close
from tests.support.training_runs import (
    ELEMENTS,
    FRAMES,
    LONG_STRETCHES,
    SCRIPT,
    TERMS,
    WEIGHTS,
    assert_same,
    assert_same_training,
    checkpoint,
    scalars,
    tiny,
)

BAD_FRAME = 30
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPO)}


def start(folder: Path, dataset: Path, **settings: Any) -> forked.Forked:
    """A training in a process of its own."""
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(settings))
    return forked.start(SCRIPT, folder / "config.json", dataset, folder, env=ENVIRONMENT)


def run(folder: Path, dataset: Path, **settings: Any) -> None:
    process = start(folder, dataset, **settings)
    _, errors = process.communicate()
    assert process.returncode == 0, errors


@pytest.mark.parametrize("policy", ["act", "diffusion"])
def test_the_average_is_the_hand_written_one_and_resumes(
    policy: str, recorded_dataset: Path, tmp_path: Path
) -> None:
    """Every step's weights are in the checkpoints of a run that is the same but for the average."""
    steps, decay = 10, 0.3
    settings: dict[str, Any] = {"max_steps": steps}
    every = tiny(policy, **settings, checkpoint_every=1, keep_checkpoints=steps)
    train(every, recorded_dataset, WEIGHTS, tmp_path / "plain")
    average: dict[str, torch.Tensor] = {}
    weights: dict[str, torch.Tensor] = {}
    for step in range(1, steps + 1):
        weights = checkpoint(tmp_path / "plain", step)["state_dict"]
        share = min(decay, step / (9 + step)) if average else 0.0  # t = step - 1 updates before this one
        for name, value in weights.items():
            if not average or not value.is_floating_point():
                continue
            average[name] = share * average[name] + (1 - share) * value
        average = average or {name: value.clone() for name, value in weights.items()}
    averaged = tiny(policy, **settings, checkpoint_every=5, ema_decay=decay)
    result = train(averaged, recorded_dataset, WEIGHTS, tmp_path / "averaged")
    found = checkpoint(tmp_path / "averaged", steps)
    assert_same(found["current_model_state"], weights)
    counters = 0
    for name, value in found["state_dict"].items():
        if value.is_floating_point():
            assert_close(value, average[name], steps, name)
        else:
            counters += 1
            assert torch.equal(value, weights[name])
    assert counters > 0 or policy == "diffusion"
    last = max(name for name in weights if name.endswith("weight"))  # near the output
    assert not torch.equal(found["state_dict"][last], weights[last])
    # What is exported is the average.
    exported = frozen_state(result.parts.policy)
    assert_same(exported, {name: found["state_dict"][f"policy.{name}"] for name in exported})
    (tmp_path / "averaged/checkpoints/step=10.ckpt").unlink()
    train(averaged, recorded_dataset, WEIGHTS, tmp_path / "averaged")
    assert_same_training(checkpoint(tmp_path / "averaged", steps), found)


@pytest.mark.parametrize("apply", ["loss", "ticks", "cuts"])
def test_micro_batches_are_the_whole_batch(apply: str, recorded_dataset: Path, tmp_path: Path) -> None:
    # Adam divides by the gradient's size, so large steps would make more of the processor's rounding.
    settings: dict[str, Any] = {"max_steps": 6, "checkpoint_every": 6, "lr": 1e-5}
    for policy in ("steady act", "diffusion"):
        whole, parts = tmp_path / policy / "whole", tmp_path / policy / "parts"
        weights = LONG_STRETCHES if apply == "cuts" else WEIGHTS
        train(tiny(policy, apply, **settings, batch_size=8), recorded_dataset, weights, whole)
        config = tiny(policy, apply, **settings, batch_size=2, accumulate_grad_batches=4)
        train(config, recorded_dataset, weights, parts)
        for name in ("loss", "weight_mean", "weight_min", "weight_max", "gradient_norm"):
            expected, found = scalars(whole, name), scalars(parts, name)
            assert list(expected) == list(found) == list(range(6))
            terms = TERMS if name == "gradient_norm" else ELEMENTS
            assert_close(list(found.values()), list(expected.values()), terms, name, size=0.0)


@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    ("policy", "apply"),
    [
        ("diffusion", "loss"),
        *(
            pytest.param(policy, apply, marks=pytest.mark.slow)
            for policy, apply in (
                ("steady act", "loss"), ("steady act", "ticks"), ("steady act", "cuts"),
                ("diffusion", "ticks"),
            )
        ),
    ],
)  # fmt: skip
def test_two_processes_are_one_with_the_doubled_batch(
    policy: str, apply: str, recorded_dataset: Path, tmp_path: Path
) -> None:
    steps = 10
    settings: dict[str, Any] = {"max_steps": steps}
    train(tiny(policy, apply, **settings, batch_size=4), recorded_dataset, WEIGHTS, tmp_path / "one")
    run(tmp_path / "two", recorded_dataset, policy=policy, apply=apply, **settings, batch_size=2, devices=2)
    for name in ("loss", "weight_mean", "weight_min", "weight_max"):
        expected, found = scalars(tmp_path / "one", name), scalars(tmp_path / "two", name)
        assert list(expected) == list(found) == list(range(steps))
        np.testing.assert_allclose(list(found.values()), list(expected.values()), atol=1e-5, err_msg=name)
    # DDP averages gradients; Adam steps alike with all of them halved, so that only their size tells.
    expected, found = (scalars(tmp_path / folder, "gradient_norm") for folder in ("one", "two"))
    np.testing.assert_allclose(list(found.values()), list(expected.values()), rtol=0.02)
    assert len(set(scalars(tmp_path / "one", "loss").values())) == steps
    assert sorted(path.name for path in (tmp_path / "two/checkpoints").iterdir()) == [
        "step=10.ckpt",
        "step=8.ckpt",
    ]


def test_validation_changes_nothing_and_is_resumed(recorded_dataset: Path, tmp_path: Path) -> None:
    """The same weights with and without; the loss is LeRobot's, of the held-out episodes, in eval mode."""
    config = tiny(max_steps=4)
    plain = replace(config, dataset=replace(config.dataset, eval_split=0.3))
    watched = replace(plain, trainer=replace(plain.trainer, eval_steps=2))
    train(plain, recorded_dataset, WEIGHTS, tmp_path / "plain")
    result = train(watched, recorded_dataset, WEIGHTS, tmp_path / "watched")
    assert_same(
        checkpoint(tmp_path / "watched", 4)["state_dict"], checkpoint(tmp_path / "plain", 4)["state_dict"]
    )
    losses = scalars(tmp_path / "watched", "validation_loss")
    assert list(losses) == [1, 3]
    assert_close(losses[3], held_out_loss(result.parts, recorded_dataset), ELEMENTS, size=0.0)
    weighted = scalars(tmp_path / "watched", "validation_loss_weighted")
    assert weighted[3] != pytest.approx(losses[3])
    (tmp_path / "watched/checkpoints/step=4.ckpt").unlink()
    train(watched, recorded_dataset, WEIGHTS, tmp_path / "watched")
    assert scalars(tmp_path / "watched", "validation_loss") == losses


def held_out_loss(parts: Any, root: Path) -> float:
    """LeRobot's loss over the last two episodes, one of each task, that `eval_split` 0.3 holds out."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    deltas = {"action": [t / 10 for t in range(5)]}
    dataset = LeRobotDataset("local/tiny", root=root, delta_timestamps=deltas)
    samples = [dataset[i] for i in range(27, FRAMES)]
    batch = parts.preprocessor(torch.utils.data.default_collate(samples))
    with torch.no_grad():
        return float(parts.policy.eval()(batch)[0])


def test_patience_ends_the_training(
    recorded_dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With a learning rate of nothing no validation finds a new lowest loss."""
    config = tiny("steady act", max_steps=12, lr=1e-30, eval_steps=2, patience=2, checkpoint_every=100)
    config = replace(config, dataset=replace(config.dataset, eval_split=0.3))
    result = train(config, recorded_dataset, WEIGHTS, tmp_path)
    assert result.steps == 6
    said = "training: stopped after step 6, since 2 validations found no loss below"
    assert said in capsys.readouterr().out
    before = sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.ckpt"))
    assert train(config, recorded_dataset, WEIGHTS, tmp_path).steps == 6
    assert sorted(path.stat().st_mtime_ns for path in tmp_path.rglob("*.ckpt")) == before


@pytest.mark.timeout(600)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_with_a_checkpoint(
    number: signal.Signals, code: int, recorded_dataset: Path, tmp_path: Path
) -> None:
    settings: dict[str, Any] = {"policy": "act", "max_steps": 1000, "checkpoint_every": 3, "ema_decay": 0.9}
    process = start(tmp_path / "run", recorded_dataset, **settings)
    while last_good_checkpoint(tmp_path / "run/checkpoints") is None:
        assert process.poll() is None, process.communicate()[1]
        time.sleep(0.05)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    path = last_good_checkpoint(tmp_path / "run/checkpoints")
    assert path is not None
    message = errors.strip().splitlines()[-1]
    assert message.startswith("stopped: training after step ")
    assert message.endswith(f"of 1000, kept in {path}; run it again to go on")


def test_a_signal_during_a_step_loses_nothing(recorded_dataset: Path, tmp_path: Path) -> None:
    config = tiny(max_steps=8, checkpoint_every=100)
    train(config, recorded_dataset, WEIGHTS, tmp_path / "whole")
    before = signal.getsignal(signal.SIGTERM)

    folder = tmp_path / "stopped"

    def stop() -> None:
        while not list(folder.glob("tensorboard/*")):
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGTERM)

    thread = threading.Thread(target=stop)
    thread.start()
    with pytest.raises(Stopped, match=r"training after step \d of 8, kept in .*; run it again") as stopped:
        train(config, recorded_dataset, WEIGHTS, folder)
    thread.join()
    assert stopped.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) == before
    train(config, recorded_dataset, WEIGHTS, folder)
    assert_same_training(checkpoint(folder, 8), checkpoint(tmp_path / "whole", 8))


@pytest.fixture
def poisoned(dataset_copy: Callable[[], Path]) -> Path:
    """A dataset with a joint position that overflows when it is squared or normalised."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    root = dataset_copy()
    path = next((root / "data").rglob("*.parquet"))
    table = pq.read_table(path)
    states = [list(row) for row in table["observation.state"].to_pylist()]
    states[BAD_FRAME][0] = 3e38
    column = table.schema.get_field_index("observation.state")
    changed = pa.array(states, type=table.schema.field(column).type)
    pq.write_table(table.set_column(column, table.schema.field(column), changed), path)
    return root


def test_the_sample_that_is_not_finite_is_named(poisoned: Path, tmp_path: Path) -> None:
    """Its step comes late enough that a checkpoint is there, which stays as it was."""
    config = tiny("steady act", max_steps=40, checkpoint_every=1)
    with pytest.raises(InputError) as error:
        train(config, poisoned, np.ones(FRAMES), tmp_path)
    message = str(error.value)
    found = re.search(
        r"loss (nan|inf) at step (\d+): not finite, and it comes from frame 30 of episode 2", message
    )
    assert found, message
    step = int(found[2])
    assert step > 0, "the order changed: choose another frame"
    kept = last_good_checkpoint(tmp_path / "checkpoints")
    assert kept is not None
    assert message.endswith(f"the last good checkpoint is {kept}")
    assert kept.name == f"step={step}.ckpt"
    weights = torch.load(kept, weights_only=True)["state_dict"]
    assert all(value.isfinite().all() for value in weights.values())


def test_divergence_is_named(recorded_dataset: Path, tmp_path: Path) -> None:
    config = tiny(lr=1e30, max_steps=20, gradient_clip_norm=0.0, checkpoint_every=5)
    message = r"(not finite.*training diverged: lower trainer\.lr.*no checkpoint had been written)"
    with pytest.raises(InputError, match=message) as error:
        train(config, recorded_dataset, WEIGHTS, tmp_path)
    assert error.value.exit_code == 2
    assert not list(tmp_path.glob("checkpoints/*"))


def test_a_full_disk_ends_it_with_the_last_good_checkpoint(recorded_dataset: Path, tmp_path: Path) -> None:
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    config = tiny(max_steps=2, checkpoint_every=1, keep_checkpoints=2)
    train(config, recorded_dataset, WEIGHTS, tmp_path)
    (tmp_path / "checkpoints/step=2.ckpt").unlink()
    good = (tmp_path / "checkpoints/step=1.ckpt").read_bytes()
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(good) // 2, limits[1]))
    message = r"file .*step=2\.ckpt: cannot be written .*; the last good checkpoint is .*step=1\.ckpt"
    try:
        with pytest.raises(InputError, match=message):
            train(config, recorded_dataset, WEIGHTS, tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["step=1.ckpt"]
    assert (tmp_path / "checkpoints/step=1.ckpt").read_bytes() == good


def test_everything_at_once_is_resumed(recorded_dataset: Path, tmp_path: Path) -> None:
    """Micro-batches, the sampler, augmentation, validation and the average: two steps and two are four."""
    config = tiny(max_steps=4, batch_size=2, accumulate_grad_batches=2, eval_steps=1, ema_decay=0.5)
    transforms = {"enable": True, "max_num_transforms": 2, "random_order": True}
    config = replace(
        config,
        dataset=replace(config.dataset, eval_split=0.3, image_transforms=transforms),
        weights=replace(config.weights, apply="sampler"),
    )
    train(config, recorded_dataset, WEIGHTS, tmp_path / "whole")
    folder = tmp_path / "resumed"
    (folder / "checkpoints").mkdir(parents=True)
    shutil.copy(tmp_path / "whole/checkpoints/step=2.ckpt", folder / "checkpoints")
    train(config, recorded_dataset, WEIGHTS, folder)
    assert_same_training(checkpoint(folder, 4), checkpoint(tmp_path / "whole", 4))
    for name in ("loss", "validation_loss", "weight_mean"):
        whole = scalars(tmp_path / "whole", name)
        assert scalars(folder, name) == {step: whole[step] for step in (2, 3)}
    # TensorBoard has the weights of what was drawn, not the ones by which a drawn sample counts.
    assert max(scalars(tmp_path / "whole", "weight_max").values()) > 1
    assert min(scalars(tmp_path / "whole", "weight_min").values()) > 0


def test_all_weights_times_four_change_nothing(recorded_dataset: Path, tmp_path: Path) -> None:
    for name, factor in (("ones", 1), ("fours", 4)):
        train(tiny(max_steps=2), recorded_dataset, factor * WEIGHTS, tmp_path / name)
    assert_same_training(checkpoint(tmp_path / "fours", 2), checkpoint(tmp_path / "ones", 2))
    # They are the same training: the folder of the one is continued with the other.
    assert train(tiny(max_steps=2), recorded_dataset, 4 * WEIGHTS, tmp_path / "ones").steps == 2


@pytest.mark.timeout(600)
@pytest.mark.slow
def test_rollouts_on_the_way_change_nothing(
    simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = tiny(max_steps=4, ema_decay=0.5)
    watched = replace(plain, trainer=replace(plain.trainer, rollout_every=2, rollout_episodes=2))
    watched = replace(watched, rollouts=replace(watched.rollouts, max_ticks=6, processes=1))
    weights = np.ones(load_meta(simulated).total_frames)
    for name, config in (("plain", plain), ("watched", watched)):
        train(config, simulated, weights, tmp_path / name)
    assert_same_training(checkpoint(tmp_path / "watched", 4), checkpoint(tmp_path / "plain", 4))
    assert scalars(tmp_path / "watched", "rollouts/success") == {1: 0.0, 3: 0.0}
    assert "rollouts after step 4: 0/2 = 0 %" in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("policy", ["act", "diffusion"])
def test_ten_kills_at_random_steps_change_nothing(
    policy: str, recorded_dataset: Path, tmp_path: Path
) -> None:
    ended = subprocess.run(
        [sys.executable, Path(__file__).with_name("killed_training.py"), policy, recorded_dataset, tmp_path,
         "10", "0"],
        capture_output=True, text=True, env=ENVIRONMENT, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert len(report["kills"]) == 10
    assert len(set(report["kills"])) >= 5  # the steps differ
    assert report["different"] == []


def test_lerobots_preset_is_used(recorded_dataset: Path, tmp_path: Path) -> None:
    """The checkpoint has LeRobot's parameter groups; its rates reach the exported configuration unchanged."""
    config = tiny("act", max_steps=2, lerobot_preset=True, lr=TrainerConfig.lr)
    config = replace(
        config, policy=replace(config.policy, extra={**config.policy.extra, "optimizer_lr": 2e-5})
    )
    exported: Any = train(config, recorded_dataset, WEIGHTS, tmp_path / "act").parts.policy.config
    groups = checkpoint(tmp_path / "act", 2)["optimizer_states"][0]["param_groups"]
    assert [group["lr"] for group in groups] == [2e-5, 1e-5]  # LeRobot's ACT: the rest and the backbone
    assert (exported.optimizer_lr, exported.optimizer_lr_backbone) == (2e-5, 1e-5)
    assert checkpoint(tmp_path / "act", 2)["lr_schedulers"] == []
    config = tiny("diffusion", max_steps=3, lerobot_preset=True, lr=TrainerConfig.lr)
    train(config, recorded_dataset, WEIGHTS, tmp_path / "diffusion")
    rates = scalars(tmp_path / "diffusion", "learning_rate")
    # LeRobot's Diffusion: 1e-4 after 500 steps of warm-up from nothing.
    assert list(rates.values()) == pytest.approx([0.0, 1e-4 / 500, 2e-4 / 500])
    group = checkpoint(tmp_path / "diffusion", 3)["optimizer_states"][0]["param_groups"][0]
    assert (tuple(group["betas"]), group["weight_decay"]) == ((0.95, 0.999), 1e-6)
