"""Datasets to train on: two cameras as people have them, and demonstrations of the simulator."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray

from rabc.config.settings import DatasetConfig, DemonstrationsConfig
from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.metadata import load_meta
from rabc.weighting.weights_file import write_weights

FPS = 30
CAMERAS = ("observation.images.front", "observation.images.wrist")
JOINTS = 6
PIXELS_PER_FRAME = 4
"""How far the picture moves from one frame to the next."""


def record_cameras(root: Path, episodes: int, frames: int, size: tuple[int, int]) -> Path:
    """A LeRobotDataset of two cameras of `size` (height, width) at 30 fps, encoded with LeRobot's defaults.

    Each episode has `frames` frames: the view pans over a picture of its own, the arm moves at random.
    """
    import av.logging as libav
    from lerobot.datasets import LeRobotDataset

    os.environ.setdefault("SVT_LOG", "1")  # errors only
    libav.set_libav_level(libav.ERROR)  # LeRobot hands libav's messages back to stderr
    picture = {"dtype": "video", "shape": (*size, 3), "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (JOINTS,), "names": [f"joint_{i}.pos" for i in range(JOINTS)]}
    features: Any = {**dict.fromkeys(CAMERAS, picture), "observation.state": vector, "action": vector}
    dataset: Any = LeRobotDataset.create(
        "local/benchmark", FPS, features, root=root,
        streaming_encoding=True, encoder_queue_maxsize=frames,  # no frame may be dropped
    )  # fmt: skip
    rng = np.random.default_rng(0)
    for episode in range(episodes):
        state = np.cumsum(rng.normal(0, 1, (frames + 1, JOINTS)), axis=0).astype(np.float32)
        scenes = {camera: panorama(rng, size, frames) for camera in CAMERAS}
        for tick in range(frames):
            left = PIXELS_PER_FRAME * tick
            views = {camera: scene[:, left : left + size[1]] for camera, scene in scenes.items()}
            dataset.add_frame(
                {**views, "observation.state": state[tick], "action": state[tick + 1], "task": "Move."}
            )
        dataset.save_episode()
        print(f"  recorded episode {episode + 1}/{episodes}", flush=True)
    dataset.finalize()
    return root


def panorama(rng: np.random.Generator, size: tuple[int, int], frames: int) -> NDArray[np.uint8]:
    """(height, width + what `frames` frames pan over, 3): smooth patches with some grain."""
    height, width = size[0], size[1] + PIXELS_PER_FRAME * frames
    coarse = torch.from_numpy(rng.uniform(0, 255, (1, 3, -(-height // 16), -(-width // 16))))
    fine = torch.nn.functional.interpolate(coarse, (height, width), mode="bicubic")
    smooth = rearrange(fine, "1 c h w -> h w c")
    grain = rng.normal(0, 3, (height, width, 1))
    return np.clip(smooth.numpy() + grain, 0, 255).astype(np.uint8)


def simulated(root: Path, episodes: int, image_size: int = 96) -> Path:
    """Demonstrations of picking up: a copy of those in `data/` where there are as many, else new ones."""
    recorded = Path(DatasetConfig().paths[0])
    info = recorded / "meta" / "info.json"
    if image_size == 96 and info.is_file() and json.loads(info.read_text())["total_episodes"] == episodes:
        return shutil.copytree(recorded, root)
    from rabc.sim.recorder import record

    record(DemonstrationsConfig(episodes=episodes, image_size=image_size), root)
    return root


def without_cache(root: Path) -> Path:
    """The dataset as it was recorded."""
    shutil.rmtree(derived_folder(root), ignore_errors=True)
    return root


def weights_of_one(root: Path) -> Path:
    """A weights file for a dataset in which every frame counts the same."""
    path = root.with_name(f"{root.name}-weights.parquet")
    write_weights(path, np.ones(load_meta(root).total_frames), {})
    return path
