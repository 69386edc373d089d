"""Progress made over each chunk of actions. Pure functions over arrays."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray


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
