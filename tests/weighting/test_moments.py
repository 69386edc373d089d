"""Which moments are shown, their pictures, and the page: on real datasets with videos and with pictures."""

import os
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
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


def test_moments_by_hand() -> None:
    episode = np.repeat([0, 1, 2], [6, 6, 2])
    values = np.array([1, 5, 5, 0, 1, 1, 1, 1, 4, 1, 1, 0, 1, 1], dtype=np.float64)
    progress, deltas = np.arange(14) / 14, np.zeros(14)
    deltas[2] = 0.7  # of the two frames of weight 5, this one gains more
    found = moments(values, episode, 4, progress, deltas, count=2)
    assert [(m.episode_index, m.frame_index, m.weight) for m in found.up] == [(0, 2, 5.0), (1, 2, 4.0)]
    assert [(m.episode_index, m.frame_index, m.weight) for m in found.down] == [(0, 3, 0.0), (1, 5, 0.0)]
    first, last = found.up[0], found.down[1]
    assert first.ahead == (2, 4, 5)
    assert (first.before, first.after, first.delta) == (2 / 14, 5 / 14, 0.7)
    assert last.ahead == (5, 5, 5)
    assert (last.before, last.after) == (11 / 14, 11 / 14)
    unknown = moments(values, episode, 4, count=1).up[0]
    assert (unknown.frame_index, unknown.delta, unknown.before, unknown.after) == (1, None, None, None)


@given(
    hnp.arrays(np.float64, st.integers(1, 60), elements=st.sampled_from([0.0, 0.5, 1.0, 3.0])),
    st.integers(1, 8),
    st.integers(1, 12),
)
def test_moments_are_apart_and_the_best_there_are(
    values: NDArray[np.float64], chunk: int, count: int
) -> None:
    episode = np.arange(len(values)) // 13
    found = moments(values, episode, chunk, count=count)
    mean = values.mean()
    for sign, chosen in ((1, found.up), (-1, found.down)):
        ranks = [sign * moment.weight for moment in chosen]
        assert ranks == sorted(ranks, reverse=True)
        assert len(chosen) <= count
        assert all(sign * (moment.weight - mean) > 0 for moment in chosen)
        for place, moment in enumerate(chosen):
            assert values[13 * moment.episode_index + moment.frame_index] == moment.weight
            for other in chosen[:place]:
                same = other.episode_index == moment.episode_index
                assert not same or abs(other.frame_index - moment.frame_index) >= chunk
        best = [values[episode == number] for number in np.unique(episode)]
        tops = sorted((sign * part).max() for part in best if (sign * (part - mean) > 1e-9).any())[::-1]
        assert set(tops[:count]) <= set(ranks)
        episodes = {moment.episode_index for moment in chosen}
        assert len(episodes) == min(count, len(tops))


@pytest.mark.parametrize("values", [np.ones(20), np.full(20, 0.1 + 0.2), np.empty(0)])
def test_equal_weights_have_no_moments(values: NDArray[np.float64]) -> None:
    assert moments(values, np.arange(len(values)) // 5, 3) == Moments((), ())


def test_arrays_of_other_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match=r"deltas \(3,\), episode_index \(4,\)"):
        moments(np.ones(4), np.zeros(4, np.int64), 2, deltas=np.ones(3))


def test_a_chunk_of_no_frames_has_no_moments() -> None:
    with pytest.raises(ValueError, match=r"^chunk 0: must be at least 1$"):
        moments(np.ones(2), np.zeros(2, np.int64), 0)
    with pytest.raises(ValueError, match=r"^weights \(3,\), episode_index \(2,\): must be one \(N,\)$"):
        moments(np.ones(3), np.zeros(2, np.int64), 1)
    with pytest.raises(ValueError, match=r"^progress \(3,\), episode_index \(2,\): must be one \(N,\)$"):
        moments(np.ones(2), np.zeros(2, np.int64), 1, progress=np.ones(3))
    assert [m.ahead for m in moments(np.array([0.0, 1]), np.zeros(2, np.int64), 1).up] == [(1, 1, 1)]


def test_a_moment_by_hand_in_the_middle_of_its_episode() -> None:
    episode = np.repeat([6, 2], [3, 9])
    weights, progress = np.ones(12), np.arange(12) / 16
    weights[5], weights[9] = 1.5, 0.5
    for chunk, ahead, after in ((5, (2, 4, 7), 10 / 16), (6, (2, 5, 8), 11 / 16), (99, (2, 8, 8), 11 / 16)):
        (up,) = moments(weights, episode, chunk, progress, progress**2).up
        assert up == Moment(2, 2, ahead, 1.5, (5 / 16) ** 2, 5 / 16, after)
    (down,) = moments(weights, episode, 2, progress).down
    assert down == Moment(2, 6, (6, 7, 8), 0.5, None, 9 / 16, 11 / 16)


def test_frames_that_were_not_judged_are_neither_shown_nor_averaged() -> None:
    episode, weights = np.repeat([0, 1, 2], 2), np.array([1.0, 3, 2, 2, 99, 0])
    judged = episode < 2
    found = moments(weights, episode, 1, judged=judged)
    # The mean of the judged is 2: the second episode is at it.
    assert [(m.episode_index, m.weight) for m in found.up] == [(0, 3)]
    assert [(m.episode_index, m.weight) for m in found.down] == [(0, 1)]
    assert moments(weights, episode, 1, judged=np.zeros(6, bool)) == Moments((), ())


def test_what_differs_by_rounding_is_ranked_by_what_it_gains_and_then_by_its_number() -> None:
    episode, weights = np.arange(6), np.array([2, 2 + 1e-12, 2 - 1e-12, 0, 1e-12, 0])
    deltas = np.array([0.1, 0.1 + 1e-12, 0.5, 0.3, 0.3 - 1e-12, -1])
    for known, up, down in ((None, [0, 1, 2], [3, 4, 5]), (deltas, [2, 0, 1], [5, 3, 4])):
        found = moments(weights, episode, 1, deltas=known)
        assert [m.episode_index for m in found.up] == up
        assert [m.episode_index for m in found.down] == down
    # A weight that is larger by more than rounding goes before.
    weights[1] += 1e-8
    assert [m.episode_index for m in moments(weights, episode, 1, deltas=deltas).up] == [1, 2, 0]


def test_another_moment_of_an_episode_is_a_chunk_away_and_takes_its_place_by_rank() -> None:
    episode = np.repeat([0, 1], [12, 3])
    weights = np.zeros(15)
    weights[[1, 3, 4, 7, 13]] = 9, 8, 7, 6, 5
    found = moments(weights, episode, 3, count=3)
    # 3 is too near to 1 and 4 is not, 7 would be one too many; the other episode has its place.
    assert [(m.episode_index, m.frame_index) for m in found.up] == [(0, 1), (0, 4), (1, 1)]
    assert [m.frame_index for m in moments(weights, episode, 3, count=9).up] == [1, 4, 7, 1]
    assert [m.frame_index for m in moments(weights, episode, 4, count=9).up] == [1, 7, 1]
    assert len(moments(np.r_[np.ones(20), np.zeros(20)], np.arange(40), 1).up) == 10


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
    assert tags.count("article") == tags.count("img") == tags.count("polyline") == shown
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
    assert tags.count("img") == len(written.up) + len(written.down) > 0
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
