"""Every row gets the picture of its state: the pictures say which they are, and LeRobot is asked as well."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.frames import cached_frames
from rabc.datasets.metadata import load_meta
from rabc.datasets.tables import read_frames
from tests.support import damaging as damage
from tests.support.numbered import CAMERAS, Number, Recording, read_number, record_numbered
from tests.support.shared import made_once

KEYS = [f"observation.images.{camera}" for camera in CAMERAS]
LENGTHS = (21, 24, 19)


@pytest.fixture(scope="module", params=["video", "image"])
def recorded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made_once(
        tmp_path_factory, f"aligned-{request.param}",
        lambda root: record_numbered(root, Recording(lengths=LENGTHS, storage=request.param)),
    )  # fmt: skip


@pytest.fixture
def dataset(recorded: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded, tmp_path / "mine")


def assert_aligned(root: Path, cache: Path, original: list[tuple[int, int]], lerobot: bool = True) -> None:
    """Row i shows frame `original[i]`, (episode, frame) of the recording, to all three readers."""
    meta = load_meta(root)
    rows = np.arange(len(read_frames(meta, ["action"])))
    readers = [DecodedFrames(meta, KEYS).read(rows), cached_frames(meta, KEYS, cache).read(rows)]
    theirs = LeRobotDataset(f"local/{root.name}", root=root, tolerance_s=1e-4) if lerobot else None
    for place, key in enumerate(KEYS):
        wanted = [Number(place, *one) for one in original]
        for read in readers:
            assert [read_number(picture) for picture in read[key]] == wanted
        if theirs is not None:
            assert [read_number(theirs[row][key]) for row in rows.tolist()] == wanted


def untouched() -> list[tuple[int, int]]:
    return [(episode, frame) for episode, length in enumerate(LENGTHS) for frame in range(length)]


def test_as_recorded(dataset: Path, tmp_path: Path):
    assert_aligned(dataset, tmp_path / "cache", untouched())


def test_rows_cut_off_in_front(dataset: Path, tmp_path: Path, check: Callable[..., Any]):
    """Times that begin at 1 s; the videos have the frames in front still."""
    damage.trim_front(dataset, [0, 1, 2], 10)
    damage.recompute_statistics(dataset, "observation.state", "action")
    kept = [(episode, frame) for episode, frame in untouched() if frame >= 10]
    assert_aligned(dataset, tmp_path / "cache", kept)
    assert check(dataset, quick=False).of("wrong") == check(dataset).of("refused") == []


@pytest.mark.parametrize("seconds", [0.0002, 0.04])
def test_stretches_that_begin_a_little_off(dataset: Path, tmp_path: Path, seconds: float):
    """LeRobot takes a frame that is a tenth of a millisecond away at most."""

    def shift(rows: pd.DataFrame) -> None:
        for name in rows.columns:
            if name.endswith("/from_timestamp"):
                rows[name] += seconds

    damage.edit_episodes(dataset, shift)
    assert_aligned(dataset, tmp_path / "cache", untouched(), lerobot=False)


@pytest.mark.parametrize("clock", ["drifting", "of 1970"])
def test_a_wall_clock(dataset: Path, tmp_path: Path, clock: str):
    def tell(rows: pd.DataFrame) -> pd.DataFrame:
        if clock == "drifting":
            return rows.assign(timestamp=(rows.frame_index * 0.107).astype(np.float32))
        return rows.assign(timestamp=rows.timestamp.astype(np.float64) + 1.7e9)

    damage.edit_rows(dataset, tell)
    assert_aligned(dataset, tmp_path / "cache", untouched(), lerobot=False)


def test_rows_missing_inside_an_episode(dataset: Path, tmp_path: Path):
    """Each row left has its own picture, by its time."""

    def cut(rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[~((rows.episode_index == 1) & rows.frame_index.between(5, 9))].reset_index(drop=True)
        return kept.assign(index=np.arange(len(kept)))

    damage.edit_rows(dataset, cut)

    def shorten(rows: pd.DataFrame) -> None:
        rows.loc[1, "length"] -= 5
        ends = np.cumsum(rows["length"])
        rows["dataset_to_index"], rows["dataset_from_index"] = ends, ends - rows["length"]

    damage.edit_episodes(dataset, shorten)
    damage.edit_info(dataset, lambda info: info.update(total_frames=sum(LENGTHS) - 5))
    kept = [one for one in untouched() if not (one[0] == 1 and 5 <= one[1] <= 9)]
    assert_aligned(dataset, tmp_path / "cache", kept)
