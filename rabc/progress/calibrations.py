"""From scores to progress. Pure functions over arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

BOUND_PERCENTILES = (5.0, 95.0)


def episode_progress(log_prob_true: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Min-max of one episode's curve (K,): (r - min r) / (max r - min r + epsilon), in [0, 1].

    TOPReward (arXiv 2602.19313) Eq. 2. It maps a failed episode onto [0, 1] like a success;
    `dataset_progress` does not. A constant curve gives zeros.
    """
    r = checked_curve(log_prob_true)
    return (r - r.min()) / (r.max() - r.min() + epsilon)


def dataset_progress(curves: Sequence[NDArray[np.float64]], epsilon: float) -> list[NDArray[np.float64]]:
    """All curves of a dataset, (K_i,) each, on one scale, clipped to [0, 1].

    The bounds are pooled (`dataset_bounds`): 0 is the 5th percentile of the curves' first scores and 1 the
    95th percentile of their highest ones, so that a few odd episodes do not stretch the scale and a failed
    episode ends low. Where the bounds are not in order, every value is 0.
    """
    checked = [checked_curve(curve) for curve in curves]
    low, high = dataset_bounds(checked)
    if high <= low:
        return [np.zeros_like(curve) for curve in checked]
    return [np.clip((curve - low) / (high - low + epsilon), 0.0, 1.0) for curve in checked]


def dataset_bounds(curves: Sequence[NDArray[np.float64]]) -> tuple[float, float]:
    """(low, high) of all curves of a dataset: 5th percentile of first scores, 95th of highest ones."""
    if not curves:
        raise ValueError("no curves")
    low = np.percentile([curve[0] for curve in curves], BOUND_PERCENTILES[0])
    high = np.percentile([curve.max() for curve in curves], BOUND_PERCENTILES[1])
    return float(low), float(high)


def logodds_progress(log_odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sigmoid of log p(True) - log p(False), (K,): p(True) among the two answers, in [0, 1].

    Absolute: it needs no other episode, and what the model says besides the two answers cancels.
    """
    curve = checked_curve(log_odds)
    # Half of tanh is the sigmoid, and overflows nowhere.
    return 0.5 * (1.0 + np.tanh(0.5 * curve))


def subtract_static(curve: NDArray[np.float64], static_curve: NDArray[np.float64]) -> NDArray[np.float64]:
    """The curve (K,) without the rise of the same episode's static curve (K,): r_k - (s_k - s_0).

    The static curve scores the first frame repeated, so that all it can rise with is the length of the clip.
    The first score stays.
    """
    real, static = checked_curve(curve), checked_curve(static_curve)
    if real.shape != static.shape:
        raise ValueError(f"curve {real.shape}, static curve {static.shape}: must be of one shape")
    return real - (static - static[0])


def per_frame(
    prefix_lengths: NDArray[np.int64], values: NDArray[np.float64], num_frames: int
) -> NDArray[np.float64]:
    """Value at every frame, (num_frames,): linear between prefixes (K,), constant before the first and after
    the last.

    The value of a prefix of n frames belongs to frame n - 1, its last.
    """
    if len(prefix_lengths) != len(values) or len(values) == 0:
        raise ValueError(f"{len(prefix_lengths)} prefixes, {len(values)} values: must be equal and positive")
    if prefix_lengths[0] < 1 or prefix_lengths[-1] > num_frames or np.any(np.diff(prefix_lengths) <= 0):
        raise ValueError(f"prefix lengths {prefix_lengths}: must increase within 1..{num_frames}")
    return np.interp(np.arange(num_frames), np.asarray(prefix_lengths) - 1, values)


def checked_curve(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """`values` as float64; ValueError unless they are one-dimensional, finite and not empty."""
    curve = np.asarray(values, dtype=np.float64)
    if curve.ndim != 1 or len(curve) == 0 or not np.isfinite(curve).all():
        raise ValueError(f"curve of shape {curve.shape}: must be one-dimensional, finite and not empty")
    return curve
