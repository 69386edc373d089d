"""What the scorer reads of the shapes in which people's datasets come: the pictures of its own rows."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
import torch

from rabc.datasets.episodes import read_episodes
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.metadata import load_meta
from rabc.scoring.asked import clip_count
from rabc.scoring.base import Clip
from rabc.scoring.episode_video import camera_keys, frames_at
from rabc.scoring.label import open_store, score_dataset
from rabc.scoring.prompt import resize_frames
from rabc.scoring.small import architecture
from rabc.scoring.topreward import TOPReward
from rabc.system.errors import InputError
from tests.support import shapes
from tests.support.numbered import Number, Recording, read_number, record_numbered
from tests.support.shared import made_once


@pytest.fixture(scope="module")
def shape(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The dataset of a shape, recorded once; copy it to change it."""

    def made(name: str) -> Path:
        recorded = made_once(tmp_path_factory, "numbered", lambda root: record_numbered(root, shapes.VIDEO))
        return made_once(tmp_path_factory, f"shape {name}", lambda root: shapes.make(name, root, recorded))

    return made


@pytest.mark.parametrize(
    ("name", "camera", "later"),
    [
        ("video", "front", 0),
        ("image", "wrist", 0),
        ("image with a stale file index", "front", 0),
        ("depth video", "front", 0),
        ("depth pictures", "front", 0),
        ("camera of another key", "observation.image", 0),
        ("names null", "wrist", 0),
        ("channels first", "observation.images.front", 0),
        ("trimmed in front", "front", shapes.TRIMMED),
        ("videos 0.2 ms off", "wrist", 0),
        ("several files", "wrist", 0),
    ],
)
def test_pictures_are_those_of_the_rows(
    shape: Callable[[str], Path], name: str, camera: str, later: int
) -> None:
    meta = load_meta(shape(name))
    (key,) = camera_keys(meta, [camera])
    for episode, length in enumerate(read_episodes(meta).length.tolist()):
        ticks = np.r_[0:length:3, length - 1]
        shown = [read_number(frame) for frame in frames_at(meta, key, episode, np.unique(ticks))]
        place = int("wrist" in key)
        assert shown == [Number(place, episode, int(tick) + later) for tick in np.unique(ticks)]


@pytest.mark.parametrize(
    ("name", "camera", "words"),
    [
        ("depth video", "depth", "is a depth camera of dataset .*; choose one of front, wrist"),
        ("depth pictures", "depth", "is a depth camera of dataset .*; choose one of front, wrist"),
        ("video", "front,observation.images.front", "names camera observation.images.front twice"),
        ("camera of another key", "front", "not there in dataset .*; its cameras: observation.image, wrist"),
    ],
)
def test_cameras_that_cannot_be_scored(
    shape: Callable[[str], Path], name: str, camera: str, words: str
) -> None:
    with pytest.raises(InputError, match=f"scorer.camera {camera}: {words}"):
        camera_keys(load_meta(shape(name)), camera.split(","))


def test_a_stream_that_starts_late_is_named_as_such(shape: Callable[[str], Path], tmp_path: Path) -> None:
    root = record_numbered(tmp_path / "late", replace(shapes.VIDEO, lengths=(8,), cameras=("front",)))
    path = next(root.rglob("*.mp4"))
    later = tmp_path / "later.mp4"
    with av.open(str(path)) as source, av.open(str(later), "w") as target:
        stream: Any = target.add_stream_from_template(source.streams.video[0])
        for packet in source.demux(video=0):
            if packet.dts is not None:
                shift = round(0.3 / packet.time_base)
                packet.pts, packet.dts, packet.stream = packet.pts + shift, packet.dts + shift, stream
                target.mux(packet)
    later.replace(path)
    meta = load_meta(root)
    with pytest.raises(
        InputError, match=r"needs a frame at 0\.000 s, and its video begins later, at 0\.300 s"
    ):
        list(frames_at(meta, shapes.FRONT, 0, np.array([0, 4])))


@pytest.fixture(scope="module")
def frugal() -> TOPReward:
    """A scorer whose processor gives a clip 8 pictures of 64x64; it shrinks those of longer ones."""
    processor = architecture.build_processor()
    processor.video_processor.size = {"shortest_edge": 1024, "longest_edge": 8 * 64 * 64}
    model = architecture.build_model(
        processor, 0, width=96, layers=1, heads=3, vision_width=64, vision_layers=2
    )
    return TOPReward(model, processor, "tiny", "0", 5.0, path="two forwards")


def test_all_episodes_are_judged_in_one_size(tmp_path: Path, frugal: TOPReward) -> None:
    """That of the longest one's clip; on the fast path as on the slow one, whatever else is missing."""
    root = record_numbered(
        tmp_path / "sizes", Recording((12, 40), cameras=("front",), size=(64, 64), tasks=("Pour.",))
    )
    meta = load_meta(root)
    assert len(frugal.frame_indices(40, 10.0)) == 21
    assert clip_count(meta, frugal) == 32
    assert clip_count(meta, replace(frugal, sample_fps=10.0)) == 64
    store = open_store(tmp_path, meta, fingerprint(root), frugal, ["front"], 4)
    assert store.cameras[0].meta["image_size"] == [32, 32]
    beside = open_store(tmp_path, meta, "f", frugal, ["front"], 4, seen_as=8)  # of a dataset of short ones
    assert beside.cameras[0].meta["image_size"] == [64, 64]
    assert score_dataset(meta, frugal, 4, {"real": store}, {"real": [0]}) == 1
    frames = np.stack(list(frames_at(meta, shapes.FRONT, 0, frugal.frame_indices(12, 10.0))))
    large = torch.from_numpy(frames).permute(0, 3, 1, 2)
    small = resize_frames(frugal.processor, large, 32)
    assert small.shape[-2:] == (32, 32)
    found = store.read()[0].scores.log_prob_true
    for scorer in (frugal, replace(frugal, path="one forward per prefix")):
        for shown in (large, small):
            (again,) = scorer.score_clips([Clip(shown, 12, 10.0, "Pour.", 32)], 4)
            assert np.allclose(again.log_prob_true, found, atol=1e-4)
        (alone,) = scorer.score_clips([Clip(large, 12, 10.0, "Pour.")], 4)
        assert not np.allclose(alone.log_prob_true, found, atol=1e-4)


def test_scores_and_what_is_asked_are_in_the_open(
    shape: Callable[[str], Path], tmp_path: Path, frugal: TOPReward
) -> None:
    """What a person finds in the folder says of each score what it is about."""
    meta = load_meta(shape("video"))
    store = open_store(tmp_path, meta, "f", frugal, ["wrist"], 4, episodes=[2])
    score_dataset(meta, frugal, 4, {"real": store}, {"real": [2]})
    (camera,) = store.cameras
    camera.merge()
    line = json.loads(camera.path.read_text())
    assert (line["episode_index"], line["length"], line["instruction"]) == (2, 9, shapes.TASKS[0])
    assert len(line["pictures"]) == 16
    assert json.loads((camera.folder / "meta.json").read_text())["camera"] == shapes.WRIST
