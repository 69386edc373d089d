"""What a few pictures of every episode say about the cameras: black, standing still, the same as others."""

from collections.abc import Iterator, Mapping

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cameras import colour_cameras
from rabc.datasets.features import STATE
from rabc.datasets.preflight.findings import Finding, exclude, refusal
from rabc.datasets.preflight.motion import copies, span
from rabc.datasets.preflight.pictures import Sampled, Unreadable
from rabc.datasets.tables import FrameTable

Pictures = Mapping[tuple[str, int], Sampled | Unreadable]
_BLACK = 12.0
"""Grey levels: no block of a picture of anything in any light is darker throughout."""
_SAME = 2.0
"""Grey levels by which a block of a picture that is shown again may differ, after compression. Where two
joints move a tenth of their way, pictures of real and simulated arms differ by 17 and more."""
_ALIKE = 5.0
"""Likewise where it was compressed twice. Two episodes of the same task differ by more than 100 somewhere."""
_MOVED = 0.1
"""Share of what a joint goes through in the dataset, that is a motion which a camera sees."""


def camera_findings(
    meta: LeRobotDatasetMetadata, rows: FrameTable | None, pictures: Pictures
) -> Iterator[Finding]:
    """All that pictures say, of colour cameras."""
    odd = {camera: set[int]() for camera in colour_cameras(meta)}  # of which more need not be said
    for camera in odd:
        mine = _of(pictures, camera)
        yield from _unreadable(meta, camera, pictures)
        for episode, text in ((e, _dull(sampled)) for e, sampled in mine.items()):
            if text:
                odd[camera].add(episode)
        yield from _all_dull(meta, camera, mine)
        if rows is not None and STATE in rows.vectors:
            still = list(_still(rows, {e: s for e, s in mine.items() if e not in odd[camera]}))
            odd[camera].update(episode for episode, _ in still)
            yield from _all_still(meta, camera, mine, still)
    for camera, left_out in odd.items():
        mine = {e: s for e, s in _of(pictures, camera).items() if e not in left_out}
        if rows is not None:
            yield from _again(meta, camera, mine, rows)
    yield from _twins(meta, pictures, odd)


def _of(pictures: Pictures, camera: str) -> dict[int, Sampled]:
    return {
        episode: sampled
        for (name, episode), sampled in pictures.items()
        if name == camera and isinstance(sampled, Sampled)
    }


def _wrong(meta: LeRobotDatasetMetadata, camera: str, what: str, episodes: list[int]) -> Finding:
    remedy = exclude(episodes, meta.total_episodes)
    if len(episodes) == meta.total_episodes:
        remedy = "check the camera; a policy that is to see it learns nothing of it"
    return Finding("wrong", "picture", what, remedy, "", tuple(episodes), camera)


def _unreadable(meta: LeRobotDatasetMetadata, camera: str, pictures: Pictures) -> Iterator[Finding]:
    bad = {
        episode: found.error
        for (name, episode), found in pictures.items()
        if name == camera and isinstance(found, Unreadable)
    }
    if bad:
        first = refusal(next(iter(bad.values())), "picture")
        remedy = f"{first.remedy}, or {exclude(list(bad), meta.total_episodes)}"
        yield Finding("refused", "picture", first.what, remedy, "", tuple(bad), camera)


def _dull(sampled: Sampled) -> str:
    """What makes all pictures of an episode worthless; empty where nothing does."""
    if sampled.grey.max() < _BLACK:
        return "is black in the whole episode"
    return "has one colour in the whole episode" if np.ptp(sampled.grey, axis=(1, 2)).max() < _ALIKE else ""


def _all_dull(meta: LeRobotDatasetMetadata, camera: str, mine: dict[int, Sampled]) -> Iterator[Finding]:
    texts = {episode: text for episode, sampled in mine.items() if (text := _dull(sampled))}
    for text in dict.fromkeys(texts.values()):
        yield _wrong(meta, camera, text, [episode for episode, other in texts.items() if other == text])


