"""Which frames training draws, what they weigh, and where the windows of actions behind them end."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from lerobot.configs import PreTrainedConfig
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.datasets.selection import selected_episodes
from rabc.datasets.tables import FrameTable, read_frames
from rabc.policies.losses import masks_padding
from rabc.system.errors import InputError
from rabc.training.data import spread
from rabc.training.order import frames_of, held_out_episodes
from rabc.training.windows import Timeline, Windows
from rabc.weighting.schemes import normalise


@dataclass(frozen=True)
class TrainingFrames:
    """Which frames training and validation draw, and what they weigh."""

    table: FrameTable
    """The dataset's low-dimensional columns."""
    weights: NDArray[np.float32]
    """(N,) mean 1 over `drawable`, or, of actions (`weights.apply` ticks), over those of `drawable`."""
    drawable: NDArray[np.int64]
    """(M,) frames that training draws."""
    validation: NDArray[np.int64]
    """(V,) frames that validation draws."""
    timeline: Timeline
    """Of which training samples are windows; those of validation are of the whole episodes."""


@dataclass(frozen=True)
class SplitFrames:
    """Which frames training and validation may draw, whatever they weigh."""

    table: FrameTable
    """The dataset's low-dimensional columns."""
    allowed: NDArray[np.bool_]
    """(N,) frames that training may draw."""
    validation: NDArray[np.int64]
    """(V,) frames that validation draws."""
    selected: tuple[int, ...]
    """Episodes that are looked at (`dataset.episodes`, `dataset.exclude`)."""
    held_out: tuple[int, ...]
    """Those of them that training does not see (`dataset.eval_split`)."""


def split_frames(config: Config, meta: LeRobotDatasetMetadata, policy: PreTrainedConfig) -> SplitFrames:
    """Split the dataset by episode and leave out what the policy does not train on.

    Args:
        config: sections `dataset`, `policy` and `trainer` are used.
        meta: metadata of the dataset.
        policy: LeRobot's configuration of the policy: its features and `drop_n_last_frames`.

    Raises:
        InputError: unusable dataset, nothing left to train on.
    """
    cameras = set(policy.image_features)
    selected = selected_episodes(config.dataset, meta.total_episodes)
    table = read_frames(
        meta, [*(n for n in policy.input_features or {} if n not in cameras), "action"], selected
    )
    tasks = np.array(first_tasks(table, meta.total_episodes), object)
    held_out, learned = (np.zeros(meta.total_episodes, bool) for _ in range(2))
    held_out[selected] = held_out_episodes(tasks[selected].tolist(), config.dataset.eval_split)
    learned[selected] = ~held_out[selected]
    drop_last = int(getattr(policy, "drop_n_last_frames", 0))
    validation = np.flatnonzero(frames_of(table, held_out, drop_last))
    return SplitFrames(
        table,
        frames_of(table, learned, drop_last),
        spread(validation, config.trainer.max_eval_samples),
        tuple(selected),
        tuple(np.flatnonzero(held_out).tolist()),
    )


def training_frames(
    config: Config,
    meta: LeRobotDatasetMetadata,
    policy: PreTrainedConfig,
    weights: NDArray[np.floating[Any]],
) -> TrainingFrames:
    """What training and validation draw of a dataset, and what it weighs.

    weights: (N,) of every frame of the dataset. The others, and the errors, as in
    `split_frames` and `drawn_frames`.
    """
    return drawn_frames(config, policy, split_frames(config, meta, policy), weights)


def drawn_frames(
    config: Config, policy: PreTrainedConfig, split: SplitFrames, weights: NDArray[np.floating[Any]]
) -> TrainingFrames:
    """What is drawn of the frames that may be, as `weights.apply` says.

    Args:
        config: section `weights` is used.
        policy: LeRobot's configuration of the policy: its windows and `drop_n_last_frames`.
        split: of the dataset.
        weights: (N,) one per frame.

    Raises:
        InputError: a missing, negative or non-finite weight, or no frame can be drawn.
    """
    weights = _checked(weights, len(split.table))
    apply, allowed, timeline = config.apply, split.allowed, Timeline.whole(split.table)
    if apply == "ticks":
        ticks, padding = Windows.of(policy).action, not masks_padding(policy)
        scaled, drawable = tick_weights(weights, timeline, ticks, allowed, padding)
        return TrainingFrames(split.table, scaled, drawable, split.validation, timeline)
    if apply == "cuts":
        timeline = Timeline.cut(split.table, weights > 0)
        allowed = allowed & (weights > 0)
        # As at an episode's end.
        there, drop_last = np.flatnonzero(allowed), int(getattr(policy, "drop_n_last_frames", 0))
        allowed[there] = timeline.ahead(there) > drop_last
        if not masks_padding(policy):
            # What lies behind a cut would be learned as a stop before it.
            ahead = max(Windows.of(policy).action) + 1
            last = timeline.frames[timeline.end[timeline.place[there]] - 1]
            to_end = last + 1 == split.table.episode_end[there]
            allowed[there] &= to_end | (timeline.ahead(there) >= ahead)
        if len(there) and not allowed.any():
            least = drop_last if masks_padding(policy) else max(Windows.of(policy).action)
            raise InputError(
                f"weights.apply cuts: no stretch between cuts is longer than the {least} frames at its "
                "end that this policy does not train on; give ticks or loss"
            )
    scaled, drawable = drawable_weights(weights, len(split.table), allowed)
    return TrainingFrames(split.table, scaled, drawable, split.validation, timeline)


