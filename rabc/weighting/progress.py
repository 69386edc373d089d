"""Progress of every frame of a dataset, from the scores of its episodes. Pure."""

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.tasks import task_groups
from rabc.scoring.store import EpisodeScores
from rabc.statistics.curves import checked_curve
from rabc.system.errors import InputError
from rabc.weighting.deltas import episode_bounds

BOUND_PERCENTILES = (5.0, 95.0)
Calibration = Literal["episode", "dataset", "logodds"]
LengthBias = Literal["none", "subtract"]
CALIBRATIONS: tuple[Calibration, ...] = get_args(Calibration)
LENGTH_BIASES: tuple[LengthBias, ...] = get_args(LengthBias)


def calibrate(
    episodes: Mapping[int, EpisodeScores],
    calibration: Calibration,
    epsilon: float,
    length_bias: LengthBias = "none",
    static: Mapping[int, EpisodeScores] | None = None,
) -> dict[int, NDArray[np.float64]]:
    """Progress of every frame by episode: (length,) each, 0 to 1.

    Args:
        episodes: scores by episode.
        calibration: `episode` is min-max per episode (TOPReward Eq. 2), `dataset` uses bounds pooled over the
            episodes of a task, both of log p(True); `logodds` is the sigmoid of log p(True) - log p(False).
            Tasks are told apart by the instructions that the episodes were judged by. A task of one or two
            episodes is pooled with no other: its best then counts as success, as it does with `episode`,
            which loses nothing of it, where another task's bounds could lose all of it.
        epsilon: guard against division by zero.
        length_bias: `subtract` takes the rise of the static curve away before the calibration.
        static: static scores of the same episodes; needed for `subtract`.

    Raises:
        InputError: `subtract`, and an episode has no static scores.
    """
    curves = {episode: _curve(record, calibration) for episode, record in episodes.items()}
    if length_bias == "subtract":
        for episode, curve in curves.items():
            record = (static or {}).get(episode)
            if record is None:
                raise InputError(
                    f"episode {episode}: has no static scores, which weights.length_bias subtract needs; "
                    "score the dataset with that setting"
                )
            curves[episode] = subtract_static(curve, _curve(record, calibration))
    match calibration:
        case "episode":
            values = {episode: episode_progress(curve, epsilon) for episode, curve in curves.items()}
        case "dataset":
            values = _over_tasks(curves, [record.instruction for record in episodes.values()], epsilon)
        case "logodds":
            values = {episode: logodds_progress(curve) for episode, curve in curves.items()}
    return {
        episode: per_frame(record.scores.prefix_lengths, values[episode], record.length)
        for episode, record in episodes.items()
    }


def _over_tasks(
    curves: Mapping[int, NDArray[np.float64]], instructions: Sequence[str], epsilon: float
) -> dict[int, NDArray[np.float64]]:
    """`dataset_progress` of each task's episodes; instructions: of each of `curves`."""
    tasks = task_groups(instructions)
    numbers = np.array(list(curves), dtype=np.int64)
    found: dict[int, NDArray[np.float64]] = {}
    for task in np.unique(tasks):
        own = numbers[tasks == task].tolist()
        found |= zip(own, dataset_progress([curves[episode] for episode in own], epsilon), strict=True)
    return found


def _curve(record: EpisodeScores, calibration: Calibration) -> NDArray[np.float64]:
    scores = record.scores
    return scores.log_prob_true - scores.log_prob_false if calibration == "logodds" else scores.log_prob_true


def joined(
    by_episode: Mapping[int, NDArray[np.float64]],
    episode_index: NDArray[np.int64],
    scores: Path,
    without: Collection[int] = (),
) -> NDArray[np.float64]:
    """Progress (N,) of every frame in the order of the dataset's `index`, from that of each episode.

    Args:
        by_episode: progress (length,) of episodes, as `calibrate` gives it.
        episode_index: (N,) of the dataset's frames, each episode's contiguous.
        scores: folder that they come from, for errors.
        without: episodes that need none: they are NaN.

    Rounded to float32, as LeRobot's progress files hold it, so that the file gives the same weights.

    Raises:
        InputError: another episode has no progress, or of other frames than in the dataset.
    """
    whole = np.full(len(episode_index), np.nan)
    for start, stop in episode_bounds(episode_index).tolist():
        episode = int(episode_index[start])
        if episode in without:
            continue
        scored = by_episode.get(episode)
        if scored is None or len(scored) != stop - start:
            has = "no scores" if scored is None else f"scores of {len(scored)} frames"
            raise InputError(
                f"scores {scores}: episode {episode} has {has}, in the dataset {stop - start} frames; score "
                "it with `rabc score` and this configuration"
            )
        whole[start:stop] = scored
    return whole.astype(np.float32).astype(np.float64)


def episode_progress(log_prob_true: NDArray[np.float64], epsilon: float) -> NDArray[np.float64]:
    """Min-max of one episode's curve (K,): (r - min r) / (max r - min r + epsilon), in [0, 1].

    TOPReward (arXiv 2602.19313) Eq. 2. It maps a failed episode onto [0, 1] like a success;
    `dataset_progress` does not. A constant curve gives zeros.
    """
    r = checked_curve(log_prob_true)
    return (r - r.min()) / (r.max() - r.min() + epsilon)


def dataset_progress(curves: Sequence[NDArray[np.float64]], epsilon: float) -> list[NDArray[np.float64]]:
    """All curves of a task, (K_i,) each, on one scale, clipped to [0, 1].

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
    """(low, high) of all curves of a task: 5th percentile of first scores, 95th of highest ones."""
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
