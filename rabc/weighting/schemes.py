"""From progress to sample weights. Pure functions over arrays; one function per scheme.

What the weight of a frame depends on, before the weights are normalised:

    none                 nothing
    topreward, mask      the delta of the frame
    rabc, awr            that, and mean and standard deviation of all deltas
    filter               the delta, or the final progress of the episode, and its rank among all
    static               the file (rabc/weighting/weights_file.py)

The delta of a frame depends on the progress of its own episode alone; normalising divides by one number.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.system.errors import InputError

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
    for start, stop in episode_bounds(episode_index):
        frames = np.arange(start, stop)
        future = np.minimum(frames + chunk, stop - 1)
        delta = progress[future] - progress[frames]
        if horizon == "per_step":
            delta[:-1] *= chunk / (future - frames)[:-1]
            delta[-1] = delta[-2] if len(delta) > 1 else 0.0
        deltas[start:stop] = delta
    return deltas


def episode_bounds(episode_index: NDArray[np.int64]) -> NDArray[np.int64]:
    """First frame of each episode and the one past its last, (E, 2), from the episode of every frame (N,).

    Raises ValueError if the frames of an episode are not contiguous.
    """
    episode_index = np.asarray(episode_index)
    starts = np.flatnonzero(np.diff(episode_index, prepend=episode_index[:1] - 1))
    if len(np.unique(episode_index[starts])) != len(starts):
        raise ValueError("episode_index: the frames of an episode must be contiguous")
    return np.stack([starts, np.r_[starts, len(episode_index)][1:]], axis=1)


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


def awr(deltas: NDArray[np.float64], beta: float, weight_max: float, epsilon: float) -> NDArray[np.float64]:
    """Advantage-weighted regression (AWR, arXiv 1910.00177): min(exp(z / beta), weight_max), (N,).

    z = (delta - mean) / max(std, epsilon) over all frames: the delta is the advantage over the average chunk.
    The authors' code standardises it so, with beta 1 and weight_max 20. Equal deltas give equal weights. It
    judges by the dataset's own average: where all demonstrations are clean it lowers their slower moments,
    which costs more than it gains (docs/results.md).
    """
    if beta <= 0 or weight_max <= 0:
        raise ValueError(f"beta {beta}, weight_max {weight_max}: must be positive")
    if len(deltas) == 0:
        return np.empty(0)
    deltas = np.asarray(deltas, dtype=np.float64)
    z = (deltas - deltas.mean()) / max(float(deltas.std()), epsilon)
    # As in topreward: capped where the clip acts anyway.
    return np.minimum(np.exp(np.minimum(z / beta, np.log(weight_max) + 1.0)), weight_max)


def mask(deltas: NDArray[np.float64], min_delta: float) -> NDArray[np.float64]:
    """0 where the chunk gains less than `min_delta`, else 1, (N,); `min_delta` 0 leaves out what regresses.

    The binary weights of critic-regularised regression (arXiv 2006.15134), 1[advantage > 0], but that a chunk
    without progress stays.
    """
    return np.where(np.asarray(deltas) < min_delta, 0.0, 1.0)


def filter_frames(deltas: NDArray[np.float64], drop_share: float) -> NDArray[np.float64]:
    """0 for the share of frames with the lowest deltas, else 1, (N,).

    Percentile behavior cloning (%BC; Decision Transformer, arXiv 2106.01345) on chunks in place of episodes.
    Of N frames floor(drop_share * N) are left out, fewer where the last of them ties with one that stays.
    """
    if not 0 <= drop_share < 1:
        raise ValueError(f"drop_share {drop_share}: must be in [0, 1)")
    if len(deltas) == 0:
        return np.empty(0)
    threshold = np.sort(deltas)[int(drop_share * len(deltas))]
    return np.where(np.asarray(deltas) < threshold, 0.0, 1.0)


def filter_episodes(
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    drop_share: float,
    drop_below: float | None = None,
) -> NDArray[np.float64]:
    """0 for the frames of the episodes with the lowest final progress, else 1, (N,).

    %BC (arXiv 2106.01345), with the progress at an episode's last frame as its return.

    Args:
        progress: (N,) of every frame; comparable between episodes.
        episode_index: (N,), each episode's frames contiguous.
        drop_share: share of the episodes, as in `filter_frames`.
        drop_below: final progress below which an episode is left out, in place of `drop_share`; may leave
            none.
    """
    bounds = episode_bounds(episode_index)
    final = np.asarray(progress, dtype=np.float64)[bounds[:, 1] - 1]
    kept = filter_frames(final, drop_share) if drop_below is None else mask(final, drop_below)
    return np.repeat(kept, bounds[:, 1] - bounds[:, 0])


def by_scheme(
    deltas: NDArray[np.float64],
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    settings: WeightsConfig,
) -> NDArray[np.float64]:
    """Weights (N,) of the configured scheme, not yet normalised.

    Args:
        deltas: (N,) from `chunk_deltas`.
        progress: (N,) that they come from.
        episode_index: (N,).
        settings: scheme and its parameters; not `static`, whose weights no progress decides.
    """
    match settings.scheme:
        case "none":
            return none(deltas)
        case "topreward":
            return topreward(deltas, settings.tau, settings.delta_max)
        case "rabc":
            return rabc(deltas, settings.kappa, settings.epsilon)
        case "awr":
            return awr(deltas, settings.beta, settings.weight_max, settings.epsilon)
        case "mask":
            return mask(deltas, settings.min_delta)
        case "filter" if settings.drop == "frames":
            return filter_frames(deltas, settings.drop_share)
        case "filter":
            return filter_episodes(progress, episode_index, settings.drop_share, settings.drop_below)
        case "static":
            raise ValueError("scheme static: its weights come from a file, not from progress")


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
            "nothing is left to learn from, so check the scorer, or the parameters of weights.scheme"
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
