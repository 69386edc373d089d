"""Datasets of rollouts that were recorded on an arm, and whether they can be compared."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.comparison.recorded.estimated_success import MIN_LABELLED
from rabc.comparison.recorded.labels import read_label_file
from rabc.config.settings import Config
from rabc.datasets.cameras import recorded_shape
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.source import download, open_dataset
from rabc.datasets.success_labels import Labels, find_labels, frame_labels
from rabc.datasets.tasks import plain_text
from rabc.pipeline.checks import check_dataset
from rabc.scoring.asked import instructions
from rabc.scoring.episode_video import camera_keys
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id

INTERVENTION = "intervention"
"""LeRobot's feature of the frames in which a person steered."""


@dataclass(frozen=True)
class Recording:
    """One dataset of rollouts."""

    name: str
    """What it is called in the report, such as the policy that played."""
    config: Config
    """With this dataset's path."""
    root: Path
    """Its folder."""
    meta: LeRobotDatasetMetadata
    content: str
    """Hash of the dataset's content."""
    instruction: str
    """The one task of all episodes."""
    labels: Labels
    """Outcomes, as far as somebody stated them."""


def open_recordings(
    config: Config, datasets: Mapping[str, Path], labels: Mapping[str, Path]
) -> list[Recording]:
    """The datasets by name, each with its labels: of its CSV where there is one, else its own.

    datasets: folders or hub ids. Raises InputError for fewer than two, a name that is no file name, labels of
    no dataset, and datasets that are one and the same, of different tasks or pictures, partly steered by a
    person, or unsound (`rabc.datasets.preflight`).
    """
    _check_names(datasets, labels)
    recordings = [_open(config, name, path, labels.get(name)) for name, path in datasets.items()]
    for one, other in combinations(recordings, 2):
        if one.content == other.content:
            raise InputError(
                f"--recorded {other.name}={other.root}: has the same content as {one.name}={one.root}; "
                "give two datasets"
            )
        if plain_text(one.instruction) != plain_text(other.instruction):
            raise InputError(
                f"--recorded {other.name}={other.root}: its instruction is {other.instruction!r}, that of "
                f"{one.name} is {one.instruction!r}; compare rollouts of one task"
            )
        for key in camera_keys(one.meta, config.scorer.cameras):
            size, other_size = (recorded_shape(each.meta, key) for each in (one, other))
            if size != other_size:
                raise InputError(
                    f"--recorded {other.name}={other.root}: {key} is {other_size[0]}x{other_size[1]}, in "
                    f"{one.name} {size[0]}x{size[1]}; compare recordings of one camera"
                )
    for one in recordings:
        check_dataset(one.config, one.root, trains=False)
    return recordings


def _check_names(datasets: Mapping[str, Path], labels: Mapping[str, Path]) -> None:
    if not datasets:
        raise InputError("--labels: of no dataset; give --recorded NAME=FOLDER for two or more, too")
    if len(datasets) < 2:
        given = " ".join(f"{name}={path}" for name, path in datasets.items())
        raise InputError(f"--recorded {given}: is one dataset; give two or more, e.g. bc=... weighted=...")
    for name in datasets:
        if not re.fullmatch(r"\w[\w.-]{0,99}", name):
            raise InputError(
                f"--recorded {name}=...: is no name; use letters, digits, '.', '_' and '-', at most 100"
            )
    for name, path in labels.items():
        if name not in datasets:
            raise InputError(f"--labels {name}={path}: no such dataset; choose one of {', '.join(datasets)}")
    for (one, path), (other, other_path) in combinations(datasets.items(), 2):
        if path.resolve() == other_path.resolve():
            raise InputError(f"--recorded {other}={other_path}: is the folder of {one}; give two datasets")


def _open(config: Config, name: str, path: Path, label_file: Path | None) -> Recording:
    # The revision is that of the demonstrations.
    own = replace(config, dataset=replace(config.dataset, path=str(path), revision=None))
    root = path
    if not path.exists():
        if not is_hub_id(str(path)):
            raise InputError(
                f"--recorded {name}={path}: no such folder; give that of a LeRobotDataset v3, or a hub id"
            )
        root = download(own)
    meta = open_dataset(own, root)
    camera_keys(meta, config.scorer.cameras)
    total = int(meta.total_episodes)
    asked = instructions(meta, range(total))
    first: dict[str, int] = {}
    for episode, task in asked.items():
        first.setdefault(plain_text(task), episode)
    if len(first) > 1:
        at, other_at, *_ = first.values()
        one, other = asked[at], asked[other_at]
        raise InputError(
            f"--recorded {name}={path}: episode {at} has the instruction {one!r}, episode {other_at} has "
            f"{other!r}; split it, because a success rate belongs to one task"
        )
    _check_interventions(meta, f"--recorded {name}={path}")
    if label_file is not None:
        labels = Labels(f"file {label_file}", read_label_file(label_file, total))
        if not labels.success:
            raise InputError(f"--labels {name}={label_file}: holds no label; fill some in, or leave it out")
    else:
        labels = find_labels(meta)
        if labels.remarks:  # a rate of success rests on them
            raise InputError(f"--recorded {name}={path}: {labels.remarks[0]}, or give --labels {name}=FILE")
    if 0 < len(labels.success) < min(total, MIN_LABELLED):
        raise InputError(
            f"--recorded {name}={path}: {len(labels.success)} of {total} rollouts are labelled "
            f"({labels.source}); label at least {MIN_LABELLED}, drawn at random"
        )
    return Recording(name, own, root, meta, fingerprint(root), asked[0], labels)


def _check_interventions(meta: LeRobotDatasetMetadata, what: str) -> None:
    """Raise InputError where a person helped: the outcome is not the policy's then."""
    if INTERVENTION not in meta.features:
        return
    found = frame_labels(Path(meta.root), INTERVENTION)
    steered = [episode for episode, happened in sorted(found.items()) if happened]
    if steered:
        raise InputError(
            f"{what}: a person steered in {len(steered)} of its episodes, the first is {steered[0]}; remove "
            "them, because their outcome is not the policy's"
        )
