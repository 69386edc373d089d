"""From progress to sample weights. Pure functions over arrays; one function per scheme.

What the weight of a frame depends on, before the weights are normalised:

    none                 nothing
    topreward, mask      the delta of the frame
    rabc, awr            that, and mean and standard deviation of all deltas of its task
    auto                 progress, lengths and ends of the episodes of its task
    filter               the delta, or the final progress of the episode, and its rank within its task
    static               the file (rabc/weighting/weights_file.py)

The delta of a frame depends on the progress of its own episode alone; normalising divides by one number for
each task. Where thresholds are in units of progress over a chunk (`kappa`, `min_delta`), those of a task
follow its pace: they are meant for demonstrations of the median length of all, and are larger in the same
proportion for a task whose demonstrations are shorter. With one task nothing is scaled.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.system.errors import InputError
from rabc.weighting.auto import leave
from rabc.weighting.deltas import episode_bounds, median_length, pace

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
    """0 where the chunk gains less than `min_delta`, else 1, (N,); 0 leaves out what regresses.

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
    chunk: int,
    task: NDArray[np.int64] | None = None,
) -> NDArray[np.float64]:
    """Weights (N,) of the configured scheme, not yet normalised.

    Whatever compares frames or episodes does so within a task: what is slow for one is fast for another.

    Args:
        deltas: (N,) from `rabc.weighting.deltas.chunk_deltas`, all known.
        progress: (N,) that they come from.
        episode_index: (N,).
        settings: scheme and its parameters; not `static`, whose weights no progress decides.
        chunk: frames that a delta spans.
        task: (N,), the same for all frames of an episode (`rabc.datasets.tasks`); None: there is one.
    """
    if settings.scheme == "static":
        raise ValueError("scheme static: its weights come from a file, not from progress")
    if len(deltas) == 0:
        return np.empty(0)
    usual = median_length(episode_index)
    found = np.empty(len(deltas))
    for of in tasks_apart(np.zeros(len(deltas), np.int64) if task is None else task):
        # The thresholds are meant for demonstrations of the usual length. One task: exactly 1.
        faster = usual / median_length(episode_index[of])
        found[of] = _of_one_task(deltas[of], progress[of], episode_index[of], settings, chunk, faster)
    return found


def tasks_apart(task: NDArray[np.int64]) -> list[NDArray[np.bool_]]:
    """Which of N frames are of each task, (N,) bool for each, by the task of every frame (N,)."""
    return [task == number for number in np.unique(task)]


def least_delta(
    settings: WeightsConfig, episode_index: NDArray[np.int64], chunk: int, faster: float
) -> float:
    """Progress over a chunk below which `mask` leaves out a frame of a task.

    episode_index: (N,) of the task's frames; faster: how many times the pace of the task is that of a
    demonstration of the dataset's median length.
    """
    if settings.min_delta is None:
        return pace(episode_index, chunk) / 2
    return settings.min_delta * faster


def _of_one_task(
    deltas: NDArray[np.float64],
    progress: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    settings: WeightsConfig,
    chunk: int,
    faster: float,
) -> NDArray[np.float64]:
    match settings.scheme:
        case "topreward":
            return topreward(deltas, settings.tau, settings.delta_max)
        case "rabc":
            return rabc(deltas, settings.kappa * faster, settings.epsilon)
        case "awr":
            return awr(deltas, settings.beta, settings.weight_max, settings.epsilon)
        case "mask":
            return mask(deltas, least_delta(settings, episode_index, chunk, faster))
        case "auto":
            return leave(progress, episode_index, chunk).kept.astype(np.float64)
        case "filter" if settings.drop == "frames":
            return filter_frames(deltas, settings.drop_share)
        case "filter":
            return filter_episodes(progress, episode_index, settings.drop_share, settings.drop_below)
        case _:
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
            "nothing is left to learn from, so check the scorer, or the parameters of weights.scheme"
        )
    scaled = np.where(drawable, weights / largest, 0.0)
    return scaled / scaled[drawable].mean()


def normalise_tasks(weights: NDArray[np.float64], task: NDArray[np.int64]) -> NDArray[np.float64]:
    """Scales weights (N,) to mean 1 over the frames of positive weight of each task, (N,) as in `by_scheme`.

    Which task is to be learned more is nothing that progress can say: tasks share the training by their
    frames, as in plain behavior cloning. A task of which nothing is left keeps weight 0. With one task this
    is `normalise`, whose error it raises where nothing is left of any.
    """
    parts = tasks_apart(task)
    if len(parts) <= 1 or not np.any(weights > 0):
        return normalise(weights)
    found = np.zeros(len(weights))
    for of in parts:
        if np.any(weights[of] > 0):
            found[of] = normalise(weights[of])
    return found


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
