"""Bytes become the numbers that LeRobot's trainer makes of them."""

import pytest
import torch

from rabc.datasets.pictures import as_float


@pytest.mark.parametrize("shape", [(3, 3, 5, 7), (2, 2, 3, 4, 6), (2, 3, 480, 640)])
@pytest.mark.parametrize("channels_last", [False, True])
def test_the_same_bits_in_the_same_memory_format(shape: tuple[int, ...], channels_last: bool) -> None:
    pictures = torch.randint(0, 256, shape, dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    if channels_last:  # as the frame cache gives them: (..., H, W, 3), seen as (..., 3, H, W)
        pictures = pictures.movedim(-3, -1).contiguous().movedim(-1, -3)
    expected = pictures.to(torch.float32) / 255.0
    converted = as_float(pictures)
    assert torch.equal(converted, expected)
    assert converted.dtype == torch.float32
    assert converted.stride() == expected.stride()


def test_every_byte() -> None:
    every = torch.arange(256, dtype=torch.uint8).reshape(1, 1, 16, 16)
    assert torch.equal(as_float(every), every.to(torch.float32) / 255.0)
