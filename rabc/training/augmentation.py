"""Image augmentation as LeRobot configures it, drawn from the seed, the step and the sample's place in it."""

from collections.abc import Sequence
from typing import Any

import draccus
import numpy as np
import torch
from draccus.utils import DraccusException
from lerobot.transforms import ImageTransforms, ImageTransformsConfig
from torch import Tensor

from rabc.datasets.pictures import as_float
from rabc.system.errors import InputError


class Augmentation:
    """LeRobot's `ImageTransforms`, applied as `LeRobotDataset` does: to each sample and camera on its own.

    All ticks of a camera's window are changed alike. The draws of a sample do not depend on what was drawn
    before, so that a resumed training and one of more processes see the same pictures. Pictures are float in
    0...1: `lerobot-train` hands over uint8, which the noise, blur and compression transforms pass through
    unchanged.
    """

    def __init__(self, settings: dict[str, Any], cameras: Sequence[str], seed: int) -> None:
        """
        Args:
            settings: fields of LeRobot's `ImageTransformsConfig`.
            cameras: camera keys; drawn for in this order.
            seed: of the draws.

        Raises:
            InputError: LeRobot does not know a field or a transform, or rejects its settings.
        """
        try:
            self._transforms = ImageTransforms(draccus.decode(ImageTransformsConfig, settings))
        except (DraccusException, TypeError, ValueError) as error:
            reason = " ".join(str(error).split())
            raise InputError(
                f"dataset.image_transforms {settings}: LeRobot rejects it ({reason}); write it as LeRobot's "
                "dataset.image_transforms"
            ) from error
        self._cameras = tuple(cameras)
        self._seed = seed

    def apply(self, batch: dict[str, Any], step: int, position: int) -> None:
        """Replace the pictures of a batch, (B, ..., 3, H, W) uint8, by augmented ones, float32 in 0...1.

        Args:
            batch: as `ChunkDataset.batch` gives it.
            step: optimizer step.
            position: place of the batch's first sample among those of the step.
        """
        pictures = {camera: as_float(batch[camera]) for camera in self._cameras}
        with torch.random.fork_rng(devices=[]):
            for place in range(len(batch["index"])):
                entropy = np.random.SeedSequence([self._seed, step, position + place])
                torch.manual_seed(int(entropy.generate_state(1, np.uint64)[0]))
                for camera in self._cameras:
                    pictures[camera][place] = self._changed(pictures[camera][place])
        batch.update(pictures)

    def _changed(self, picture: Tensor) -> Tensor:
        changed = self._transforms(picture)
        if changed.shape != picture.shape:
            raise InputError(
                f"dataset.image_transforms: makes {tuple(changed.shape)} of {tuple(picture.shape)}; leave "
                "out transforms that change the size, and set policy.resize_shape"
            )
        return changed
