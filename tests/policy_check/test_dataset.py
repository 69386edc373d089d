"""A dataset that merely bears the name of the one a policy was trained on is not taken for it."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rabc.config.settings import Config
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.export.folder import lerobot_train_config, write_policy
from rabc.policies.build import build_policy, stock_policy
from rabc.policy_check.check import check_folder
from rabc.policy_check.dataset import differences, find_dataset
from rabc.policy_check.files import PolicyFiles, read_folder

ACT = PolicyConfig(
    chunk_size=5, n_action_steps=5, dim_model=32, n_heads=4, dim_feedforward=64, n_encoder_layers=1
)


@pytest.fixture
def folder(recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A policy folder made with the dataset `tiny`, in a current folder with an empty `data/`."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("lerobot.utils.constants.HF_LEROBOT_HOME", tmp_path / "cache")
    meta = load_meta(recorded_dataset)
    parts = build_policy(ACT, meta)
    stock = replace(parts, policy=stock_policy(parts.policy))
    record = lerobot_train_config(Config(policy=ACT), meta, stock.policy)
    assert record["dataset"]["repo_id"].endswith("/tiny")
    return write_policy(stock, tmp_path / "policy", record)


@pytest.fixture
def files(folder: Path) -> PolicyFiles:
    return read_folder(folder)


def edit(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def in_data(dataset: Path) -> Path:
    """The dataset in `data/`, under its name."""
    return shutil.copytree(dataset, Path("data") / "tiny")


def test_the_dataset_itself_is_found_by_name(files: PolicyFiles, recorded_dataset: Path) -> None:
    assert find_dataset(files, None) == (None, "give --dataset.path, the dataset it was trained on")
    root = in_data(recorded_dataset)
    meta, lacking = find_dataset(files, None)
    assert meta is not None
    assert (meta.root, lacking) == (root, "")


def test_another_recording_of_the_same_name_is_not_taken_for_it(
    folder: Path, files: PolicyFiles, recorded_dataset: Path
) -> None:
    root = in_data(recorded_dataset)

    def a_little_later(stats: dict[str, Any]) -> None:
        stats["action"]["mean"] = [1.01 * value + 0.01 for value in stats["action"]["mean"]]

    edit(root / "meta" / "stats.json", a_little_later)
    meta, lacking = find_dataset(files, None)
    assert meta is None
    assert lacking.startswith("data/tiny bears its name and is another one: other statistics of action ")
    assert lacking.endswith("; give --dataset.path, the dataset it was trained on")
    (found,) = [one for one in check_folder(str(folder)) if one.check == "dataset"]
    assert (found.status, found.text) == ("not checked", lacking)
    # The one that was given is held against the policy, whatever it is.
    found = [one for one in check_folder(str(folder), str(root)) if one.check == "dataset"]
    assert [one.status for one in found] == ["pass"]


def test_other_cameras_or_joints_are_another_dataset(files: PolicyFiles, recorded_dataset: Path) -> None:
    meta = load_meta(recorded_dataset)
    assert list(differences(files, meta)) == []
    wrist = meta.features.pop("observation.images.wrist")
    assert list(differences(files, meta)) == ["has no observation.images.wrist"]
    meta.features["observation.images.wrist"] = wrist
    meta.features["action"]["shape"] = (7,)
    assert list(differences(files, meta)) == ["action has the shape [7], in the policy [6]"]


def test_a_damaged_dataset_of_that_name_stops_nothing(
    files: PolicyFiles, recorded_dataset: Path, tmp_path: Path
) -> None:
    (in_data(recorded_dataset) / "meta" / "info.json").write_text("{")
    meta, lacking = find_dataset(files, None)
    assert meta is None
    assert "data/tiny/meta/info.json" in lacking
    whole = shutil.copytree(recorded_dataset, tmp_path / "cache" / "local" / "tiny")
    assert files.train_config is not None
    files.train_config["dataset"]["repo_id"] = "local/tiny"
    meta, _ = find_dataset(files, None)
    assert meta is not None
    assert meta.root == whole


def test_a_policy_without_statistics_cannot_tell(files: PolicyFiles, recorded_dataset: Path) -> None:
    in_data(recorded_dataset)
    bare = replace(files, preprocessor=[], postprocessor=[])
    assert "has no statistics of state or action that could tell" in find_dataset(bare, None)[1]


def test_a_joint_that_never_moves_changes_nothing(
    dataset_copy: Callable[[], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its statistics have another width in the policy than in the dataset."""
    monkeypatch.chdir(tmp_path)
    root = dataset_copy()

    def still(stats: dict[str, Any]) -> None:
        for name, value in (("std", 0.0), ("min", 5.0), ("max", 5.0), ("mean", 5.0)):
            stats["observation.state"][name][2] = value

    edit(root / "meta" / "stats.json", still)
    meta = load_meta(root)
    parts = build_policy(ACT, meta)
    stock = replace(parts, policy=stock_policy(parts.policy))
    made = write_policy(
        stock, tmp_path / "made", lerobot_train_config(Config(policy=ACT), meta, stock.policy)
    )
    assert list(differences(read_folder(made), meta)) == []
