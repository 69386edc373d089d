"""The pictures of moments, and their page: on real datasets with videos and with pictures."""

import os
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from numpy.typing import NDArray
from PIL import Image

from rabc.config.settings import Config, ScorerConfig, WeightsConfig
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.datasets.tables import read_frames
from rabc.pages.html import side_by_side
from rabc.system.errors import InputError
from rabc.weighting import schemes
from rabc.weighting.assign import FrameWeights
from rabc.weighting.deltas import chunk_deltas
from rabc.weighting.moments import Moment, Moments, moments
from rabc.weighting.page import ShownMoment, scheme_text
from rabc.weighting.report import WeightsReport, shown_camera, write_report
from rabc.weighting.strips import HEIGHT, caption, captioned, moment_images, moment_strip
from tests.support.shapes import edit_info

CHUNK = 4
FRONT = "observation.images.front"


def config(**settings: object) -> Config:
    return Config(
        policy=PolicyConfig(chunk_size=CHUNK, n_action_steps=CHUNK),
        weights=replace(WeightsConfig(), **settings),  # pyright: ignore[reportArgumentType]
        scorer=ScorerConfig(camera="front"),
    )


def report(
    root: Path, folder: Path, settings: Config, progress: Callable[[NDArray[np.int64]], NDArray[np.float64]]
) -> tuple[WeightsReport, Moments]:
    """Of the dataset in `root`, with progress that is a function of the frame's number."""
    meta = load_meta(root)
    table = read_frames(meta, [])
    values = progress(np.arange(len(table)))
    deltas = chunk_deltas(values, table.episode_index, CHUNK, "per_step")
    made = schemes.normalise(schemes.by_scheme(deltas, values, table.episode_index, settings.weights, CHUNK))
    everything, one_task = np.ones(len(table), bool), np.zeros(len(table), np.int64)
    frame_weights = FrameWeights(made, everything, one_task, Path("progress.parquet"), values, deltas)
    found = moments(made, table.episode_index, CHUNK, values, deltas)
    return write_report(settings, meta, table, frame_weights, folder), found


def waves(index: NDArray[np.int64]) -> NDArray[np.float64]:
    return 0.5 + 0.5 * np.sin(index / 3.0)


@pytest.mark.parametrize("storage", ["recorded_dataset", "recorded_pictures"])
def test_a_strip_shows_the_frames_of_its_chunk(storage: str, request: pytest.FixtureRequest) -> None:
    """The same pictures as LeRobotDataset gives, past the end of the first episode as well."""
    root: Path = request.getfixturevalue(storage)
    dataset = cast(Any, LeRobotDataset("local/tiny", root=root))
    moment = Moment(1, 9, (9, 12, 14), 1.0, None, None, None)
    frames = [
        (dataset[12 + frame][FRONT] * 255).round().byte().permute(1, 2, 0).numpy() for frame in moment.ahead
    ]
    strip = moment_strip(load_meta(root), FRONT, moment)
    assert strip.shape == (HEIGHT, 3 * HEIGHT, 3)
    expected = side_by_side(np.stack(frames), HEIGHT)
    assert np.abs(strip.astype(int) - expected.astype(int)).max() <= 2
    assert not np.array_equal(strip[:, :HEIGHT], strip[:, HEIGHT : 2 * HEIGHT])


def test_captions() -> None:
    moment = Moment(7, 34, (34, 44, 54), 0.0, -0.5, 0.9, 0.4)
    assert caption(moment, 10.0, False) == (
        "episode 7, a failure, 3.4 to 5.4 s",
        "weight 0.00, progress 0.90 to 0.40",
    )
    unknown = replace(moment, delta=None, before=None, after=None)
    assert caption(unknown, 10.0) == ("episode 7, 3.4 to 5.4 s", "weight 0.00")
    strip = np.full((10, 30, 3), 200, dtype=np.uint8)
    shown = captioned(strip, caption(moment, 10.0))
    assert np.array_equal(shown[-10:, :30], strip)
    assert shown[:-10].min() < 100  # there is text, and it is not cut off at the right
    assert shown[:-10, -4:].min() == 255


class Page(HTMLParser):
    """Tags with their attributes, and what is open at the end."""

    VOID = frozenset({"meta", "link", "img"})

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(content)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


@pytest.mark.parametrize(
    "settings",
    [
        {"scheme": "rabc"},
        {"scheme": "topreward"},
        {"scheme": "awr"},
        {"scheme": "mask"},
        {"scheme": "filter", "drop": "frames"},
        {"scheme": "filter", "calibration": "dataset", "drop_share": 0.5},
    ],
    ids=str,
)
def test_every_scheme_is_reported(
    recorded_dataset: Path, tmp_path: Path, settings: dict[str, object]
) -> None:
    folder = tmp_path / "weights"
    written, found = report(recorded_dataset, folder, config(**settings), waves)
    assert found.up
    assert found.down
    assert sorted(folder.iterdir()) == sorted(written.files)
    assert (len(written.up), len(written.down)) == (len(found.up), len(found.down))
    content = written.page.read_text()
    page = Page(content)
    assert page.open == []
    assert "http" not in content.replace("http-equiv", "")
    assert "<script" not in content
    assert "prefers-color-scheme: dark" in content
    tags = [tag for tag, _ in page.tags]
    shown = len(found.up) + len(found.down)
    lines = tags.count("section")
    assert tags.count("article") == shown
    assert tags.count("img") == tags.count("polyline") == shown + lines
    assert (lines > 0) == ("Left out <small>" in content) == ("<dt>weight 0</dt><dd>0 %" not in content)
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert scheme_text(config(**settings).weights) in content
    images = moment_images(folder)
    assert list(images) == [f"up/{n + 1:02d}" for n in range(len(found.up))] + [
        f"down/{n + 1:02d}" for n in range(len(found.down))
    ]
    for image in images.values():
        assert image.dtype == np.uint8
        assert image.shape[1:] == (3 * HEIGHT, 3)
    with Image.open(written.up[0]) as picture:
        assert picture.format == "PNG"


