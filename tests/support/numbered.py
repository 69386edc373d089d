"""Records small real LeRobotDatasets whose pictures say which camera, episode and frame they show.

    root = record_numbered(folder)
    read_number(picture)  ->  Number(camera=1, episode=3, frame=12)

So a picture proves whose it is, after a video's compression and after resizing: the number is written in
large black and white blocks. The joints move smoothly, differently in every episode and with every joint, so
that a check of the motion has nothing to say about it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

LENGTHS = (30, 36, 33, 40)
FPS = 10
CAMERAS = ("front", "wrist")
TASK = "Pick up the red cube."
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
ROWS, COLUMNS = 4, 6
_BITS = {"camera": 3, "episode": 8, "frame": 10}
_MARKS = (1, 0)
"""The first two blocks, by which a picture without a number is told from one with one; the last is parity."""
assert len(_MARKS) + sum(_BITS.values()) + 1 == ROWS * COLUMNS


@dataclass(frozen=True)
class Number:
    """What a picture shows."""

    camera: int
    """Place of the camera in the recording."""
    episode: int
    frame: int


@dataclass(frozen=True)
class Recording:
    """What is recorded; the defaults are a sound dataset of a video for each of two cameras."""

    lengths: Sequence[int] = LENGTHS
    """Frames of each episode."""
    fps: int = FPS
    cameras: Sequence[str] = CAMERAS
    """Names without `observation.images.`."""
    size: tuple[int, int] = (48, 72)
    """Height and width, pixels; a block is at least 6 pixels wide and high to survive compression."""
    storage: str = "video"
    """`video` or `image`."""
    tasks: Sequence[str] = (TASK,)
    """Instruction of each episode, from the first again when there are more episodes."""
    motion: Callable[[int, int, int], NDArray[np.float32]] | None = None
    """(episode, length, fps) -> (length + 1, 6) joints, degrees; None: `motion`."""
    extra: Mapping[str, tuple[dict[str, Any], Callable[[int, int], Any]]] = field(default_factory=dict)
    """Further columns: name -> (feature, value of (episode, frame))."""


def record_numbered(root: Path, recording: Recording | None = None) -> Path:
    """Records with LeRobot itself into the folder `root`, and returns it."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    what = recording or Recording()
    names = [f"{joint}.pos" for joint in JOINTS]
    picture = {"dtype": what.storage, "shape": (*what.size, 3), "names": ["height", "width", "channels"]}
    vector = {"dtype": "float32", "shape": (6,), "names": names}
    dataset = LeRobotDataset.create(
        f"local/{root.name}",
        fps=what.fps,
        features={
            **{f"observation.images.{camera}": picture for camera in what.cameras},
            "observation.state": vector,
            "action": vector,
            **{name: feature for name, (feature, _) in what.extra.items()},
        },
        root=root,
        robot_type="so101_follower",
        use_videos=what.storage == "video",
        **_encoder(what),
    )
    for episode, length in enumerate(what.lengths):
        joints = (what.motion or motion)(episode, length, what.fps)
        for frame in range(length):
            dataset.add_frame(
                {
                    **{
                        f"observation.images.{name}": draw(Number(camera, episode, frame), what.size)
                        for camera, name in enumerate(what.cameras)
                    },
                    "observation.state": joints[frame],
                    "action": joints[frame + 1],
                    **{name: value(episode, frame) for name, (_, value) in what.extra.items()},
                    "task": what.tasks[episode % len(what.tasks)],
                }
            )
        dataset.save_episode()
    dataset.finalize()
    return root


def motion(episode: int, length: int, fps: int) -> NDArray[np.float32]:
    """Joints (length + 1, 6), degrees: slow waves of other phases and sizes in every episode."""
    rng = np.random.default_rng(episode)
    seconds = np.arange(length + 1)[:, None] / fps
    size, speed, phase = rng.uniform(15, 25, 6), rng.uniform(1.0, 1.5, 6), rng.uniform(0, 2 * np.pi, 6)
    joints = size * np.sin(speed * seconds + phase) + rng.normal(0, 0.05, (length + 1, 6))
    joints[:, 5] += 30  # a gripper is never negative
    return joints.astype(np.float32)


def draw(number: Number, size: tuple[int, int]) -> NDArray[np.uint8]:
    """Picture (height, width, 3) of the number."""
    bits = [*_MARKS]
    for name, count in _BITS.items():
        value = getattr(number, name)
        assert 0 <= value < 2**count, f"{name} {value}"
        bits += [value >> place & 1 for place in range(count)]
    bits.append(sum(bits) % 2)
    blocks = np.array(bits, np.uint8).reshape(ROWS, COLUMNS) * 215 + 20
    rows, columns = np.arange(size[0]) * ROWS // size[0], np.arange(size[1]) * COLUMNS // size[1]
    return np.repeat(blocks[rows][:, columns, None], 3, axis=2)


def read_number(picture: Any) -> Number | None:
    """The number in a picture: (height, width, 3), or (3, height, width) as LeRobot's; 0 to 255 or 0 to 1.

    None where it has none: a black picture, or one between two numbers.
    """
    pixels = np.asarray(picture, np.float64)
    if pixels.shape[0] == 3:
        pixels = pixels.transpose(1, 2, 0) * (255 if pixels.max() <= 1 else 1)
    rows, columns = _middles(pixels.shape[0], ROWS), _middles(pixels.shape[1], COLUMNS)
    grey = np.array([pixels[row][:, column].mean() for row in rows for column in columns])
    if np.any(np.abs(grey - 127.5) < 40):
        return None
    bits = (grey > 127.5).astype(int).tolist()
    if tuple(bits[:2]) != _MARKS or sum(bits[:-1]) % 2 != bits[-1]:
        return None
    found: list[int] = []
    place = len(_MARKS)
    for count in _BITS.values():
        found.append(sum(bit << power for power, bit in enumerate(bits[place : place + count])))
        place += count
    return Number(*found)


def _middles(side: int, count: int) -> list[slice]:
    """The middle of each of `count` blocks along a side of pixels; their edges run into their neighbours."""
    block = side / count
    firsts = [round((place + 0.3) * block) for place in range(count)]
    return [slice(first, max(first + 1, round(first + 0.4 * block))) for first in firsts]


def _encoder(what: Recording) -> dict[str, Any]:
    """H.264, which starts in a tenth of the time of LeRobot's AV1."""
    if what.storage != "video":
        return {}
    from lerobot.configs import RGBEncoderConfig

    return {"rgb_encoder": RGBEncoderConfig(vcodec="h264", crf=23, preset="ultrafast")}
