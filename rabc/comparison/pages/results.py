"""The measured parts of `docs/results.md`."""

from collections.abc import Mapping, Sequence
from typing import Any

from rabc.comparison.arms import BASELINE, ORACLE, WEIGHTED
from rabc.comparison.pages.texts import OVER_SEEDS_HEADER, P_HEADERS, p_value, probability
from rabc.pages.html import ends, points
from rabc.pages.marked import markdown_table
from rabc.statistics.curves import rank_correlation
from rabc.statistics.intervals import Proportion

Found = Mapping[str, Any]
"""Content of a `comparison.json`."""
FEWEST, MOST = 5, 9
"""Kinds of demonstrations of which a correlation is stated, with its exact p."""
SAME = "0: nothing is left out, the policies are the same"
_NONE = "no interval"
_DIFFERENCE_HEADERS = ("points more", OVER_SEEDS_HEADER)


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
        "arm", result["task_done"], "by training seed", *_DIFFERENCE_HEADERS, *P_HEADERS, "P(better)"
    ]  # fmt: skip
    if result["gains"]:
        headers.append("of the oracle's gain")
    trained = {run["run"]: run["training_seconds"] for run in result["runs"]}  # arms may share one
    states, runs, hours = result["start_states"], len(trained), sum(trained.values()) / 3600
    return "\n\n".join(
        [
            result["answer"],
            markdown_table(headers, rows),
            *_contrasts(result["contrasts"]),
            f"{runs} trainings ({hours:.1f} hours of training in all), {states['count']} start states "
            f"from seed {states['first']}; {result['dataset']['episodes']} demonstrations "
            f"({', '.join(f'{count} {kind}' for kind, count in result['dataset']['kinds'].items())}).",
        ]
    )


def sweep_part(results: Mapping[str, Found], arms: Sequence[str]) -> str:
    """One row for each label -> comparison, with intervals; an arm that only some have is empty elsewhere."""
    others = [name for name in arms if name != BASELINE]
    rows: list[list[str]] = []
    for label, found in results.items():
        pairs = {pair["arm"]: pair for pair in found["pairs"]}
        rates = _rates(found)
        row = [label, *(str(rates[name]) if name in rates else "" for name in arms)]
        rows.append(row + [_both(pairs[name]) if name in pairs else "" for name in others])
    headers = ["", *(f"`{name}`" for name in arms)]
    return markdown_table([*headers, *(f"`{name}`: points more" for name in others)], rows)


def short_part(results: Mapping[str, Found]) -> str:
    """One row for each label -> comparison: plain, weighted, and what was gained, with both intervals."""
    rows: list[list[str]] = []
    for label, found in results.items():
        pair, rates = gain_of(found), _rates(found)
        lifted = [
            f"{rate.successes}/{rate.trials} = {100 * rate.value:.0f} %"
            for rate in (rates[BASELINE], rates[WEIGHTED])
        ]
        gained = points(pair["difference"]["value"], 0)
        if pair.get("same"):
            rows.append([label, *lifted, SAME, ""])
            continue
        over = ends(pair["over_seeds"], 0) if pair["over_seeds"] else ""
        rows.append([label, *lifted, f"{gained} ({ends(pair['difference'], 0) or _NONE})", over or _NONE])
    headers = ["demonstrations", "plain", "with `auto`", "points more", "over training seeds"]
    return markdown_table(headers, rows)


def _both(pair: Found) -> str:
    """Points more, with their interval over start states and, where there are several, over seeds."""
    over = ends(pair["over_seeds"], 0) if pair["over_seeds"] else ""
    if pair.get("same"):
        return SAME
    p = p_value(pair["p_states"])
    said = (_points(pair), over and f"over seeds {over}", f"p {p if p.startswith('<') else f'= {p}'}")
    return "; ".join(part for part in said if part)


def known_beforehand(result: Found, behind: float | None) -> dict[str, float | None]:
    """What is known of demonstrations before anything is trained, as shares.

    behind: share of frames behind (`rabc.weighting.caution`), where it was measured.
    """
    weighted = next(arm for arm in result["arms"] if arm["name"] == WEIGHTED)["summary"]
    auc = (result["scorer"] or {}).get("success_auc")
    return {
        "left out": weighted["share_zero"],
        "frames behind": behind,
        "effective sample size": weighted["effective_sample_size"] / weighted["frames"],
        "AUC": auc and auc["value"],
    }


def prediction_part(kinds: Mapping[str, Found], behind: Mapping[str, float]) -> str:
    """What is known beforehand of every label -> comparison, against what weighting gained."""
    known = {label: known_beforehand(found, behind.get(label)) for label, found in kinds.items()}
    gains = {label: gain_of(found) for label, found in kinds.items()}
    rows = [
        [
            label,
            *("" if value is None else f"{100 * value:.0f} %" for value in known[label].values()),
            (found["scorer"] or {}).get("verdict", ""),
            SAME if gains[label].get("same") else _points(gains[label]),
        ]
        for label, found in kinds.items()
    ]
    table = markdown_table(["", *next(iter(known.values())), "verdict", "points more"], rows)
    table += "\n\n![What was gained over what was left out](gains.png)"
    # A kind of which nothing is left out gains 0 by construction.
    told = [label for label, gain in gains.items() if not gain.get("same")]
    if not FEWEST <= len(told) <= MOST:
        return table
    out = [known[label]["left out"] or 0.0 for label in told]
    correlation, p = rank_correlation(out, [gains[label]["difference"]["value"] for label in told])
    return (
        f"{table}\n\nRank correlation of what is left out with the points that are gained, over the "
        f"{len(told)} kinds of which something is: {correlation:.2f} (Spearman; exact p = {p:.2g})."
    )


def gain_of(result: Found) -> Found:
    """The pair of `weighted` and plain."""
    return next(pair for pair in result["pairs"] if pair["arm"] == WEIGHTED)


def _rates(result: Found) -> dict[str, Proportion]:
    return {arm["name"]: Proportion(**arm["success"]) for arm in result["arms"]}


def _contrasts(contrasts: Sequence[Found]) -> list[str]:
    """A table of arms against controls; none where there are none."""
    if not contrasts:
        return []
    rows = [
        [f"`{pair['arm']}` - `{pair['baseline']}`", *_difference(pair), *_p_values(pair)]
        for pair in contrasts
    ]
    return [markdown_table(["beyond the controls", *_DIFFERENCE_HEADERS, *P_HEADERS], rows)]


def _pair(pair: Found | None) -> list[str]:
    if pair is None:
        return [""] * 6
    if pair.get("same"):
        return [SAME, *[""] * 5]
    return [*_difference(pair), *_p_values(pair), probability(pair["posterior"])]


def _difference(pair: Found) -> list[str]:
    """Points more with their interval, and the interval over training seeds."""
    return [_points(pair), ends(pair["over_seeds"], 0) or _NONE]


def _p_values(pair: Found) -> list[str]:
    return [f"{pair[p]:.2g}" for p in ("p", "p_states", "p_adjusted")]


def _points(pair: Found) -> str:
    difference = pair["difference"]
    return f"{points(difference['value'])} ({ends(difference, 0) or _NONE})"


def _share(gain: Found | None, arm: str) -> str:
    if arm in (BASELINE, ORACLE):
        return ""
    if gain is None:
        return "not computed"
    value = f"{100 * gain['value']:.0f} %"
    if gain["low"] is None:
        return f"{value} (no interval)"
    return f"{value} ({100 * gain['low']:.0f} to {100 * gain['high']:.0f} %)"
