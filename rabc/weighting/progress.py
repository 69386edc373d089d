"""Progress of every frame of a dataset, from the scores of its episodes. Pure."""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rabc.progress import calibrations
from rabc.scoring.store import EpisodeScores
from rabc.system.errors import InputError

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
        calibration: `episode` is min-max per episode (TOPReward Eq. 2), `dataset` uses pooled bounds, both of
            log p(True); `logodds` is the sigmoid of log p(True) - log p(False).
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
            curves[episode] = calibrations.subtract_static(curve, _curve(record, calibration))
    values = {
        "episode": lambda: [calibrations.episode_progress(curve, epsilon) for curve in curves.values()],
        "dataset": lambda: calibrations.dataset_progress(list(curves.values()), epsilon),
        "logodds": lambda: [calibrations.logodds_progress(curve) for curve in curves.values()],
    }[calibration]()
    return {
        episode: calibrations.per_frame(record.scores.prefix_lengths, value, record.length)
        for (episode, record), value in zip(episodes.items(), values, strict=True)
    }


def _curve(record: EpisodeScores, calibration: Calibration) -> NDArray[np.float64]:
    scores = record.scores
    return scores.log_prob_true - scores.log_prob_false if calibration == "logodds" else scores.log_prob_true


def joined(
    by_episode: Mapping[int, NDArray[np.float64]], episode_index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Progress (N,) of every frame in the order of the dataset's `index`, from that of each episode.

    Args:
        by_episode: progress (length,) of every episode, as `calibrate` gives it.
        episode_index: (N,) of the dataset's frames, each episode's contiguous.

    Rounded to float32, as LeRobot's progress files hold it, so that the file gives the same weights.

    Raises:
        InputError: an episode has no progress, or not as many frames as in the dataset.
    """
    episodes, lengths = np.unique(episode_index, return_counts=True)
    for episode, length in zip(episodes.tolist(), lengths.tolist(), strict=True):
        scored = by_episode.get(episode)
        if scored is None or len(scored) != length:
            found = "no scores" if scored is None else f"scores of {len(scored)} frames"
            raise InputError(f"episode {episode}: has {found} and {length} frames; score the dataset again")
    whole = np.concatenate([by_episode[episode] for episode in episodes.tolist()])
    return whole.astype(np.float32).astype(np.float64)
