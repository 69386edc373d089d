"""Pictures at the size the policy sees: in training once, and on the robot by a step of the preprocessor.

Both are LeRobot's `ImageCropResizeProcessorStep`. Training rounds its result to uint8 once, so that it can be
kept; the two differ by at most 0.5 / 255.
"""

import dataclasses
from typing import Any

import numpy as np
import torch
from einops import rearrange
from lerobot.processor import PolicyProcessorPipeline
from lerobot.processor.hil_processor import ImageCropResizeProcessorStep
from lerobot.processor.rename_processor import RenameObservationsProcessorStep
from numpy.typing import NDArray

_AT_A_TIME = 16


def resize(frames: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Resize pictures exactly as the exported preprocessor does, and round.

    Args:
        frames: (T, H, W, 3); returned as they are when they have the shape already.
        shape: height and width, pixels.

    Returns:
        (T, height, width, 3), contiguous.
    """
    if frames.shape[1:3] == shape:
        return frames
    step = ImageCropResizeProcessorStep(resize_size=shape)
    resized = np.empty((len(frames), *shape, 3), np.uint8)
    for start in range(0, len(frames), _AT_A_TIME):  # a whole episode as float would take gigabytes
        part = (
            rearrange(torch.from_numpy(frames[start : start + _AT_A_TIME]), "t h w c -> t c h w").float()
            / 255.0
        )
        small = step.observation({"observation.image": part})["observation.image"]
        rounded = (small * 255.0).round().to(torch.uint8)
        resized[start : start + _AT_A_TIME] = rearrange(rounded, "t c h w -> t h w c").numpy()
    return resized


def with_resize(
    preprocessor: PolicyProcessorPipeline[dict[str, Any], dict[str, Any]], shape: tuple[int, int]
) -> PolicyProcessorPipeline[dict[str, Any], dict[str, Any]]:
    """The preprocessor for pictures of any size: it resizes all of them first.

    The step stands right behind the renaming of observations: before the normalisation, since it clamps to
    0...1, and before policies that put pictures into a prompt. It takes single pictures and batches, not
    windows of several ticks: training does without it.

    Args:
        preprocessor: for pictures of the shape; left as it is.
        shape: height and width the policy sees, pixels.
    """
    steps = list(preprocessor.steps)
    renaming = [i for i, step in enumerate(steps) if isinstance(step, RenameObservationsProcessorStep)]
    steps.insert(renaming[-1] + 1 if renaming else 0, ImageCropResizeProcessorStep(resize_size=shape))
    return dataclasses.replace(preprocessor, steps=steps)
