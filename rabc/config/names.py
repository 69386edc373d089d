"""What runs, arms and recordings may be called: folders get their names."""

import re

_FOLDER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE)
"""Names that Windows keeps for devices: a folder so called cannot be copied to it."""
_LONGEST = 100
"""Names are joined, as in `<run>-<arm>-s<seed>`, and a file system takes 255 bytes."""


def folder_name_problem(name: str) -> str | None:
    """Why `name` cannot be the name of one folder on every system and in every shell, and the remedy.

    For the end of a message that begins with the name; None where it can.
    """
    if len(name) > _LONGEST:
        return f"has {len(name)} characters; give {_LONGEST} or fewer"
    if not _FOLDER_NAME.fullmatch(name):
        return (
            "not the name of one folder; use letters, digits, '.', '_' and '-', beginning with a letter or "
            "a digit"
        )
    if _RESERVED.fullmatch(name):
        return "a name that Windows keeps for a device; choose another"
    return None
