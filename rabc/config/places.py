"""The paths and hub ids of a configuration as `rabc.system.hub` understands them.

Done once, when the configuration is read, so that whatever reads a key meets a plain path or `owner/name`.
"""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

from rabc.config.settings import Config, DatasetConfig
from rabc.system.errors import InputError
from rabc.system.hub import Kind, local_path, place

_NAMED = 4
"""Datasets of a folder that a message names."""


def settled(config: Config) -> tuple[Config, list[str]]:
    """`config` with its paths and hub ids as they are meant, and what is wrong with them, a line each."""
    problems: list[str] = []
    dataset, weights = _each_path(config.dataset, problems), config.weights
    for key in ("weights.progress_file", "weights.weights_file"):
        weights = _local(weights, key, problems)
    scorer = _place(config.scorer, "scorer.model", "model", problems)
    scorer = _local(scorer, "scorer.scores_folder", problems)
    policy = _place(config.policy, "policy.pretrained_path", "model", problems)
    problems += [problem for path in dataset.paths for problem in _several(path)]
    return replace(config, dataset=dataset, weights=weights, scorer=scorer, policy=policy), problems


def _local[Section](section: Section, key: str, problems: list[str]) -> Section:
    name = key.partition(".")[2]
    text = getattr(section, name)
    if text is None or not text.strip():
        return section
    try:
        return replace(cast(Any, section), **{name: local_path(key, text)})
    except InputError as error:
        problems.append(str(error))
        return section


def _place[Section](section: Section, key: str, kind: Kind, problems: list[str]) -> Section:
    """The section with its `key` settled; a revision that the text names goes to the section's `revision`."""
    name = key.partition(".")[2]
    text = getattr(section, name)
    if text is None or not text.strip():
        return section
    try:
        found = place(key, text, kind)
    except InputError as error:
        problems.append(str(error))
        return section
    changes, given = {name: found.name}, getattr(section, "revision", "")
    if found.revision is not None and given == "":
        problems.append(
            f"{key} {text}: names a revision, which cannot be chosen here; download it with `hf download "
            f"{found.name} --revision {found.revision} --local-dir <folder>` and give the folder"
        )
    elif found.revision is not None and given not in (None, found.revision):
        beside = f"{key.partition('.')[0]}.revision {given}"
        problems.append(f"{key} {text}: names another revision than {beside}; give one of them")
    elif found.revision is not None:
        changes["revision"] = found.revision
    return replace(cast(Any, section), **changes)


def _each_path(dataset: DatasetConfig, problems: list[str]) -> DatasetConfig:
    """The section with each of its paths settled; they share its revision."""
    paths: list[str] = []
    for path in dataset.paths:
        dataset = _place(replace(dataset, path=path), "dataset.path", "dataset", problems)
        if dataset.path in paths:
            problems.append(f"dataset.path {path}: named twice; name it once")
        paths.append(str(dataset.path))
    return replace(dataset, path=paths[0] if len(paths) == 1 else paths)


def _several(path: str) -> list[str]:
    """The problem of a folder that is no dataset and holds some, as LeRobot's own folder of datasets does."""
    folder = Path(path)
    if not os.path.isdir(path) or (folder / "meta").exists():
        return []
    pattern = ("*/meta/info.json", "*/*/meta/info.json")
    found = [info.parents[1] for depth in pattern for info in folder.glob(depth)]
    if not found:
        return []
    named = sorted(map(str, found))[:_NAMED]
    more = ", ..." if len(found) > _NAMED else ""
    together = " ".join(f"--dataset.path {root}" for root in named[:2])
    return [
        f"dataset.path {path}: is no dataset and holds {', '.join(named)}{more}; give one of them"
        + (f", or those to train on together: {together}" if len(named) > 1 else "")
    ]
