"""Faults of a recording that its joints and actions show. Pure.

Everywhere `values` are (N, D) rows of all episodes one after the other, and `bounds` (E, 2) the first row of
each episode and one past its last; no episode is empty.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Bounds = NDArray[np.int64]

DISCRETE = 16
"""At most so many different values: a switch, which jumps by its nature."""


@dataclass(frozen=True)
class Stretch:
    """Some rows of an episode."""

    episode: int
    first: int
    """Its first row, counted within the episode."""
    rows: int


@dataclass(frozen=True)
class Jump:
    """A step from one row to the next."""

    episode: int
    frame: int
    """Row behind the step, counted within the episode."""
    joint: int
    size: float
    """In the dataset's unit."""
    usual: float
    """The largest step of a usual episode."""


def span(values: Array) -> NDArray[np.float64]:
    """(D,) what each joint goes through: from its 1 % to its 99 % quantile."""
    low, high = np.quantile(values, [0.01, 0.99], axis=0)
    return high - low


def per_episode(function: np.ufunc, values: NDArray[np.floating], bounds: Bounds) -> NDArray[np.float64]:
    """(E, D) of the rows of each episode, e.g. `np.maximum`."""
    return np.asarray(function.reduceat(values, bounds[:, 0], axis=0), np.float64)


def travel(values: Array, bounds: Bounds) -> NDArray[np.float64]:
    """(E, D) largest minus smallest value in each episode."""
    return per_episode(np.maximum, values, bounds) - per_episode(np.minimum, values, bounds)


def standing(values: Array, bounds: Bounds, least: int) -> list[Stretch]:
    """Stretches of at least `least` rows in which nothing changes, to the last bit."""
    same = np.r_[False, (values[1:] == values[:-1]).all(axis=1)]
    same[bounds[:, 0]] = False
    edges = np.diff(np.r_[0, same.astype(np.int8), 0])
    starts, ends = np.flatnonzero(edges == 1) - 1, np.flatnonzero(edges == -1)
    long = ends - starts >= least
    episodes = np.searchsorted(bounds[:, 0], starts, side="right") - 1
    return [
        Stretch(int(episode), int(start - bounds[episode, 0]), int(end - start))
        for episode, start, end in zip(episodes[long], starts[long], ends[long], strict=True)
    ]


def moved_meanwhile(
    stretches: list[Stretch], others: Array, bounds: Bounds, share: float, skip: int = 0, last: int = 0
) -> list[Stretch]:
    """Those in which two of the other joints go through `share` of what they do in the whole dataset.

    Two, because one alone may press against something that holds it still, as a gripper does.

    Args:
        stretches: in which something stands still.
        others: (N, D) what may move meanwhile.
        bounds: as everywhere here.
        share: of `span`.
        skip: rows at the beginning of a stretch that do not count: a motion comes to its end.
        last: rows at its end that do not count: what was told has not been done yet.
    """
    full = span(others)
    moves = full > 0
    needed = min(2, int(moves.sum()))
    found: list[Stretch] = []
    for one in stretches:
        first = bounds[one.episode, 0] + one.first
        some = others[first + skip : first + one.rows - last]
        if len(some) > 1 and needed and np.sum((np.ptp(some, axis=0) >= share * full) & moves) >= needed:
            found.append(one)
    return found


def dead_joints(state: Array, action: Array, bounds: Bounds, share: float = 0.3) -> list[tuple[int, int]]:
    """(episode, joint) where a joint has one value all along, though told to go far; elsewhere it moves.

    Args:
        state: (N, D).
        action: (N, D), of the same joints.
        bounds: as everywhere here.
        share: of the action's `span` that is far.
    """
    moved, told = travel(state, bounds), travel(action, bounds)
    usual = (moved > 0).mean(axis=0) >= 0.5
    dead = (moved == 0) & usual & (told >= share * span(action)) & (span(action) > 0)
    return [(int(episode), int(joint)) for episode, joint in np.argwhere(dead)]


def jumps(values: Array, bounds: Bounds, factor: float = 5.0, share: float = 0.5) -> list[Jump]:
    """The largest step of each episode and joint that is beyond what the dataset ever does.

    Beyond `factor` times the largest step of the median episode, ten times the step that 90 % of the rows
    keep below, and `share` of what the joint goes through at all. Joints of few values are switches.
    """
    if len(values) < 2:
        return []
    steps = np.abs(np.diff(values, axis=0, prepend=values[:1]))
    steps[bounds[:, 0]] = 0
    largest = per_episode(np.maximum, steps, bounds)
    usual = np.median(largest, axis=0)
    limit = np.maximum.reduce([factor * usual, 10 * np.quantile(steps, 0.9, axis=0), share * span(values)])
    found: list[Jump] = []
    for joint in range(values.shape[1]):
        beyond = np.flatnonzero(largest[:, joint] > limit[joint])
        if not len(beyond) or limit[joint] == 0 or len(np.unique(values[:, joint])) <= DISCRETE:
            continue
        for episode in beyond.tolist():
            first, end = bounds[episode]
            frame = int(steps[first:end, joint].argmax())
            found.append(Jump(episode, frame, joint, float(largest[episode, joint]), float(usual[joint])))
    return found


