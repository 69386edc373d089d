"""Runs the published experiments and writes them into `docs/results.md`.

What they found is kept in `docs/results/` (the columns: `rabc.comparison.kept` and `kept_recipes`), and the
page is written from there.
"""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from rabc.comparison.arms import BASELINE, SUCCESS_ONLY, WEIGHTED, arms_of
from rabc.comparison.experiments import CUTS, EXPERIMENTS, KINDS, Experiment
from rabc.comparison.kept import keep_comparison, read_comparison
from rabc.comparison.kept_recipes import keep_recipes, read_recipes
from rabc.comparison.pages.figures import write_gains
from rabc.comparison.pages.results import (
    experiment_part,
    gain_of,
    known_beforehand,
    prediction_part,
    short_part,
    sweep_part,
)
from rabc.comparison.recipes import OVER_DATASET, measure_recipes, recipes_part, shares_part
from rabc.comparison.run import compare, describe
from rabc.config.cli import parse
from rabc.pages.marked import replace_marked
from rabc.system.errors import InputError

PAGE = Path("docs/results.md")
README = Path("README.md")
FIGURE = Path("docs/gains.png")
RAW = Path("docs/results")
"""Folder of the raw results."""
RECIPES = "recipes"
RECIPES_CONFIG = "so101_pick.yaml"
"""Tables that need no training: of these demonstrations by every recipe, and those of RECIPES_OF."""
RECIPES_OF = {
    "recipes_sweep": ("clean_20", "clean_40", "clean_80", "clean_100"),
    "recipes_others": ("flawed_successes", "place", "speeds", "pauses"),
}
"""Table -> kinds of demonstrations (`rabc.comparison.experiments.KINDS`) that it has a column for."""


def publish(names: Sequence[str], dry_run: bool) -> None:
    """Run the experiments with these names (none: all) and write what is there into the page.

    `recipes` and those of RECIPES_OF are such, too: they weight without training.

    Finished trainings and rollouts are used again. Raises InputError for a name that is no experiment.
    """
    names = [name.strip() for name in names]
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    untrained = {RECIPES: _recipes, **{name: partial(_recipes_of, name) for name in RECIPES_OF}}
    for name in names:
        if name not in (*untrained, *known):
            raise InputError(
                f"--experiments {name}: no such experiment; give some of {', '.join((*untrained, *known))}"
            )
    for name in names or (*untrained, *known):
        if name in known:
            run_experiment(known[name], dry_run)
        elif dry_run:
            print(f"\n{name}: weights by every recipe, without training; a few minutes")
        else:
            keep_recipes(RAW, name, untrained[name]())
        if not dry_run:
            write_page()  # now, so that what is finished stands whatever comes later


def run_experiment(experiment: Experiment, dry_run: bool) -> None:
    """Compare, and keep the raw result."""
    config = experiment.configured(parse(["--config", experiment.config], "").config)
    arms = arms_of(config, experiment.arms)
    print(f"\n{experiment.name}: {experiment.title}")
    if dry_run:
        print(describe(config, arms, experiment.seeds))
        return
    result = compare(config, arms, experiment.seeds, sequential=False)
    keep_comparison(RAW, experiment.name, result)


def _recipes() -> dict[str, Any]:
    return {RECIPES_CONFIG: measure_recipes(parse(["--config", RECIPES_CONFIG], "").config)}


def _recipes_of(table: str) -> dict[str, Any]:
    known = {experiment.name: experiment for experiment in EXPERIMENTS}
    found: dict[str, Any] = {}
    for name in RECIPES_OF[table]:
        config = known[name].configured(parse(["--config", known[name].config], "").config)
        found[KINDS[name].title] = measure_recipes(config, [OVER_DATASET])
    return found


def write_page() -> None:
    """Write every kept result into its place in the page."""
    kept = [(one, read_comparison(RAW, one.name)) for one in EXPERIMENTS]
    found = [(one, result) for one, result in kept if result is not None]
    selection = {one.title: result for one, result in found if one.is_selection}
    measured = [(one, result) for one, result in found if not one.is_selection]
    kinds = {KINDS[one.name].title: result for one, result in measured if one.name in KINDS}
    if kinds:
        replace_marked(PAGE, "kinds", sweep_part(kinds, (BASELINE, WEIGHTED, SUCCESS_ONLY)), "page")
        replace_marked(README, "kinds", short_part(kinds), "page")
    if measured:
        command = "    uv run rabc results --experiments"
        sections = [
            f"### {one.title}\n\n{command} {one.name}\n\n{experiment_part(result)}\n"
            for one, result in measured
        ]
        replace_marked(PAGE, "measured", "\n".join(sections), "page")
    if selection:
        replace_marked(PAGE, "selection", sweep_part(selection, (BASELINE, WEIGHTED, CUTS)), "page")
    recipes = read_recipes(RAW, RECIPES, [RECIPES_CONFIG])
    if recipes is not None:
        replace_marked(PAGE, RECIPES, recipes_part(recipes[RECIPES_CONFIG]), "page")
    behind: dict[str, float] = {}
    for name, columns in RECIPES_OF.items():
        shares = read_recipes(RAW, name, [KINDS[kind].title for kind in columns])
        if shares is not None:
            replace_marked(PAGE, name, shares_part(shares), "page")
            behind |= {label: one["behind"] for label, one in shares.items()}
    if kinds:
        replace_marked(PAGE, "prediction", prediction_part(kinds, behind), "page")
        out = {label: known_beforehand(found, None)["left out"] or 0.0 for label, found in kinds.items()}
        write_gains(out, {label: gain_of(found) for label, found in kinds.items()}, FIGURE)
