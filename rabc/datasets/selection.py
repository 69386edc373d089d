"""Which episodes of a dataset a run looks at: `dataset.episodes` without `dataset.exclude`."""

from collections.abc import Sequence

from rabc.config.settings import DatasetConfig
from rabc.system.errors import InputError


def selected_episodes(config: DatasetConfig, total: int) -> list[int]:
    """The episodes of a dataset of `total` that the configuration chooses, ascending.

    Raises InputError for an episode that is not there, or where none is left.
    """
    chosen = list(range(total)) if config.episodes is None else _numbers(config.episodes, "episodes", total)
    left_out = set() if config.exclude is None else set(_numbers(config.exclude, "exclude", total))
    kept = [episode for episode in chosen if episode not in left_out]
    if not kept:
        raise InputError(
            f"dataset.episodes {config.episodes}, dataset.exclude {config.exclude}: leave none of the "
            f"{total} episodes; leave fewer out"
        )
    return kept


def _numbers(given: str | Sequence[int], key: str, total: int) -> list[int]:
    numbers = parse_episodes(given, f"dataset.{key}") if isinstance(given, str) else sorted(set(given))
    outside = [number for number in numbers if not 0 <= number < total]
    if outside:
        raise InputError(
            f"dataset.{key} {outside[0]}: the dataset has episodes 0 to {total - 1}; choose among these"
        )
    return numbers


def parse_episodes(text: str, key: str = "--episodes") -> list[int]:
    """Episodes of `0:50,60`: ranges whose end is left out, and single ones. Raises InputError."""
    found: set[int] = set()
    for piece in text.strip("[] ").split(","):
        first, colon, end = (word.strip() for word in piece.partition(":"))
        if not first.isdecimal() or (colon and not end.isdecimal()):
            raise InputError(f"{key} {text}: {piece!r} is no episode and no range; write 0:50,60")
        some = range(int(first), int(end)) if colon else [int(first)]
        if not some:
            raise InputError(f"{key} {text}: {piece!r} is empty; its end, which is left out, must be larger")
        found.update(some)
    return sorted(found)
