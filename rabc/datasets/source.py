"""The dataset a run learns from: where it comes from."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabc.config.settings import Config
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata


def open_dataset(config: Config, root: Path) -> "LeRobotDatasetMetadata":
    """Metadata of the run's dataset in `root`, under its name on the hub if it came from there."""
    from rabc.datasets.metadata import load_meta

    path = config.dataset.path
    return load_meta(root, path if is_hub_id(path) else None)


def find_dataset(config: Config) -> Path:
    """The folder of the run's dataset: `dataset.path`, or the hub dataset's local copy (see `download`)."""
    root = Path(config.dataset.path)
    return root if root.exists() else download(config)


def download(config: Config) -> Path:
    """The hub dataset's local copy, in LeRobot's own cache. Raises InputError where there is none."""
    from huggingface_hub.errors import HfHubHTTPError
    from lerobot.datasets import LeRobotDataset
    from lerobot.datasets.utils import CompatibilityError

    try:
        dataset: Any = LeRobotDataset(
            config.dataset.path, revision=config.dataset.revision, download_videos=True
        )
    # ValueError: no valid hub id; RuntimeError: no tag of a format; NotImplementedError: a format before 2.1.
    except (HfHubHTTPError, OSError, ValueError, CompatibilityError, RuntimeError) as error:
        raise refusal(config.dataset.path, error) from error
    return Path(dataset.root)


def refusal(path: str, error: Exception) -> InputError:
    """What LeRobot's refusal to open hub dataset `path` means to the user, in one line."""
    from lerobot.datasets.utils import BackwardCompatibilityError, CompatibilityError

    from rabc.datasets.metadata import CONVERT

    # LeRobot's converter downloads what it converts, and would push it back to the hub.
    local = f"data/{path.rpartition('/')[2]}"
    convert = f"`{CONVERT} --repo-id={path} --root={local} --push-to-hub=false` and set dataset.path {local}"
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    if isinstance(error, BackwardCompatibilityError):
        return InputError(f"dataset.path {path}: is in LeRobot's format 2.1; convert it with {convert}")
    if isinstance(error, NotImplementedError):
        return InputError(
            f"dataset.path {path}: is in a format before 2.1; convert it to 2.1 with an older LeRobot, then "
            f"with {convert}"
        )
    if isinstance(error, CompatibilityError):
        return InputError(
            f"dataset.path {path}: is in a newer format than this LeRobot reads; update lerobot"
        )
    if isinstance(error, RuntimeError):
        return InputError(
            f"dataset.path {path}: LeRobot refuses it ({reason}); set dataset.revision to a tag such as v3.0"
        )
    return InputError(
        f"dataset.path {path}: no such folder, and the hub did not give it ({reason}); "
        "check the path or the hub id, and that you are online and logged in"
    )
