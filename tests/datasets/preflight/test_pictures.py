"""What a few decoded pictures of every episode say; and that each is decoded once."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import av
import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from rabc.datasets.fingerprint import derived_folder
from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight import pictures
from tests.support import damaging as damage
from tests.support.numbered import Number, Recording, draw, record_numbered

FRONT, WRIST = "observation.images.front", "observation.images.wrist"
STARTS = np.cumsum([0, 30, 36, 33, 40, 28, 31])
"""First frame of each episode of the dataset."""
Frames = list[NDArray[np.uint8]]


def episode(frames: Frames, number: int) -> slice:
    return slice(int(STARTS[number]), int(STARTS[number + 1]))


def black(root: Path) -> None:
    def darken(frames: Frames) -> Frames:
        mine = episode(frames, 2)
        frames[mine] = [np.full_like(frame, 3) for frame in frames[mine]]
        return frames

    damage.change_video(root, "front", darken)


def lens_cap(root: Path) -> None:
    damage.change_video(root, "wrist", lambda frames: [np.full_like(frame, 120) for frame in frames])


def still(root: Path) -> None:
    def hold(frames: Frames) -> Frames:
        mine = episode(frames, 4)
        frames[mine] = [frames[mine.start]] * 28
        return frames

    damage.change_video(root, "front", hold)


def froze(root: Path) -> None:
    """The picture stays as it is from the middle of an episode on, as when a camera's cable is pulled."""

    def hold(frames: Frames) -> Frames:
        end = int(STARTS[4])
        frames[end - 20 : end] = [frames[end - 21]] * 20
        return frames

    damage.change_video(root, "front", hold)


def twins(root: Path) -> None:
    frames = damage.pictures(damage.video(root, "front"))
    damage.change_video(root, "wrist", lambda _: frames)


def another_episode(root: Path) -> None:
    """Episode 1 shows the first pictures of episode 3 instead of its own, stretched over its length."""

    def take(frames: Frames) -> Frames:
        ticks, others = pictures.sampled_ticks(36), pictures.sampled_ticks(40)
        for tick, other in zip(ticks, others, strict=True):
            frames[int(STARTS[1]) + tick] = frames[int(STARTS[3]) + other]
        return frames

    damage.change_video(root, "front", take)


def broken_inside(root: Path) -> None:
    """The header is sound and the pictures of some episodes are not."""
    path = damage.video(root, "front")
    content = bytearray(path.read_bytes())
    with av.open(str(path)) as container:
        places = [(packet.pts, packet.pos, packet.size) for packet in container.demux(video=0) if packet.pos]
    for _, place, size in places[STARTS[3] :]:
        content[place : place + size] = b"\xff" * size
    path.write_bytes(content)


CASES: dict[str, tuple[Callable[[Path], None], str, str, list[int], str]] = {
    "black": (black, "wrong", "is black in the whole episode", [2], FRONT),
    "a lens cap": (lens_cap, "wrong", "has one colour in the whole episode", [0, 1, 2, 3, 4, 5], WRIST),
    "a still": (still, "wrong", "stays on one picture", [4], FRONT),
    "a camera that froze": (froze, "wrong", "stays on one picture from about frame", [3], FRONT),
    "two cameras that show the same":
        (twins, "wrong", f"shows what {FRONT} shows", [0, 1, 2, 3, 4, 5], WRIST),
    "another episode's": (another_episode, "wrong", "shows the pictures of episode", [3], FRONT),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_pictures(check, dataset: Path, case: str):
    change, severity, words, episodes, camera = CASES[case]
    change(dataset)
    assert check(dataset).findings == []  # no header shows it
    finding = check(dataset, quick=False).one(severity)
    assert words in finding["what"]
    assert (finding["episodes"], finding["column"]) == (episodes, camera)
    assert check(dataset).one(severity) == finding  # what was found once is said by the quick look as well


def test_pictures_that_cannot_be_decoded(check, dataset: Path):
    broken_inside(dataset)
    finding = check(dataset, quick=False).one("refused")
    assert set(finding["episodes"]) >= {3, 4, 5}
    assert finding["column"] == FRONT
    assert "cannot be decoded" in finding["what"]


def test_a_picture_is_decoded_once_and_a_stopped_look_goes_on(dataset: Path, monkeypatch: pytest.MonkeyPatch):
    seen: list[tuple[str, int]] = []
    look = pictures._look

    def counted(meta: object, camera: str, number: int, ticks: object) -> object:
        if len(seen) == 5:
            raise KeyboardInterrupt
        seen.append((camera, number))
        return look(meta, camera, number, ticks)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(pictures, "_look", counted)
    with pytest.raises(KeyboardInterrupt):
        pictures.sample_pictures(load_meta(dataset), progress=False)
    (store,) = (derived_folder(dataset) / "preflight").iterdir()
    store.write_bytes(store.read_bytes()[:-100])  # the last one is cut off, as by a kill
    monkeypatch.setattr(pictures, "_look", look)
    before = store.stat().st_size
    found = pictures.sample_pictures(load_meta(dataset), progress=False)
    assert store.stat().st_size > before
    monkeypatch.setattr(pictures, "_look", lambda *_: pytest.fail("decoded again"))
    again = pictures.sample_pictures(load_meta(dataset), progress=False)
    assert len(again) == 12
    for key, sampled in found.items():
        assert isinstance(sampled, pictures.Sampled)
        np.testing.assert_allclose(again[key].grey, sampled.grey, atol=0.01)  # pyright: ignore[reportAttributeAccessIssue]


def test_a_dataset_that_cannot_be_written(
    check, dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """What was found is kept in the user's cache; nothing is left in the dataset."""
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(
        os, "access", lambda path, mode: mode != os.W_OK
    )  # the tests' user may write anything
    assert check(dataset, quick=False).code == 0
    assert not (dataset / ".rabc").exists()
    assert list((tmp_path / "cache").rglob("*-pictures.json"))
    assert stat.S_ISDIR(dataset.stat().st_mode)


def test_pictures_in_tables(check, tmp_path: Path):
    """Of a dataset without videos; its rows are found by their index, wherever they are said to be."""
    root = record_numbered(
        tmp_path / "mine", Recording(lengths=(20, 22), storage="image", cameras=("front",))
    )

    def stale(rows: pd.DataFrame) -> None:
        rows["data/file_index"] = 7

    damage.edit_episodes(root, stale)
    assert check(root, quick=False).code == 0


def test_a_picture_in_blocks():
    picture = draw(Number(1, 2, 3), (48, 64))
    grey = pictures.blocks(picture)
    assert grey.shape == (pictures.SIDE, pictures.SIDE)
    assert grey.mean() == pytest.approx(picture.mean(), abs=1)
    odd = pictures.blocks(np.full((13, 7, 3), 9, np.uint8))  # fewer pixels than blocks
    assert np.all(odd == 9)
