"""Whether each episode of a dataset succeeded, where the dataset says so."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rabc.datasets.remarks import remarks
from rabc.system.errors import InputError

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

NAMES = ("success", "is_success", "episode_success", "is_episode_successful", "is_successful", "next.success")
"""Columns of `meta/episodes`, and features of `data/`, that are taken for labels, in whatever case."""
TRUE = frozenset(
    {"true", "t", "yes", "y", "1", "1.0", "success", "successful", "succeeded", "pass", "passed"}
)
FALSE = frozenset(
    {"false", "f", "no", "n", "0", "0.0", "failure", "fail", "failed", "unsuccessful", "not successful"}
)
NOTHING = frozenset({"", "none", "null", "nan", "na", "n/a", "unknown", "unlabeled", "unlabelled", "?", "-"})
_WRITE = "write true, false or nothing"


@dataclass(frozen=True)
class Labels:
    """Outcomes of episodes, and who says so."""

    source: str
    """`simulator`, `column <name>` or a file; empty where nothing says so."""
    success: dict[int, bool]
    """Label by episode; an episode that has none is left out."""
    remarks: tuple[str, ...] = ()
    """What could not be read or contradicts itself, a line each."""


def find_labels(meta: "LeRobotDatasetMetadata") -> Labels:
    """What the dataset says about the success of its episodes.

    From the simulator's sidecar, else from the columns of `meta/episodes`, else from the features of the
    frames (`NAMES`), of which an episode succeeded if any of its frames did. A missing value (null, NaN, an
    empty text) is no label; nor is one that nobody can read, which is named. Where columns contradict each
    other, the first one that says something of an episode is taken, and that is named.
    """
    from rabc.sim.recorder import read_ground_truth

    root = Path(meta.root)
    truth = read_ground_truth(root)
    if truth:
        return Labels("simulator", {episode: record.success for episode, record in enumerate(truth)})
    table: Any = cast(Any, meta.episodes).data
    found: dict[str, dict[int, bool]] = {}
    unread: list[str] = []
    for name in _known(table.column_names):
        place = f"column {name} of meta/episodes"
        found[place] = _any(enumerate(table.column(name).to_pylist()), place, unread)
    for name in _known(meta.features):
        if name not in table.column_names:
            found[f"column {name} of data/"] = _of_frames(root, name, unread)
    labels = {place: own for place, own in found.items() if own}
    source = " and ".join(labels).replace(" of meta/episodes", "").replace(" of data/", "")
    joined, contradictions = _joined(labels)
    said = (
        *remarks(unread, f"counts as unlabelled; {_WRITE}"),
        *remarks(contradictions, "the former is taken; correct one of them"),
    )
    return Labels(source, dict(sorted(joined.items())), said)


def success_labels(meta: "LeRobotDatasetMetadata") -> dict[int, bool]:
    """Label by episode as `find_labels` finds them; empty where the dataset has none."""
    return find_labels(meta).success


def frame_labels(root: Path, name: str) -> dict[int, bool]:
    """Whether feature `name` of `data/` is true in any frame of each episode; without those that lack it.

    Raises InputError for a value that is no truth value.
    """
    unread: list[str] = []
    labels = _of_frames(root, name, unread)
    if unread:
        raise InputError(f"{unread[0]} of dataset {root}; {_WRITE}")
    return labels


def truth_value(value: Any) -> bool | None:
    """What a label says: True, False or nothing, however it is written; of a list, whether any of it is true.

    Raises ValueError for what is none of these, such as 0.5 or `maybe`.
    """
    if value is None or isinstance(value, bool | np.bool_):
        return None if value is None else bool(value)
    if isinstance(value, list | tuple | np.ndarray):
        known = [one for one in map(truth_value, cast(Iterable[Any], value)) if one is not None]
        return any(known) if known else None
    if isinstance(value, str | bytes):
        word = (value.decode(errors="replace") if isinstance(value, bytes) else value).strip().casefold()
        if word in NOTHING:
            return None
        if word in TRUE or word in FALSE:
            return word in TRUE
    elif isinstance(value, int | float | np.number):
        if value != value:
            return None
        if value in (0, 1):
            return value == 1
    raise ValueError(f"{value!r} is no label")


def _known(columns: Iterable[str]) -> list[str]:
    """Those columns that are taken for labels, in the order of NAMES."""
    known = [(NAMES.index(name.casefold()), name) for name in columns if name.casefold() in NAMES]
    return [name for _, name in sorted(known)]


def _of_frames(root: Path, name: str, unread: list[str]) -> dict[int, bool]:
    """Labels by episode of a feature of the frames; what cannot be read is added to `unread`."""
    labels: dict[int, bool] = {}
    for path in sorted((root / "data").glob("*/*.parquet")):
        try:
            table: Any = pq.read_table(path, columns=["episode_index", name])
            episodes, values = (table.column(key).to_pylist() for key in ("episode_index", name))
        except (OSError, KeyError, ValueError, pa.ArrowException) as error:
            unread.append(f"column {name} of {path}: cannot be read ({str(error).partition(chr(10))[0]})")
            continue
        for episode, success in _any(
            zip(episodes, values, strict=True), f"column {name} of data/", unread
        ).items():
            labels[episode] = labels.get(episode, False) or success
    return labels


def _any(values: Iterable[tuple[int, Any]], place: str, unread: list[str]) -> dict[int, bool]:
    """Whether any value of each episode is true, from pairs (episode, value)."""
    labels: dict[int, bool] = {}
    unreadable = dict[int, str]()
    for episode, value in values:
        try:
            success = truth_value(value)
        except ValueError as error:
            unreadable.setdefault(int(episode), str(error))
            continue
        if success is not None:
            labels[int(episode)] = labels.get(int(episode), False) or success
    unread += [f"episode {episode}, {place}: {what}" for episode, what in unreadable.items()]
    return {episode: success for episode, success in labels.items() if episode not in unreadable}


def _joined(labels: Mapping[str, Mapping[int, bool]]) -> tuple[dict[int, bool], list[str]]:
    """The first label of each episode, and where a later column says something else."""
    words = {True: "success", False: "failure"}
    joined: dict[int, tuple[bool, str]] = {}
    contradictions: list[str] = []
    for place, own in labels.items():
        for episode, success in own.items():
            said, who = joined.setdefault(episode, (success, place))
            if said != success:
                contradictions.append(
                    f"episode {episode}: {words[said]} in {who}, {words[success]} in {place}"
                )
    return {episode: success for episode, (success, _) in joined.items()}, contradictions
