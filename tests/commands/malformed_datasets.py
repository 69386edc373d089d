"""Malformed datasets: of the recorded one, `arm`, something is damaged."""

import gzip
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from tests.support import damaging as damage
from tests.support.refusing import Case, Damage

ARM = Path("arm")
INFO, STATISTICS, TASKS = (ARM / "meta" / name for name in ("info.json", "stats.json", "tasks.parquet"))
FRONT = "observation.images.front"
AGAIN = "download or record the dataset again"
RECOMPUTE = "lerobot-edit-dataset"
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"
TRAIN = ("train", "--config", "small.yaml", "--weights.scheme", "none")
SCORE = ("score", "--config", "small.yaml")
DIAGNOSE = ("diagnose", "--config", "small.yaml")
TWINS = (
    "a gzip archive called .parquet", "a zip archive called .parquet", "a Git LFS pointer for a table",
    "a Git LFS pointer for a video", "a folder called .parquet", "one number for an action", "no data folder",
    "a gzip archive called tasks.parquet", "an empty table of tasks",
)  # fmt: skip
"""Cases that others of the fast tests are much like."""
Place = Path | Callable[[], Path]


def rows() -> Path:
    (path,) = (ARM / "data").glob("*/*.parquet")
    return path


def episodes() -> Path:
    (path,) = (ARM / "meta" / "episodes").glob("*/*.parquet")
    return path


def video() -> Path:
    return damage.video(ARM, "front")


def at(place: Place) -> Path:
    return place() if callable(place) else place


def holds(place: Place, content: bytes) -> Damage:
    """Writes something else into the file."""
    return lambda: at(place).write_bytes(content)


def torn(place: Place, size: int = 2000) -> Damage:
    """Leaves the beginning of the file."""
    return lambda: at(place).write_bytes(at(place).read_bytes()[:size])


def zipped(place: Place) -> Damage:
    """Makes a gzip archive of the file, under its name."""
    return lambda: at(place).write_bytes(gzip.compress(at(place).read_bytes(), mtime=0))


def archived(place: Place) -> Damage:
    """Makes a zip archive of the file, under its name."""

    def archive() -> None:
        content = at(place).read_bytes()
        with zipfile.ZipFile(at(place), "w") as file:
            file.writestr("content", content)

    return archive


def gone(place: Place) -> Damage:
    def remove() -> None:
        path = at(place)
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    return remove


def folder(place: Place) -> Damage:
    """Puts a folder in the place of the file."""

    def replace() -> None:
        path = at(place)
        path.unlink()
        path.mkdir()

    return replace


def pipe(place: Place) -> Damage:
    """Puts a pipe in the place of the file, which nobody ever writes to."""

    def replace() -> None:
        path = at(place)
        path.unlink()
        os.mkfifo(path)

    return replace


def info(**values: Any) -> Damage:
    return lambda: damage.edit_json(INFO, lambda content: content.update(values))


def statistics(**values: Any) -> Damage:
    """Of the actions."""
    return lambda: damage.edit_statistics(ARM, lambda content: content["action"].update(values))


def table(change: Callable[[pd.DataFrame], pd.DataFrame]) -> Damage:
    return lambda: damage.edit_rows(ARM, change)


def per_episode(**values: Any) -> Damage:
    return lambda: damage.edit_episodes(ARM, lambda rows: rows.assign(**values))


def damaged(
    name: str, damaging: Damage, *says: str, command: tuple[str, ...] = TRAIN, remedy: str = AGAIN
) -> Case:
    return Case(name, command, (*says, remedy), damaging, ("arm",), slow=name in TWINS)


