"""Texts of a dataset are drawn as they are: what means mathematics to matplotlib is somebody's file name."""

import resource
import threading
from pathlib import Path

import numpy as np
import pytest

from rabc.diagnosis.figures import Demonstration, plot_progress, write_rollout_video
from rabc.scoring.base import PrefixScores
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError

SCORES = PrefixScores(np.array([1, 4]), np.array([-3.0, -0.1]), np.array([-0.1, -3.0]))
FRAMES = np.zeros((4, 3, 32, 32), np.uint8)
TEXTS = (
    "cost_$5.mp4: pay $x_{$ now",
    r"\frac{1}{ 50 % _a^b",
    "抓起红色方块 $\\badcommand$",
    "a & b # {c} $$",
)


@pytest.mark.filterwarnings("ignore:Glyph")
@pytest.mark.parametrize("text", TEXTS)
def test_a_title_is_drawn_literally(text: str, tmp_path: Path) -> None:
    shown = Demonstration(text, FRAMES, 10.0, SCORES, None, phases=[(1, text)])
    plot_progress([shown], tmp_path / "plot.png")
    write_rollout_video(tmp_path / "rollout.mp4", FRAMES, SCORES, 10.0, text)
    assert (tmp_path / "plot.png").stat().st_size > 1000
    assert (tmp_path / "rollout.mp4").exists()


def test_a_dollar_more_is_a_dollar_more_in_the_picture(tmp_path: Path) -> None:
    """`$x$` is not an italic x: the texts with and without the signs are of different width."""
    from PIL import Image

    pictures = []
    for name, text in (("with", "$x$"), ("without", "x")):
        plot_progress([Demonstration(text, FRAMES, 10.0, SCORES, None)], tmp_path / f"{name}.png")
        pictures.append(np.asarray(Image.open(tmp_path / f"{name}.png").convert("L")))
    dark = [np.flatnonzero((picture[:25] < 128).any(axis=0)) for picture in pictures]
    assert np.ptp(dark[0]) > 1.5 * np.ptp(dark[1])


def test_a_picture_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    """Somebody may be looking at the old one, or drawing the same."""
    path = tmp_path / "plots" / "progress.png"
    shown = Demonstration("first", FRAMES, 10.0, SCORES, None)
    plot_progress([shown], path)
    old = path.read_bytes()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(old) // 2, limits[1]))
    try:
        with pytest.raises(InputError, match=r"file .*progress\.png: cannot be written"):
            plot_progress([shown, shown], path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == old
    with whole_file(path) as theirs:  # another writer, in the middle of it
        theirs.write_bytes(old)
        thread = threading.Thread(target=plot_progress, args=([shown, shown], path))
        thread.start()
        thread.join()
        assert len(path.read_bytes()) > len(old)
        assert theirs.read_bytes() == old
    assert path.read_bytes() == old
    assert [one.name for one in path.parent.iterdir()] == ["progress.png"]
    plot_progress([shown], tmp_path / "vectors.svg")
    assert "<svg" in (tmp_path / "vectors.svg").read_text()
