"""Thresholds that leave nothing, or almost nothing, to learn from. Pure.

Some are known from the lengths of the demonstrations alone, before anything is scored; the others once the
frames have weights.
"""

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.system.errors import InputError
from rabc.weighting.deltas import median_length
from rabc.weighting.schemes import least_delta, tasks_apart

LEAST_SHARE = 0.05
"""Effective sample size, of the frames, below which nothing is trained."""
LITTLE_SHARE = 0.15
"""Share below which it is said how little is left."""


def check_thresholds(
    settings: WeightsConfig, length: NDArray[np.int64], task: NDArray[np.int64], chunk: int
) -> list[str]:
    """What the lengths of the demonstrations say against the thresholds, before any of them is scored.

    Args:
        settings: scheme and its parameters.
        length: (E,) frames of the episodes that the run looks at.
        task: (E,) of each, as `rabc.datasets.tasks.task_groups` numbers them.
        chunk: frames that a delta spans.

    Returns sentences about what can be trained all the same. Raises InputError for a threshold that leaves
    out demonstrations that advance evenly from their first frame to their last.
    """
    if settings.scheme not in ("mask", "rabc") or not len(length):
        return []
    episode_index = np.repeat(np.arange(len(length)), length)
    own = np.repeat(task, length)
    usual = median_length(episode_index)
    said: list[str] = []
    for of in tasks_apart(own):
        frames = median_length(episode_index[of])
        faster, gained = usual / frames, _even_gain(settings, frames, chunk)
        even = (
            f"a demonstration of {frames:.0f} frames, the median{_of_task(own)}, that advances evenly gains "
            f"{gained:.2g} over a chunk of {chunk}"
        )
        # No threshold of this kind is so exact that the last digits of its own gain matter.
        most = gained / faster
        least = least_delta(settings, episode_index[of], chunk, faster) if settings.scheme == "mask" else 0.0
        if least > gained * 1.01:
            raise InputError(
                f"weights.min_delta {settings.min_delta}: {even}, so that perfect ones would be left out; "
                f"give null, which is half of that, or at most {_rounded_down(most)}"
            )
        if settings.scheme == "rabc" and settings.kappa * faster > gained * 1.01:
            said.append(
                f"weights.kappa {settings.kappa}: {even}; hardly a frame has full weight, give at most "
                f"{_rounded_down(most)} for that"
            )
    return said


def check_left(
    settings: WeightsConfig,
    weights: NDArray[np.float64],
    deltas: NDArray[np.float64],
    final: NDArray[np.float64],
) -> list[str]:
    """What is left to learn from, where the threshold or the scale of the scheme leaves little.

    Args:
        settings: scheme and its parameters.
        weights: (N,) of the frames that were judged, before they are normalised.
        deltas: (N,) that they were made from.
        final: (E,) last progress of each episode.

    Returns sentences. Raises InputError where the effective sample size is less than `LEAST_SHARE` of the
    frames, naming the key that decides and its value.
    """
    # Of `drop_share` as many are left out as were asked for.
    by_share = settings.scheme == "filter" and settings.drop_below is None
    if settings.scheme in ("none", "static") or by_share or not len(weights):
        return []
    relative = weights / weights.max() if weights.max() > 0 else weights
    left = float(relative.sum() ** 2 / (relative**2).sum() / len(weights)) if weights.max() > 0 else 0.0
    if left >= LITTLE_SHARE:
        return []
    key, remedy = _decides(settings, deltas, final)
    much = "no frame has a weight" if left == 0 else f"the weights are worth {100 * left:.1f} % of the frames"
    if left < LEAST_SHARE:
        raise InputError(f"{key}: {much} (of {len(weights)}), which is too little to learn from; {remedy}")
    return [f"{key}: {much}; for more, {remedy}"]


def _decides(
    settings: WeightsConfig, deltas: NDArray[np.float64], final: NDArray[np.float64]
) -> tuple[str, str]:
    """The key that decides how much is left, with its value; and what to give instead."""
    gains = f"half of the frames gain {np.median(deltas):.2g} and more over a chunk, a tenth "
    gains += f"{np.quantile(deltas, 0.9):.2g}"
    match settings.scheme:
        case "mask":
            value = "null" if settings.min_delta is None else settings.min_delta
            return f"weights.min_delta {value}", f"{gains}: give less, or check the scorer"
        case "rabc":
            return f"weights.kappa {settings.kappa}", f"{gains}: check the scorer, or take another scheme"
        case "filter":
            return (
                f"weights.drop_below {settings.drop_below}",
                f"half of the episodes end at {np.median(final):.2g} and more, the best at {final.max():.2g}"
                ": give less, or weights.drop_share instead",
            )
        case "awr":
            return f"weights.beta {settings.beta}", "give a larger one"
        case _:
            return f"weights.tau {settings.tau}", f"{gains}: check the scorer"


def _even_gain(settings: WeightsConfig, frames: float, chunk: int) -> float:
    """What every chunk, or with `clamped` the first, gains in an even demonstration: see `chunk_deltas`."""
    steps = max(frames - 1, 1)
    return min(chunk, steps if settings.horizon == "clamped" else 2 * steps) / steps


def _of_task(task: NDArray[np.int64]) -> str:
    return "" if len(np.unique(task)) == 1 else " of its task"


def _rounded_down(value: float) -> str:
    """Two digits that are not more than `value`."""
    digits = 1 - int(np.floor(np.log10(value)))
    return f"{np.floor(value * 10**digits) / 10**digits:.2g}"
