"""A few pictures of every episode, made small and kept, so that each is decoded once."""

import base64
import contextlib
import json
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cameras import colour_cameras, recorded_shape
from rabc.datasets.decoding import decode
from rabc.datasets.episodes import read_episodes
from rabc.datasets.fingerprint import derived_folder, pictures_identity
from rabc.system.errors import InputError
from rabc.system.threads import usable_cores

SAMPLES = 12
SIDE = 16
"""Blocks along each side of a picture, of which the mean grey is kept."""
_STORE = "pictures.jsonl"
_THREADS = 8


@dataclass(frozen=True)
class Sampled:
    """What is kept of an episode's pictures of one camera."""

    ticks: NDArray[np.int64]
    """(T,) frame numbers, evenly spread from the first to the last."""
    grey: NDArray[np.float32]
    """(T, SIDE, SIDE) mean of each block, 0 to 255."""


@dataclass(frozen=True)
class Unreadable:
    """Why pictures cannot be decoded."""

    error: InputError


def sampled_ticks(length: int) -> NDArray[np.int64]:
    """At most SAMPLES frame numbers of an episode, the first and the last among them."""
    return np.unique(np.linspace(0, length - 1, min(SAMPLES, length)).round().astype(np.int64))


def sample_pictures(
    meta: LeRobotDatasetMetadata, progress: bool = True
) -> dict[tuple[str, int], Sampled | Unreadable]:
    """Pictures by camera and episode, from what is kept or from the videos; a bar where some are decoded.

    Each episode is kept as soon as it is decoded, so that a stopped look goes on where it was.
    """
    from tqdm import tqdm

    lengths = read_episodes(meta).length
    wanted = [
        (camera, episode)
        for episode in np.flatnonzero(lengths > 0).tolist()
        for camera in colour_cameras(meta)
    ]
    store = derived_folder(meta.root) / "preflight" / _STORE
    known = dict(_kept(store))
    found: dict[tuple[str, int], Sampled | Unreadable] = {}
    todo: list[tuple[str, int, str]] = []
    for camera, episode in wanted:
        ticks = sampled_ticks(int(lengths[episode]))
        try:
            key = f"{pictures_identity(meta, camera, episode)}-{len(ticks)}"
        except InputError as error:
            found[camera, episode] = Unreadable(error)
            continue
        grey = known.get(key)
        if grey is None or grey.shape != (len(ticks), SIDE, SIDE):
            todo.append((camera, episode, key))
        else:
            found[camera, episode] = Sampled(ticks, grey)
    pool = ThreadPoolExecutor(min(_THREADS, usable_cores()))  # decoding releases the GIL
    try:
        looked = pool.map(partial(_try, meta), todo)
        bar = tqdm(looked, "looking at pictures", len(todo), unit="episode", disable=not progress or not todo)
        for (camera, episode, key), sampled in zip(todo, bar, strict=True):
            found[camera, episode] = sampled
            if isinstance(sampled, Sampled):
                _keep(store, key, sampled.grey)
    finally:
        pool.shutdown(cancel_futures=True)
    return found


def _try(meta: LeRobotDatasetMetadata, what: tuple[str, int, str]) -> Sampled | Unreadable:
    camera, episode, _ = what
    ticks = sampled_ticks(int(read_episodes(meta).length[episode]))
    try:
        return Sampled(ticks, _look(meta, camera, episode, ticks))
    except InputError as error:
        return Unreadable(error)


def _look(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64]
) -> NDArray[np.float32]:
    shape = recorded_shape(meta, camera)
    # One by one: what lies between two of them need not be decoded.
    pictures = (
        decode(meta, camera, episode, ticks[place : place + 1], shape)[0] for place in range(len(ticks))
    )
    return np.stack([blocks(picture) for picture in pictures])


def blocks(picture: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Mean grey (SIDE, SIDE) of a picture (H, W, 3) in blocks."""
    grey = picture.mean(axis=2)
    rows, columns = (np.linspace(0, side, SIDE + 1).astype(int) for side in grey.shape)
    sums = np.add.reduceat(np.add.reduceat(grey, rows[:-1], axis=0), columns[:-1], axis=1)
    areas = np.maximum(np.diff(rows), 1)[:, None] * np.maximum(np.diff(columns), 1)[None]
    return (sums / areas).astype(np.float32)


def _kept(store: Path) -> Iterator[tuple[str, NDArray[np.float32]]]:
    try:
        lines = store.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        with contextlib.suppress(ValueError, TypeError):  # a line that a kill cut off
            key, content = json.loads(line)
            numbers = np.frombuffer(base64.b64decode(content), np.uint16).astype(np.float32)
            yield str(key), (numbers / np.float32(256)).reshape(-1, SIDE, SIDE).astype(np.float32)


def _keep(store: Path, key: str, grey: NDArray[np.float32]) -> None:
    """A line more; several processes may write at once. Where it cannot be written it is decoded again."""
    content = base64.b64encode((grey * 256).round().astype(np.uint16).tobytes()).decode()
    with contextlib.suppress(OSError):
        store.parent.mkdir(parents=True, exist_ok=True)
        # A new line before as well: behind one that a kill cut off.
        line = f"\n{json.dumps([key, content])}\n".encode()
        opened = os.open(store, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(opened, line)
        finally:
            os.close(opened)
