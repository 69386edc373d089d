"""Training sees small pictures, the robot gives large ones: the exported preprocessor makes them the same."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from lerobot.processor.hil_processor import ImageCropResizeProcessorStep
from numpy.typing import NDArray

from rabc.config.training_settings import PolicyConfig
from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.frames import cached_frames
from rabc.datasets.metadata import load_meta
from rabc.datasets.resize import resize, with_resize
from rabc.datasets.tables import read_frames
from rabc.policies.build import PolicyParts, build_policy
from rabc.training.data import ChunkDataset
from rabc.training.windows import Windows
from tests.support.recordings import CAMERAS, record_dataset

CAMERA_SIZE, SHAPE = (480, 640), (96, 128)
ROUNDING = 0.5 / 255 + 1e-6
CONFIG = PolicyConfig(
    chunk_size=4, n_action_steps=4, dim_model=32, n_heads=4, dim_feedforward=64, resize_shape=list(SHAPE),
    extra={"latent_dim": 8, "n_vae_encoder_layers": 1},
)  # fmt: skip


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A dataset of full-size pictures."""
    return record_dataset(tmp_path_factory.mktemp("large") / "tiny", lengths=(6, 5), size=CAMERA_SIZE)


@pytest.fixture(scope="module")
def parts(large: Path) -> PolicyParts:
    return build_policy(CONFIG, load_meta(large))


@pytest.mark.parametrize("shape", [(96, 96), (96, 128), (240, 320), (500, 700)])
def test_resized_as_lerobot_does(shape: tuple[int, int]) -> None:
    frames = np.random.default_rng(0).integers(0, 256, (20, *CAMERA_SIZE, 3), dtype=np.uint8)
    step = ImageCropResizeProcessorStep(resize_size=shape)
    pictures = torch.from_numpy(frames).permute(0, 3, 1, 2).float() / 255
    theirs = step.observation({"observation.images.front": pictures})["observation.images.front"]
    ours = resize(frames, shape)
    assert ours.shape == (20, *shape, 3)
    assert ours.dtype == np.uint8
    assert (torch.from_numpy(ours).permute(0, 3, 1, 2) / 255 - theirs).abs().max() <= ROUNDING


def test_pictures_of_the_right_size_stay_as_they_are() -> None:
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), dtype=np.uint8)
    assert resize(frames, (32, 48)) is frames


ROBOT = """
import sys
sys.modules["rabc"] = None  # any import of it now fails
import numpy as np, torch
from lerobot.configs.policies import PreTrainedConfig
from lerobot.policies.factory import get_policy_class, make_pre_post_processors
from lerobot.utils.constants import OBS_STATE
folder, out = sys.argv[1:]
raw = np.load(out)
config = PreTrainedConfig.from_pretrained(folder)
policy = get_policy_class(config.type).from_pretrained(folder, config=config).eval()
seen, actions = {}, []
for name, overrides in {
    "plain": {},
    # As lerobot-rollout and lerobot-eval give them, and lerobot-train where it starts from a folder.
    "rollout": {"device_processor": {"device": "cpu"}, "rename_observations_processor": {"rename_map": {}}},
    "train": {"normalizer_processor": {"norm_map": config.normalization_mapping}},
}.items():
    pre, post = make_pre_post_processors(config, pretrained_path=folder, preprocessor_overrides=overrides)
    for batched in (False, True):
        observation = {key: torch.from_numpy(raw[key]) for key in raw.files}
        if batched:
            observation = {key: value[None] for key, value in observation.items()}
        processed = pre(observation)
        seen[f"{name} {batched}"] = processed["observation.images.front"].numpy()
        policy.reset()
        actions.append(post(policy.select_action(processed)).numpy())
np.savez(out, **seen, actions=np.stack(actions))
assert not any(name.startswith("rabc.") for name in sys.modules)
"""


def test_the_robot_sees_what_training_saw(large: Path, parts: PolicyParts, tmp_path: Path) -> None:
    """LeRobot alone, with the exported folder and raw pictures, against the training batch."""
    meta = load_meta(large)
    cached = cached_frames(meta, CAMERAS, tmp_path / "cache", SHAPE)
    table = read_frames(meta, ["observation.state", "action"])
    batch = ChunkDataset(table, cached, Windows.chunk(4)).batch(np.array([7]))
    for camera in CAMERAS:
        assert batch[camera].shape == (1, 3, *SHAPE)
        batch[camera] = batch[camera] / 255.0
    trained = parts.preprocessor(dict(batch))

    folder, out = tmp_path / "policy", tmp_path / "out.npz"
    parts.policy.save_pretrained(folder)
    exported = with_resize(parts.preprocessor, SHAPE)
    assert len(exported.steps) == len(parts.preprocessor.steps) + 1
    exported.save_pretrained(folder)
    parts.postprocessor.save_pretrained(folder)
    raw: dict[str, NDArray[np.float32]] = {
        camera: np.ascontiguousarray(frames[0].transpose(2, 0, 1), np.float32) / 255
        for camera, frames in DecodedFrames(meta, CAMERAS).read(np.array([7])).items()
    }
    assert raw[CAMERAS[0]].shape == (3, *CAMERA_SIZE)
    np.savez(out, **raw, **{"observation.state": table.vectors["observation.state"][7]})
    command = [sys.executable, "-c", ROBOT, str(folder), str(out)]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)

    robot = np.load(out)
    std = np.asarray(meta.stats[CAMERAS[0]]["std"]).min() if meta.stats else 1.0
    normalised = trained[CAMERAS[0]].numpy()
    for name in (f"{use} {batched}" for use in ("plain", "rollout", "train") for batched in (False, True)):
        assert robot[name].shape == (1, 3, *SHAPE)
        assert np.abs(robot[name] - normalised).max() <= ROUNDING / std, name
        assert np.array_equal(robot[name], robot["plain False"])
    assert robot["actions"].shape == (6, 1, 6)
    assert np.ptp(robot["actions"], axis=0).max() == 0


def test_training_does_not_resize_again(parts: PolicyParts) -> None:
    kinds = [type(step) for step in parts.preprocessor.steps]
    assert ImageCropResizeProcessorStep not in kinds
    exported = with_resize(parts.preprocessor, SHAPE)
    assert [type(step) for step in parts.preprocessor.steps] == kinds
    assert kinds[0].__name__ == "RenameObservationsProcessorStep"
    assert isinstance(exported.steps[1], ImageCropResizeProcessorStep)