def test_plain_behavior_cloning_has_a_page_without_moments(recorded_dataset: Path, tmp_path: Path) -> None:
    """And what an earlier scheme left is gone."""
    folder = tmp_path / "weights"
    report(recorded_dataset, folder, config(scheme="awr"), waves)
    assert moment_images(folder)
    written, _ = report(recorded_dataset, folder, config(scheme="none"), waves)
    assert written.files == list(folder.iterdir()) == [folder / "index.html"]
    assert "None are shown: all weights are equal." in written.page.read_text()
    assert moment_images(folder) == {}


def test_weights_from_elsewhere_are_shown_without_progress(recorded_pictures: Path, tmp_path: Path) -> None:
    """From the dataset's first camera, as no scorer has named one; texts of others cannot break the page."""
    meta = load_meta(recorded_pictures)
    table = read_frames(meta, [])
    settings = replace(
        config(scheme="static", weights_file="<b>&.parquet"), scorer=ScorerConfig(camera="nowhere")
    )
    everything, one_task = np.ones(len(table), bool), np.zeros(len(table), np.int64)
    values = schemes.normalise(np.linspace(0, 1, len(table)))
    made = FrameWeights(values, everything, one_task, Path("<b>&.parquet"))
    written = write_report(settings, meta, table, made, tmp_path / "weights")
    assert shown_camera(settings, meta) == meta.camera_keys[0]
    content = written.page.read_text()
    page = Page(content)
    assert page.open == []
    assert "<b>&.parquet" not in content
    tags = [tag for tag, _ in page.tags]
    assert tags.count("polyline") == 0
    assert tags.count("section") == 1  # the first frame has weight 0
    assert tags.count("img") == len(written.up) + len(written.down) + 1
    with pytest.raises(
        InputError, match=r"scorer\.camera nowhere: not there in dataset .*; its cameras: front,"
    ):
        shown_camera(replace(settings, weights=WeightsConfig()), meta)


def test_weights_of_a_dataset_without_cameras_have_a_page(
    dataset_copy: Callable[[], Path], tmp_path: Path
) -> None:
    root = dataset_copy()
    for camera in (FRONT, "observation.images.wrist"):
        edit_info(root, lambda info, camera=camera: info["features"].pop(camera))
    meta = load_meta(root)
    table = read_frames(meta, [])
    values = schemes.normalise(np.linspace(0, 1, len(table)))
    made = FrameWeights(values, values >= 0, np.zeros(len(table), np.int64), tmp_path / "w.parquet")
    settings = config(scheme="static", weights_file="w.parquet")
    written = write_report(settings, meta, table, made, tmp_path / "weights")
    assert written.files == [written.page]
    assert "None are shown: no camera shows them." in written.page.read_text()


def test_what_cannot_be_shown_is_named(dataset_copy: Callable[[], Path], tmp_path: Path) -> None:
    root, folder = dataset_copy(), tmp_path / "weights"
    for video in (root / "videos" / FRONT).rglob("*.mp4"):
        os.truncate(video, 300)
    with pytest.raises(InputError, match=r"video .*episode \d+ cannot be decoded"):
        report(root, folder, config(scheme="awr"), waves)
    assert not folder.exists()
    folder.mkdir()
    (folder / "up-01.png").write_text("no picture")
    with pytest.raises(InputError, match=r"picture .*up-01\.png: cannot be read; delete"):
        moment_images(folder)


def test_a_long_episode_has_a_short_curve() -> None:
    """A page of recordings of an hour stays a page."""
    from rabc.weighting.page import MAX_POINTS, PageFacts, render

    moment = Moment(0, 99_999, (99_999, 99_999, 99_999), 1.0, 0.0, 1.0, 1.0)
    strip = np.zeros((4, 12, 3), np.uint8)
    shown = ShownMoment(moment, strip, "Pick.", True, np.arange(100_000) / 99_999)
    facts = PageFacts("t", {}, "s", None, schemes.summary(np.array([0.0, 1.0])), 30.0)
    content = render(facts, [shown], [])
    (line,) = [attributes["points"] or "" for tag, attributes in Page(content).tags if tag == "polyline"]
    points = [tuple(map(float, pair.split(","))) for pair in line.split()]
    assert len(points) == MAX_POINTS
    assert points[0] == (0, 100)
    assert points[-1] == (1000, 0)


def test_the_page_says_what_speaks_against_the_scheme() -> None:
    from rabc.weighting.page import PageFacts, render

    def page(caution: str | None) -> str:
        return render(PageFacts("t", {}, "s", caution, schemes.summary(np.ones(2)), 30.0), [], [])

    assert "Caution: beware." in page("beware")
    assert "Caution" not in page(None)
