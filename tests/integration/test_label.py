"""Scoring a real LeRobotDataset with a real, small Qwen3-VL."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset
from lerobot.rewards.sarm.rabc import RABCWeights

from rabc.dataset_fingerprint import fingerprint
from rabc.errors import InputError
from rabc.scoring import TOPReward, small
from rabc.scoring.label import open_store, score_dataset
from rabc.scoring.progress_file import FILE_NAME, calibrate, read_progress, write_progress
from rabc.scoring.store import ScoreStore


@pytest.fixture(scope="module")
def scorer() -> TOPReward:
    processor = small.build_processor()
    model = small.build_model(processor, 0, width=96, layers=1, heads=3, vision_width=64, vision_layers=2)
    return TOPReward(model, processor, "tiny", "0", 5.0)


def make_store(root: Path, dataset: Path, scorer: TOPReward, camera: str = "front") -> ScoreStore:
    return open_store(root, dataset, fingerprint(dataset), scorer, camera, 4)


def test_scores_are_those_of_the_datasets_own_frames(
    recorded_dataset: Path, tmp_path: Path, scorer: TOPReward
) -> None:
    store = make_store(tmp_path, recorded_dataset, scorer)
    seen: list[tuple[int, int]] = []
    made = score_dataset(
        recorded_dataset,
        scorer,
        "front",
        4,
        store,
        on_progress=lambda done, total: seen.append((done, total)),
    )
    assert made == 4
    assert seen == [(1, 4), (2, 4), (3, 4), (4, 4)]
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


def test_a_stopped_scoring_goes_on(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    def stop(done: int, total: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    store = make_store(tmp_path, recorded_dataset, scorer)
    with pytest.raises(KeyboardInterrupt):
        score_dataset(recorded_dataset, scorer, "front", 4, store, on_progress=stop)
    assert store.missing(range(4)) == [2, 3]
    assert score_dataset(recorded_dataset, scorer, "front", 4, store) == 2
    assert score_dataset(recorded_dataset, scorer, "front", 4, store) == 0


def test_progress_file_is_read_by_lerobots_weights(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    root = dataset_copy()
    before = fingerprint(root)
    store = make_store(root / ".rabc", root, scorer)
    score_dataset(root, scorer, "front", 4, store)
    write_progress(root / FILE_NAME, calibrate(store.read(), "episode", 1e-6), store, "episode")
    assert fingerprint(root) == before  # what we add does not change what it is
    lengths = LeRobotDataset("local/tiny", root=root).meta.episodes["length"]
    ours = read_progress(root / FILE_NAME, store, "episode", np.repeat(np.arange(4), lengths))
    theirs = RABCWeights(root / FILE_NAME, chunk_size=5, device=torch.device("cpu"))
    assert np.allclose([theirs.progress_lookup[i] for i in range(len(ours))], ours)


def test_unknown_camera(recorded_dataset: Path, tmp_path: Path, scorer: TOPReward) -> None:
    with pytest.raises(InputError, match="choose one of front, wrist"):
        make_store(tmp_path, recorded_dataset, scorer, "top")


def test_truncated_video_is_named(
    dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward
) -> None:
    root = dataset_copy()
    video = next((root / "videos" / "observation.images.front").rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[:500])
    store = make_store(tmp_path / "scores", root, scorer)
    with pytest.raises(InputError, match=rf"video {video}: episode 0 cannot be decoded"):
        score_dataset(root, scorer, "front", 4, store)
    assert not (tmp_path / "scores").exists()


def test_empty_task_is_named(dataset_copy: Callable[[], Path], tmp_path: Path, scorer: TOPReward) -> None:
    root = dataset_copy()
    path = next((root / "meta" / "episodes").rglob("*.parquet"))
    table = pq.read_table(path).to_pandas()
    table["tasks"] = [[" "]] * len(table)
    table.to_parquet(path)
    with pytest.raises(InputError, match="task ' ': empty in episode 0"):
        score_dataset(root, scorer, "front", 4, make_store(tmp_path, root, scorer))


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
