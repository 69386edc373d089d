"""The report on rollouts recorded on an arm: one self-contained HTML page, readable offline."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabc.comparison.pages import charts, score_chart, texts
from rabc.comparison.pages.page import PAGE
from rabc.pages.html import number, render_template
from rabc.system.atomic import whole_file

PAIR_HEADERS = (
    "dataset",
    "difference",
    "95 % interval",
    "p",
    "p, Holm",
    "P(better)",
    "rollouts needed",
    "method",
)
DATASET_HEADERS = ("dataset", "rollouts", "labels", "mean length", "success score, nats", "scorer says done")


def write_recorded_page(result: Mapping[str, Any], folder: Path) -> Path:
    """Write the page into `folder`; other files there stay.

    result: see `rabc.comparison.recorded.run`. Returns the page. Raises InputError where it cannot be
    written.
    """
    content = render(result)
    with whole_file(folder / PAGE) as partial:
        partial.write_text(content, encoding="utf-8")
    return folder / PAGE


def render(result: Mapping[str, Any]) -> str:
    """The page as text."""
    datasets = result["datasets"]
    rates = success_rates(result)
    scores = score_chart.panels(
        {
            one["name"]: [(rollout["score"], rollout["success"]) for rollout in one["rollouts"]]
            for one in datasets
        }
    )
    return render_template(
        "recorded.html",
        result=result,
        rates=rates,
        reference=next(rate.value for rate in rates if rate.name == result["baseline"]),
        dataset_headers=DATASET_HEADERS,
        datasets=[_dataset_row(one) for one in datasets],
        pair_headers=PAIR_HEADERS,
        pairs=[_pair_row(pair) for pair in result["pairs"]],
        scores=scores,
        labelled={one["name"]: _labelled(one) for one in datasets},
        area=texts.area(result["scorer_auc"]),
        facts=_facts(result),
        rollouts=[_rollout_row(one["name"], rollout) for one in datasets for rollout in one["rollouts"]],
        width=charts.WIDTH,
        height=charts.HEIGHT,
    )


def success_rates(result: Mapping[str, Any]) -> list[charts.Rate]:
    """One for each dataset; not known where none of its rollouts is labelled."""
    rates: list[charts.Rate] = []
    for one in result["datasets"]:
        success = one["success"]
        if success is None:
            rates.append(charts.Rate(one["name"], None, None, [], "no labels"))
            continue
        limits = None if success["low"] is None else (100 * success["low"], 100 * success["high"])
        counted = f"{success['successes']}/{success['trials']}"
        if one["judged"] == "some":
            counted += f" labelled, of {len(one['rollouts'])}"
        rates.append(charts.Rate(one["name"], 100 * success["value"], limits, [], counted))
    return rates


def _dataset_row(one: Mapping[str, Any]) -> list[str]:
    score, verdicts = one["score"], one["verdicts"]
    limits = texts.interval(score["low"], score["high"])
    return [
        one["name"],
        str(len(one["rollouts"])),
        one["labels"],
        f"{number(one['mean_seconds'], 1)} s",
        number(score["value"], 2) + (f" ({limits})" if limits else ""),
        f"{verdicts['successes']}/{verdicts['trials']}",
    ]


def _pair_row(pair: Mapping[str, Any]) -> list[str]:
    difference = pair["difference"]
    limits = [difference["low"], difference["high"]]

    def text(value: float) -> str:
        return texts.points(value) if pair["quantity"] == "success" else f"{round(value, 2) + 0.0:+.2f}"

    unit = "points" if pair["quantity"] == "success" else "nats of the success score"
    return [
        f"{pair['name']} against {pair['baseline']}",
        f"{text(difference['value'])} {unit}",
        "" if None in limits else " to ".join(text(limit) for limit in limits),
        "" if pair["p"] is None else texts.p_value(pair["p"]),
        "" if pair["p_adjusted"] is None else texts.p_value(pair["p_adjusted"]),
        texts.probability(pair["posterior"]),
        "" if pair["needed"] is None else f"{pair['needed']:,}",
        pair["method"],
    ]


def _labelled(one: Mapping[str, Any]) -> str:
    count = sum(rollout["success"] is not None for rollout in one["rollouts"])
    return f"{count} of {len(one['rollouts'])} labelled"


def _rollout_row(name: str, rollout: Mapping[str, Any]) -> list[str]:
    label = {None: "", True: "success", False: "failure"}[rollout["success"]]
    return [
        name,
        str(rollout["episode"]),
        number(rollout["seconds"], 1),
        label,
        number(rollout["score"], 2),
        number(rollout["log_odds"], 2),
        number(rollout["prediction"], 2),
    ]


def _facts(result: Mapping[str, Any]) -> list[tuple[str, str]]:
    scorer = result["scorer"]
    rows = [
        ("task", result["instruction"]),
        ("scorer", f"{scorer['name']}, {scorer['revision']}"),
        ("camera", str(scorer["camera"])),
        ("prefixes", str(scorer["num_prefixes"])),
    ]
    for one in result["datasets"]:
        rows.append((one["name"], f"{one['root']}, {one['frames']:,} frames at {one['fps']} Hz"))
        rows.append(("its content", one["content"]))
    return rows
