"""The data and training benchmarks compare the same work."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from rabc.benchmarks import data, loops, training
from rabc.benchmarks.recordings import record_cameras
from rabc.config.settings import Config, DatasetConfig
from rabc.config.training_settings import TrainerConfig
from rabc.datasets.metadata import load_meta
from rabc.datasets.pictures import as_float
from tests.support.training_runs import STEADY_ACT


def test_both_loaders_deliver_the_same_samples(tmp_path: Path) -> None:
    root = record_cameras(tmp_path / "cameras", 2, 12, (32, 48))
    assert load_meta(root).total_frames == 24
    trainer = TrainerConfig(batch_size=8, workers=2)
    config = Config(
        dataset=DatasetConfig(path=str(root)), policy=replace(STEADY_ACT, chunk_size=5), trainer=trainer
    )
    ours = data.our_loader(config, "cpu")
    batch = data.on_device(next(iter(ours)), "cpu", as_float)
    theirs = data.lerobot_loader(root, 5, "cpu")
    assert len(theirs.sampler) == 24  # pyright: ignore[reportArgumentType]
    samples = [theirs.dataset[int(index)] for index in batch["index"]]
    expected = data.on_device(torch.utils.data.default_collate(samples), "cpu", data.lerobot_as_float)
    for key in (*data.CAMERAS, "observation.state", "action", "action_is_pad"):
        assert batch[key].dtype == expected[key].dtype
        assert torch.equal(batch[key], expected[key]), key
    assert expected[data.CAMERAS[0]].max() <= 1.0
    assert data.batches_per_second(ours, "cpu", 0.05) > 0


def test_the_two_loops_take_turns(
    recorded_dataset: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    trainer = TrainerConfig(
        max_steps=8, batch_size=4, warmup_steps=1, state_noise=0.0, precision="32-true", checkpoint_every=8,
    )  # fmt: skip
    config = Config(
        dataset=DatasetConfig(path=str(recorded_dataset)), policy=STEADY_ACT, trainer=trainer, device="cpu"
    )
    turns = loops.step_times(config, "cpu", tmp_path / "loop", steps=2, blocks=2)
    assert turns.max_steps == 8
    assert (tmp_path / "loop/checkpoints/step=8.ckpt").is_file()
    assert len(turns.lightning) == len(turns.bare) == 2
    assert min(turns.lightning + turns.bare) > 0
    assert "(2/2)" in capfd.readouterr().out


def test_the_bare_loop_does_what_ours_does(recorded_dataset: Path, tmp_path: Path) -> None:
    """Same batches, same optimizer: after the same steps the same weights, but for rounding."""
    trainer = TrainerConfig(
        max_steps=8, batch_size=4, warmup_steps=1, state_noise=0.0, precision="32-true", checkpoint_every=6,
    )  # fmt: skip
    config = Config(
        dataset=DatasetConfig(path=str(recorded_dataset)), policy=STEADY_ACT, trainer=trainer, device="cpu"
    )
    turns = loops.step_times(config, "cpu", tmp_path / "loop", steps=3, blocks=1)
    bare = turns._loop._policy.state_dict()  # pyright: ignore[reportPrivateUsage]
    state = torch.load(tmp_path / "loop/checkpoints/step=6.ckpt", weights_only=True)["state_dict"]
    for name, value in bare.items():
        np.testing.assert_allclose(value.numpy(), state[f"policy.{name}"].numpy(), atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_a_whole_command_against_lerobots(tmp_path: Path) -> None:
    lines, facts = training.measure(["diffusion"], training.Bench(tmp_path, "cpu", 1, training.quick()))
    assert len(lines) == 2
    assert lines[0].required == ">= 2"
    [ours], [theirs] = facts["diffusion"]["ours"], facts["diffusion"]["LeRobot"]
    for run in (ours, theirs):
        assert run["seconds"] > run["step_seconds"] > 0
        assert run["memory"]["peak"] >= run["memory"]["median"] > 100
