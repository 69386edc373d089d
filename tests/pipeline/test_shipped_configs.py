"""Every shipped experiment trains two steps, exports a policy, and LeRobot runs it."""

import contextlib
import io
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.config import cli
from rabc.config.settings import Config
from rabc.datasets.metadata import load_meta
from rabc.datasets.tables import read_frames
from rabc.system.shipped import CONFIGS
from rabc.weighting import schemes
from rabc.weighting.deltas import chunk_deltas
from tests.support.recordings import record_dataset

EXPERIMENTS = sorted(path.name for path in CONFIGS.glob("*.yaml") if not path.name.startswith("paper_"))
# What needs a network, a GPU or minutes; the rest is as shipped.
CHEAPER = {
    # The pictures of this dataset are a third of the simulator's.
    "so101_pick_diffusion.yaml": ["--policy.extra.crop_shape", "[28, 28]"],
    "so101_real.yaml": [
        "--device", "cpu", "--policy.pretrained_backbone_weights", "null", "--trainer.batch_size", "1",
        "--trainer.eval_steps", "2", "--trainer.max_eval_samples", "2",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four episodes of two tasks, long enough for every shipped chunk."""
    return record_dataset(tmp_path_factory.mktemp("shipped") / "long", lengths=[101] * 4)


def parsed(name: str) -> Config:
    arguments = ["--config", name, "--trainer.max_steps", "2", "--trainer.precision", "32-true"]
    warm_up = [] if name == "so101_real.yaml" else ["--trainer.warmup_steps", "0"]
    return cli.parse([*arguments, *warm_up, *CHEAPER.get(name, [])], "test").config


def test_the_issue_s_experiments_are_there() -> None:
    assert {
        "so101_pick.yaml", "so101_pick_diffusion.yaml", "so101_real.yaml", "so101_place.yaml"
    } <= set(EXPERIMENTS)  # fmt: skip


def weights_of(config: Config, meta: LeRobotDatasetMetadata) -> NDArray[np.float64]:
    """By the configured scheme, of progress that wanders, in the first episode without getting anywhere."""
    episodes = read_frames(meta, []).episode_index
    steps = np.random.default_rng(0).normal(0.01, 0.03, len(episodes)) - 0.01 * (episodes == 0)
    progress = np.concatenate([steps[episodes == e].cumsum().clip(0, 1) for e in np.unique(episodes)])
    deltas = chunk_deltas(progress, episodes, config.policy.chunk, config.weights.horizon)
    return schemes.normalise(
        schemes.by_scheme(deltas, progress, episodes, config.weights, config.policy.chunk)
    )


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_a_shipped_experiment_trains_two_steps_and_lerobot_runs_the_policy(
    name: str, dataset: Path, tmp_path: Path
) -> None:
    from lerobot.configs.policies import PreTrainedConfig
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    from rabc.export.folder import lerobot_train_config, write_policy
    from rabc.training.run import train

    config, meta = parsed(name), load_meta(dataset)
    made = weights_of(config, meta)
    assert (made.std() > 0) == (config.weights.scheme != "none")
    trained = train(config, meta, made, tmp_path / "training")
    assert trained.steps == 2
    assert np.isfinite(trained.loss)
    parts = trained.parts
    record = lerobot_train_config(config, meta, parts.policy)
    folder = write_policy(parts, tmp_path / "pretrained_model", record)
    loaded = PreTrainedConfig.from_pretrained(folder)
    assert loaded.type == config.policy.type
    with contextlib.redirect_stdout(io.StringIO()):
        policy = get_policy_class(loaded.type).from_pretrained(folder, config=loaded)
    before, after = make_pre_post_processors(loaded, pretrained_path=str(folder))
    # As a robot gives it: the cameras' own size, whatever the policy sees.
    observation: dict[str, Any] = {
        "observation.state": torch.zeros(6),
        "task": "Pick up the red cube.",
        **{camera: torch.rand(3, 32, 32) for camera in meta.camera_keys},
    }
    with torch.inference_mode():
        action = after(policy.select_action(before(observation)))
    assert action.shape == (1, 6)
    assert bool(torch.isfinite(action).all())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_the_real_configuration_is_what_the_file_says(name: str) -> None:
    """The overrides of the test above leave everything else as it is shipped."""
    shipped = asdict(cli.parse(["--config", name], "test").config)
    cheap = asdict(parsed(name))
    changed = {
        f"{section}.{key}"
        for section, values in shipped.items() if isinstance(values, dict)
        for key, value in values.items() if cheap[section][key] != value
    }  # fmt: skip
    assert changed <= {
        "trainer.max_steps", "trainer.precision", "trainer.warmup_steps", "trainer.batch_size",
        "trainer.eval_steps", "trainer.max_eval_samples", "policy.pretrained_backbone_weights",
        "policy.extra",
    }  # fmt: skip
    extra, other = shipped["policy"]["extra"], cheap["policy"]["extra"]
    assert extra.keys() == other.keys()
    assert {key for key, value in extra.items() if other[key] != value} <= {"crop_shape"}
