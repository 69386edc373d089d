"""When two computations of the same sum in different order are equal: a tolerance out of rounding and size.

Which kernels a processor has decides in which order it sums, so no absolute number holds everywhere. What
does: each of the n terms of a sum is rounded by at most half an eps of the size the sum has by then, with
either sign, so that n roundings come to at most sqrt(n) / 2 of them in the root mean square. `ROOM` times as
much is allowed: three for chance, two for the operations that the terms went through before.

The size is that of the element and that of its tensor (root mean square), of which an element that is small
because its terms cancel was a part. A whole tensor cancels where a shift changes nothing, as before a
softmax: `assert_gradients_close` takes the size from all of the layer.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

ROOM = 6


def tolerance(wanted: Any, terms: int, size: float | None = None, room: float = ROOM) -> Tensor:
    """By how much each element of `wanted` may be missed.

    Args:
        wanted: a number or an array; a plain Python number, which has lost its own precision, is taken for
            a float32.
        terms: number of them in the longest sum on its way.
        size: what the element may have been summed from; None: the root mean square of `wanted`.
        room: times the root mean square of the roundings that are allowed.
    """
    values, precision = _values(wanted)
    size = float(values.square().mean().sqrt()) if size is None else size
    return room * math.sqrt(terms) / 2 * precision * (values.abs() + size)


def assert_close(
    found: Any, wanted: Any, terms: int, what: str = "", size: float | None = None, room: float = ROOM
) -> None:
    """Equal but for the order in which float numbers were added; `tolerance` explains the arguments."""
    (mine, precision), (theirs, other) = _values(found), _values(wanted)
    assert mine.shape == theirs.shape, f"{what}: {tuple(mine.shape)} for {tuple(theirs.shape)}"
    # Of the two precisions the coarser.
    allowed = tolerance(wanted, terms, size, room) * max(1.0, precision / other)
    missed = (mine - theirs).abs()
    bad = ~(missed <= allowed)  # nan is bad, too
    assert not bad.any(), (
        f"{what}: {int(bad.sum())} of {bad.numel()} elements differ, "
        f"by up to {float((missed / allowed).max()):.3g} times what rounding allows"
    )


def assert_gradients_close(
    found: Mapping[str, Tensor], wanted: Mapping[str, Tensor], terms: int, room: float = ROOM
) -> None:
    """`assert_close` of gradients (or weights) by name, each with the size of all of its layer."""
    assert found.keys() == wanted.keys()
    sizes: dict[str, float] = {}
    for name, value in wanted.items():
        layer = name.rpartition(".")[0]
        sizes[layer] = max(sizes.get(layer, 0.0), float(value.double().square().mean().sqrt()))
    for name, value in wanted.items():
        assert_close(found[name], value, terms, name, sizes[name.rpartition(".")[0]], room)


def _values(of: Any) -> tuple[Tensor, float]:
    """In double precision, and the precision it had."""
    if isinstance(of, Tensor):
        precision = torch.finfo(of.dtype).eps if of.is_floating_point() else 0.0
        return of.detach().double().cpu(), precision
    array = np.asarray(of)
    plain = not isinstance(of, np.ndarray | np.generic)
    dtype = np.float32 if plain or array.dtype.kind != "f" else array.dtype
    return torch.from_numpy(np.array(array, np.float64)), float(np.finfo(dtype).eps)
