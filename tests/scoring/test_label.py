"""Scoring a real LeRobotDataset with a real, small Qwen3-VL."""

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.rewards.sarm.rabc import RABCWeights

from rabc.datasets.fingerprint import fingerprint
from rabc.scoring.base import Clip
from rabc.scoring.label import open_store, score_dataset
from rabc.scoring.small import architecture
from rabc.scoring.store import ScoreStore
from rabc.scoring.topreward import TOPReward
from rabc.scoring.variants import VARIANTS, Variant
from rabc.system.errors import InputError
from rabc.weighting.progress import calibrate, joined
from rabc.weighting.progress_file import FILE_NAME, write_progress
from tests.support.recordings import record_dataset

SENTENCE = "Pour water."


@pytest.fixture(scope="module")
def scorer() -> TOPReward:
    processor = architecture.build_processor()
    model = architecture.build_model(
        processor, 0, width=96, layers=1, heads=3, vision_width=64, vision_layers=2
    )
    return TOPReward(model, processor, "tiny", "0", 5.0)


def make_store(
    root: Path, dataset: Path, scorer: TOPReward, camera: str = "front", variant: Variant = "real",
    episodes: Sequence[int] | None = None,
) -> ScoreStore:  # fmt: skip
    return open_store(
        root, dataset, fingerprint(dataset), scorer, camera.split(","), 4, variant, SENTENCE, episodes
    )


def score(dataset: Path, scorer: TOPReward, store: ScoreStore, episodes: Sequence[int] = range(4)) -> int:
    return score_dataset(dataset, scorer, 4, {"real": store}, {"real": episodes})


def test_scores_are_those_of_the_datasets_own_frames(
    recorded_dataset: Path, tmp_path: Path, scorer: TOPReward
) -> None:
    store = make_store(tmp_path, recorded_dataset, scorer)
    assert score(recorded_dataset, scorer, store) == 4
    dataset = LeRobotDataset("local/tiny", root=recorded_dataset)
    record: Any = dataset.meta.episodes[1]
    start, stop = record["dataset_from_index"], record["dataset_to_index"]
    items = [dataset[i] for i in range(start, stop)]
    frames = torch.stack([item["observation.images.front"] for item in items])
    expected = scorer.score((frames * 255).round().to(torch.uint8), items[0]["task"], float(dataset.fps), 4)
    found = store.read()[1]
    assert found.length == stop - start
    assert np.array_equal(found.scores.prefix_lengths, expected.prefix_lengths)
    assert np.allclose(found.scores.log_prob_true, expected.log_prob_true, atol=1e-5)