def with_equal_weights_plain(
    config: Config, split: SplitFrames, weights: NDArray[np.floating[Any]]
) -> Config:
    """`config`, but that equal weights act in the loss: actions of one weight are samples of that weight.

    So the training is plain behavior cloning to the last bit where nothing is weighted.
    """
    there = _checked(weights, len(split.table))
    learned = np.isin(split.table.episode_index, split.table.episode_index[split.allowed])
    there = there[learned]  # actions behind the last frame that is drawn are learned, too
    if config.weights.judges_actions and len(there) and (there == there[0]).all():
        return replace(config, weights=replace(config.weights, apply="loss"))
    return config


def drawable_weights(
    weights: NDArray[np.floating[Any]], frames: int, allowed: NDArray[np.bool_] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Check weights and scale them to mean 1 over the frames that training draws.

    Args:
        weights: (N,) one per frame.
        frames: N of the dataset.
        allowed: (N,) false for frames that training must not draw, whatever their weight; by default none.

    Returns:
        (N,) weights of all frames, scaled; and (M,) the allowed frames of positive weight.

    Raises:
        InputError: a missing, negative or non-finite weight, or no allowed frame has a positive one.
    """
    weights = _checked(weights, frames)
    allowed = np.ones(frames, bool) if allowed is None else allowed
    drawable = np.flatnonzero(allowed & (weights > 0))
    # Without a positive weight this raises, and says how many frames there are.
    drawn = normalise(weights, allowed & (weights > 0) if len(drawable) else allowed)
    largest = drawable[drawn[drawable].argmax()]
    scaled = weights * (drawn[largest] / weights[largest])
    return scaled.astype(np.float32), drawable


def tick_weights(
    weights: NDArray[np.float64],
    timeline: Timeline,
    ticks: tuple[int, ...],
    allowed: NDArray[np.bool_],
    padding: bool = False,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Scale weights of actions to mean 1 over all that the loss sees of what training draws.

    Args:
        weights: (N,) of the action at every frame, finite and not negative.
        timeline: of the dataset.
        ticks: of the actions of a sample, relative to its frame.
        allowed: (N,) frames that training may draw.
        padding: what lies outside of an episode counts, with the weight of the action that it repeats.

    Returns:
        (N,) weights of all frames, scaled; and (M,) the allowed frames with an action of positive weight.

    Raises:
        InputError: no allowed frame has one.
    """
    index = np.flatnonzero(allowed)
    sums, counts = np.zeros(len(index)), np.zeros(len(index), np.int64)
    for tick in ticks:
        found, outside = timeline.window(index, (tick,))
        counted = ~outside[:, 0] | padding
        sums += np.where(counted, weights[found[:, 0]], 0.0)
        counts += counted
    drawn = sums > 0
    if not drawn.any():
        raise InputError(
            f"weights: all actions behind the {len(index)} drawable frames have weight 0; nothing is left to "
            "learn from, so check the scorer, or the parameters of weights.scheme"
        )
    scaled = weights * (counts[drawn].sum() / sums[drawn].sum())
    return scaled.astype(np.float32), index[drawn]


def _checked(weights: NDArray[np.floating[Any]], frames: int) -> NDArray[np.float64]:
    weights = np.asarray(weights, np.float64)
    if weights.shape != (frames,):
        raise InputError(f"weights {weights.shape}: the dataset has {frames} frames; weight every frame once")
    bad = np.flatnonzero(~np.isfinite(weights) | (weights < 0))
    if len(bad):
        raise InputError(
            f"weight {weights[bad[0]]} of frame {bad[0]}: not a non-negative number ({len(bad)} such "
            "frames); score and weight every episode"
        )
    return weights


def first_tasks(table: FrameTable, episodes: int) -> list[str]:
    """Instruction of each episode: that of its first frame."""
    first = np.searchsorted(table.episode_index, np.arange(episodes))
    return table.task[first].tolist()
