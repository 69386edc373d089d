"""The tolerance holds for sums in any order, and a fault is outside it."""

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.support.closeness import assert_close, assert_gradients_close

SAMPLES, PLACES = 8, 1024
TERMS = SAMPLES * PLACES


def summands() -> Tensor:
    """What 8 samples add to a gradient of 64 elements, of both signs and very different sizes."""
    drawn = torch.randn(TERMS, 64, generator=torch.Generator().manual_seed(0))
    return drawn * torch.logspace(-3, 1, 64)[torch.randperm(64, generator=torch.Generator().manual_seed(1))]


def test_every_order_of_summands_is_the_same_sum() -> None:
    parts = summands()
    exact = parts.double().sum(0).float()
    one_by_one = torch.zeros(64)
    for part in parts:
        one_by_one += part
    assert not torch.equal(one_by_one, exact)
    size = float(parts.cumsum(0).abs().max())
    assert_close(one_by_one, exact, TERMS, size=size)
    assert_close(parts.flip(0).sum(0), parts.sum(0), TERMS, size=size)
    assert_close(one_by_one.numpy(), exact.tolist(), TERMS, size=size)


def test_a_layer_that_cancels_has_the_size_of_its_layer() -> None:
    """Softmax ignores a shift, so the gradient of a bias before it is rounding and nothing else."""
    wanted = {"pool.weight": torch.ones(3), "pool.bias": torch.full((3,), 1e-9)}
    found = {"pool.weight": torch.ones(3), "pool.bias": torch.full((3,), -1e-9)}
    assert_gradients_close(found, wanted, TERMS)
    with pytest.raises(AssertionError, match=r"pool\.bias: 3 of 3 elements differ"):
        assert_gradients_close({**found, "pool.bias": torch.full((3,), 1e-4)}, wanted, TERMS)
    with pytest.raises(AssertionError):
        assert_gradients_close({"pool.weight": torch.ones(3)}, wanted, TERMS)


def test_a_fault_is_found() -> None:
    parts = summands().reshape(SAMPLES, PLACES, 64)
    wanted = parts.sum((0, 1))
    typical = int((wanted.abs() - wanted.square().mean().sqrt()).abs().argmin())
    off = wanted.clone()
    off[typical] *= 1 + 1e-4
    without = parts[1:].sum((0, 1))
    padded = parts.clone()
    padded[3, -1] = 0.0
    unknown = wanted.clone()
    unknown[5] = torch.nan
    for fault in (off, without, padded.sum((0, 1)), wanted * (1 + 1e-3), unknown):
        with pytest.raises(AssertionError, match="elements differ"):
            assert_close(fault, wanted, TERMS)
    with pytest.raises(AssertionError, match=r"\(63,\) for \(64,\)"):
        assert_close(wanted[1:], wanted, TERMS)
    assert_close(np.float64(1.0), np.float64(1 + 1e-15), 8)
    with pytest.raises(AssertionError):
        assert_close(np.float64(1.0), np.float64(1 + 1e-12), 8)
