"""What the policy does on frames of the dataset, against what the dataset ever did; and how long it takes."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cameras import colour_cameras
from rabc.datasets.features import ACTION, STATE, vector_inputs
from rabc.datasets.robot_frames import read_dataset_frames, spread
from rabc.datasets.tables import FrameTable, read_frames
from rabc.export.lerobot_only import observation
from rabc.policy_check.configuration import Loaded
from rabc.policy_check.files import PolicyFiles
from rabc.policy_check.findings import Finding, all_or, failed, passed, skipped
from rabc.policy_check.joints import exchange_words, joint_names, permutation
from rabc.rollouts.play import ChunkPolicy, chunk_policy

Array = NDArray[np.float64]
_QUERIES = 12
# What is let pass beyond what the dataset ever did: a tenth of a joint's range, and for a step another half
# of the largest. The policies of ours that grasp stay at 0.8 of the largest step.
_MORE_RANGE, _MORE_STEP = 0.1, 1.5
_RANGE, _STEP, _ORDER, _RATE = "action range", "largest step", "action order", "control rate"


@dataclass(frozen=True)
class Actions:
    """Answers to some queries, beside what the demonstrator did there."""

    predicted: Array
    """(Q, n, D) actions to execute after each query."""
    recorded: Array
    """(Q, n, D) actions of the dataset from the same frame on; NaN past the episode's end."""
    states: Array | None
    """(Q, D) joint positions at the query; None where the dataset has none."""
    seconds: Array
    """(Q,) time of each query."""


def query(
    loaded: Loaded, meta: LeRobotDatasetMetadata, table: FrameTable, rename_map: dict[str, str]
) -> Actions:
    """Ask the policy on frames spread over the dataset, with the frames before them as its history.

    Args:
        loaded: the policy; a Diffusion policy's noise is seeded.
        meta: of the dataset.
        table: of the dataset, as `dataset_table` reads it.
        rename_map: the dataset's name of an input -> the policy's. The preprocessor's own applies as well.

    Raises:
        InputError: a frame cannot be read.
    """
    policy = chunk_policy(*loaded)
    inputs = [*colour_cameras(meta), *(name for name in table.vectors if name != ACTION)]
    ticks = int(loaded[0].config.n_action_steps)
    answers: list[tuple[Any, Any, Any, float]] = []
    torch.manual_seed(0)
    for frame in spread(len(table), _QUERIES):
        first = max(int(table.episode_start[frame]), frame - policy.history + 1)
        seen = read_dataset_frames(meta, range(first, frame + 1), inputs, table)
        observations = [
            {
                **{rename_map.get(key, key): value for key, value in observation(seen.values, i).items()},
                "task": task,
            }
            for i, task in enumerate(seen.tasks)
        ]
        if not answers:
            policy.actions(observations)  # the first query also sets up the libraries
        started = time.perf_counter()
        predicted = policy.actions(observations)
        seconds = time.perf_counter() - started
        actions = table.vectors[ACTION]
        recorded = np.full((ticks, actions.shape[1]), np.nan)
        valid = actions[frame : min(frame + ticks, int(table.episode_end[frame]))]
        recorded[: len(valid)] = valid
        state = table.vectors[STATE][frame] if STATE in table.vectors else None
        answers.append((predicted, recorded, state, seconds))
    predicted, recorded, states, seconds = zip(*answers, strict=True)
    return Actions(
        np.array(predicted, np.float64),
        np.array(recorded, np.float64),
        None if STATE not in table.vectors else np.array(states, np.float64),
        np.array(seconds, np.float64),
    )


def action_findings(actions: Actions, table: FrameTable, names: list[str]) -> Iterator[Finding]:
    """Range, largest step and order of the joints, against the dataset."""
    predicted, done = actions.predicted, table.vectors[ACTION].astype(np.float64)
    size = done.shape[1]
    names = names if len(names) == size else [f"joint {i}" for i in range(size)]
    if not np.isfinite(predicted).all():
        yield failed(_RANGE, "actions on dataset frames are not finite; export another checkpoint")
        return
    if predicted.shape[2] != size:
        yield failed(_RANGE, f"actions have {predicted.shape[2]} joints, the dataset's {size}")
        return
    low, high = done.min(axis=0), done.max(axis=0)
    room = _MORE_RANGE * (high - low)
    mine_low, mine_high = predicted.min(axis=(0, 1)), predicted.max(axis=(0, 1))
    out = np.flatnonzero((mine_low < low - room - 1e-3) | (mine_high > high + room + 1e-3))
    problems = [
        f"{names[i]} goes from {mine_low[i]:.4g} to {mine_high[i]:.4g} on frames of the dataset, which goes "
        f"from {low[i]:.4g} to {high[i]:.4g}; check units and statistics, or train longer"
        for i in out
    ]
    words = f"within the dataset's on {len(predicted)} of its frames"
    yield from all_or(_RANGE, problems, words)
    yield from _step_findings(actions, table, names)
    yield _order_finding(actions, done, names)


