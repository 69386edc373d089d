"""Several datasets as one, and columns under other names: frame for frame those of the originals."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from lerobot.datasets.compute_stats import aggregate_stats
from lerobot.datasets.lerobot_dataset import LeRobotDataset

from rabc.datasets.decoding import DecodedFrames
from rabc.datasets.metadata import load_meta
from rabc.datasets.tables import read_frames
from rabc.datasets.view import view
from rabc.system.errors import InputError
from tests.support.numbered import Number, Recording, read_number, record_numbered

FRONT = "observation.images.front"
VECTORS = ["observation.state", "action"]


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Two datasets of one arm: other episodes, another order of the tasks, a camera that only one has."""
    folder = tmp_path_factory.mktemp("parts")
    tasks = ("Pick up the cube.", "Open the drawer.")
    one = record_numbered(folder / "one", Recording(lengths=(12, 15, 9), tasks=tasks))
    two = record_numbered(folder / "two", Recording(lengths=(14, 11), tasks=tasks[::-1], cameras=("front",)))
    return one, two


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))


def shown(root: Path, camera: str = FRONT) -> list[Number | None]:
    meta = load_meta(root)
    pictures = DecodedFrames(meta, [camera]).read(np.arange(meta.total_frames))[camera]
    return [read_number(picture) for picture in pictures]


def test_a_view_has_every_frame_of_its_parts_and_nothing_else(
    parts: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    before = [sorted(path for path in root.rglob("*") if path.is_file()) for root in parts]
    root = view(parts, {})
    assert "observation.images.wrist left out" in capsys.readouterr().out
    meta, metas = load_meta(root), [load_meta(part) for part in parts]
    assert (meta.total_episodes, meta.total_frames) == (5, 61)
    assert meta.camera_keys == [FRONT]
    assert shown(root) == [number for part in parts for number in shown(part)]
    table, tables = read_frames(meta, VECTORS), [read_frames(one, VECTORS) for one in metas]
    for name in VECTORS:
        expected = np.concatenate([one.vectors[name] for one in tables])
        np.testing.assert_array_equal(table.vectors[name], expected)
    assert table.task.tolist() == [text for one in tables for text in one.task]
    expected_stats = aggregate_stats([one.stats for one in metas])["action"]
    for name, value in expected_stats.items():
        np.testing.assert_allclose(meta.stats["action"][name], value)
    # Made once; the originals are as they were.
    stamp = (root / "meta" / "info.json").stat().st_mtime_ns
    assert view(parts, {}) == root
    assert (root / "meta" / "info.json").stat().st_mtime_ns == stamp
    after = [sorted(path for path in part.rglob("*") if path.is_file()) for part in parts]
    assert after == before


def test_lerobot_reads_a_view(parts: tuple[Path, Path]) -> None:
    dataset = LeRobotDataset("local/view", root=view(parts, {}), video_backend="pyav")
    item = dataset[40]
    assert (item["episode_index"], item["frame_index"], item["index"]) == (3, 4, 40)
    assert item["task"] == "Open the drawer."
    picture = (item[FRONT].numpy().transpose(1, 2, 0) * 255).round().astype(np.uint8)
    assert read_number(picture) == Number(0, 0, 4)


def test_a_part_that_changes_makes_another_view(parts: tuple[Path, Path], tmp_path: Path) -> None:
    other = record_numbered(tmp_path / "two", Recording(lengths=(14, 12), cameras=("front",)))
    assert view([parts[0], other], {}) != view(parts, {})
    assert view(parts[::-1], {}) != view(parts, {})


def test_columns_get_other_names(parts: tuple[Path, Path]) -> None:
    root = view(parts[:1], {"action": "goal", FRONT: "observation.images.top"})
    meta = load_meta(root)
    assert "goal" in meta.features
    assert "action" not in meta.features
    assert shown(root, "observation.images.top") == shown(parts[0])
    back = load_meta(view([root], {"goal": "action", "observation.images.top": FRONT}))
    assert meta.stats["goal"].keys() == back.stats["action"].keys()
    original = read_frames(load_meta(parts[0]), VECTORS)
    np.testing.assert_array_equal(read_frames(back, VECTORS).vectors["action"], original.vectors["action"])


def test_one_dataset_under_its_own_names_is_itself(parts: tuple[Path, Path]) -> None:
    assert view(parts[:1], {}) == parts[0]


def faster(folder: Path) -> Path:
    return record_numbered(folder / "fast", Recording(lengths=(12,), fps=20))


def larger(folder: Path) -> Path:
    return record_numbered(folder / "large", Recording(lengths=(12,), size=(64, 96)))


@pytest.mark.parametrize(
    ("made", "says"),
    [(faster, "20 frames a second.*one rate"), (larger, r"images.front has shape \[64, 96, 3\]")],
)
def test_what_does_not_fit_together_is_refused(
    parts: tuple[Path, Path], tmp_path: Path, made: Callable[[Path], Path], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        view([parts[0], made(tmp_path)], {})
    assert not list((tmp_path / "cache").rglob("info.json"))


@pytest.mark.parametrize(
    ("rename", "says"),
    [
        ({"acts": "action"}, "rename_map acts: no column of .*which has observation.images.front"),
        ({"observation.state": "action"}, "has a column action already"),
    ],
)
def test_a_renaming_that_cannot_be_is_refused(
    parts: tuple[Path, Path], rename: dict[str, str], says: str
) -> None:
    with pytest.raises(InputError, match=says):
        view(parts[:1], rename)
