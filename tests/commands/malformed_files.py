"""Malformed progress, weights, labels, summaries of runs and videos."""

import gzip
import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from tests.commands.malformed_datasets import archived, holds, torn, zipped
from tests.support import damaging as damage
from tests.support.recordings import EPISODE_LENGTHS
from tests.support.refusing import Case, Damage

FRAMES = sum(EPISODE_LENGTHS)
FILE, LABELS, VIDEO = Path("own.parquet"), Path("own.csv"), Path("own.mp4")
SUMMARY = Path("outputs", "one", "summary.json")
SMALL = ("--config", "small.yaml")
PROGRESS = ("train", *SMALL, "--weights.scheme", "rabc", "--weights.progress_file", str(FILE))
WEIGHTS = ("train", *SMALL, "--weights.scheme", "static", "--weights.weights_file", str(FILE))
RECORDED = ("compare", *SMALL, "--recorded", "a=arm", "--recorded", "b=other")
POOL = ("pool", "--runs", "one,two")
SCORE = ("score", "--video", str(VIDEO), "--instruction", "Pick.")
GIVE = "give a parquet with"
Change = Callable[[pd.DataFrame], pd.DataFrame]


def whole(frames: pd.DataFrame) -> pd.DataFrame:
    return frames


def written(change: Change = whole, *damages: Damage) -> Damage:
    """Writes progress and weights of every frame, changed, and damages the file."""

    def write() -> None:
        frames = pd.DataFrame(
            {
                "index": np.arange(FRAMES),
                "episode_index": np.repeat(np.arange(len(EPISODE_LENGTHS)), EPISODE_LENGTHS),
                "progress_sparse": np.linspace(0, 1, FRAMES),
                "weight": 1.0,
            }
        )
        change(frames).to_parquet(FILE)
        for damaging in damages:
            damaging()

    return write


def foreign(name: str, damaging: Damage, *says: str, command: tuple[str, ...] = PROGRESS) -> Case:
    return Case(name, command, ("weights", "own.parquet: ", *says), damaging, ("arm",))


def progress(name: str, damaging: Damage, *says: str) -> Case:
    return foreign(name, damaging, *says, GIVE)


def weights(name: str, damaging: Damage, *says: str) -> Case:
    return foreign(name, damaging, *says, command=WEIGHTS)


def one_task(root: Path) -> None:
    damage.edit_tasks(root, lambda tasks: tasks.set_axis(["Pick.", "Pick. "]).rename_axis(tasks.index.name))
    damage.edit_episodes(root, lambda rows: rows.assign(tasks=[["Pick."]] * len(rows)))


def labels(name: str, content: str | bytes, *says: str) -> Case:
    """Labels of the first of two recordings of one task."""

    def write() -> None:
        one_task(Path("arm"))
        shutil.copytree("arm", "other")
        damage.set_vector(Path("other"), "action", lambda actions, rows: actions + 1)
        LABELS.write_bytes(content.encode() if isinstance(content, str) else content)

    return Case(name, (*RECORDED, "--labels", f"a={LABELS}"), ("labels own.csv", *says), write, ("arm",))


def summary(name: str, content: str | bytes, *says: str) -> Case:
    def write() -> None:
        SUMMARY.parent.mkdir(parents=True)
        SUMMARY.write_bytes(content.encode() if isinstance(content, str) else content)

    return Case(name, POOL, (*says, "rabc train --run one"), write)


def video(name: str, damaging: Damage, *says: str, command: tuple[str, ...] = SCORE) -> Case:
    return Case(name, command, says, damaging)


def filmed(frames: int) -> Damage:
    return lambda: damage.write_video(VIDEO, [np.zeros((32, 32, 3), np.uint8)] * frames, 10)


def pictured() -> None:
    from PIL import Image

    Image.new("RGB", (32, 32)).save(VIDEO, "PNG")


