"""A dataset found sound for a run is not looked at again, until something of it or of the run changes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rabc.config.settings import Config, DatasetConfig
from rabc.pipeline import checks


@pytest.fixture
def looks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[[Config], int]:
    """How often the dataset is really looked at by one more start of a run."""
    monkeypatch.chdir(tmp_path)
    calls: list[Path] = []
    real = checks.check_dataset

    def counted(config: Config, root: Path, trains: bool = True) -> bool:
        calls.append(root)
        return real(config, root, trains)

    monkeypatch.setattr(checks, "check_dataset", counted)

    def start(config: Config) -> int:
        before = len(calls)
        checks.check_once(config, Path(str(config.dataset.path)))
        return len(calls) - before

    return start


def of(root: Path, **changes: Any) -> Config:
    config = Config(dataset=DatasetConfig(str(root), cache=False), device="cpu")
    return replace(config, weights=replace(config.weights, scheme="none"), **changes)


def test_a_sound_dataset_is_looked_at_once(
    dataset_copy: Callable[[], Path], looks: Callable[[Config], int]
) -> None:
    root = dataset_copy()
    assert [looks(of(root)), looks(of(root))] == [1, 1]  # there is no run yet, and nothing is written for one
    assert not Path("outputs").exists()
    Path("outputs/so101_pick/stages").mkdir(parents=True)
    assert [looks(of(root)), looks(of(root)), looks(of(root))] == [1, 0, 0]
    assert [looks(of(root, seed=1)), looks(of(root, seed=1))] == [1, 0]
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "robot_type": "another"}))
    assert [looks(of(root, seed=1)), looks(of(root, seed=1))] == [1, 0]
    video = next((root / "videos").rglob("*.mp4"))
    video.write_bytes(video.read_bytes() + b"\0" * 8)
    assert looks(of(root, seed=1)) == 1


def test_what_there_is_to_say_is_said_at_every_start(
    dataset_copy: Callable[[], Path], looks: Callable[[Config], int], capfd: pytest.CaptureFixture[str]
) -> None:
    Path("outputs/so101_pick/stages").mkdir(parents=True)
    root = dataset_copy()
    path = root / "meta" / "stats.json"
    statistics = json.loads(path.read_text())
    statistics["action"]["mean"] = [1000.0] * 6
    path.write_text(json.dumps(statistics))
    for _ in range(2):
        assert looks(of(root)) == 1
        assert "warning: dataset, meta/stats.json, action" in capfd.readouterr().out
    sound = dataset_copy_with_cache(root)
    for _ in range(2):
        assert looks(sound) == 1
        assert f"frame cache {root}/.rabc/frames: 0.00 GB" in capfd.readouterr().out


def dataset_copy_with_cache(root: Path) -> Config:
    config = of(root)
    return replace(config, dataset=replace(config.dataset, cache=True))
