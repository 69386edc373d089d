"""Records small, real LeRobotDatasets with LeRobot itself."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

EPISODE_LENGTHS = (12, 15, 9, 14)
FPS = 10
SIZE = 32
CAMERAS = ("observation.images.front", "observation.images.wrist")


def record_dataset(
    root: Path,
    storage: str = "video",
    lengths: Sequence[int] = EPISODE_LENGTHS,
    size: tuple[int, int] = (SIZE, SIZE),
) -> Path:
    """Record random motion and moving pictures: short episodes, two cameras, two tasks."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    joints = [f"joint_{i}.pos" for i in range(6)]
    picture = {"dtype": storage, "shape": (*size, 3), "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (6,), "names": joints}
    dataset = LeRobotDataset.create(
        "local/tiny",
        fps=FPS,
        features={**dict.fromkeys(CAMERAS, picture), "observation.state": vector, "action": vector},
        root=root,
        robot_type="so101_follower",
        use_videos=storage == "video",
    )
    rng = np.random.default_rng(0)
    for episode, length in enumerate(lengths):
        state = np.cumsum(rng.normal(0, 5, (length, 6)), axis=0).astype(np.float32)
        texture = rng.integers(0, 255, (2, size[0], 4 * size[1], 3), dtype=np.uint8)
        for t in range(length):
            left = 2 * t % (3 * size[1])
            pictures = [texture[camera, :, left : left + size[1]] for camera in range(2)]
            dataset.add_frame(
                {
                    **dict(zip(CAMERAS, pictures, strict=True)),
                    "observation.state": state[t],
                    "action": (state[t] + rng.normal(0, 1, 6)).astype(np.float32),
                    "task": ("Pick up the red cube.", "Pick up the blue cube.")[episode % 2],
                }
            )
        dataset.save_episode()
    dataset.finalize()
    return root
