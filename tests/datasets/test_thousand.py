"""A thousand episodes: a dataset as LeRobot has them, and what a start reads does not grow with them."""

import builtins
import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from rabc.benchmarks.synthetic import Sizes, make_dataset
from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.episodes import read_episodes
from rabc.datasets.fingerprint import EDGE_BYTES, fingerprint, pictures_identities, pictures_identity
from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight.check import preflight
from rabc.datasets.tables import read_frames
from rabc.training.order import held_out_episodes
from tests.support.recordings import record_dataset

SIZES = Sizes(frames=12, episodes_a_video=5, episodes_a_table=8)
CAMERAS = ("observation.images.front", "observation.images.wrist")


@pytest.fixture
def read_bytes(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], int]:
    """Bytes that Python, not pyarrow, has read of files with this ending since the test began."""
    found: dict[str, int] = {}

    def counting(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        opened = real(path, mode, *args, **kwargs)
        if mode == "rb" and isinstance(path, str | Path):
            read, ending = opened.read, Path(path).suffix

            def counted(size: int = -1) -> bytes:
                content = read(size)
                found[ending] = found.get(ending, 0) + len(content)
                return content

            class Counted(io.BufferedReader):
                def read(self, size: int | None = -1) -> bytes:
                    return counted(-1 if size is None else size)

            return Counted(opened.raw)
        return opened

    real = builtins.open
    monkeypatch.setattr(builtins, "open", counting)
    monkeypatch.setattr(io, "open", counting)
    return lambda ending: found.get(ending, 0)


def test_a_synthetic_dataset_is_lerobots(tmp_path: Path) -> None:
    root = make_dataset(tmp_path / "many", 12, SIZES)
    theirs: Any = LeRobotDataset("local/many", root=root)
    meta = load_meta(root)
    assert len(theirs) == 12 * SIZES.frames
    ours = DecodedFrames(meta, CAMERAS)
    for index in (0, 11, 12, 59, 60, 95, 96, 143):
        item, pictures = theirs[index], ours.read(np.array([index]))
        assert int(item["episode_index"]) == index // SIZES.frames
        for camera in CAMERAS:
            theirs_now = (item[camera].permute(1, 2, 0) * 255).round().byte().numpy()
            assert np.array_equal(pictures[camera][0], theirs_now)
            # The bright bar is where the frame says.
            assert theirs_now.mean(axis=(0, 2)).argmax() == index % SIZES.frames
    assert preflight(meta) == []
    assert len({identity for camera in CAMERAS for identity in pictures_identities(meta, camera)}) == 24


def test_large_videos_are_read_at_their_edges_and_once(
    tmp_path: Path, read_bytes: Callable[[str], int]
) -> None:
    """400 files of 200 MB: sparse ones stand in for them."""
    root = make_dataset(tmp_path / "many", 4, SIZES)
    videos = tmp_path / "many" / "videos" / CAMERAS[0] / "chunk-000"
    for number in range(1, 401):
        with (videos / f"file-{number:03d}.mp4").open("wb") as file:
            file.truncate(200_000_000)
    first = fingerprint(root)
    assert 0 < read_bytes(".mp4") <= 402 * 2 * EDGE_BYTES
    before = read_bytes(".mp4")
    os.utime(root / "meta" / "stats.json")  # so that no answer of this process is taken
    assert fingerprint(root) == first
    assert read_bytes(".mp4") == before


def test_pictures_in_tables_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import pyarrow.parquet as pq

    root = record_dataset(tmp_path / "pictures", "image", lengths=(5, 6, 4))
    read: list[Path] = []
    real = pq.ParquetFile

    def counted(path: Any, *args: Any, **kwargs: Any) -> Any:
        read.append(Path(path))
        return real(path, *args, **kwargs)

    monkeypatch.setattr(pq, "ParquetFile", counted)
    identities = pictures_identities(load_meta(root), CAMERAS[0])
    assert len(set(identities)) == 3
    tables = len(list((root / "data").glob("*/*.parquet")))
    timestamps = tables  # the times of the rows are read at each start
    assert len(read) <= tables + timestamps
    read.clear()
    again = load_meta(root)
    assert [pictures_identity(again, CAMERAS[0], episode) for episode in range(3)] == list(identities)
    assert len(read) <= timestamps


def test_held_out_episodes_of_many_tasks() -> None:
    """Of each task the last ones, whatever their order; quickly where every episode has a task of its own."""
    tasks = [f"task {episode % 7}" for episode in range(40)]
    held_out = held_out_episodes(tasks, 0.3)
    for task in set(tasks):
        episodes = [episode for episode, other in enumerate(tasks) if other == task]
        count = -(-len(episodes) * 3 // 10)
        assert held_out[episodes].tolist() == [False] * (len(episodes) - count) + [True] * count
    with pytest.raises(Exception, match="holds out all 20000 episodes"):
        held_out_episodes([str(episode) for episode in range(20_000)], 0.1)


@pytest.mark.slow
def test_a_thousand_episodes_are_as_easily_opened_as_ten(tmp_path: Path) -> None:
    """Nothing of it is a loop over all episodes that reads a file or makes a record of each."""
    import time

    seconds: dict[int, float] = {}
    for count in (10, 1000):
        root = make_dataset(tmp_path / str(count), count)
        meta = load_meta(root)
        fingerprint(root)
        for camera in CAMERAS:
            pictures_identities(meta, camera)
        os.utime(root / "meta" / "stats.json")
        start = time.process_time()
        meta = load_meta(root)
        fingerprint(root)
        identities = [pictures_identities(meta, camera) for camera in CAMERAS]
        table = read_frames(meta, ["observation.state", "action"])
        seconds[count] = time.process_time() - start
        assert len(identities[0]) == len(read_episodes(meta)) == count
        assert len(table) == count * 900
    assert seconds[1000] - seconds[10] < 5.0, seconds
