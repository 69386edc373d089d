"""The PNGs of a comparison, for documents and slides: success per arm and learning curves."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabc.comparison.pages.charts import runs_by_arm, success_rates
from rabc.comparison.pages.curve_charts import thinned
from rabc.diagnosis.figures import BLUE, GREY, LITERAL, ORANGE
from rabc.system.atomic import whole_file

DPI = 130


def write_success(result: Mapping[str, Any], path: Path) -> None:
    """Success rate of each arm with its 95 % interval, and that of each training seed."""
    from matplotlib.figure import Figure

    rates = success_rates(result)[::-1]
    figure: Any = Figure(figsize=(7, 0.9 + 0.45 * len(rates)), layout="constrained", dpi=DPI)
    axes = figure.add_subplot()
    for height, rate in enumerate(rates):
        if rate.name == result["baseline"]:
            axes.axvline(rate.value, color=GREY, linewidth=1, linestyle=":")
        axes.plot(rate.interval, [height, height], color=BLUE, linewidth=2.5)
        axes.plot(rate.value, height, "o", color=BLUE, markersize=7)
        seeds = [value for _, value in rate.marks]
        axes.plot(seeds, [height - 0.28] * len(seeds), "|", color=ORANGE, markersize=7, markeredgewidth=1.6)
    axes.set_yticks(range(len(rates)), [rate.name for rate in rates], **LITERAL)
    axes.set_ylim(-0.6, len(rates) - 0.5)
    axes.set_xlim(0, 100)
    axes.set_xlabel(
        f"{result['task_done']}, % of rollouts: all with 95 % interval (blue), each seed (orange)"
    )
    axes.grid(axis="x", color="#dddddd")
    axes.set_axisbelow(True)
    axes.spines[["top", "right", "left"]].set_visible(False)
    _save(figure, path)


def write_curves(result: Mapping[str, Any], path: Path) -> None:
    """Learning curves of all training seeds, a panel for each arm, the baseline's in grey behind."""
    from matplotlib.figure import Figure

    runs = runs_by_arm(result)
    columns = min(4, len(runs))
    lines = -(-len(runs) // columns)
    figure: Any = Figure(figsize=(2.6 * columns, 0.4 + 2.0 * lines), layout="constrained", dpi=DPI)
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False).ravel()
    for axes in panels[len(runs) :]:
        axes.set_visible(False)
    for axes, (name, own) in zip(panels, runs.items(), strict=False):
        axes.set_title(name, loc="left", fontsize=10, **LITERAL)
        axes.set_yscale("log")
        for run in runs[result["baseline"]]:
            axes.plot(*thinned(run["curve"]), color=GREY, linewidth=0.8, alpha=0.6)
        for run in own if name != result["baseline"] else ():
            axes.plot(*thinned(run["curve"]), color=ORANGE, linewidth=1.1)
        axes.tick_params(labelsize=8)
        axes.spines[["top", "right"]].set_visible(False)
    figure.supxlabel("step", fontsize=9)
    figure.supylabel("training loss", fontsize=9)
    _save(figure, path)


def write_gains(shares: Mapping[str, float], gains: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """What weighting gained over what it left out, for each kind of demonstrations.

    shares: label -> share of the frames left out; gains: label -> pair of `comparison.json`.
    """
    from matplotlib.figure import Figure

    figure: Any = Figure(figsize=(7, 4.2), layout="constrained", dpi=DPI)
    axes = figure.add_subplot()
    axes.axhline(0, color=GREY, linewidth=1, linestyle=":")
    for label, share in shares.items():
        found = gains[label]["difference"]
        ends = [found["value"] if found[end] is None else found[end] for end in ("low", "high")]
        place = (100 * share, 100 * found["value"])
        axes.plot([place[0]] * 2, [100 * end for end in ends], color=BLUE, linewidth=2)
        axes.plot(*place, "o", color=BLUE, markersize=6)
        axes.annotate(label, place, (6, 5), textcoords="offset points", fontsize=8, **LITERAL)
    axes.set_xlim(-2, 95)
    axes.set_xlabel("frames that auto leaves out, %")
    axes.set_ylabel("points more than plain")
    axes.grid(color="#eeeeee")
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    with whole_file(path) as partial:
        figure.savefig(partial, format="png")
