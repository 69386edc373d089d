"""Datasets whose folders are links to folders elsewhere, a larger disk for one, are what they are without."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.fingerprint import annotations, derived_folder, fingerprint, pictures_identities
from rabc.datasets.frames import cached_frames
from rabc.datasets.metadata import load_meta
from rabc.datasets.preflight.check import preflight
from tests.support.frame_caches import CAMERAS, FRAMES, SMALL, assert_same

VIDEOS = f"videos/{CAMERAS[0]}"
LINKED = ("videos", VIDEOS, f"{VIDEOS}/chunk-000", "data", "data/chunk-000", "meta", "meta/episodes")


def link(root: Path, name: str) -> None:
    """Move a folder of the dataset to another place and leave a link to it."""
    elsewhere = root.with_name("elsewhere")
    shutil.move(root / name, elsewhere)
    (root / name).symlink_to(elsewhere, target_is_directory=True)


@pytest.mark.parametrize("name", LINKED)
def test_a_linked_folder_changes_nothing(name: str, dataset_copy: Callable[[], Path], tmp_path: Path) -> None:
    root = dataset_copy()
    meta = load_meta(root)
    before = fingerprint(root), annotations(root), pictures_identities(meta, CAMERAS[0]), preflight(meta)
    link(root, name)
    shutil.rmtree(derived_folder(root))
    meta = load_meta(root)
    after = fingerprint(root), annotations(root), pictures_identities(meta, CAMERAS[0]), preflight(meta)
    assert after == before
    cached = cached_frames(meta, CAMERAS, tmp_path / "cache", SMALL)
    assert_same(cached, DecodedFrames(meta, CAMERAS, SMALL), np.arange(FRAMES))


@pytest.mark.parametrize("name", LINKED)
def test_what_is_changed_behind_a_link_is_seen(name: str, dataset_copy: Callable[[], Path]) -> None:
    """In the same process as well: what it remembers is of the files as they were."""
    root = dataset_copy()
    link(root, name)
    first = fingerprint(root)
    kind = name.partition("/")[0]
    if kind == "videos":
        with next((root / VIDEOS).glob("*/*.mp4")).open("ab") as file:
            file.write(b"\0\0\0\x08free")  # an empty box, which players pass over
    elif kind == "data":
        change(next((root / "data").glob("*/*.parquet")), "action")
    else:
        change(next((root / "meta" / "episodes").glob("*/*.parquet")), "length")
    assert fingerprint(root) != first


def change(table: Path, column: str) -> None:
    import pandas as pd

    content = pd.read_parquet(table)
    content[column] = [value + 1 for value in content[column]]
    content.to_parquet(table)


def test_another_video_behind_a_link_is_other_pictures(
    dataset_copy: Callable[[], Path], tmp_path: Path
) -> None:
    """Scores and decoded frames of the old one must not be taken for its own."""
    root = dataset_copy()
    link(root, VIDEOS)
    meta = load_meta(root)
    before, cache = pictures_identities(meta, CAMERAS[0]), tmp_path / "cache"
    old = cached_frames(meta, CAMERAS, cache, SMALL).read(np.arange(FRAMES))[CAMERAS[0]]
    shutil.copytree(root / "videos" / CAMERAS[1], root.with_name("elsewhere"), dirs_exist_ok=True)
    meta = load_meta(root)
    assert set(before).isdisjoint(pictures_identities(meta, CAMERAS[0]))
    cached = cached_frames(meta, CAMERAS, cache, SMALL)
    assert_same(cached, DecodedFrames(meta, CAMERAS, SMALL), np.arange(FRAMES))
    assert not np.array_equal(cached.read(np.arange(FRAMES))[CAMERAS[0]], old)


def test_links_in_a_circle_end(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    before = fingerprint(root)
    (root / "videos" / "up").symlink_to(root, target_is_directory=True)
    (root / VIDEOS / "again").symlink_to(root / "videos", target_is_directory=True)
    assert fingerprint(root) == before