def test_some_episodes_and_then_the_others(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    store = make_store(tmp_path, recorded_dataset, scorer)
    assert score(recorded_dataset, scorer, store, [1, 3]) == 2
    assert store.missing(range(4)) == [0, 2]
    assert score(recorded_dataset, scorer, store) == 2
    assert score(recorded_dataset, scorer, store) == 0
    with pytest.raises(InputError, match=r"episode 4: dataset .* has episodes 0 to 3"):
        score(recorded_dataset, scorer, store, [4])


def test_progress_file_is_read_by_lerobots_weights(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    root = dataset_copy()
    before = fingerprint(root)
    store = make_store(tmp_path / "scores", root, scorer)
    score(root, scorer, store)
    lengths = np.asarray(LeRobotDataset("local/tiny", root=root).meta.episodes["length"])
    write_progress(root / FILE_NAME, calibrate(store.read(), "episode", 1e-6), lengths, store, "episode")
    assert fingerprint(root) == before  # what we add does not change what it is
    ours = joined(calibrate(store.read(), "episode", 1e-6), np.repeat(np.arange(4), lengths), store.folder)
    theirs = RABCWeights(root / FILE_NAME, chunk_size=5, device=torch.device("cpu"))
    assert np.array_equal([theirs.progress_lookup[i] for i in range(len(ours))], ours)


def test_unknown_camera(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    with pytest.raises(InputError, match=r"scorer\.camera top: not there in .*; its cameras: front, wrist"):
        make_store(tmp_path, recorded_dataset, scorer, "top")


def test_truncated_video_is_named(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    root = dataset_copy()
    video = next((root / "videos" / "observation.images.front").rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:500])
    store = make_store(tmp_path / "scores", root, scorer)
    with pytest.raises(InputError, match=rf"video {video}: episode 0 cannot be decoded"):
        score(root, scorer, store)
    assert not any(path.stat().st_size for path in (tmp_path / "scores").rglob("*.jsonl"))


def test_fingerprint_follows_content_and_nothing_else(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    first = fingerprint(root)
    assert len(first) == 64
    (root / "README.md").write_text("card")
    (root / "images").mkdir(exist_ok=True)
    assert fingerprint(root) == first
    video = next((root / "videos").rglob("*.mp4"))
    content = video.read_bytes()
    video.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert fingerprint(root) != first
    video.write_bytes(content)
    assert fingerprint(root) == first
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "robot_type": "other"}))
    assert fingerprint(root) != first
    with pytest.raises(InputError, match=r"no meta/info\.json"):
        fingerprint(root / "videos")


def test_other_rates_are_other_questions(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    other = replace(scorer, sample_fps=2.0)
    first, second = (make_store(tmp_path, recorded_dataset, s) for s in (scorer, other))
    assert first.folder != second.folder


def test_variants_are_what_they_say(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    stores = {v: make_store(tmp_path, recorded_dataset, scorer, variant=v) for v in VARIANTS}
    wanted: dict[Variant, list[int]] = {
        "static": [0, 2],
        "reversed": [2],
        "wrong_instruction": [2],
        "real": [2],
    }
    assert score_dataset(recorded_dataset, scorer, 4, stores, wanted) == 2
    dataset = LeRobotDataset("local/tiny", root=recorded_dataset)
    record: Any = dataset.meta.episodes[2]
    items = [dataset[i] for i in range(record["dataset_from_index"], record["dataset_to_index"])]
    frames = torch.stack([item["observation.images.front"] for item in items])
    video = (frames * 255).round().to(torch.uint8)
    count, fps = len(video), float(dataset.fps)
    at = scorer.frame_indices(count, fps)
    red = "Pick up the red cube."
    shown = {
        "real": (video[at], red),
        "static": (video[[0] * len(at)], red),
        "reversed": (video[at[::-1].copy()], red),
        "wrong_instruction": (video[at], SENTENCE),
    }
    for variant, (clip, instruction) in shown.items():
        found = stores[variant].read()[2]
        assert found.instruction == instruction
        expected = scorer.score_clips([Clip(clip, count, fps, instruction)], 4)[0]
        assert np.allclose(found.scores.log_prob_true, expected.log_prob_true, atol=1e-5), variant
    assert sorted(stores["static"].read()) == [0, 2]


def test_a_score_does_not_depend_on_what_else_is_missing(
    recorded_dataset: Path, tmp_path: Path, scorer: TOPReward
) -> None:
    together, alone = (
        {v: make_store(tmp_path / name, recorded_dataset, scorer, variant=v) for v in VARIANTS}
        for name in "ab"
    )
    score_dataset(recorded_dataset, scorer, 4, together, {v: range(4) for v in VARIANTS})
    for variant in reversed(VARIANTS):
        for episode in (3, 0, 1, 2):
            one = {variant: alone[variant]}
            score_dataset(recorded_dataset, scorer, 4, one, {variant: [episode]})
    for variant in VARIANTS:
        stores = (together[variant].cameras[0], alone[variant].cameras[0])
        for store in stores:
            store.merge()
        assert len({store.path.read_bytes() for store in stores}) == 1


def test_cameras_share_their_scores(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    """`front,wrist` takes what `front` has, and asks the scorer about the wrist alone."""
    front, wrist, both = (
        make_store(tmp_path, recorded_dataset, scorer, c) for c in ("front", "wrist", "front,wrist")
    )
    assert score(recorded_dataset, scorer, front, [0, 1]) == 2
    before = front.cameras[0].read()
    assert score(recorded_dataset, scorer, both, [1]) == 1
    assert front.cameras[0].read() == before
    assert wrist.missing(range(4)) == [0, 2, 3]
    one, other, mean = (store.read()[1].scores for store in (front, wrist, both))
    assert np.array_equal(mean.log_prob_true, (one.log_prob_true + other.log_prob_true) / 2)
    assert np.array_equal(mean.log_prob_false, (one.log_prob_false + other.log_prob_false) / 2)


def edit_episodes(root: Path, **changes: object) -> None:
    """Changes columns of episode 1 in the dataset's metadata."""
    path = next((root / "meta" / "episodes").rglob("*.parquet"))
    table = pq.read_table(path).to_pandas()
    for name, value in changes.items():
        table.at[1, name] = value
    table.to_parquet(path)


def test_only_what_changes_an_episode_costs_its_scores(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    root = dataset_copy()

    def missing() -> list[int]:
        return make_store(tmp_path, root, scorer).missing(range(4))

    score(root, scorer, make_store(tmp_path, root, scorer))
    path = next((root / "meta" / "episodes").rglob("*.parquet"))
    table = pd.read_parquet(path)
    table.assign(success=[True, False, True, True]).to_parquet(path)
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "robot_type": "other"}, indent=1))
    assert missing() == []
    before = path.read_bytes()
    edit_episodes(root, tasks=["Pick up the green cube."])
    assert missing() == [1]
    path.write_bytes(before)
    assert missing() == []  # what was scored for the other version is still there
    tables = next((root / "data").rglob("*.parquet"))
    frames = pd.read_parquet(tables)
    late = frames["episode_index"] == 2
    frames.loc[late, "timestamp"] += 0.1  # the rows show the pictures one frame later
    frames.to_parquet(tables)
    assert missing() == [2]


@pytest.mark.parametrize("frames", [48, 36])
def test_a_video_file_that_ends_early_is_named(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward, frames: int
) -> None:
    root = dataset_copy()
    shorten(next((root / "videos" / "observation.images.wrist").rglob("*.mp4")), frames)  # of 50
    with pytest.raises(
        InputError, match=r"wrist.*\.mp4: episode 3 needs a frame at .* its video ends before"
    ):
        score(root, scorer, make_store(tmp_path, root, scorer, "front,wrist"))
    assert score(root, scorer, make_store(tmp_path, root, scorer, "front")) <= 4


def shorten(video: Path, frames: int) -> None:
    """Encodes the first `frames` of a video again, in its place."""
    with av.open(str(video)) as container:
        kept = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)][:frames]
    with av.open(str(video), "w") as container:
        stream: Any = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = kept[0].shape[1], kept[0].shape[0], "yuv420p"
        for picture in kept:
            for packet in stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")):
                container.mux(packet)
        for packet in stream.encode():
            container.mux(packet)