NAN = [np.full(6, np.nan, np.float32)]
METADATA = (
    damaged("an empty info.json", holds(INFO, b""), "info.json: cannot be read"),
    damaged("an info.json of null characters", holds(INFO, b"\0" * 99), "info.json: cannot be read"),
    damaged(
        "an info.json in UTF-16", holds(INFO, '{"fps": 10}'.encode("utf-16")), "info.json: cannot be read"
    ),
    damaged(
        "a folder called info.json",
        folder(INFO),
        "info.json is missing",
        command=SCORE,
        remedy="check the path",
    ),
    damaged("a pipe called info.json", pipe(INFO), "info.json: is a pipe or a device", command=DIAGNOSE),
    damaged("a Git LFS pointer for info.json", holds(INFO, POINTER), "info.json: cannot be read"),
    damaged("a rate that is no number", info(fps=float("nan")), "info.json: fps nan is no rate"),
    damaged("a rate without end", info(fps=float("inf")), "info.json: fps inf is no rate", command=SCORE),
    damaged("more episodes than a computer counts", info(total_episodes=10**30), "total_episodes 1000"),
    damaged("a number of episodes in words", info(total_episodes="four"), "total_episodes 'four'"),
    damaged(
        "a format older than 2.1", info(codebase_version="v2.0"), "format v2.0, not v3.0", remedy="convert"
    ),
    damaged("a format to come", info(codebase_version="v9.9"), "format v9.9", remedy="update lerobot"),
    damaged(
        "a template of paths that asks for a class",
        info(data_path="{0.__class__}"),
        "data_path '{0.__class__}'",
    ),
    damaged(
        "a template of paths that leads out",
        info(video_path="../{video_key}/{chunk_index}/{file_index}.mp4"),
        "video_path '../",
        command=SCORE,
    ),
    damaged("brackets without end in info.json", holds(INFO, b"[" * 100_000), "info.json: cannot be read"),
    damaged("features as a list", info(features=[1]), "info.json: its features cannot be read"),
    damaged("an empty stats.json", holds(STATISTICS, b""), "stats.json: cannot be read"),
    damaged("no stats.json", gone(STATISTICS), "meta/stats.json is missing", remedy=RECOMPUTE),
    damaged(
        "statistics in words",
        statistics(mean="x"),
        "statistic mean of action",
        "no numbers",
        remedy=RECOMPUTE,
    ),
    damaged(
        "statistics that are no numbers", statistics(std=[float("nan")] * 6), "not finite", remedy=RECOMPUTE
    ),
    damaged("statistics of fewer joints", statistics(mean=[0.0] * 3), "3 numbers", remedy=RECOMPUTE),
    damaged("an empty table of tasks", holds(TASKS, b""), "tasks.parquet: cannot be read"),
    damaged("a gzip archive called tasks.parquet", zipped(TASKS), "tasks.parquet: cannot be read"),
    damaged("a pipe called tasks.parquet", pipe(TASKS), "tasks.parquet: is a pipe or a device"),
    damaged("no table of episodes", gone(ARM / "meta" / "episodes"), "meta/episodes cannot be read"),
    damaged("a zip archive for the table of episodes", archived(episodes), "cannot be read", command=SCORE),
    damaged("an episode of negative length", per_episode(length=[-12, 15, 9, 14]), "-12"),
    damaged(
        "episodes without an end in the video",
        per_episode(**{f"videos/{FRONT}/to_timestamp": np.nan}),
        "to_timestamp for 4 episodes",
    ),
)
TABLES = (
    damaged("an empty table", holds(rows, b""), "file-000.parquet: cannot be read"),
    damaged("half a table", torn(rows), "file-000.parquet: cannot be read", command=DIAGNOSE),
    damaged("a gzip archive called .parquet", zipped(rows), "file-000.parquet: cannot be read"),
    damaged(
        "a zip archive called .parquet", archived(rows), "file-000.parquet: cannot be read", command=SCORE
    ),
    damaged("a Git LFS pointer for a table", holds(rows, POINTER), "file-000.parquet: cannot be read"),
    damaged("a folder called .parquet", folder(rows), "file-000.parquet"),
    damaged("a pipe called .parquet", pipe(rows), "file-000.parquet: is a pipe or a device"),
    damaged("no data folder", gone(ARM / "data"), "data"),
    damaged("no actions in the table", table(lambda rows: rows.drop(columns="action")), "action"),
    damaged("actions in words", table(lambda rows: rows.assign(action="up")), "column action: not 6 numbers"),
    damaged(
        "one number for an action",
        table(lambda rows: rows.assign(action=1.0)),
        "column action: not 6 numbers",
    ),
    damaged("rows of a task that there is not", table(lambda rows: rows.assign(task_index=9)), "task 9"),
    damaged("three rows fewer", table(lambda rows: rows.head(len(rows) - 3)), "14 frames, data/ has 11"),
    damaged("a video of no bytes", holds(video, b""), "file-000.mp4", command=SCORE),
    damaged("a text called .mp4", holds(video, b"no video\n" * 99), "file-000.mp4", command=SCORE),
    damaged("a Git LFS pointer for a video", holds(video, POINTER), "file-000.mp4"),
    damaged("a pipe called .mp4", pipe(video), "file-000.mp4: is a pipe or a device", command=SCORE),
    damaged("no video", gone(video), "file-000.mp4"),
)
EPISODES = (
    Case(
        "episodes in words",
        (*TRAIN, "--dataset.episodes", "first"),
        ("dataset.episodes first",),
        takes=("arm",),
    ),
    Case(
        "an episode that is not there",
        (*TRAIN, "--dataset.episodes", "0:9"),
        ("dataset.episodes 4: the dataset has episodes 0 to 3", "choose among these"),
        takes=("arm",),
    ),
    Case(
        "every episode left out",
        (*SCORE, "--dataset.exclude", "0:4"),
        ("leave none of the 4 episodes", "leave fewer out"),
        takes=("arm",),
    ),
    Case(
        "a camera that is not there",
        (*SCORE, "--scorer.camera", "top"),
        ("scorer.camera", "top", "front, wrist"),
        takes=("arm",),
    ),
    Case(
        "a link to nothing for a dataset",
        ("check-dataset", "lost"),
        ("dataset.path lost: no such folder", "check the path"),
        lambda: os.symlink("nowhere", "lost"),
    ),
    Case(
        "a file for a dataset",
        ("check-dataset", "small.yaml"),
        ("dataset small.yaml: no LeRobotDataset there", "check the path"),
    ),
    Case(
        "an empty folder for a dataset",
        ("check-dataset", "empty"),
        ("dataset empty: no LeRobotDataset there", "check the path"),
        lambda: os.mkdir("empty"),
    ),
    Case(
        "a pipe in the dataset that is checked",
        ("check-dataset", "arm"),
        ("stats.json: is a pipe or a device", AGAIN),
        pipe(STATISTICS),
        ("arm",),
    ),
)
