"""The measured parts of `docs/results.md`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rabc.comparison.arms import BASELINE
from rabc.marked_page import markdown_table
from rabc.stats import Proportion

Found = Mapping[str, Any]
"""Content of a `comparison.json`."""


def experiment_part(result: Found) -> str:
    """What one comparison found: the answer, a table of its arms, and what it cost."""
    pairs = {pair["arm"]: pair for pair in result["pairs"]}
    rows: list[list[str]] = []
    for arm in result["arms"]:
        seeds = [run for run in result["runs"] if run["arm"] == arm["name"]]
        rates = ", ".join(str(sum(rollout["success"] for rollout in run["rollouts"])) for run in seeds)
        rows.append(
            [f"`{arm['name']}`", str(Proportion(**arm["success"])), rates, *_pair(pairs.get(arm["name"]))]
        )
        if result["gains"]:
            rows[-1].append(_share(result["gains"].get(arm["name"]), arm["name"]))
    headers = [
        "arm", result["task_done"], "by training seed", "points more", "p (McNemar)", "p (Holm)", "P(better)",
    ]  # fmt: skip
    if result["gains"]:
        headers.append("of the oracle's gain")
    hours = sum(run["training_seconds"] for run in result["runs"]) / 3600
    states, runs = result["start_states"], len(result["runs"])
    return "\n\n".join(
        [
            result["answer"],
            markdown_table(headers, rows),
            f"{runs} trainings ({hours:.1f} hours, one thread each), {states['count']} start states "
            f"from seed {states['first']}; {result['dataset']['episodes']} demonstrations "
            f"({', '.join(f'{count} {kind}' for kind, count in result['dataset']['kinds'].items())}).",
        ]
    )


def sweep_part(results: Sequence[tuple[str, Found]]) -> str:
    """One row for each (label, comparison): the arms that all of them have."""
    arms = [arm["name"] for arm in results[0][1]["arms"]]
    shared = [name for name in arms if all(name in _rates(found) for _, found in results)]
    rows: list[list[str]] = []
    for label, found in results:
        pairs = {pair["arm"]: pair for pair in found["pairs"]}
        rates = _rates(found)
        row = [label, *(f"{100 * rates[name]:.0f} %" for name in shared)]
        rows.append(row + [_points(pairs[name]) for name in shared if name != BASELINE])
    headers = ["", *(f"`{name}`" for name in shared)]
    return markdown_table(
        [*headers, *(f"`{name}`: points more" for name in shared if name != BASELINE)], rows
    )


def _rates(result: Found) -> dict[str, float]:
    return {arm["name"]: arm["success"]["successes"] / arm["success"]["trials"] for arm in result["arms"]}


def _pair(pair: Found | None) -> list[str]:
    if pair is None:
        return [""] * 4
    return [_points(pair), f"{pair['p']:.2g}", f"{pair['p_adjusted']:.2g}", f"{pair['posterior']:.3f}"]


def _points(pair: Found) -> str:
    value, low, high = (100 * pair["difference"][end] for end in ("value", "low", "high"))
    return f"{value:+.1f} ({low:+.0f} to {high:+.0f})"


def _share(gain: Found | None, arm: str) -> str:
    if gain is None or gain["low"] is None:
        return "" if arm in (BASELINE, "oracle") else "not defined"
    return f"{100 * gain['value']:.0f} % ({100 * gain['low']:.0f} to {100 * gain['high']:.0f} %)"
