"""Pictures from bytes to numbers."""

import torch
from torch import Tensor


def as_float(pictures: Tensor) -> Tensor:
    """uint8 pictures as float32 from 0 to 1, bit for bit LeRobot's `pictures.to(torch.float32) / 255.0`.

    On a CPU picture by picture: a camera's picture fits into the processor's cache, a batch of 480x640 does
    not, and threads that wait for one another over so long an operation lose to the loading processes.

    Args:
        pictures: (B, ..., 3, H, W), in any memory format, which is kept.
    """
    if pictures.device.type != "cpu":
        return pictures.to(torch.float32) / 255.0
    converted = torch.empty_like(pictures, dtype=torch.float32)
    for source, target in zip(pictures, converted, strict=True):
        torch.div(source, 255.0, out=target)
    return converted
