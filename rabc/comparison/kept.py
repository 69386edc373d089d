"""What docs/results.md is made from, small enough to be kept with the code.

Of every comparison `docs/results/` has two files; tables of recipes are in `rabc.comparison.kept_recipes`.
`<experiment>.parquet` has a row for each rollout:

    experiment       its name, as in `rabc.comparison.experiments`
    arm              weighting that the policy was trained with
    training_seed    of the policy
    start_state      seed of the simulator's start state; the same for all arms and training seeds
    success          whether the task was done, as the simulator judges
    ticks            control ticks that were played
    closest_m        least distance from the gripper's tool point to the cube's centre, m
    final_log_prob   the scorer's mean log p(True) of the last three prefixes, nats

`<experiment>.json` has what rollouts do not tell, in the words of `comparison.json` (see
`rabc.comparison.results`): format, command, run, config, baseline, task_done, dataset, scorer, start_states,
training_seeds; of each arm name, about, weights and summary (of its weights); of each run arm, seed, run,
policy_content, steps and training_seconds.

All statistics follow from the rollouts and are computed when these are read. Learning curves, pictures and
videos are on the comparison's own page in `outputs/`, and are not kept: nothing here is made from them.
"""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from rabc.comparison.results import restated
from rabc.datasets.columns import read_table
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError

_FACTS = (
    "format", "command", "run", "config", "baseline", "task_done", "dataset", "scorer", "start_states",
    "training_seeds",
)  # fmt: skip
_OF_ARM = ("name", "about", "weights", "summary")
_OF_RUN = ("arm", "seed", "run", "policy_content", "steps", "training_seconds")
_ALL_DIFFERENT = ("closest_m", "final_log_prob")
_OF_ROLLOUT = ("success", "ticks", *_ALL_DIFFERENT)
_ROWS = ("arm", "training_seed", "start_state", *_OF_ROLLOUT)


def keep_comparison(folder: Path, name: str, result: Mapping[str, Any]) -> None:
    """Write the content of a `comparison.json`, without a sequential test, as files of experiment `name`."""
    runs = result["runs"]
    rows = [(run, rollout) for run in runs for rollout in run["rollouts"]]
    table = pa.table(
        {
            "experiment": [name] * len(rows),
            "arm": [run["arm"] for run, _ in rows],
            "training_seed": [run["seed"] for run, _ in rows],
            "start_state": [rollout["seed"] for _, rollout in rows],
            **{key: [rollout[key] for _, rollout in rows] for key in _OF_ROLLOUT},
        }
    )
    # Hardly two of some numbers are equal: a dictionary of them costs more than it saves, and
    # their bytes side by side are smaller: 57 kB instead of 83 for 4200 rollouts.
    layout: dict[str, Any] = {
        "use_dictionary": [column for column in table.column_names if column not in _ALL_DIFFERENT],
        "use_byte_stream_split": [*_ALL_DIFFERENT],
    }
    with whole_file(folder / f"{name}.parquet") as partial:
        pq.write_table(table, partial, compression="zstd", **layout)
    facts = {
        **some(result, _FACTS),
        "arms": [some(arm, _OF_ARM) for arm in result["arms"]],
        "runs": [some(run, _OF_RUN) for run in runs],
    }
    with whole_file(folder / f"{name}.json") as partial:
        partial.write_text(_lines(facts), encoding="utf-8")


def read_comparison(folder: Path, name: str) -> dict[str, Any] | None:
    """A kept comparison with its statistics by the present code; None where it has not been run.

    Raises InputError for files that are damaged, or not of each other.
    """
    path, rollouts = folder / f"{name}.json", folder / f"{name}.parquet"
    if not path.exists() and not rollouts.exists():
        return None
    remedy = remedy_of(name)
    try:
        facts = json.loads(path.read_text(encoding="utf-8"))
        found: dict[str, Any] = {
            **some(facts, _FACTS),
            "arms": [some(arm, _OF_ARM) for arm in facts["arms"]],
            "runs": [some(run, _OF_RUN) for run in facts["runs"]],
            "sequential": None,
        }
        first, count = facts["start_states"]["first"], facts["start_states"]["count"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"results {path}: cannot be read ({why(error)}); {remedy}") from error
    table = read_table(rollouts, "results", remedy)
    lacking = [column for column in _ROWS if column not in table.column_names]
    if lacking:
        raise InputError(f"results {rollouts}: has no column {lacking[0]}; {remedy}")
    played: dict[tuple[str, int], list[dict[str, Any]]] = {}
    for row in table.select(_ROWS).to_pylist():
        own = played.setdefault((row["arm"], row["training_seed"]), [])
        own.append({"seed": row["start_state"], **some(row, _OF_ROLLOUT)})
    for run in found["runs"]:
        run["rollouts"] = played.pop((run["arm"], run["seed"]), [])
        if [rollout["seed"] for rollout in run["rollouts"]] != list(range(first, first + count)):
            raise InputError(
                f"results {rollouts}: does not have the {count} rollouts of arm {run['arm']} with training "
                f"seed {run['seed']} that {path.name} says; {remedy}"
            )
    if played:
        arm, seed = next(iter(played))
        raise InputError(
            f"results {rollouts}: has rollouts of arm {arm} with training seed {seed}, of which "
            f"{path.name} says nothing; {remedy}"
        )
    return restated(found)


def some(of: Mapping[str, Any], keys: Iterable[str]) -> dict[str, Any]:
    """These items, in this order."""
    return {key: of[key] for key in keys}


def remedy_of(name: str) -> str:
    """What to do about a damaged file of this experiment."""
    return f"get it back from the repository, or run rabc results --experiments {name}"


def why(error: Exception) -> str:
    """What is wrong with a file, in a few words."""
    if isinstance(error, KeyError):
        return f"{error} is missing"
    return (isinstance(error, OSError) and error.strerror) or str(error).partition("\n")[0]


def _lines(facts: Mapping[str, Any]) -> str:
    """JSON with a line for every item of an item: short for a diff, and whole for a reader."""
    parts: list[str] = []
    for key, value in facts.items():
        if isinstance(value, dict):
            items = [f"{json.dumps(name)}: {json.dumps(one)}" for name, one in value.items()]
            ends = "{}"
        elif isinstance(value, list) and any(isinstance(one, dict) for one in value):
            items = [json.dumps(one) for one in value]
            ends = "[]"
        else:
            parts.append(f"  {json.dumps(key)}: {json.dumps(value)}")
            continue
        body = ",\n".join(f"    {item}" for item in items)
        parts.append(f"  {json.dumps(key)}: {ends[0]}\n{body}\n  {ends[1]}")
    return "{\n" + ",\n".join(parts) + "\n}\n"
