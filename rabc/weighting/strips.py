"""Frames side by side: of moments, for a page, files and TensorBoard, and of whole episodes, for the page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.pages.html import number, side_by_side
from rabc.scoring.episode_video import frames_at
from rabc.system.errors import InputError
from rabc.weighting.moments import Moment

HEIGHT = 160
"""Of the pictures in a strip, pixels."""
FILM_HEIGHT = 96
"""Of the pictures of a whole episode, pixels."""
LINE = 22
"""Height of a line of the caption, pixels."""


def moment_strip(meta: LeRobotDatasetMetadata, camera: str, moment: Moment) -> NDArray[np.uint8]:
    """The camera's frames at begin, middle and end of the window that judges: (HEIGHT, 3 * width, 3).

    camera: its key in the dataset. Decodes these frames alone. Raises InputError where they cannot be.
    """
    pictures = frames_at(meta, camera, moment.episode_index, np.array(moment.ahead))
    return side_by_side(np.stack(list(pictures)), HEIGHT)


def film_strip(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, frames: NDArray[np.int64]
) -> NDArray[np.uint8]:
    """The camera's frames at ascending `frames` (n,) of an episode: (FILM_HEIGHT, n * width, 3).

    As `moment_strip`.
    """
    return side_by_side(np.stack(list(frames_at(meta, camera, episode, frames))), FILM_HEIGHT)


def captioned(strip: NDArray[np.uint8], lines: Sequence[str]) -> NDArray[np.uint8]:
    """The strip with `lines` of text above it, (H, W, 3)."""
    from PIL import Image, ImageDraw, ImageFont

    font: Any = ImageFont.load_default(size=15)
    width = max(strip.shape[1], *(int(font.getlength(line)) + 12 for line in lines))
    canvas = Image.new("RGB", (width, LINE * len(lines) + 4 + len(strip)), "white")
    draw: Any = ImageDraw.Draw(canvas)
    for row, line in enumerate(lines):
        draw.text((6, 2 + LINE * row), line, fill="black", font=font)
    canvas.paste(Image.fromarray(strip), (0, LINE * len(lines) + 4))
    return np.asarray(canvas)


def caption(moment: Moment, fps: float, label: bool | None = None) -> tuple[str, str]:
    """Two lines on the moment: where it is, and what its weight is made from.

    label: whether the episode succeeded, if known.
    """
    outcome = {None: "", True: ", a success", False: ", a failure"}[label]
    start, end = (number(frame / fps, 1) for frame in (moment.ahead[0], moment.ahead[-1]))
    where = f"episode {moment.episode_index}{outcome}, {start} to {end} s"
    made = f"weight {number(moment.weight, 2)}"
    if moment.before is not None and moment.after is not None:
        made += f", progress {number(moment.before, 2)} to {number(moment.after, 2)}"
    return where, made


def moment_images(folder: Path) -> dict[str, NDArray[np.uint8]]:
    """The captioned strips that the weights stage left in `folder`: name -> (H, W, 3).

    Names are `up/01`, the most up-weighted, to `down/10`; empty where all weights are equal. Raises
    InputError for a file that is no picture.
    """
    from PIL import Image, UnidentifiedImageError

    images: dict[str, NDArray[np.uint8]] = {}
    for kind in ("up", "down"):
        for path in sorted(folder.glob(f"{kind}-*.png")):
            try:
                with Image.open(path) as picture:
                    images[path.stem.replace("-", "/")] = np.asarray(picture.convert("RGB"))
            except (OSError, UnidentifiedImageError) as error:
                raise InputError(
                    f"picture {path}: cannot be read; delete {folder} to have it made again"
                ) from error
    return images
