"""Whatever shape a dataset has that LeRobot reads: the same samples, trained on, exported, and acted on."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.factory import resolve_delta_timestamps
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.datasets.video_utils import FrameTimestampError

from rabc.config.settings import Config
from rabc.datasets.metadata import load_meta
from rabc.export.folder import lerobot_train_config, write_policy
from rabc.export.lerobot_only import load, play
from rabc.export.proof import proof_frames
from rabc.policies.settings import policy_settings
from rabc.policy_check.check import check_folder
from rabc.system.errors import InputError
from rabc.training.drawn import training_frames
from rabc.training.run import train
from rabc.training.sources import data_module
from tests.support import shapes
from tests.support.forked import run
from tests.support.numbered import Number, read_number, record_numbered
from tests.support.shared import made_once
from tests.support.training_runs import tiny

FRAMES = sum(shapes.LENGTHS)
# The first and the last frame of episodes, and some between.
INDEX = np.array([0, 3, 11, 12, 25, 35, FRAMES - 1])
# Longer than two of the episodes.
CHUNK = 13
UNREAD = "videos 0.2 ms off"
"""LeRobot reads no frame of it: it wants them within 0.1 ms."""
THEY_FAIL = {UNREAD, "no state", "depth video", "depth pictures", "extra columns", "names null"}
"""What `lerobot-train` ends on with a traceback: a depth camera and a text as inputs of ACT, no names."""
WITHOUT_STATE = "no state"
"""LeRobot's networks fail on it: ACT asks the state for its device, and Diffusion for its size."""


def configuration(kind: str) -> Config:
    config = tiny(kind, max_steps=2)
    if kind == "diffusion":
        return config
    return replace(config, policy=replace(config.policy, chunk_size=CHUNK, n_action_steps=CHUNK))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(tmp_path_factory, "numbered", lambda root: record_numbered(root, shapes.VIDEO))


@pytest.fixture(scope="module", params=shapes.SHAPES)
def shape(
    request: pytest.FixtureRequest, recorded: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[str, Path]:
    """Name and folder."""
    name = str(request.param)
    made = made_once(tmp_path_factory, f"shape {name}", lambda root: shapes.make(name, root, recorded))
    return name, made


def our_batch(config: Config, root: Path) -> dict[str, Any]:
    """What the trainer is fed with, for `INDEX`."""
    meta = load_meta(root)
    policy = policy_settings(config.policy, meta, "cpu")
    frames = training_frames(config, meta, policy, np.ones(meta.total_frames))
    return data_module(config, meta, policy, frames, "cpu").dataset.batch(INDEX)


def their_items(config: Config, root: Path, tolerance_s: float) -> list[dict[str, Any]]:
    """What `lerobot-train` is fed with, for `INDEX`."""
    policy = policy_settings(config.policy, load_meta(root), "cpu")
    windows = resolve_delta_timestamps(policy, LeRobotDatasetMetadata("local/shape", root=root))
    dataset: Any = LeRobotDataset(
        "local/shape", root=root, delta_timestamps=windows, video_backend="pyav", return_uint8=True,
        tolerance_s=tolerance_s,
    )  # fmt: skip
    return [dataset[place] for place in INDEX.tolist()]


def test_the_samples_are_lerobots(shape: tuple[str, Path]) -> None:
    """Bit for bit, padding masks included; and the pictures are those of their rows."""
    name, root = shape
    config = configuration("act")
    ours = our_batch(config, root)
    assert_same(ours, their_items(config, root, 1e-3 if name == UNREAD else 1e-4))
    cut = shapes.TRIMMED if name == "trimmed in front" else 0
    for camera, key in enumerate(key for key in load_meta(root).camera_keys if "depth" not in key):
        for place in range(len(INDEX)):
            number = Number(camera, int(ours["episode_index"][place]), int(ours["frame_index"][place]) + cut)
            assert read_number(ours[key][place].numpy() / 255) == number, key


@pytest.mark.parametrize(
    "shape", ["trimmed in front", "several files", "environment state alone"], indirect=True
)
def test_the_windows_are_lerobots(shape: tuple[str, Path]) -> None:
    """Diffusion sees two ticks of everything."""
    _, root = shape
    config = configuration("diffusion")
    assert_same(our_batch(config, root), their_items(config, root, 1e-4))


@pytest.mark.parametrize("shape", [WITHOUT_STATE], indirect=True)
def test_diffusion_needs_a_state(shape: tuple[str, Path]) -> None:
    with pytest.raises(InputError, match=r"LeRobot's diffusion cannot do without.*set policy.type act"):
        our_batch(configuration("diffusion"), shape[1])


@pytest.mark.parametrize("shape", [UNREAD], indirect=True)
def test_lerobot_reads_no_frame_of_videos_that_begin_a_little_later(shape: tuple[str, Path]) -> None:
    with pytest.raises(FrameTimestampError):
        their_items(configuration("act"), shape[1], 1e-4)


def assert_same(ours: dict[str, Any], theirs: list[dict[str, Any]]) -> None:
    for place, item in enumerate(theirs):
        assert item["task"] == ours["task"][place]
        for key, values in ours.items():
            # LeRobot does not say of which frames the actions are, but the actions themselves.
            if isinstance(values, torch.Tensor) and key != "action_index":
                mine, wanted = values[place], item[key]
                if wanted.dtype == torch.float32 and mine.dtype == torch.uint8:  # pictures of tables
                    mine = mine / 255
                assert mine.shape == wanted.shape, key
                assert torch.equal(mine, wanted), key


def test_it_is_trained_and_exported(shape: tuple[str, Path], tmp_path: Path) -> None:
    name, root = shape
    meta, config = load_meta(root), configuration("act")
    parts = train(config, meta, np.ones(FRAMES), tmp_path / "training").parts
    frames = proof_frames(meta, parts)
    folder = write_policy(parts, tmp_path / "policy", lerobot_train_config(config, meta, parts.policy))
    loaded = load(folder)
    found = play(*loaded, frames.values, frames.tasks, None)
    assert found.shape == (len(frames.tasks) * CHUNK, 14 if name == "bimanual" else 6)
    assert torch.equal(found, play(*_parts(parts), frames.values, frames.tasks, None))
    # Two steps teach nothing, but the policy runs, and everything about it is known to fit.
    failed = {finding.check for finding in check_folder(str(folder), str(root)) if finding.status == "FAIL"}
    assert failed <= {"action range", "largest step", "action order"}
    inputs = set(loaded[0].config.input_features)
    assert inputs <= set(meta.features)
    assert not inputs & {
        "observation.images.depth", "observation.effort", "observation.tactile", "observation.phase"
    }  # fmt: skip


@pytest.mark.slow
def test_what_lerobot_trains(shape: tuple[str, Path], tmp_path: Path) -> None:
    """Side by side, by its own command: there is nothing that it trains and we do not."""
    name, root = shape
    ended = run(shapes.train_with_lerobot, str(root), str(tmp_path / "theirs"))
    assert (ended.returncode == 0) == (name not in THEY_FAIL), ended.stderr[-2000:]


def _parts(parts: Any) -> tuple[Any, Any, Any]:
    return parts.policy, parts.preprocessor, parts.postprocessor
