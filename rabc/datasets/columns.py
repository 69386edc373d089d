"""Parquet files with one number for every frame of a dataset, as LeRobot's tools exchange them."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rabc.system.atomic import whole_file
from rabc.system.errors import InputError
from rabc.system.terminal import one_line


def read_table(path: Path, what: str, remedy: str) -> Any:
    """The pyarrow table at `path`; InputError, naming `what` it is and the remedy, if it cannot be read."""
    try:
        table = pq.read_table(path)
        _ = table.column_names  # decoded only now: a name that is no text is a ValueError
        return table
    except FileNotFoundError as error:
        raise InputError(f"{what} {path}: is not there; {remedy}") from error
    except (OSError, ValueError, pa.ArrowException) as error:
        raise InputError(f"{what} {path}: is damaged or not a parquet; {remedy}") from error


def column(
    table: Any, name: str, label: str, remedy: str, episode_index: NDArray[np.int64]
) -> NDArray[np.float64]:
    """The numbers in column `name`, (N,), in the order of the dataset's `index`; NaN where there are none.

    Args:
        table: pyarrow table with `index`, the column, and perhaps `episode_index` and `frame_index`.
        name: of the column.
        label: what and where the table is, for errors.
        remedy: what to do when it is not good, for errors.
        episode_index: (N,) of the dataset's frames, each episode's contiguous.

    Raises:
        InputError: a column is missing or not numbers, a frame is there twice or belongs to another episode
            than in the dataset, or a number is infinite.
    """
    index = _whole_numbers(table, "index", label, remedy)
    values = _numbers(table, name, label, remedy).astype(np.float64)
    count = len(episode_index)
    if len(index) and not (index.min() >= 0 and index.max() < count):
        raise InputError(
            f"{label}: has frames that the dataset has not ({index.min()} to {index.max()} instead of 0 to "
            f"{count - 1}); {remedy}"
        )
    found, times = np.unique(index, return_counts=True)
    if len(found) != len(index):
        raise InputError(f"{label}: has frame {found[times > 1][0]} more than once; {remedy}")
    starts = np.r_[0, np.flatnonzero(np.diff(episode_index)) + 1]
    frame_index = np.arange(count) - np.repeat(starts, np.diff(np.r_[starts, count]))
    for other, expected in (("episode_index", episode_index), ("frame_index", frame_index)):
        if other in table.column_names and not np.array_equal(
            _numbers(table, other, label, remedy), expected[index]
        ):
            raise InputError(
                f"{label}: its {other} is not the dataset's, so it was made for another one; {remedy}"
            )
    whole = np.full(count, np.nan)
    whole[index] = values
    infinite = np.flatnonzero(np.isinf(whole))
    if len(infinite):
        first = infinite[0]
        raise InputError(
            f"{label}: {name} is {whole[first]} at frame {first} (episode {episode_index[first]}), and at "
            f"{len(infinite)} in all; {remedy}"
        )
    return whole


def check_whole(
    values: NDArray[np.float64], name: str, label: str, remedy: str, episode_index: NDArray[np.int64]
) -> None:
    """Raise InputError where a frame has no value in `values` (N,); what else: as in `column`."""
    lacking = np.flatnonzero(np.isnan(values))
    if len(lacking):
        first = lacking[0]
        raise InputError(
            f"{label}: {len(lacking)} of {len(values)} frames have no {name}, first frame {first} "
            f"(episode {episode_index[first]}); {remedy}"
        )


def check_made_for(table: Any, key: str, dataset: str, label: str, remedy: str) -> None:
    """Raise InputError where the table's metadata `key` is not `dataset`, the fingerprint of this one.

    Files of other tools do not say what dataset they are of, and have to fit in their frames alone.
    """
    made_for = (table.schema.metadata or {}).get(key.encode(), dataset.encode()).decode(errors="replace")
    if made_for != dataset:
        raise InputError(
            f"{label}: was made for another dataset ({one_line(made_for[:12])}, this is {dataset[:12]}), or "
            f"this one was changed since; {remedy}"
        )


def write_table(path: Path, columns: dict[str, NDArray[Any]], facts: dict[str, str]) -> None:
    """Writes `columns` with `facts` as metadata, whole or not at all. InputError if it cannot be written."""
    table = pa.table({name: pa.array(values) for name, values in columns.items()})
    with whole_file(path) as partial:
        pq.write_table(table.replace_schema_metadata(facts), partial)


def _numbers(table: Any, name: str, label: str, remedy: str) -> NDArray[Any]:
    if name not in table.column_names:
        there = one_line(", ".join(table.column_names))
        raise InputError(f"{label}: has no column {name}, only {there}; {remedy}")
    try:
        values = np.asarray(table.column(name).to_numpy(zero_copy_only=False))
    except pa.ArrowException as error:  # of a type that NumPy has not
        raise InputError(f"{label}: column {name} is not numbers; {remedy}") from error
    if values.dtype.kind not in "iuf":
        raise InputError(f"{label}: column {name} is not numbers; {remedy}")
    return values


def _whole_numbers(table: Any, name: str, label: str, remedy: str) -> NDArray[np.int64]:
    values = _numbers(table, name, label, remedy)
    broken = np.flatnonzero(values != np.floor(values)) if values.dtype.kind == "f" else []
    infinite = np.flatnonzero(~np.isfinite(values))
    if len(broken) or len(infinite):
        first = values[[*broken, *infinite][0]]
        raise InputError(f"{label}: column {name} holds {first}, no whole number; {remedy}")
    return values.astype(np.int64)
