"""The dataset a run learns from: where it comes from."""

import json
import re
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rabc.config.settings import Config
from rabc.datasets.files import check_files
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata


def open_dataset(config: Config, root: Path) -> "LeRobotDatasetMetadata":
    """Metadata of the run's dataset in `root`, under its name on the hub if it came from there."""
    from rabc.datasets.metadata import load_meta

    path = config.dataset.path
    named = isinstance(path, str) and is_hub_id(path) and not config.dataset.rename_map
    return load_meta(root, str(path) if named else None)


def find_dataset(config: Config) -> Path:
    """The folder of the run's dataset: `dataset.path`, or the hub dataset's local copy (see `download`).

    Of several datasets, or one whose columns get other names, the folder of their view. Raises InputError
    where there is none, or a file of it is none (`check_files`).
    """
    roots: list[Path] = []
    for path in config.dataset.paths:
        one = replace(config, dataset=replace(config.dataset, path=path))
        roots.append(Path(path) if Path(path).exists() else download(one))
        check_files(roots[-1])
    if len(roots) == 1 and not config.dataset.rename_map:
        return roots[0]
    from rabc.datasets.view import view

    return view(roots, config.dataset.rename_map)


def download(config: Config) -> Path:
    """The local copy of the hub dataset `dataset.path`, in LeRobot's own cache.

    Raises InputError where there is none.
    """
    from httpx import HTTPError
    from lerobot.datasets.utils import CompatibilityError, has_legacy_hub_download_metadata
    from lerobot.utils.constants import HF_LEROBOT_HOME

    path, revision = str(config.dataset.path), config.dataset.revision
    if not is_hub_id(path):
        raise InputError(f"dataset.path {path}: no such folder; check the path, or give a hub id: owner/name")
    recorded = Path(HF_LEROBOT_HOME) / path
    if (recorded / "meta" / "info.json").is_file() and not has_legacy_hub_download_metadata(recorded):
        if revision is not None:
            print(
                f"dataset {path}: LeRobot has recorded it on this machine, and takes that; dataset.revision "
                f"{revision} is not looked for. To have it from the hub, move {recorded} away"
            )
        return recorded
    try:
        return _snapshot(path, revision)
    # OSError: also what the hub answers; ValueError: no valid hub id; RuntimeError: no tag of a format;
    # NotImplementedError: a format before 2.1.
    except (HTTPError, OSError, ValueError, CompatibilityError, RuntimeError) as error:
        raise refusal(path, error, revision) from error


def _snapshot(path: str, revision: str | None) -> Path:
    """The folder of a revision, downloaded where that is not done yet: LeRobot's choice in LeRobot's place.

    Not by opening it with LeRobot, which would refuse what we read, and copy all tables once more.
    """
    from httpx import TransportError
    from huggingface_hub import snapshot_download
    from lerobot.datasets.dataset_metadata import CODEBASE_VERSION
    from lerobot.datasets.utils import check_version_compatibility, get_safe_version, is_valid_version
    from lerobot.utils.constants import HF_LEROBOT_HUB_CACHE

    named = revision or CODEBASE_VERSION
    if is_valid_version(named) and not re.fullmatch("[0-9a-f]{7,40}", named):  # some commits look like one
        try:
            named = get_safe_version(path, named)
        except (TransportError, ConnectionError):
            print(
                f"dataset {path}: the hub cannot be reached; what was downloaded before is used", flush=True
            )
    have = partial(
        snapshot_download, path, repo_type="dataset", revision=named, cache_dir=HF_LEROBOT_HUB_CACHE
    )
    info = Path(have(allow_patterns="meta/*")) / "meta" / "info.json"
    if not info.is_file():
        raise InputError(
            f"dataset.path {path}: has no meta/info.json on the hub, so it is no LeRobotDataset; check the "
            "name"
        )
    with suppress(ValueError, KeyError, TypeError):  # a damaged one is told with its place when it is read
        version = str(json.loads(info.read_text("utf-8-sig"))["codebase_version"])
        check_version_compatibility(path, version, CODEBASE_VERSION)
    return Path(have())


def refusal(path: str, error: Exception, revision: str | None = None) -> InputError:
    """What the refusal of LeRobot or the hub to give dataset `path` means to the user, in one line."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError
    from lerobot.datasets.utils import BackwardCompatibilityError, CompatibilityError

    from rabc.datasets.metadata import CONVERT, first_line

    # LeRobot's converter downloads what it converts, and would push it back to the hub.
    local = f"data/{path.rpartition('/')[2]}"
    convert = f"`{CONVERT} --repo-id={path} --root={local} --push-to-hub=false` and set dataset.path {local}"
    label, reason = f"dataset.path {path}", first_line(error)
    if isinstance(error, BackwardCompatibilityError):
        other = (
            "set dataset.revision main if that is"
            if revision is None
            else "leave dataset.revision out if it is"
        )
        text = f"{label}: is in LeRobot's format 2.1; convert it with {convert}, or {other} converted already"
    elif isinstance(error, NotImplementedError):
        text = f"{label}: is in a format before 2.1; convert it with an older LeRobot to 2.1, {convert}"
    elif isinstance(error, CompatibilityError):
        text = f"{label}: is in a newer format than this LeRobot reads; update lerobot"
    elif isinstance(error, RevisionNotFoundError):
        text = (
            f"dataset.revision {revision}: is no branch, tag or commit of {path}; give one of "
            f"https://huggingface.co/datasets/{path}/commits/main, or leave it out"
        )
    elif isinstance(error, RepositoryNotFoundError | GatedRepoError):
        text = (
            f"{label}: is no folder here, and no dataset of the hub that you may read; check the name, or "
            "log in with `hf auth login`"
        )
    elif isinstance(error, RuntimeError):
        text = f"{label}: LeRobot refuses it ({reason}); set dataset.revision main, or a commit"
    else:
        text = (
            f"{label}: no such folder, and the hub did not give it ({reason}); check the path or the hub id, "
            "and that you are online"
        )
    return InputError(text)
