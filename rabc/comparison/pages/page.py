"""The report of a comparison: one self-contained HTML page, readable offline, and its figures as PNGs."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rabc.comparison.pages import charts, curve_charts, figures, media, score_chart, texts
from rabc.pages.html import render_template
from rabc.system.atomic import whole_file

PAGE, SUCCESS, CURVES = "index.html", "success.png", "curves.png"
"""Files of the report in the folder of the comparison."""


def write_page(result: Mapping[str, Any], folder: Path) -> Path:
    """Write the page and the PNGs into `folder`; other files there stay.

    Args:
        result: see `rabc.comparison.results`. The pictures and videos it names are put into the page.
        folder: is made where it is not there.

    Returns:
        the page.

    Raises:
        InputError: a picture or video that cannot be read, or a folder that cannot be written.
    """
    content = render(result)
    figures.write_success(result, folder / SUCCESS)
    figures.write_curves(result, folder / CURVES)
    with whole_file(folder / PAGE) as partial:
        partial.write_text(content, encoding="utf-8")
    return folder / PAGE


def render(result: Mapping[str, Any]) -> str:
    """The page as text."""
    arm_headers, arm_rows = texts.arm_table(result)
    run_headers, runs = texts.run_table(result)
    pair_headers, pairs = texts.pair_table(result)
    contrast_headers, contrasts = texts.contrast_table(result)
    rates = charts.success_rates(result)
    found = {arm["name"]: arm for arm in result["arms"]}
    sequential = result["sequential"]
    return render_template(
        "comparison.html",
        result=result,
        arms=found,
        rates=rates,
        reference=next(rate.value for rate in rates if rate.name == result["baseline"]),
        arm_headers=arm_headers,
        arm_rows=arm_rows,
        pair_headers=pair_headers,
        pairs=pairs,
        contrast_headers=contrast_headers,
        contrasts=contrasts,
        curves=curve_charts.learning_curves(result),
        bars={name: charts.weight_bars(arm["summary"]) for name, arm in found.items()},
        weights={name: texts.weights_text(arm["weights"]) for name, arm in found.items()},
        bands=charts.outcome_bands(result),
        scores=score_chart.final_scores(result),
        evidence=curve_charts.evidence(result) if sequential else None,
        threshold=len(sequential["e_values"]) / sequential["level"] if sequential else None,
        threshold_y=curve_charts.threshold_height(result) if sequential else None,
        media=media.collect(result),
        facts=texts.facts(result),
        run_headers=run_headers,
        runs=runs,
        configuration=texts.configuration(result["config"]),
        areas={name: texts.area(arm["scorer_auc"]) for name, arm in found.items()},
        width=charts.WIDTH,
        height=charts.HEIGHT,
        band=charts.BAND,
    )