def rate_finding(
    seconds: Array, ticks: int, fps: float | None, recorded: float | None, device: str
) -> Finding:
    """Time of a query against the control rate, and that against the dataset's.

    Args:
        seconds: (Q,) of each query.
        ticks: executed after a query.
        fps: control rate, Hz; None: the dataset's.
        recorded: rate of the dataset, Hz; None: not known.
        device: of the policy.
    """
    if fps is not None and recorded is not None and fps != recorded:
        return failed(
            _RATE,
            f"{fps:g} Hz: the dataset was recorded at {recorded:g} Hz, and the arm would move "
            f"{fps / recorded:.2g} times as fast; give --fps={recorded:g}",
        )
    fps = recorded if fps is None else fps
    median = float(np.median(seconds))
    words = f"a query takes {1000 * median:.0f} ms on {_machine(device)} and gives {ticks} actions"
    if fps is None:
        return skipped(_RATE, f"{words}; give --fps or --dataset.path to compare it with the control rate")
    if float(np.min(seconds)) > ticks / fps:  # what else the machine does slows single queries down
        return failed(
            _RATE,
            f"{words}, which last {1000 * ticks / fps:.0f} ms at {fps:g} Hz: the arm would stand still "
            "between; use a faster machine, more n_action_steps or fewer denoising steps",
        )
    reached = reached_rate(median, ticks, fps)
    waits = (
        "every query fits in a tick" if median <= 1 / fps
        else f"each query holds the arm for {median * fps:.1f} ticks with synchronous inference"
    )  # fmt: skip
    return passed(_RATE, f"{words}: {reached:.3g} of {fps:g} Hz; {waits}")


def reached_rate(seconds: float, ticks: int, fps: float) -> float:
    """Actions a second with synchronous inference: the tick of the query lasts as long as the query.

    Args:
        seconds: of a query.
        ticks: executed after a query.
        fps: control rate asked for, Hz.
    """
    return ticks / (max(seconds, 1 / fps) + (ticks - 1) / fps)


def made_up_seconds(loaded: Loaded, files: PolicyFiles) -> Array:
    """Times of some queries on black pictures, where there is no dataset, seconds."""
    policy: ChunkPolicy = chunk_policy(*loaded)
    seen: dict[str, Any] = {
        key: torch.zeros([int(n) for n in feature["shape"]])
        for key, feature in files.features("input_features").items()
    }
    seen.setdefault(STATE, torch.zeros(1))  # every robot gives it, and ACT asks it for its device
    asked = [{**seen, "task": "Pick up the cube."}] * policy.history
    seconds: list[float] = []
    for _ in range(5):
        started = time.perf_counter()
        policy.actions(asked)
        seconds.append(time.perf_counter() - started)
    return np.array(seconds[1:])


def dataset_table(meta: LeRobotDatasetMetadata) -> FrameTable:
    """What of all frames is numbers that a policy knows. Raises InputError for a damaged dataset."""
    return read_frames(meta, vector_inputs(meta))


def action_names(meta: LeRobotDatasetMetadata) -> list[str]:
    """Joints of the dataset's actions; none where it does not name them."""
    return joint_names(meta.features["action"].get("names"))


def _step_findings(actions: Actions, table: FrameTable, names: list[str]) -> Iterator[Finding]:
    done = table.vectors[ACTION].astype(np.float64)
    inside = np.diff(table.episode_index) == 0
    between = np.abs(np.diff(done, axis=0))[inside].max(axis=0, initial=0.0)
    mine = np.abs(np.diff(actions.predicted, axis=1)).max(axis=(0, 1), initial=0.0)
    room = _MORE_RANGE * np.ptp(done, axis=0)
    problems = [
        f"{names[i]} moves by {mine[i]:.4g} from one tick to the next, in the dataset by {between[i]:.4g} at "
        "most; train longer, or limit it with --robot.max_relative_target"
        for i in np.flatnonzero(mine > _MORE_STEP * between + room)
    ]
    states = table.vectors.get(STATE)
    if actions.states is not None and states is not None and states.shape == done.shape:
        ahead = np.abs(done - states).max(axis=0)
        first = np.abs(actions.predicted[:, 0] - actions.states).max(axis=0)
        problems += [
            f"{names[i]} is sent {first[i]:.4g} away from where it is, in the dataset {ahead[i]:.4g} at "
            "most; train longer, or limit it with --robot.max_relative_target"
            for i in np.flatnonzero(first > _MORE_STEP * ahead + room)
        ]
    share = float(np.max(mine / np.maximum(between, 1e-9))) if len(between) else 0.0
    yield from all_or(_STEP, problems, f"{share:.2g} of the dataset's largest")


def _order_finding(actions: Actions, done: Array, names: list[str]) -> Finding:
    """Does each joint follow its own demonstration best?"""
    mean, std = done.mean(axis=0), np.maximum(done.std(axis=0), 1e-6)
    valid = np.isfinite(actions.recorded).all(axis=2)
    mine, theirs = ((values[valid] - mean) / std for values in (actions.predicted, actions.recorded))
    misfit = np.sqrt(((mine[:, :, None] - theirs[:, None, :]) ** 2).mean(axis=0))
    places = permutation(misfit)
    if places is not None:
        return failed(
            _ORDER,
            f"{exchange_words(places, names)}: the policy's joints follow those of the dataset only in "
            "another order; put them in the order it was trained on",
        )
    own = float(np.diagonal(misfit).mean())
    words = f"actions are {own:.2g} standard deviations from the demonstrations'"
    if own >= 1:  # the mean action would be nearer
        return skipped(_ORDER, f"{words}, too far to tell the joints apart; train longer")
    return passed(_ORDER, f"{words}, joint by joint")


def _machine(device: str) -> str:
    return f"{torch.get_num_threads()} CPU threads" if device == "cpu" else device
