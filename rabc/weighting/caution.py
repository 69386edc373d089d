"""A word of caution where weights suit their data badly. Pure."""

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.weighting.schemes import episode_bounds

MIN_BEHIND = 0.5
"""Share of frames behind, below which there is a warning of `awr`: above it awr helped in all simulated
comparisons, below it in one of four, where `mask` did, too (docs/results.md)."""


def pace(episode_index: NDArray[np.int64], chunk: int) -> float:
    """Progress, of 1 for the task, that a demonstration of median length makes evenly over `chunk` frames.

    episode_index: (N,), each episode's frames contiguous.
    """
    bounds = episode_bounds(episode_index)
    return min(1.0, chunk / float(np.median(bounds[:, 1] - bounds[:, 0])))


def share_behind(deltas: NDArray[np.float64], episode_index: NDArray[np.int64], chunk: int) -> float:
    """Share of frames whose chunk gains less than half of `pace`; deltas: (N,) of `chunk_deltas`."""
    return float(np.mean(deltas < pace(episode_index, chunk) / 2))


def caution(
    settings: WeightsConfig,
    deltas: NDArray[np.float64] | None,
    episode_index: NDArray[np.int64],
    chunk: int,
) -> str | None:
    """What speaks against the scheme on these data, a sentence; None where nothing is known to.

    deltas: (N,) from `rabc.weighting.schemes.chunk_deltas`; None: the weights come from elsewhere.
    """
    if settings.scheme != "awr" or deltas is None:
        return None
    behind = share_behind(deltas, episode_index, chunk)
    if behind >= MIN_BEHIND:
        return None
    return (
        f"only {100 * behind:.0f} % of the frames advance at less than half an even pace, as in "
        "demonstrations that are mostly clean; in simulation awr helped, did nothing or hurt there, as it "
        "lowers whatever is below the average, and mask did no worse: --weights.scheme mask "
        f"--weights.min_delta {pace(episode_index, chunk) / 2:.2g}"
    )
