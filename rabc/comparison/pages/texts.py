"""The tables of a comparison's page as rows of text. Pure."""

import json
from collections.abc import Mapping
from typing import Any

from rabc.pages.html import ends, number, points

ARM_HEADERS = ("arm", "each seed, %", "spread (SD)", "mean length", "closest approach", "what it is")
P_HEADERS = ("p (McNemar)", "p (states)", "p (Holm)")
"""Of `p`, `p_states` and `p_adjusted`."""
OVER_SEEDS_HEADER = "over seeds (t)"
PAIR_HEADERS = (
    "arm",
    "points more",
    "95 % interval",
    OVER_SEEDS_HEADER,
    "succeeded alone",
    *P_HEADERS,
    "P(better)",
    "pairs needed",
)
SEQUENTIAL_HEADERS = (
    "arm",
    "points more",
    "always-valid interval",
    "succeeded alone",
    "P(better)",
    "pairs needed",
)
ORACLE_HEADER = "share of the oracle's gain"


def arm_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headers, and a row for each arm: what its rollouts were like, and what it is."""
    rows: list[list[str]] = []
    for arm in result["arms"]:
        played = [run["rollouts"] for run in result["runs"] if run["arm"] == arm["name"]]
        shares = [100 * sum(rollout["success"] for rollout in one) / len(one) for one in played]
        spread = arm["seeds_spread"]
        rows.append(
            [
                arm["name"],
                ", ".join(number(share, 0) for share in shares),
                "" if spread is None else f"{number(100 * spread, 1)} points",
                f"{number(arm['mean_ticks'] / result['dataset']['fps'], 1)} s",
                f"{number(100 * arm['mean_closest_m'], 1)} cm",
                arm["about"],
            ]
        )
    return [*ARM_HEADERS], rows


def pair_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headers, and a row for each arm but the baseline; the oracle's share only where there is an oracle."""
    if result["sequential"]:
        return [*SEQUENTIAL_HEADERS], [_sequential_row(pair) for pair in result["pairs"]]
    headers = [*PAIR_HEADERS]
    rows = [_pair_row(pair) for pair in result["pairs"]]
    if result["gains"]:
        headers.append(ORACLE_HEADER)
        for pair, row in zip(result["pairs"], rows, strict=True):
            row.append(_share(result["gains"].get(pair["arm"])))
    return headers, rows


def contrast_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headers, and a row for each arm against a control."""
    rows = [_pair_row(pair) for pair in result["contrasts"]]
    for row, pair in zip(rows, result["contrasts"], strict=True):
        row[0] = f"{pair['arm']} - {pair['baseline']}"
    return [*PAIR_HEADERS], rows


def facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(name, value) of what the comparison was made from."""
    data, scorer, states = result["dataset"], result["scorer"], result["start_states"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in (data["kinds"] or {}).items())
    rows = [
        ("dataset", str(data["root"])),
        ("its content", str(data["content"])),
        ("demonstrations", f"{data['episodes']} episodes, {data['frames']:,} frames, {data['fps']:g} Hz"),
    ]
    if kinds:
        rows.append(("of these", kinds))
    rows.append(("scorer", "none" if scorer is None else f"{scorer['name']}, {scorer['revision']}"))
    last = states["first"] + states["count"] - 1
    rows.append(("start states", f"{states['count']}: {states['first']} to {last}"))
    rows.append(("training seeds", ", ".join(str(seed) for seed in result["training_seeds"])))
    return rows


def run_table(result: Mapping[str, Any]) -> tuple[list[str], list[list[str]]]:
    """Headers, and a row for each run."""
    rows: list[list[str]] = []
    for run in result["runs"]:
        played = [rollout["success"] for rollout in run["rollouts"]]
        minutes = number(run["training_seconds"] / 60, 1)
        rows.append(
            [
                run["arm"],
                str(run["seed"]),
                f"{sum(played)}/{len(played)}",
                f"{run['steps']:,}",
                f"{minutes} min",
                run["policy_content"],
                run["run"],
            ]
        )
    return ["arm", "seed", result["task_done"], "steps", "training", "policy", "run"], rows


def configuration(config: Mapping[str, Any]) -> str:
    """The configuration as YAML."""
    import yaml

    # JSON has no tuples, as YAML that everybody reads has none.
    return yaml.safe_dump(json.loads(json.dumps(config)), sort_keys=False, allow_unicode=True, width=90)


def weights_text(weights: Mapping[str, Any]) -> str:
    """The settings of an arm's weights that are not at their default."""
    return ", ".join(f"{key} {value}" for key, value in weights.items()) or "all at their defaults"


def p_value(value: float) -> str:
    """Two significant digits; very small ones as a bound."""
    return "< 0.0001" if value < 1e-4 else f"{value:.2g}"


def probability(value: float | None) -> str:
    """Three digits; what is almost certain as a bound; empty where nothing supports one."""
    if value is None:
        return ""
    if value > 0.999:
        return "> 0.999"
    return "< 0.001" if value < 0.001 else number(value, 3)


def interval(low: float | None, high: float | None, scale: float = 1.0, digits: int = 2) -> str:
    """`low to high`, each times `scale`; empty where it is not defined."""
    if low is None or high is None:
        return ""
    return f"{number(scale * low, digits)} to {number(scale * high, digits)}"


def area(auc: Mapping[str, Any] | None) -> str:
    """A ROC-AUC with its interval."""
    if auc is None:
        return "AUC not defined"
    limits = interval(auc["low"], auc["high"])
    return f"AUC {number(auc['value'], 2)}" + (f" ({limits})" if limits else "")


def _pair_row(pair: Mapping[str, Any]) -> list[str]:
    difference, needed = pair["difference"], pair["needed"]
    return [
        pair["arm"],
        points(difference["value"]),
        ends(difference),
        ends(pair["over_seeds"]),
        f"{pair['only_arm']} against {pair['only_baseline']}",
        p_value(pair["p"]),
        p_value(pair["p_states"]),
        p_value(pair["p_adjusted"]),
        probability(pair["posterior"]),
        "" if needed is None else f"{needed:,}",
    ]


def _sequential_row(pair: Mapping[str, Any]) -> list[str]:
    """Only what holds however often one looks, and what is no proof."""
    needed = pair["needed"]
    return [
        pair["arm"],
        points(pair["difference"]["value"]),
        ends(pair["always_valid"]),
        f"{pair['only_arm']} against {pair['only_baseline']}",
        probability(pair["posterior"]),
        "" if needed is None else f"{needed:,}",
    ]


def _share(gain: Mapping[str, Any] | None) -> str:
    if gain is None:
        return ""
    limits = interval(gain["low"], gain["high"], 100, 0)
    return f"{number(100 * gain['value'], 0)} %" + (f" ({limits})" if limits else "")
