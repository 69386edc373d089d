"""The tables of docs/results.md, from results as `scripts/compare.py` keeps them."""

import copy
import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from rabc.comparison import publish
from rabc.comparison.experiments import EXPERIMENTS, KINDS
from rabc.comparison.kept import keep_comparison
from rabc.comparison.pages.results import experiment_part, prediction_part, sweep_part
from rabc.comparison.results import restated
from tests.support import REPO
from tests.support.made_comparison import make

COLUMNS = ("plain", "weighted", "mask")
MARKS = {"kinds", "prediction", "measured", "selection", "recipes", *publish.RECIPES_OF}
ARMS = "plain,weighted,shuffled,success-only,oracle"


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make(tmp_path_factory.mktemp("made"), seeds=2, start_states=60, videos=0, names=ARMS)


def rows(text: str) -> dict[str, list[str]]:
    """First cell -> the other cells of the tables' rows."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {first.strip(): [cell.strip() for cell in rest] for first, *rest in lines}


def test_an_experiment_s_table_says_what_was_found(result: dict[str, Any]) -> None:
    text = experiment_part(result)
    assert text.startswith(result["answer"])
    table = rows(text)
    for arm in result["arms"]:
        success = arm["success"]
        assert table[f"`{arm['name']}`"][0].startswith(f"{success['successes']}/{success['trials']} = ")
    pair = next(pair for pair in result["pairs"] if pair["arm"] == "weighted")
    cells = table["`weighted`"]
    assert cells[2].startswith(f"{100 * pair['difference']['value']:+.1f} (")
    assert cells[3] == f"{100 * pair['over_seeds']['low']:+.0f} to {100 * pair['over_seeds']['high']:+.0f}"
    assert cells[4:7] == [f"{pair[name]:.2g}" for name in ("p", "p_states", "p_adjusted")]
    assert cells[-1].endswith("%)")
    assert table["`weighted` - `success-only`"][0].startswith(
        f"{100 * result['contrasts'][0]['difference']['value']:+.1f} ("
    )
    assert table["`plain`"][-1] == table["`oracle`"][-1] == ""
    assert "10 trainings" in text


def test_statistics_of_a_kept_result_are_made_anew_from_its_rollouts(result: dict[str, Any]) -> None:
    assert restated(result) == result
    arms = [{**arm, "success": None} for arm in result["arms"]]
    old = {
        **result, "arms": arms, "pairs": [], "contrasts": [], "gains": {}, "answer": "as it was said once"
    }  # fmt: skip
    assert restated(old) == result


def test_figures_that_are_not_defined_are_said_to_be(result: dict[str, Any]) -> None:
    odd = copy.deepcopy(result)
    odd["pairs"][0]["difference"].update(low=None, high=None)
    odd["gains"]["weighted"] = None
    odd["gains"]["shuffled"].update(low=None, high=None)
    table = rows(experiment_part(odd))
    assert table[f"`{odd['pairs'][0]['arm']}`"][2].endswith("(no interval)")
    assert table["`weighted`"][-1] == "not computed"
    assert table["`shuffled`"][-1].endswith("% (no interval)")


def test_the_sweep_has_every_share_s_rates_with_intervals(result: dict[str, Any]) -> None:
    table = rows(sweep_part({"20 % clean": result, "80 % clean": result}, COLUMNS))
    plain = result["arms"][0]["success"]
    for label in ("20 % clean", "80 % clean"):
        assert table[label][0].startswith(f"{plain['successes']}/{plain['trials']} = ")
        assert "95 % interval" in table[label][1]
        assert re.fullmatch(r"[+-]\d+\.\d \(.* to .*\); over seeds .* to .*; p [=<] .*", table[label][3])


def test_an_arm_that_one_share_lacks_is_empty_there(result: dict[str, Any]) -> None:
    # As if success-only had been called mask.
    other = json.loads(json.dumps(result).replace("success-only", "mask"))
    table = rows(sweep_part({"20 % clean": result, "80 % clean": other}, COLUMNS))
    assert table[""] == [
        "`plain`", "`weighted`", "`mask`", "`weighted`: points more", "`mask`: points more"
    ]  # fmt: skip
    without, complete = table["20 % clean"], table["80 % clean"]
    assert without[2] == without[4] == ""
    assert "95 % interval" in complete[2]
    assert [complete[0], complete[1], complete[3]] == [without[0], without[1], without[3]]


def test_what_is_finished_is_on_the_page_when_a_later_experiment_fails(
    result: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    page = tmp_path / publish.PAGE
    page.parent.mkdir()
    page.write_text("".join(f"<!-- {name} -->\n<!-- /{name} -->\n" for name in MARKS))
    publish.README.write_text("<!-- kinds -->\n<!-- /kinds -->\n")

    def run(experiment: Any, dry_run: bool) -> None:
        if experiment.name == "speeds":
            raise RuntimeError("stopped")
        keep_comparison(publish.RAW, experiment.name, result)

    monkeypatch.setattr(publish, "run_experiment", run)
    with pytest.raises(RuntimeError, match="stopped"):
        publish.publish(["clean_40", "speeds"], dry_run=False)
    assert result["answer"] in page.read_text()
    success = {arm["name"]: arm["success"] for arm in result["arms"]}
    short = rows(publish.README.read_text())["40 % clean"]
    assert short[:2] == [
        f"{one['successes']}/{one['trials']} = {100 * one['successes'] / one['trials']:.0f} %"
        for one in (success["plain"], success["weighted"])
    ]
    pair = next(pair for pair in result["pairs"] if pair["arm"] == "weighted")
    assert short[2].startswith(f"{100 * pair['difference']['value']:+.0f} (")
    assert short[3] == f"{100 * pair['over_seeds']['low']:+.0f} to {100 * pair['over_seeds']['high']:+.0f}"


def test_what_is_known_beforehand_stands_beside_what_was_gained(result: dict[str, Any]) -> None:
    table = rows(prediction_part({"few": result}, {"few": 0.42}))
    arm = next(arm for arm in result["arms"] if arm["name"] == "weighted")["summary"]
    pair = next(pair for pair in result["pairs"] if pair["arm"] == "weighted")
    assert table[""] == [
        "left out",
        "frames behind",
        "effective sample size",
        "AUC",
        "verdict",
        "points more",
    ]
    assert table["few"][:5] == [
        f"{100 * arm['share_zero']:.0f} %", "42 %",
        f"{100 * arm['effective_sample_size'] / arm['frames']:.0f} %", "90 %", "use",
    ]  # fmt: skip
    assert table["few"][5].startswith(f"{100 * pair['difference']['value']:+.1f} (")
    unlabelled = {**result, "scorer": {**result["scorer"], "success_auc": {"value": None}}}
    assert rows(prediction_part({"few": unlabelled}, {}))["few"][1:4:2] == ["", ""]
    assert "Rank correlation" not in prediction_part({"few": result}, {})
    many = {f"kind {number}": result for number in range(5)}
    assert "over the 5 kinds of which something is: 0.00 (Spearman; exact p = 1)." in prediction_part(
        many, {}
    )


def test_tables_of_recipes_are_of_kinds_that_are_there() -> None:
    named = {name for columns in publish.RECIPES_OF.values() for name in columns}
    assert named == set(KINDS) <= {experiment.name for experiment in EXPERIMENTS}


def test_the_page_is_what_the_kept_files_say(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = (REPO / publish.PAGE).read_text(encoding="utf-8")
    marked = re.compile(r"<!-- (\w+) -->\n(.*?)<!-- /\1 -->", re.DOTALL)
    assert {name for name, _ in marked.findall(page)} == MARKS
    monkeypatch.chdir(tmp_path)
    shutil.copytree(REPO / publish.RAW, publish.RAW)
    readme = (REPO / publish.README).read_text(encoding="utf-8")
    for path, text in ((publish.PAGE, page), (publish.README, readme)):
        path.write_text(marked.sub(r"<!-- \1 -->\n<!-- /\1 -->", text), encoding="utf-8")
    publish.write_page()
    assert publish.README.read_text(encoding="utf-8") == readme
    assert publish.PAGE.read_text(encoding="utf-8") == page
    assert publish.FIGURE.exists() == (REPO / publish.FIGURE).exists()


def test_what_is_kept_is_data_and_not_text() -> None:
    for path in (REPO / "docs").rglob("*"):
        content = path.read_bytes() if path.is_file() else b""
        if b"\0" not in content:  # what git shows line by line
            assert content.count(b"\n") <= 3000, path
    assert sum(path.stat().st_size for path in (REPO / publish.RAW).iterdir()) < 300_000
