"""A word of caution where weights suit their data badly. Pure."""

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.weighting.deltas import pace
from rabc.weighting.schemes import tasks_apart

MIN_BEHIND = 0.4
"""Share of frames behind, below which there is a warning of `awr`: in earlier comparisons it helped above it
in all kinds of demonstrations, and below it in one of four."""


def share_behind(
    deltas: NDArray[np.float64],
    episode_index: NDArray[np.int64],
    chunk: int,
    task: NDArray[np.int64] | None = None,
) -> float:
    """Share of frames whose chunk gains less than half of the pace of their task.

    deltas: (N,) of `rabc.weighting.deltas.chunk_deltas`, all known; episode_index, task: (N,) as in
    `rabc.weighting.schemes.by_scheme`.
    """
    behind = np.empty(len(deltas), dtype=bool)
    for of in tasks_apart(np.zeros(len(deltas), np.int64) if task is None else task):
        behind[of] = deltas[of] < pace(episode_index[of], chunk) / 2
    return float(behind.mean())


def caution(
    settings: WeightsConfig,
    deltas: NDArray[np.float64] | None,
    episode_index: NDArray[np.int64],
    chunk: int,
    task: NDArray[np.int64] | None = None,
) -> str | None:
    """What speaks against the scheme on these data, a sentence; None where nothing is known to.

    deltas: (N,) as in `share_behind`, of the frames that were judged; None: the weights come from elsewhere.
    """
    if settings.scheme != "awr" or deltas is None or not len(deltas):
        return None
    behind = share_behind(deltas, episode_index, chunk, task)
    if behind >= MIN_BEHIND:
        return None
    return (
        f"only {100 * behind:.0f} % of the frames advance at less than half an even pace, as in "
        "demonstrations that are mostly clean, and awr lowers whatever is below the average; leave "
        "weights.scheme out (auto)"
    )