def mixed_units(values: Array, bounds: Bounds, factor: float = 15.0) -> tuple[list[int], float] | None:
    """Episodes in a smaller unit than the others, and how much larger the others' are; None: one unit.

    Two groups of episodes between which nearly all joints differ by the same large factor, such as 57.3.
    """
    size = per_episode(np.maximum, np.abs(values), bounds)
    used = (size > 0).all(axis=0)
    if len(size) < 2 or used.sum() < 2:
        return None
    size = np.log(size[:, used])
    level = np.median(size, axis=1)
    order = np.argsort(level)
    gaps = np.diff(level[order])
    cut = int(gaps.argmax())
    if gaps[cut] < np.log(factor):
        return None
    low, high = order[: cut + 1], order[cut + 1 :]
    ratios = np.median(size[high], axis=0) - np.median(size[low], axis=0)
    middle = float(np.median(ratios))
    if middle < np.log(factor) or np.mean(np.abs(ratios - middle) < np.log(2.5)) < 0.8:
        return None
    return sorted(low.tolist()), float(np.exp(middle))


def unit_interval(values: Array, bounds: Bounds) -> list[tuple[int, list[int]]]:
    """(joint, episodes) where a joint goes from 0 to 1 in some episodes and far beyond in all others.

    As a gripper that is a share in one recording and a percentage in another.
    """
    top, bottom = per_episode(np.maximum, values, bounds), per_episode(np.minimum, values, bounds)
    found: list[tuple[int, list[int]]] = []
    for joint in range(values.shape[1]):
        high, low = top[:, joint], bottom[:, joint]
        within = (high <= 1.05) & (low >= -0.05)
        share = within & (high - low >= 0.4) & (high >= 0.5)
        beyond = (high >= 20) & (low >= -5)
        if share.sum() >= 2 and beyond.sum() >= 2 and (within | beyond).all():
            found.append((joint, np.flatnonzero(share).tolist()))
    return found


def copies(values: Array, bounds: Bounds, share: float = 0.9) -> list[tuple[int, int]]:
    """(episode, earlier episode) whose rows are the same to the last bit, for `share` of the shorter one.

    So it finds a copy that begins earlier or later as well. Episodes in which nothing moves are none.
    """
    # A row as one number: equal rows have equal ones, and others hardly ever.
    words = np.ascontiguousarray(values + np.float32(0)).view(np.uint32).astype(np.uint64)
    rng = np.random.default_rng(0)
    factors = rng.integers(1, 2**63, words.shape[1], dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    numbers = (words * factors).sum(axis=1, dtype=np.uint64)
    numbers ^= numbers >> np.uint64(29)
    episodes = np.repeat(np.arange(len(bounds)), bounds[:, 1] - bounds[:, 0])
    order = np.lexsort((episodes, numbers))
    numbers, episodes = numbers[order], episodes[order]
    fresh = np.r_[True, (numbers[1:] != numbers[:-1]) | (episodes[1:] != episodes[:-1])]
    numbers, episodes = numbers[fresh], episodes[fresh]
    different = np.bincount(episodes, minlength=len(bounds))
    begins = np.r_[True, numbers[1:] != numbers[:-1]]
    group = np.cumsum(begins) - 1
    shared = np.bincount(group)[group] > 1
    pairs: dict[tuple[int, int], int] = {}
    places = np.flatnonzero(shared & begins)
    for first, size in zip(places.tolist(), np.bincount(group)[group[places]].tolist(), strict=True):
        some = episodes[first : first + size].tolist() if size <= 8 else []
        for place, later in enumerate(some):
            for earlier in some[:place]:
                pairs[later, earlier] = pairs.get((later, earlier), 0) + 1
    return [
        pair
        for pair, common in sorted(pairs.items())
        if common >= 10 and common >= share * min(different[pair[0]], different[pair[1]])
    ]


def action_of_state(state: Array, action: Array, bounds: Bounds) -> int | None:
    """The tick, from the row's own, whose state each action repeats to the last bit: 0 or -1; None: neither.

    The state of the next row is what a recording without a leader takes for its action, and is no fault.
    """
    inner = np.ones(len(state), bool)
    inner[bounds[:, 0]] = False
    moving = inner & np.r_[False, (state[1:] != state[:-1]).any(axis=1)]
    if moving.sum() < 10:
        return None
    if (action == state).all(axis=1)[moving].mean() > 0.999:
        return 0
    before = np.r_[False, (action[1:] == state[:-1]).all(axis=1)]
    return -1 if before[moving].mean() > 0.999 else None
