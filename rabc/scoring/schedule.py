"""Which frames a scorer sees and where its prefixes end. Pure."""

import numpy as np
from numpy.typing import NDArray

SCHEDULE = "grid and last frame"
"""Name of the rule by which `sample_frame_indices` chooses, for the record of scores made by it."""


def sample_frame_indices(num_frames: int, fps: float, sample_fps: float) -> NDArray[np.int64]:
    """Indices (S,) int64 of the frames a scorer looks at: `sample_fps` of the `fps` per second, first frame
    first, and the last frame of the video whether or not it is one of these.

    TOPReward's schedule: the k-th index of the grid does not depend on `num_frames`, so the frames of a short
    video are those of a longer one but for its own last. Qwen3-VL's own sampler spreads frames over the clip
    instead. The last frame is always seen, because the score of the whole video belongs to it: behind the
    last sampled frame progress could only stand still, for up to `fps / sample_fps` frames. A rate above
    the video's takes every frame.
    """
    if num_frames < 1:
        raise ValueError(f"num_frames {num_frames}: must be at least 1")
    if fps <= 0 or sample_fps <= 0:
        raise ValueError(f"fps {fps}, sample_fps {sample_fps}: must be positive")
    step = max(fps / sample_fps, 1.0)
    # The small term keeps exact halves, e.g. 2.5, from depending on the rounding of fps / sample_fps.
    indices = np.floor(np.arange(int(np.ceil(num_frames / step)) + 1) * step + 0.5 + 1e-9).astype(np.int64)
    return np.append(indices[indices < num_frames - 1], num_frames - 1)


def prefix_ends(
    frame_indices: NDArray[np.int64], num_frames: int, num_prefixes: int, group: int = 1
) -> NDArray[np.int64]:
    """Number of sampled frames (K,) int64 in each prefix, K <= num_prefixes.

    Ideal ends are uniform from the first frame to the last; each snaps to the nearest sampled frame (the
    earlier of two equally near) and duplicates are dropped. The last prefix always is the whole sampled clip,
    whose last frame is the video's.
    group: frames that the model encodes together. Where prefixes are at least twice as far apart as that,
    those between the first and the last end with a whole group, at most a quarter of their distance from the
    ideal: half a group costs as much as a whole one and shows its last frame twice.
    """
    if num_prefixes < 1:
        raise ValueError(f"num_prefixes {num_prefixes}: must be at least 1")
    ideal = np.linspace(0, num_frames - 1, num_prefixes) if num_prefixes > 1 else np.array([num_frames - 1.0])
    count = len(frame_indices)
    whole = count - 1 >= 2 * group * (num_prefixes - 1)
    inner = np.arange(group - 1, count, group) if whole else np.arange(count)
    candidates = np.unique(np.r_[0, inner, count - 1])
    nearest = candidates[np.abs(ideal[:, None] - frame_indices[None, candidates]).argmin(axis=1)]
    nearest[-1] = count - 1
    return np.unique(nearest) + 1
