"""Tables of recipes as files that are kept with the code: `docs/results/<table>.csv`, a row for each recipe.

demonstrations   column of the table, or the configuration whose demonstrations they are
frames           of all demonstrations
flawed           share of frames that the simulator knows to be flawed
behind           share of frames behind (`rabc.weighting.caution`); empty where it was not measured
scheme, ...      keys of `weights` that the recipe sets; empty where it does not
on_flawed        share of the weight on flawed actions, among all that the policy imitates
sample_size      effective sample size of the other actions, as a share of their number
"""

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from rabc.comparison.kept import remedy_of, some, why
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError

_LABEL = "demonstrations"
_OF_DEMONSTRATIONS = ("frames", "flawed", "behind")
_OF_RECIPE = ("on_flawed", "sample_size")
_NO_WEIGHTS = (_LABEL, *_OF_DEMONSTRATIONS, *_OF_RECIPE)
"""Columns that are no keys of `weights`."""


def keep_recipes(folder: Path, name: str, found: Mapping[str, Mapping[str, Any]]) -> None:
    """Write demonstrations -> what `rabc.comparison.recipes.measure_recipes` found as the table `name`."""
    rows = [
        {_LABEL: label, **some(measured, _OF_DEMONSTRATIONS), **recipe["weights"], **some(recipe, _OF_RECIPE)}
        for label, measured in found.items()
        for recipe in measured["recipes"]
    ]
    keys = dict.fromkeys(key for row in rows for key in row if key not in _NO_WEIGHTS)
    header = [_LABEL, *_OF_DEMONSTRATIONS, *keys, *_OF_RECIPE]
    with (
        whole_file(folder / f"{name}.csv") as partial,
        partial.open("w", encoding="utf-8", newline="") as file,
    ):
        writer = csv.DictWriter(file, header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_recipes(folder: Path, name: str, labels: Sequence[str]) -> dict[str, dict[str, Any]] | None:
    """What `keep_recipes` wrote; None where the table has not been made.

    labels: of the demonstrations. Raises InputError if the file is damaged or of other demonstrations.
    """
    path = folder / f"{name}.csv"
    if not path.exists():
        return None
    found: dict[str, dict[str, Any]] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for cells in csv.DictReader(file, strict=True):
                row = {key: _value(cell) for key, cell in cells.items()}
                weights = {
                    key: value for key, value in row.items() if key not in _NO_WEIGHTS and value is not None
                }
                recipe = {"weights": weights, **some(row, _OF_RECIPE)}
                measured = {**some(row, _OF_DEMONSTRATIONS), "recipes": list[Any]()}
                found.setdefault(cells[_LABEL], measured)["recipes"].append(recipe)
    except (OSError, ValueError, KeyError, TypeError, csv.Error) as error:
        raise InputError(f"results {path}: cannot be read ({why(error)}); {remedy_of(name)}") from error
    if [*found] != [*labels]:
        raise InputError(
            f"results {path}: is of {', '.join(found) or 'nothing'} instead of {', '.join(labels)}; "
            f"{remedy_of(name)}"
        )
    return found


def _value(cell: str) -> int | float | str | None:
    """A number where it is one; None for an empty cell."""
    for kind in (int, float):
        try:
            return kind(cell)
        except ValueError:
            continue
    return cell or None
