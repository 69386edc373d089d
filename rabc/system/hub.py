"""Names of hub repositories."""

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
