"""Where this program keeps what is not the user's work: a cache that can go, and data that cannot."""

import os
from pathlib import Path

from rabc.system.errors import InputError

CACHE = "RABC_CACHE"
"""Environment variable with the folder of the cache; the one setting of its place."""


def user_cache() -> Path:
    """Folder of what can be made again: `$RABC_CACHE`, `$XDG_CACHE_HOME/rabc` or `~/.cache/rabc`.

    Raises InputError where there is no home and none is named.
    """
    named = os.environ.get(CACHE)
    return _absolute(named, CACHE) if named else _below("XDG_CACHE_HOME", ".cache", CACHE)


def scores_root(named: str | None) -> Path:
    """Folder of all scores, which took long to make and nothing removes, whatever dataset asked for them.

    named: `scorer.scores_folder`; None: in the user's data, `$XDG_DATA_HOME/rabc/scores` or
    `~/.local/share/rabc/scores`. Raises InputError where there is no home and none is named.
    """
    if named is not None:
        return Path(named).absolute()
    return _below("XDG_DATA_HOME", ".local/share", "scorer.scores_folder") / "scores"


def _below(variable: str, usual: str, remedy: str) -> Path:
    return _absolute(os.environ.get(variable) or f"~/{usual}", remedy) / "rabc"


def _absolute(text: str, remedy: str) -> Path:
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError as error:  # a user without a home, as in some containers
        raise InputError(f"folder {text}: you have no home here; set {remedy} to a folder") from error
