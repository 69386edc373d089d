"""The dataset that a policy folder is checked against."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabc.policy_check.files import PolicyFiles
from rabc.system.hub import place

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata


def find_dataset(files: PolicyFiles, given: str | None) -> "LeRobotDatasetMetadata | None":
    """The dataset that was given, or the one that `train_config.json` names if it is on this machine.

    Raises:
        InputError: the given one is not there or cannot be used.
    """
    from rabc.config.settings import Config, DatasetConfig
    from rabc.datasets.metadata import load_meta
    from rabc.datasets.source import download

    if given is not None:
        named = place("--dataset.path", given, "dataset")
        if Path(named.name).exists():
            return load_meta(Path(named.name))
        return load_meta(
            download(Config(dataset=DatasetConfig(named.name, revision=named.revision))), named.name
        )
    for root in _recorded_places(files):
        if (root / "meta" / "info.json").is_file():
            return load_meta(root)
    return None


def _recorded_places(files: PolicyFiles) -> list[Path]:
    """Where the dataset of the training would be: its folder, ours by the same name, LeRobot's cache."""
    from lerobot.utils.constants import HF_LEROBOT_HOME

    recorded: dict[str, Any] = (files.train_config or {}).get("dataset") or {}
    root, name = recorded.get("root"), recorded.get("repo_id")
    places = [Path(str(root))] if root else []
    if name:
        places += [Path("data") / str(name).rpartition("/")[2], Path(HF_LEROBOT_HOME) / str(name)]
    return places
