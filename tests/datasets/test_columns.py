"""Tables of numbers that others made: what is none of it is one line."""

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from rabc.system.errors import InputError
from rabc.weighting.weights_file import read_weights

EPISODES = np.repeat([0, 1], 5)
DATASET = "f" * 64
INDEX, WEIGHT = pa.array(range(10)), pa.array([1.0] * 10)


def table(**columns: Any) -> pa.Table:
    return pa.table({"index": INDEX, "weight": WEIGHT, **columns})


WRONG: dict[str, tuple[pa.Table, str]] = {
    "metadata that are no text": (
        table().replace_schema_metadata({b"rabc.dataset": b"\x80\x81"}), "was made for another dataset"
    ),
    "a column twice": (
        pa.Table.from_arrays([INDEX, WEIGHT, WEIGHT], names=["index", "weight", "weight"]),
        "is damaged or not a parquet",
    ),
    "half a frame": (table(index=pa.array([*range(9), 8.5])), "column index holds 8.5, no whole number"),
    "no frame": (table(index=pa.array([*range(9), None])), "column index holds nan, no whole number"),
    "an infinite frame": (table(index=pa.array([*range(9), np.inf])), "column index holds inf"),
    "lists": (table(weight=pa.array([[1.0]] * 10)), "column weight is not numbers"),
    "objects": (table(weight=pa.array([{"a": 1}] * 10)), "column weight is not numbers"),
    "nothing": (table(weight=pa.nulls(10)), "column weight is not numbers"),
}  # fmt: skip


@pytest.mark.parametrize("name", WRONG)
def test_a_strange_table_is_one_line(name: str, tmp_path: Path) -> None:
    content, said = WRONG[name]
    path = tmp_path / "weights.parquet"
    pq.write_table(content, path)
    with pytest.raises(InputError, match=said) as error:
        read_weights(path, EPISODES, DATASET)
    assert "\n" not in str(error.value)
