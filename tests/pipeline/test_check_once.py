"""A dataset found sound for a run is not looked at again, until something of it or of the run changes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.cache import cache_folder
from rabc.pipeline import checks


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., int]:
    """How often the dataset is really looked at by one more start of a run."""
    monkeypatch.chdir(tmp_path)
    calls: list[Path] = []
    real = checks.check_dataset

    def counted(config: Config, root: Path, trains: bool = True) -> bool:
        calls.append(root)
        return real(config, root, trains)

    monkeypatch.setattr(checks, "check_dataset", counted)

    def start(config: Config, keep: bool = True) -> int:
        before = len(calls)
        checks.check_once(config, Path(str(config.dataset.path)), keep)
        return len(calls) - before

    return start


def of(root: Path, **changes: Any) -> Config:
    config = Config(dataset=DatasetConfig(str(root), cache=False), device="cpu")
    return replace(config, weights=replace(config.weights, scheme="none"), **changes)


def test_a_sound_dataset_is_looked_at_once(
    dataset_copy: Callable[[], Path], looks: Callable[..., int]
) -> None:
    root = dataset_copy()
    assert [looks(of(root), keep=False), looks(of(root), keep=False)] == [1, 1]
    assert not Path("outputs").exists()  # a dry run writes nothing
    assert [looks(of(root)), looks(of(root)), looks(of(root))] == [1, 0, 0]
    assert [looks(of(root, seed=1)), looks(of(root, seed=1))] == [1, 0]
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "robot_type": "another"}))
    assert [looks(of(root, seed=1)), looks(of(root, seed=1))] == [1, 0]
    video = next((root / "videos").rglob("*.mp4"))
    video.write_bytes(video.read_bytes() + b"\0" * 8)
    assert looks(of(root, seed=1)) == 1


def test_what_there_is_to_say_is_said_at_every_start(
    dataset_copy: Callable[[], Path], looks: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("outputs/so101_pick/stages").mkdir(parents=True)
    root = dataset_copy()
    path = root / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"]["mean"] = [1000.0] * 6
    path.write_text(json.dumps(statistics))
    for _ in range(2):
        assert looks(of(root)) == 1
        assert f"warning: dataset {root}, meta/stats.json, action" in capfd.readouterr().out


def test_what_decoded_frames_take_is_said_until_a_policy_is_trained(
    dataset_copy: Callable[[], Path], looks: Callable[..., int], capfd: pytest.CaptureFixture[str]
) -> None:
    stages = Path("outputs/so101_pick/stages")
    stages.mkdir(parents=True)
    root = dataset_copy()
    config = of(root)
    config = replace(config, dataset=replace(config.dataset, cache=True))
    for expected in (1, 0):
        assert looks(config) == expected
        assert f"frame cache {cache_folder(root)}: 0.00 GB" in capfd.readouterr().out
    (stages / "training.json").write_text("{}")
    assert looks(config) == 0
    assert capfd.readouterr().out == ""
