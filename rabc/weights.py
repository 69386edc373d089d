"""From progress to sample weights. Pure functions over arrays; one function per scheme."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rabc.config import WeightsConfig
from rabc.errors import InputError

HISTOGRAM_BINS = 20


@dataclass(frozen=True)
class WeightSummary:
    """How a set of weights treats the frames of a dataset."""

    frames: int
    """All frames."""
    drawn: int
    """Frames of positive weight; training draws no others."""
    effective_sample_size: float
    """(sum w)^2 / sum w^2 (Kish), frames: equal weights reach `drawn`."""
    share_zero: float
    """Share of frames with weight 0."""
    share_saturated: float
    """Share of frames at the largest weight; 1 when all are equal."""
    histogram_edges: tuple[float, ...]
    """Bin edges, 21 of them from 0 to the largest weight."""
    histogram_counts: tuple[int, ...]
    """Frames per bin, 20 of them."""


def chunk_deltas(
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    chunk: int,
    horizon: Literal["per_step", "clamped"],
) -> NDArray[np.float64]:
    """Progress made over the chunk of `chunk` frames that starts at each frame: float64 (N,).

    progress (N,), episode_index (N,): one row per frame, each episode's frames contiguous and in order.
    SARM (arXiv 2509.25358): r = s(t + H) - s(t). Where the episode ends after m < H steps, `clamped` takes
    s(end) - s(t) as LeRobot does, which shrinks the delta towards the end; `per_step` scales it by H / m to a
    whole chunk, and gives the last frame (m = 0) the delta of the frame before. One frame: 0.
    """
    progress = np.asarray(progress, dtype=np.float64)
    episode_index = np.asarray(episode_index)
    if progress.ndim != 1 or progress.shape != episode_index.shape:
        raise ValueError(f"progress {progress.shape}, episode_index {episode_index.shape}: must be one (N,)")
    if not np.isfinite(progress).all():
        raise ValueError("progress: must be finite")
    if chunk < 1:
        raise ValueError(f"chunk {chunk}: must be at least 1")
    if horizon not in ("per_step", "clamped"):
        raise ValueError(f"horizon {horizon}: must be per_step or clamped")
    deltas = np.empty_like(progress)
    if len(progress) == 0:
        return deltas
    starts = np.flatnonzero(np.r_[True, episode_index[1:] != episode_index[:-1]])
    if len(np.unique(episode_index[starts])) != len(starts):
        raise ValueError("episode_index: the frames of an episode must be contiguous")
    for start, stop in zip(starts, np.r_[starts[1:], len(progress)], strict=True):
        frames = np.arange(start, stop)
        future = np.minimum(frames + chunk, stop - 1)
        delta = progress[future] - progress[frames]
        if horizon == "per_step":
            delta[:-1] *= chunk / (future - frames)[:-1]
            delta[-1] = delta[-2] if len(delta) > 1 else 0.0
        deltas[start:stop] = delta
    return deltas


def none(deltas: NDArray[np.float64]) -> NDArray[np.float64]:
    """Plain behavior cloning: weight 1 for every frame (N,)."""
    return np.ones(len(deltas))


def topreward(deltas: NDArray[np.float64], tau: float, delta_max: float) -> NDArray[np.float64]:
    """TOPReward (arXiv 2602.19313) Eq. 3: clip(tau * exp(delta), 0, delta_max), (N,).

    The paper takes the step between prefixes; here it is the chunk the policy imitates. With tau = delta_max
    every non-negative delta saturates, so that the scheme only lowers frames that lose progress.
    """
    if tau <= 0 or delta_max <= 0:
        raise ValueError(f"tau {tau}, delta_max {delta_max}: must be positive")
    # The exponent is capped where the clip acts anyway, so that it cannot overflow.
    return np.minimum(tau * np.exp(np.minimum(deltas, np.log(delta_max / tau) + 1.0)), delta_max)


def rabc(deltas: NDArray[np.float64], kappa: float, epsilon: float) -> NDArray[np.float64]:
    """RA-BC (SARM, arXiv 2509.25358) Eq. 8-9, in [0, 1], (N,).

    1 above kappa, 0 below 0, and between them clip((delta - (mu - 2 sigma)) / (4 sigma + epsilon), 0, 1),
    with mu = max(mean, 0) and sigma = max(std, epsilon) over all frames, as in LeRobot's
    `rewards/sarm/rabc.py`.
    """
    if len(deltas) == 0:
        return np.empty(0)
    deltas = np.asarray(deltas, dtype=np.float64)
    mu, sigma = max(float(deltas.mean()), 0.0), max(float(deltas.std()), epsilon)
    soft = np.clip((deltas - (mu - 2 * sigma)) / (4 * sigma + epsilon), 0.0, 1.0)
    return np.where(deltas > kappa, 1.0, np.where(deltas >= 0, soft, 0.0))


def by_scheme(deltas: NDArray[np.float64], settings: WeightsConfig) -> NDArray[np.float64]:
    """Weights (N,) of the configured scheme from chunk deltas (N,), not yet normalised."""
    if settings.scheme == "topreward":
        return topreward(deltas, settings.tau, settings.delta_max)
    if settings.scheme == "rabc":
        return rabc(deltas, settings.kappa, settings.epsilon)
    return none(deltas)


def normalise(
    weights: NDArray[np.floating], drawable: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Scales weights (N,) to mean 1 over the `drawable` frames, bool (N,); the others get weight 0.

    drawable: by default the frames of positive weight, since a frame of weight 0 would cost a step's time and
    teach nothing.
    Over the dataset and not within a batch, so that a batch of bad samples counts less than one of good ones.
    Raises InputError if every drawable weight is 0.
    """
    weights = np.asarray(weights, dtype=np.float64)
    if drawable is None:
        drawable = weights > 0 if np.any(weights > 0) else np.ones(weights.shape, dtype=bool)
    drawable = np.asarray(drawable, dtype=bool)
    if weights.shape != drawable.shape:
        raise ValueError(f"weights {weights.shape}, drawable {drawable.shape}: must be one (N,)")
    if not np.isfinite(weights).all() or np.any(weights < 0):
        raise ValueError("weights: must be finite and not negative")
    if not drawable.any():
        raise InputError("drawable frames 0: no frame can be drawn for training; check the dataset")
    largest = weights[drawable].max()
    if largest == 0:
        raise InputError(
            f"weights: all {int(drawable.sum())} drawable frames have weight 0; "
            "no chunk gains progress, so check the scorer or use another weights.scheme"
        )
    scaled = np.where(drawable, weights / largest, 0.0)
    return scaled / scaled[drawable].mean()


def summary(weights: NDArray[np.floating]) -> WeightSummary:
    """Describes the weights (N,) of all frames, not all 0."""
    weights = np.asarray(weights, dtype=np.float64)
    if weights.ndim != 1 or len(weights) == 0 or weights.max() <= 0:
        raise ValueError("weights: must be one-dimensional and not all 0")
    largest = float(weights.max())
    counts, edges = np.histogram(weights, bins=HISTOGRAM_BINS, range=(0.0, largest))
    relative = weights / largest
    return WeightSummary(
        frames=len(weights),
        drawn=int((weights > 0).sum()),
        effective_sample_size=float(relative.sum() ** 2 / (relative**2).sum()),
        share_zero=float(np.mean(weights == 0)),
        share_saturated=float(np.mean(np.isclose(weights, largest, rtol=1e-9, atol=0.0))),
        histogram_edges=tuple(float(edge) for edge in edges),
        histogram_counts=tuple(int(count) for count in counts),
    )
