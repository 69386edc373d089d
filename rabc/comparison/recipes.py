"""How much weight every recipe leaves on flawed moments, by the simulator's knowledge: no training needed.

A recipe is a scheme with its parameters, on progress of some calibration. What counts is what the policy
imitates: the actions of the chunks that are drawn.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Apply, Config, WeightsConfig
from rabc.config.weight_checks import weight_problems
from rabc.datasets.tables import FrameTable
from rabc.pages.marked import markdown_table
from rabc.system.errors import InputError
from rabc.weighting.caution import share_behind

SCHEMES: tuple[dict[str, Any], ...] = (
    {"scheme": "none"},
    *({"scheme": "auto", "apply": apply} for apply in ("ticks", "cuts")),
    {"scheme": "topreward"},
    *({"scheme": "rabc", "kappa": kappa} for kappa in (0.01, 0.1, 0.2, 0.4)),
    *({"scheme": "awr", "beta": beta} for beta in (0.2, 0.5, 1.0)),
    *({"scheme": "mask", "min_delta": least} for least in (0.0, 0.1, 0.2)),
    {"scheme": "mask", "min_delta": 0.2, "apply": "ticks"},
    {"scheme": "filter", "drop": "frames", "drop_share": 0.4},
    {"scheme": "filter", "drop": "episodes", "drop_below": 0.5},
)
OVER_DATASET: dict[str, Any] = {"calibration": "dataset"}
PROGRESS: tuple[dict[str, Any], ...] = (
    {"calibration": "episode"},
    OVER_DATASET,
    {"calibration": "dataset", "length_bias": "subtract"},
    {"calibration": "logodds"},
)


@dataclass(frozen=True)
class Treatment:
    """How a set of weights treats simulated demonstrations."""

    on_flawed: float
    """Share of the weight on flawed actions."""
    sample_size: float
    """Effective sample size of the actions without a flaw, as a share of their number."""


def treatment(values: NDArray[np.float64], flawed: NDArray[np.bool_]) -> Treatment:
    """Of weights (N,) of `imitated`, not all 0, on frames some of which are flawed, (N,)."""
    sound = values[~flawed]
    squares = float((sound**2).sum())
    size = float(sound.sum()) ** 2 / squares / len(sound) if squares else 0.0
    return Treatment(float(values[flawed].sum() / values.sum()), size)


def imitated(
    weights: NDArray[np.float64], table: FrameTable, chunk: int, apply: Apply
) -> NDArray[np.float64]:
    """(N,) weight of the action of every frame in all chunks together that ACT draws.

    weights: (N,); chunk: actions of a sample; apply: as in `weights.apply`.
    """
    from rabc.training.windows import Timeline

    drawn = np.arange(len(weights)) if apply == "ticks" else np.flatnonzero(weights > 0)
    timeline = Timeline.cut(table, weights > 0) if apply == "cuts" else Timeline.whole(table)
    total = np.zeros(len(weights))
    for tick in range(chunk):
        frames, outside = (found[:, 0] for found in timeline.window(drawn, (tick,)))
        of = weights[frames] if apply == "ticks" else weights[drawn]
        np.add.at(total, frames, np.where(outside, 0.0, of))
    return total


def measure_recipes(config: Config, sources: Sequence[Mapping[str, Any]] = PROGRESS) -> dict[str, Any]:
    """Score the demonstrations of `config` where that is not done, and weight them by every recipe.

    sources: kinds of progress, each the keys of `weights` that it sets.

    Returns the shares of flawed frames and of frames behind (`rabc.weighting.caution`), and a list
    of recipes, each the keys of `weights` that it sets with its `Treatment`. Raises InputError for a dataset
    that was not simulated.
    """
    from rabc.datasets.metadata import load_meta
    from rabc.datasets.tables import read_frames
    from rabc.pipeline import main_job
    from rabc.sim.flaws import flawed_frames
    from rabc.sim.recorder import read_ground_truth
    from rabc.weighting.assign import frame_weights

    # Subtracting asks for all scores that any of them needs.
    subtract = "subtract" if any("length_bias" in source for source in sources) else "none"
    weights = replace(config.weights, length_bias=subtract)
    results = main_job.run(replace(config, run=f"{config.run}-recipes", weights=weights), last="scores")
    root = Path(results["demonstrations"]["root"])
    truth = read_ground_truth(root)
    if not truth:
        raise InputError(f"dataset {root}: was not simulated, so nobody knows its flaws")
    flawed = np.concatenate([flawed_frames(episode) for episode in truth])
    table = read_frames(load_meta(root), [])
    dataset, recipes = results["demonstrations"]["content"], list[dict[str, Any]]()
    usual = replace(config, weights=WeightsConfig(scheme="awr", **OVER_DATASET, accept_poor_scorer=True))
    deltas = frame_weights(usual, results["scores"], table, dataset).deltas
    assert deltas is not None  # our own scores
    behind = share_behind(deltas, table.episode_index, config.policy.chunk)
    for scheme in SCHEMES:
        for source in sources:
            if _refused({**scheme, **source}):
                continue
            tried = replace(config, weights=WeightsConfig(**scheme, **source, accept_poor_scorer=True))
            made = frame_weights(tried, results["scores"], table, dataset)
            found = treatment(imitated(made.values, table, config.policy.chunk, tried.apply), flawed)
            recipes.append(
                {
                    "weights": {**scheme, **source},
                    "on_flawed": found.on_flawed,
                    "sample_size": found.sample_size,
                }
            )
    return {"flawed": float(flawed.mean()), "behind": behind, "frames": len(flawed), "recipes": recipes}


def recipes_part(found: Mapping[str, Any]) -> str:
    """One row for each scheme, one column for each kind of progress."""
    cells = _cells(found)
    rows = [[_words(scheme), *(_cell(cells, scheme, source) for source in PROGRESS)] for scheme in SCHEMES]
    table = markdown_table(["", *(_words(source) for source in PROGRESS)], rows)
    return f"{100 * found['flawed']:.0f} % of the {found['frames']} frames are flawed.\n\n{table}"


def shares_part(found: Mapping[str, Mapping[str, Any]]) -> str:
    """One row for each scheme, on progress over the dataset, one column for each name -> recipes."""
    cells = {name: _cells(one) for name, one in found.items()}
    rows = [
        [_words(scheme), *(_cell(own, scheme, OVER_DATASET) for own in cells.values())] for scheme in SCHEMES
    ]
    flawed = ["flawed frames", *(f"{100 * one['flawed']:.0f}" for one in found.values())]
    behind = ["frames behind", *(f"{100 * one['behind']:.0f}" for one in found.values())]
    return markdown_table(["", *found], [flawed, behind, *rows])


def _cells(found: Mapping[str, Any]) -> dict[str, str]:
    return {
        _key(recipe["weights"]): f"{100 * recipe['on_flawed']:.0f} / {100 * recipe['sample_size']:.0f}"
        for recipe in found["recipes"]
    }


def _cell(cells: Mapping[str, str], scheme: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    recipe = {**scheme, **source}
    if _refused(recipe):
        return ""
    if _key(recipe) not in cells:
        raise InputError(f"recipe {_words(recipe)}: is not in the kept table; run rabc results to measure it")
    return cells[_key(recipe)]


def _refused(recipe: Mapping[str, Any]) -> bool:
    """As a scale for each episode is, where a failed one would look like a success."""
    return any(weight_problems(Config(weights=WeightsConfig(**recipe))))


def _key(weights: Mapping[str, Any]) -> str:
    return json.dumps(weights, sort_keys=True)


def _words(settings: Mapping[str, Any]) -> str:
    named = {"kappa": "κ", "beta": "β"}
    plain = ("scheme", "calibration", "drop", "apply")
    return " ".join(
        str(value) if key in plain else f"{named.get(key, key)} {value}" for key, value in settings.items()
    )
