"""The dataset that a policy folder is checked against.

A folder that bears its name may hold another one, or the same one recorded anew: what is found by name alone
counts only where its features and statistics are those that the policy was made with.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabc.policy_check.files import PolicyFiles
from rabc.system.errors import InputError
from rabc.system.hub import place

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

_GIVE = "give --dataset.path, the dataset it was trained on"


def find_dataset(files: PolicyFiles, given: str | None) -> tuple["LeRobotDatasetMetadata | None", str]:
    """The dataset that was given, or the one that `train_config.json` names if it is on this machine.

    Returns:
        its metadata; or None and what to give, with what speaks against a folder of its name.

    Raises:
        InputError: the given one is not there or cannot be used.
    """
    from rabc.config.settings import Config, DatasetConfig
    from rabc.datasets.metadata import load_meta
    from rabc.datasets.source import download

    if given is not None:
        named = place("--dataset.path", given, "dataset")
        if Path(named.name).exists():
            return load_meta(Path(named.name)), ""
        root = download(Config(dataset=DatasetConfig(named.name, revision=named.revision)))
        return load_meta(root, named.name), ""
    others: list[str] = []
    for root in _recorded_places(files):
        if not (root / "meta" / "info.json").is_file():
            continue
        try:
            meta = load_meta(root)
        except InputError as error:  # nobody asked for this one
            others.append(str(error))
            continue
        different = next(differences(files, meta), None)
        if different is None:
            return meta, ""
        others.append(f"{root} bears its name and is another one: {different}")
    return None, "; ".join([*others[:1], _GIVE])


def differences(files: PolicyFiles, meta: "LeRobotDatasetMetadata") -> Iterator[str]:
    """What of a dataset differs from what the policy was made with: inputs, outputs, statistics of both."""
    from rabc.policy_check.statistics import other_statistics

    features = {files.rename_map.get(key, key): feature for key, feature in meta.features.items()}
    for key, feature in {**files.features("input_features"), **files.features("output_features")}.items():
        if "empty_camera" in key:  # the policy fills it itself
            continue
        if key not in features:
            yield f"has no {key}"
        # Pictures may be resized in training.
        elif feature.get("type") != "VISUAL" and list(features[key]["shape"]) != list(feature["shape"]):
            here, there = list(features[key]["shape"]), list(feature["shape"])
            yield f"{key} has the shape {here}, in the policy {there}"
    yield from other_statistics(files, dict(meta.stats or {}))


def _recorded_places(files: PolicyFiles) -> list[Path]:
    """Where the dataset of the training would be: its folder, ours by the same name, LeRobot's cache."""
    from lerobot.utils.constants import HF_LEROBOT_HOME

    recorded: dict[str, Any] = (files.train_config or {}).get("dataset") or {}
    root, name = recorded.get("root"), recorded.get("repo_id")
    places = [Path(str(root))] if root else []
    if name:
        places += [Path("data") / str(name).rpartition("/")[2], Path(HF_LEROBOT_HOME) / str(name)]
    return places
