"""The comparison of recorded rollouts in words and tables. Pure.

`result` is the content of `recorded.json` (see `rabc.comparison.recorded.run`).
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabc.system.terminal import table

LEVEL = 0.05
INTERVAL = "95 % interval "


def answer(result: Mapping[str, Any]) -> str:
    """The result, a sentence for each pair."""
    datasets = {one["name"]: one for one in result["datasets"]}
    return " ".join(
        _success_sentence(pair, datasets)
        if pair["quantity"] == "success"
        else _score_sentence(pair, datasets)
        for pair in result["pairs"]
    )


def notes(result: Mapping[str, Any], to_label: Mapping[str, Path]) -> list[str]:
    """What has to be known to read the figures; to_label: lists to fill in, of datasets without labels."""
    found: list[str] = []
    for one in result["datasets"]:
        name, labelled = one["name"], [rollout["success"] is not None for rollout in one["rollouts"]]
        if one["judged"] == "none":
            found.append(
                f"No human judged the rollouts of {name}: there is only what the scorer makes of them. "
                f"Fill in {to_label[name]} from the top, as far as you like, and give it with --labels "
                f"{name}=FILE."
            )
        elif one["labels"] == "simulator":
            found.append(f"The labels of {name} are the simulator's.")
        if one["judged"] == "some":
            count = sum(labelled)
            found.append(
                f"{count} of {len(labelled)} rollouts of {name} are labelled. For the others the "
                "scorer speaks, as far as it agrees with the labels; this holds if the labelled ones were "
                "chosen at random."
            )
            if labelled == sorted(labelled, reverse=True):
                found.append(
                    f"The labelled rollouts of {name} are its first {count}: if the arm or the scene changed "
                    "later, they are no random choice."
                )
    if len({one["fps"] for one in result["datasets"]}) > 1:
        rates = ", ".join(f"{one['name']} {one['fps']} Hz" for one in result["datasets"])
        found.append(f"The recordings have different rates ({rates}): the scorer may see other moments.")
    if any(_only_interval(pair) for pair in result["pairs"]):
        found.append(
            "Fisher's exact test is the more cautious: it does not call a difference shown whose interval "
            "leaves out 0 by a little."
        )
    auc = result["scorer_auc"]
    if auc is not None and auc["low"] is not None and auc["low"] <= 0.5:
        found.append(
            "The scorer does not tell successes from failures here (its ROC-AUC may be 0.5): leave its "
            "scores aside, and label all rollouts."
        )
    if any(pair["quantity"] == "score" for pair in result["pairs"]) and auc is None:
        found.append("How well the scorer tells successes from failures here is not known.")
    return found


def tables(result: Mapping[str, Any]) -> str:
    """Datasets, then pairs, then how good the scorer is."""
    rows = [
        [
            one["name"],
            str(len(one["rollouts"])),
            f"{one['mean_seconds']:.1f}",
            _source_text(one["labels"]),
            _success_text(one, ""),
            _between(one["score"], "{:.2f}", "", ""),
            f"{one['verdicts']['successes']}/{one['verdicts']['trials']}",
        ]
        for one in result["datasets"]
    ]
    headers = ["dataset", "rollouts", "mean s", "labels", "success", "success score, nats", "scorer: done"]
    pairs = [
        [
            f"{pair['name']} - {pair['baseline']}",
            _difference_text(pair, ""),
            _figure(pair["p"], "{:.2g}"),
            _figure(pair["p_adjusted"], "{:.2g}"),
            _figure(pair["posterior"], "{:.2f}"),
            _figure(pair["needed"], "{}"),
            pair["method"],
        ]
        for pair in result["pairs"]
    ]
    return "\n\n".join(
        [
            table(rows, headers),
            table(pairs, ["pair", "difference", "p", "p (Holm)", "P(better)", "rollouts needed", "method"]),
            f"{_scorer_text(result)}\nIn brackets: 95 % intervals.",
        ]
    )


def _only_interval(pair: Mapping[str, Any]) -> bool:
    """Whether the interval leaves out 0 although the exact test finds nothing."""
    if pair["posterior"] is None:
        return False
    difference = pair["difference"]
    return pair["p"] >= LEVEL and (difference["low"] > 0 or difference["high"] < 0)


def _success_sentence(pair: Mapping[str, Any], datasets: Mapping[str, Any]) -> str:
    name, baseline = pair["name"], pair["baseline"]
    facts = (
        f"{name} {_success_text(datasets[name])}, {baseline} {_success_text(datasets[baseline])}; "
        f"difference {_difference_text(pair)}{_p_text(pair)}"
    )
    if pair["p_adjusted"] is not None and pair["p_adjusted"] < LEVEL:
        more = "more" if pair["difference"]["value"] > 0 else "less"
        return f"{name} succeeds {more} often than {baseline}: {facts}."
    needed = (
        f" About {pair['needed']} rollouts of each would show a difference of this size four times in five."
        if pair["needed"]
        else ""
    )
    return f"{name} is not shown to differ from {baseline}: {facts}.{needed}"


def _score_sentence(pair: Mapping[str, Any], datasets: Mapping[str, Any]) -> str:
    name, baseline = pair["name"], pair["baseline"]
    unlabelled = [one for one in (name, baseline) if datasets[one]["judged"] == "none"]
    return (
        f"No human judged {' and '.join(unlabelled)}, so nothing is known of success; the scorer's success "
        f"score of {name} minus that of {baseline} is {_difference_text(pair)}{_p_text(pair)}."
    )


def _source_text(labels: str) -> str:
    return f"file {Path(labels).name}" if labels.startswith("file ") else labels or "none"


def _success_text(one: Mapping[str, Any], what: str = INTERVAL) -> str:
    success = one["success"]
    if success is None:
        return "not known"
    share = {key: None if success[key] is None else 100 * success[key] for key in ("value", "low", "high")}
    rate = _between(share, "{:.0f}", " %", what)
    counted = f"{success['successes']}/{success['trials']}"
    return f"{counted} = {rate}" if one["judged"] == "all" else f"about {rate}, {counted} of those labelled"


def _difference_text(pair: Mapping[str, Any], what: str = INTERVAL) -> str:
    if pair["quantity"] == "score":
        return _between(pair["difference"], "{:+.2f}", " nats", what)
    points = {key: None if value is None else 100 * value for key, value in pair["difference"].items()}
    return _between(points, "{:+.0f}", " points", what)


def _p_text(pair: Mapping[str, Any]) -> str:
    return "" if pair["p_adjusted"] is None else f", p = {pair['p_adjusted']:.2g} ({pair['method']})"


def _scorer_text(result: Mapping[str, Any]) -> str:
    auc, agreed = result["scorer_auc"], result["scorer_agreement"]
    if agreed is None:
        return "scorer against labels: there are no labels"
    sure = f"ROC-AUC {_between(auc, '{:.2f}', '', '')}, " if auc is not None else ""
    return f"scorer against labels: {sure}the same verdict on {agreed['successes']} of {agreed['trials']}"


def _between(found: Mapping[str, Any], form: str, unit: str, what: str) -> str:
    """`value unit (what low to high)`, without the bracket where the interval is not defined."""
    value = form.format(found["value"]) + unit
    if found["low"] is None or found["high"] is None:
        return value
    return f"{value} ({what}{form.format(found['low'])} to {form.format(found['high'])})"


def _figure(value: float | None, form: str) -> str:
    return "" if value is None else form.format(value)
