"""Lists what lies in the user's cache, and removes what nothing needs any more.

    rabc cache
    rabc cache --remove
    rabc cache --remove --unused_for 30

There are decoded frames, views of several datasets together and what was found out about datasets: all of it
is made again where it is missing, which takes time. It is in $RABC_CACHE, or in ~/.cache/rabc. Scores are no
cache: they are in ~/.local/share/rabc/scores or scorer.scores_folder, and no command removes them.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from rabc.config import cli
from rabc.system.errors import InputError

if TYPE_CHECKING:
    from rabc.datasets.housekeeping import Entry

REMOVE = cli.Argument("remove", bool, False, "Remove what nothing needs any more.")
UNUSED = cli.Argument(
    "unused_for", float | None, None, "With --remove: also all that was not used for so many days."
)


def main(argv: Sequence[str]) -> None:
    """Parses `argv`, lists and removes."""
    command = cli.parse(argv, __doc__, sections=("scorer.scores_folder",), extra=[REMOVE, UNUSED])
    days = command.extra["unused_for"]
    if days is not None and not (command.extra["remove"] and days >= 0):
        raise InputError(f"--unused_for {days:g}: is for --remove, and 0 or more days; give both")
    from rabc.datasets.housekeeping import bytes_of, entries, remove
    from rabc.system.home import scores_root, user_cache
    from rabc.system.quiet import quiet_libraries
    from rabc.system.terminal import table

    quiet_libraries()
    cache, scores = user_cache(), scores_root(command.config.scorer.scores_folder)
    found = entries(cache)
    print(f"cache {cache}: {_size(sum(entry.size for entry in found))} of {len(found)} datasets")
    if found:
        rows = [_row(entry) for entry in found]
        print("\n" + table(rows, ["dataset", "size", "last used", "", "folder"]) + "\n")
    print(f"scores {scores}: {_size(bytes_of(scores))}; no command removes them")
    idle = [entry for entry in found if days is not None and entry.idle_days() >= days]
    unneeded = [entry for entry in found if entry.unneeded and entry not in idle]
    if command.extra["remove"]:
        freed = sum(remove(entry, whole=True) for entry in idle) + sum(map(remove, unneeded))
        print(f"removed: {_size(freed)}")
    elif unneeded:
        size = _size(sum(entry.freed for entry in unneeded))
        print(f"nothing needs {size} of the cache any more; `rabc cache --remove` removes that")


def _row(entry: "Entry") -> list[str]:
    days = int(entry.idle_days())
    when = "today" if days == 0 else f"{days} day{'s' * (days > 1)} ago"
    partly = entry.unneeded and not entry.whole
    state = f"{_size(entry.freed)}: {entry.why}" if partly else entry.why
    return [entry.dataset, _size(entry.size), when, state, entry.folder.name]


def _size(count: int) -> str:
    return f"{count / 1e9:.2f} GB" if count >= 1e7 else f"{count / 1e6:.2f} MB"