def test_pictures_in_tables_are_scored(recorded_pictures: Path, tmp_path: Path, scorer: TOPReward) -> None:
    store = make_store(tmp_path, recorded_pictures, scorer)
    assert score(recorded_pictures, scorer, store) == 4
    dataset = LeRobotDataset("local/tiny", root=recorded_pictures)
    record: Any = dataset.meta.episodes[2]
    items = [dataset[i] for i in range(record["dataset_from_index"], record["dataset_to_index"])]
    frames = torch.stack([item["observation.images.front"] for item in items])
    expected = scorer.score((frames * 255).round().to(torch.uint8), items[0]["task"], float(dataset.fps), 4)
    assert np.allclose(store.read()[2].scores.log_prob_true, expected.log_prob_true, atol=1e-5)


def test_what_cannot_be_asked_is_named_before_anything_is_scored(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    root = dataset_copy()
    path = next((root / "meta" / "episodes").rglob("*.parquet"))
    before = path.read_bytes()
    for tasks, words in (
        (["Pick.", "Place."], r"episode 1 of dataset .*: several tasks in one episode \('Pick\.', 'Place\.'\)"
                              r".*--dataset\.exclude 1.*modify_tasks.*--weights\.scheme none"),
        ([" "], r"episode 1 of dataset .*: task ' ': empty.*modify_tasks"),
        ([], r"episode 1 of dataset .*: task missing: empty"),
        (["Pick<|im_end|>"], r"instruction 'Pick<\|im_end\|>': holds <\|im_end\|>, which the scorer reads"),
        (["<|video_pad|>"], r"holds <\|video_pad\|>"),
    ):  # fmt: skip
        edit_episodes(root, tasks=tasks)
        with pytest.raises(InputError, match=words):
            make_store(tmp_path, root, scorer)
        make_store(tmp_path, root, scorer, episodes=[0, 2, 3])
        path.write_bytes(before)


def test_episodes_too_short_to_judge_are_left_out(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    """At 5 of 10 frames a second the scorer sees 3 of 4 frames, 2 of 3, and 1 of 1."""
    for length, unjudged in ((4, ()), (3, (1,)), (1, (1,))):
        root = record_dataset(tmp_path / f"short-{length}", lengths=(6, length, 9), size=(32, 32))
        store = make_store(tmp_path / f"{length}", root, scorer)
        assert store.unjudged == unjudged
        assert score(root, scorer, store, range(3)) == 3 - len(unjudged)
        assert list(store.read()) == [episode for episode in range(3) if episode not in unjudged]
        assert store.missing(range(3)) == []
