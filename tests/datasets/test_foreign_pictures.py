"""Pictures in a dataset's tables start no program, and are those of the dataset alone."""

import io
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import EpsImagePlugin, Image

from rabc.datasets.decoding import recorded_pictures as read_pictures
from rabc.datasets.metadata import load_meta
from rabc.system.errors import InputError
from tests.support.damaging import edit_rows

FRONT = "observation.images.front"
EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 32 32\n%%EndComments\nshowpage\n%%EOF\n"


def first(picture: dict[str, Any]) -> Callable[[pd.DataFrame], None]:
    """The first picture of the front camera becomes another one."""

    def change(rows: pd.DataFrame) -> None:
        rows[FRONT] = [picture, *list(rows[FRONT])[1:]]

    return change


@pytest.fixture
def root(recorded_pictures: Path, tmp_path: Path) -> Path:
    return shutil.copytree(recorded_pictures, tmp_path / "own", ignore=shutil.ignore_patterns(".rabc"))


def read(root: Path) -> None:
    read_pictures(load_meta(root), FRONT, 0, np.array([0]))


def test_postscript_starts_no_interpreter(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(EpsImagePlugin, "Ghostscript", lambda *words, **_: started.append(words))
    with Image.open(io.BytesIO(EPS)) as picture:
        assert picture.format == "EPS"  # Pillow alone takes it
    edit_rows(root, first({"bytes": EPS, "path": None}))
    with pytest.raises(InputError, match=r"pictures observation.images.front of episode 0 cannot be read"):
        read(root)
    assert not started


@pytest.mark.parametrize("path", ["{folder}/private.png", "../private.png", "images/../../private.png"])
def test_a_path_leads_not_out_of_the_dataset(root: Path, path: str) -> None:
    Image.new("RGB", (32, 32)).save(root.parent / "private.png")
    edit_rows(root, first({"bytes": None, "path": path.format(folder=root.parent)}))
    with pytest.raises(InputError, match="is a path out of the dataset"):
        read(root)


def test_a_path_in_the_dataset_is_read(root: Path) -> None:
    Image.new("RGB", (32, 32)).save(root / "own.png")
    edit_rows(root, first({"bytes": None, "path": "own.png"}))
    read(root)


def test_a_pipe_in_the_dataset_is_not_waited_for(root: Path) -> None:
    os.mkfifo(root / "own.png")
    edit_rows(root, first({"bytes": None, "path": "own.png"}))
    with pytest.raises(InputError, match=r"own\.png.* is no file"):
        read(root)