FOREIGN = (
    Case("no file", PROGRESS, ("own.parquet: no such file", "check the path"), takes=("arm",)),
    progress("an empty file", holds(FILE, b""), "is damaged or not a parquet"),
    progress("a CSV called .parquet", holds(FILE, b"index,progress_sparse\n0,0.1\n"), "is damaged or not"),
    progress("half a file", written(whole, torn(FILE, 500)), "is damaged or not a parquet"),
    progress("a gzip archive", written(whole, zipped(FILE)), "is damaged or not a parquet"),
    progress("a zip archive", written(whole, archived(FILE)), "is damaged or not a parquet"),
    Case(
        "a folder for a file",
        PROGRESS,
        ("own.parquet: no such file", "check the path"),
        lambda: os.mkdir(FILE),
        ("arm",),
    ),
    progress(
        "no episodes", written(lambda rows: rows.drop(columns="episode_index")), "no column episode_index"
    ),
    progress("progress in words", written(lambda rows: rows.assign(progress_sparse="far")), "is not numbers"),
    progress("progress without end", written(lambda rows: rows.assign(progress_sparse=np.inf)), "is inf"),
    progress(
        "no progress at all", written(lambda rows: rows.assign(progress_sparse=np.nan)), "no episode has"
    ),
    progress(
        "a frame twice", written(lambda rows: pd.concat([rows, rows.head(1)])), "has frame 0 more than once"
    ),
    progress(
        "another dataset's frames", written(lambda rows: rows.assign(index=rows["index"] + 9)), "9 to 58"
    ),
    progress("another dataset's episodes", written(lambda rows: rows.assign(episode_index=0)), "another one"),
    weights("a weight below 0", written(lambda rows: rows.assign(weight=-1.0)), "has weight -1", "0 or more"),
    weights(
        "weights that are all 0", written(lambda rows: rows.assign(weight=0.0)), "every weight is 0", "give"
    ),
    weights("a weight without end", written(lambda rows: rows.assign(weight=np.inf)), "weight is inf", GIVE),
    weights(
        "a weight missing", written(lambda rows: rows.head(FRAMES - 1)), "1 of 50 frames have no weight", GIVE
    ),
    weights(
        "truth for weights", written(lambda rows: rows.assign(weight=True)), "weight is not numbers", GIVE
    ),
    Case(
        "weights from a file without the file",
        ("train", *SMALL, "--weights.scheme", "static"),
        ("weights.weights_file",),
        takes=("arm",),
    ),
)
RECORDINGS = (
    Case(
        "one recording alone",
        ("compare", *SMALL, "--recorded", "a=arm"),
        ("--recorded a=arm: is one dataset", "give two or more"),
        takes=("arm",),
    ),
    Case(
        "one recording twice",
        ("compare", *SMALL, "--recorded", "a=arm", "--recorded", "b=arm"),
        ("--recorded b=arm: is the folder of a", "give two datasets"),
        takes=("arm",),
    ),
    Case(
        "a copy of the recording",
        RECORDED,
        ("--recorded b=other: has the same content as a=arm", "give two datasets"),
        lambda: (one_task(Path("arm")), shutil.copytree("arm", "other")),
        ("arm",),
    ),
    Case(
        "a recording that is not there",
        RECORDED,
        ("--recorded b=other: no such folder", "give that of a LeRobotDataset v3"),
        lambda: one_task(Path("arm")),
        ("arm",),
    ),
    Case(
        "a recording of several tasks",
        RECORDED,
        ("--recorded a=arm: episode 0 has the instruction", "split it"),
        lambda: shutil.copytree("arm", "other"),
        ("arm",),
    ),
    Case(
        "a recording without its name",
        ("compare", *SMALL, "--recorded", "arm"),
        ("--recorded arm: not a name and a path", "write --recorded NAME=PATH"),
        takes=("arm",),
    ),
    labels("an empty file of labels", "", "has no column episode_index", "begin with the line"),
    labels(
        "labels between semicolons", "episode_index;success\n0;1\n", "has no column", "begin with the line"
    ),
    labels("a label that is none", "episode_index,success\n0,maybe\n", "line 2: success 'maybe'", "write 1"),
    labels(
        "an episode twice",
        "episode_index,success\n0,1\n0,0\n",
        "line 3: episode 0 is there twice",
        "keep one",
    ),
    labels("an episode that is not there", "episode_index,success\n9,1\n", "episode_index '9'", "0 to 3"),
    labels("an episode in superscript", "episode_index,success\n²,1\n", "episode_index '²'", "0 to 3"),
    labels("labels in Latin-1", b"episode_index,success\n0,\xe9\n", "cannot be read", "give a CSV file"),
    labels(
        "a gzip archive called .csv", gzip.compress(b"episode_index", mtime=0), "cannot be read", "give a CSV"
    ),
    labels(
        "a label of a megabyte", f"episode_index,success\n0,{'x' * 10**6}\n", "cannot be read", "give a CSV"
    ),
)
RUNS = (
    Case("a run that is not there", POOL, ("run one: has no outputs/one/summary.json", "finish it with")),
    summary("an empty summary", "", "outputs/one/summary.json: is damaged"),
    summary("a summary in another alphabet", b"\xff\xfe\x00", "outputs/one/summary.json: is damaged"),
    summary("a list for a summary", "[]", "outputs/one/summary.json: is damaged"),
    summary("a summary nested without end", "[" * 100_000, "outputs/one/summary.json: is damaged"),
    summary(
        "a seed without end",
        json.dumps({"config": {"seed": float("inf")}, "rollouts": {}}),
        "outputs/one/summary.json: is damaged",
    ),
)
VIDEOS = (
    video("no video", lambda: None, "--video own.mp4: no such file", "check the path"),
    video("a video of no bytes", holds(VIDEO, b""), "own.mp4"),
    video("a picture called .mp4", pictured, "own.mp4"),
    video("a pipe called .mp4", lambda: os.mkfifo(VIDEO), "--video own.mp4: no such file", "check the path"),
    video("a video of one picture", filmed(1), "--video own.mp4: has one frame", "give a longer video"),
    video("no instruction", filmed(5), "instruction", command=("score", "--video", str(VIDEO))),
    video(
        "an instruction with a command to the scorer",
        filmed(5),
        "<|video_pad|>",
        command=("score", "--video", str(VIDEO), "--instruction", "Pick <|video_pad|>."),
    ),
)
