"""Which frames training draws, and in which order: pure functions of the dataset, the seed and the step."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.datasets.tables import FrameTable
from rabc.system.errors import InputError


def held_out_episodes(tasks: Sequence[str], share: float) -> NDArray[np.bool_]:
    """The episodes that training does not see: of each task the last ceil(share x episodes).

    The same as `make_train_eval_datasets` of LeRobot, so that validation losses can be compared.

    Args:
        tasks: instruction of each episode, E of them.
        share: from 0 to below 1.

    Returns:
        (E,) true where held out.

    Raises:
        InputError: no episode is left for training.
    """
    held_out = np.zeros(len(tasks), bool)
    of_task: dict[str, list[int]] = {}
    for episode, task in enumerate(tasks):
        of_task.setdefault(task, []).append(episode)
    for episodes in of_task.values():
        held_out[episodes[len(episodes) - math.ceil(len(episodes) * share) :]] = True
    if held_out.all():
        raise InputError(
            f"dataset.eval_split {share}: holds out all {len(tasks)} episodes, at least one of each task; "
            "give 0 or record more"
        )
    return held_out


def frames_of(table: FrameTable, episodes: NDArray[np.bool_], drop_last: int = 0) -> NDArray[np.bool_]:
    """Frames of the given episodes without the last few of each, as `EpisodeAwareSampler` in LeRobot.

    Args:
        table: of the dataset.
        episodes: (E,) true for the wanted ones.
        drop_last: frames at the end of each episode that a policy does not train on, e.g.
            `drop_n_last_frames` of Diffusion, whose windows would be mostly padding.

    Returns:
        (N,) true for the wanted frames.
    """
    before_end = np.arange(len(table)) < table.episode_end - drop_last
    return episodes[table.episode_index] & before_end


class BatchOrder:
    """Which frames make up an optimizer step: a pure function of (seed, step).

    Epoch after epoch of M draws, M being the number of drawable frames; a step may span two epochs. Without
    weights every frame is drawn once an epoch. With weights a frame of weight w is drawn floor(w) or ceil(w)
    times, and w times on average (systematic resampling, Kitagawa 1996), so that an epoch differs less from
    the weights than independent draws would.
    """

    def __init__(
        self,
        drawable: NDArray[np.int64],
        samples: int,
        seed: int,
        weights: NDArray[np.floating[Any]] | None = None,
    ) -> None:
        """
        Args:
            drawable: (M,) frames that training may draw.
            samples: of a step: of all devices and micro-batches together.
            seed: of the order.
            weights: (M,) of the drawable frames, mean 1, to draw in proportion to; None: uniformly.
        """
        if len(drawable) == 0:
            raise InputError("weights 0: no frame can be drawn; choose another weights.scheme")
        self.samples = samples
        """Samples of a step."""
        self._drawable = drawable
        self._seed = seed
        self._weights = weights
        self._epochs: dict[int, NDArray[np.int64]] = {}

    def indices(self, step: int) -> NDArray[np.int64]:
        """(samples,) frames of `step`, counted from 0."""
        positions = np.arange(step * self.samples, (step + 1) * self.samples)
        epochs, places = np.divmod(positions, len(self._drawable))
        parts = [self._epoch(int(epoch))[places[epochs == epoch]] for epoch in np.unique(epochs)]
        return np.concatenate(parts)

    def _epoch(self, epoch: int) -> NDArray[np.int64]:
        """The draws of an epoch; the last two are kept, since a step may span two."""
        if epoch not in self._epochs:
            kept = {other: draws for other, draws in self._epochs.items() if other == epoch - 1}
            self._epochs = {**kept, epoch: self._draws(epoch)}
        return self._epochs[epoch]

    def _draws(self, epoch: int) -> NDArray[np.int64]:
        random = np.random.default_rng([self._seed, epoch])
        if self._weights is None:
            # A key for every frame of the dataset, so that trainings on other parts of it agree on the order.
            keys = random.random(int(self._drawable.max()) + 1)
            return self._drawable[np.argsort(keys[self._drawable], kind="stable")]
        return random.permutation(np.repeat(self._drawable, resampled(self._weights, random.random())))


def resampled(weights: NDArray[np.floating[Any]], offset: float) -> NDArray[np.int64]:
    """How often each of M items is drawn in M draws (systematic resampling).

    The items lie one after the other on a line, each as long as its weight; the draws are the points
    offset, offset + 1, ..., offset + M - 1.

    Args:
        weights: (M,) not negative, mean 1.
        offset: from 0 to below 1; uniform, an item of weight w is drawn w times on average.

    Returns:
        (M,) counts, floor(w) or ceil(w), that add up to M; 0 where the weight is 0.
    """
    ends = np.cumsum(weights, dtype=np.float64)
    drawn = np.ceil(ends - offset).astype(np.int64)
    # Rounding must neither lose the last draw nor give it to a frame of weight 0.
    drawn[np.flatnonzero(weights)[-1] :] = len(weights)
    return np.diff(np.clip(drawn, 0, len(weights)), prepend=0)