def _still(rows: FrameTable, mine: dict[int, Sampled]) -> Iterator[tuple[int, int]]:
    """(episode, frame) from which on the picture stays as it is while the joints move.

    Two samples in a row at least: between two alone a robot may have come back.
    """
    state = rows.vectors[STATE]
    full = span(state)
    for episode, sampled in mine.items():
        start = int(np.searchsorted(rows.episode_index, episode))
        at = state[start + sampled.ticks]
        moves = full > 0
        moved = (np.abs(np.diff(at, axis=0)) >= _MOVED * full) & moves
        moved = moved.sum(axis=1) >= min(2, max(1, int(moves.sum())))
        same = _difference(sampled.grey[1:], sampled.grey[:-1]) < _SAME
        frozen = np.flatnonzero((same & moved)[1:] & same[:-1] | (same & moved)[:-1] & same[1:])
        if len(frozen) and (same & moved).sum() >= min(2, len(same)):
            yield episode, int(sampled.ticks[frozen[0]])


def _all_still(
    meta: LeRobotDatasetMetadata, camera: str, mine: dict[int, Sampled], still: list[tuple[int, int]]
) -> Iterator[Finding]:
    if not still:
        return
    episodes = [episode for episode, _ in still]
    if len(still) == len(mine):
        yield _wrong(meta, camera, "is a still: its picture stays the same while the joints move", episodes)
        return
    episode, frame = still[0]
    yield _wrong(
        meta, camera, f"stays on one picture from about frame {frame} of episode {episode} on, while the "
        "joints move", episodes,
    )  # fmt: skip


def _again(
    meta: LeRobotDatasetMetadata, camera: str, mine: dict[int, Sampled], rows: FrameTable
) -> Iterator[Finding]:
    """Episodes that show the pictures of another one, though the joints move otherwise."""
    numbers = [episode for episode, sampled in mine.items() if len(sampled.ticks) > 2]
    by_length: dict[int, list[int]] = {}
    for episode in numbers:
        by_length.setdefault(len(mine[episode].ticks), []).append(episode)
    for group in by_length.values():
        grey = np.stack([mine[episode].grey for episode in group]).reshape(len(group), -1)
        for place in range(1, len(group)):
            near = np.abs(grey[:place] - grey[place]).max(axis=1) < _ALIKE
            others = [group[other] for other in np.flatnonzero(near)]
            if others and not _same_rows(rows, group[place], others[0]):
                yield _wrong(
                    meta, camera, f"shows the pictures of episode {others[0]}, though the joints move "
                    "otherwise", [group[place]],
                )  # fmt: skip


def _same_rows(rows: FrameTable, one: int, other: int) -> bool:
    """Whether two episodes are one recorded twice, which is said elsewhere."""
    where = [np.flatnonzero(rows.episode_index == episode) for episode in sorted((one, other))]
    values = np.concatenate(list(rows.vectors.values()), axis=1)[np.concatenate(where)]
    bounds = np.array([[0, len(where[0])], [len(where[0]), len(values)]])
    return bool(copies(values, bounds))


def _twins(
    meta: LeRobotDatasetMetadata, pictures: Pictures, odd: Mapping[str, set[int]]
) -> Iterator[Finding]:
    """Cameras that show the same."""
    cameras = list(odd)
    for place, camera in enumerate(cameras):
        for other in cameras[:place]:
            mine, theirs = _of(pictures, camera), _of(pictures, other)
            equal = [
                episode
                for episode in mine.keys() & theirs.keys()
                if episode not in odd[camera] | odd[other]
                and _difference(mine[episode].grey, theirs[episode].grey).max() < _ALIKE
            ]
            if equal:
                yield _wrong(meta, camera, f"shows what {other} shows", sorted(equal))


def _difference(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    """(T,) largest difference of a block."""
    return np.abs(one - other).max(axis=(1, 2))
