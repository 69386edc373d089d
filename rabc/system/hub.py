"""Names of hub repositories, and what lies in the hub's cache."""

import os
from pathlib import Path


def is_hub_id(name: str) -> bool:
    """Whether `name` can only be a hub repository, `owner/name`, and not a folder.

    Asking an unreachable hub takes a minute of retries, so what looks like a path is not asked for.
    """
    parts = name.split("/")
    return (
        len(parts) == 2
        and all(parts)
        and not name.startswith((".", "/", "~"))
        and not Path(parts[0]).is_dir()
    )


def derived_folder(dataset_root: Path) -> Path:
    """Where what is made from a dataset is kept: decoded frames, scores.

    Beside the dataset; for a hub dataset in the user's cache, because the hub's snapshots are shared.
    """
    from lerobot.utils.constants import HF_LEROBOT_HOME

    root = dataset_root.resolve()
    if not root.is_relative_to(Path(HF_LEROBOT_HOME).resolve()):
        return root / ".rabc"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rabc"
