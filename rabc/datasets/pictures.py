"""Pictures from bytes to numbers."""

import numpy as np
import torch
from torch import Tensor


def as_float(pictures: Tensor) -> Tensor:
    """uint8 pictures as float32 from 0 to 1, bit for bit LeRobot's `pictures.to(torch.float32) / 255.0`.

    On a CPU with NumPy, in one pass and one thread: torch's threads wait for one another, and so for the
    loading processes that hold the other cores, twice as long as the division takes.

    Args:
        pictures: (B, ..., 3, H, W), in any memory format, which is kept.
    """
    if pictures.device.type != "cpu":
        return pictures.to(torch.float32) / 255.0
    return torch.from_numpy(np.divide(pictures.numpy(), np.float32(255), dtype=np.float32))
