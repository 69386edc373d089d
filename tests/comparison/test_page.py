"""The report of a comparison, opened in a real browser at the width of a phone and of a desk."""

import copy
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from rabc.comparison.pages import charts, curve_charts, media, score_chart, texts
from rabc.comparison.pages.board import write_scalars
from rabc.comparison.pages.page import CURVES, PAGE, SUCCESS, render, write_page
from rabc.system.errors import InputError
from tests.support.browser import Browser, visible
from tests.support.made_comparison import FIRST, make


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    made = make(tmp_path_factory.mktemp("made"), start_states=60)
    return json.loads(json.dumps(made))  # as it is read from comparison.json


@pytest.fixture(scope="module")
def report(result: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(result, tmp_path_factory.mktemp("report") / "made_up-comparison")


@pytest.fixture(scope="module")
def made_small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return make(tmp_path_factory.mktemp("small"), seeds=1, start_states=3, videos=2, names="weighted")


@pytest.fixture
def small(made_small: dict[str, Any]) -> dict[str, Any]:
    """Two arms, one training seed, three start states, nothing filmed; a test may change it."""
    result = copy.deepcopy(made_small)
    for run in result["runs"]:
        run["videos"] = {}
    return result


@pytest.mark.parametrize("width", [390, 768, 1280])
@pytest.mark.parametrize("dark", [False, True])
def test_page_in_a_browser(chromium: Browser, report: Path, width: int, dark: bool) -> None:
    seen = chromium.open(report, width, dark=dark)
    assert seen.complaints == []
    assert seen.requests == []
    facts = seen.facts
    assert facts["scroll_width"] == facts["width"] > width - 20  # less a scroll bar
    assert facts["beyond"] == []
    assert facts["broken"] == facts["unplayable"] == facts["posterless"] == 0
    assert facts["images"] == 6 * (media.DOWN + media.UP)
    assert facts["videos"] == 7 * 2


def test_page_of_a_sequential_test_in_a_browser(chromium: Browser, tmp_path: Path) -> None:
    """Its tables say only what holds however often one looks."""
    found = make(tmp_path / "made", seeds=2, start_states=30, videos=0, sequential=True)
    page = write_page(json.loads(json.dumps(found)), tmp_path / "report")
    for width in (390, 1280):
        seen = chromium.open(page, width)
        assert seen.complaints == []
        assert seen.facts["scroll_width"] == seen.facts["width"]
        assert seen.facts["beyond"] == []
    text = visible(page.read_text())
    assert "Sequential test" in text
    assert "always-valid interval" in text
    assert "p, McNemar" not in text
    assert "Against the controls" not in text


def test_the_page_says_whose_p_better_it_is(result: dict[str, Any], small: dict[str, Any]) -> None:
    """With one training seed nothing is known of other trainings, and the page says that it is of these."""
    of_these, over_seeds = "of these two trained policies each", "P(better), with flat priors, is Student's"
    one, several = (" ".join(visible(render(page)).split()) for page in (small, result))
    assert of_these in one
    assert over_seeds not in one
    assert over_seeds in several
    assert of_these not in several
    small["pairs"][0]["posterior"] = None
    headers, (row, *_) = texts.pair_table(small)
    assert row[headers.index("P(better)")] == ""


def test_the_browser_sees_what_is_wrong(chromium: Browser, tmp_path: Path) -> None:
    """The check itself: a page that is too wide, misses a picture and fails."""
    page = tmp_path / "bad.html"
    page.write_text(
        "<main><p style='width:2000px'>wide</p><img src='data:image/png;base64,AAAA'>"
        "<video src='data:video/mp4;base64,AAAA' poster='data:,'></video></main>"
        "<img src='nowhere.png'><script>nothing.at.all</script>"
    )
    seen = chromium.open(page, 390)
    assert seen.facts["beyond"]
    assert seen.facts["broken"] == 2
    assert seen.facts["unplayable"] == seen.facts["posterless"] == 1
    assert any("ReferenceError" in complaint for complaint in seen.complaints)
    assert len(seen.requests) == 1


def test_videos_of_a_start_state_play_together(chromium: Browser, report: Path) -> None:
    chromium.open(report, 1280)
    playing = "Array.from(document.querySelectorAll('.side')).map(part => "
    playing += "Array.from(part.querySelectorAll('video')).filter(video => !video.paused).length)"
    assert chromium.evaluate(playing) == [0, 0]
    chromium.evaluate("document.querySelector('.side button').click()")
    assert chromium.evaluate(playing) == [7, 0]


def test_page_reads_without_scripts(chromium: Browser, report: Path) -> None:
    chromium.open(report, 390, script=False)
    assert chromium.evaluate("document.querySelector('.side button').hidden")
    assert chromium.evaluate("document.querySelector('main').innerText.includes('Rollouts side by side')")


def test_page_says_what_the_results_say(result: dict[str, Any], report: Path) -> None:
    text = visible(report.read_text())
    assert result["answer"].replace("`", "") in text
    assert "Against the controls" in text
    for pair in result["contrasts"]:
        assert f"{pair['arm']} - {pair['baseline']}" in text
    for pair in result["pairs"]:
        assert f"{pair['only_arm']} against {pair['only_baseline']}" in text
    for run in result["runs"]:
        assert run["policy_content"] in text
    assert result["dataset"]["content"] in text
    assert result["scorer"]["revision"] in text
    assert result["command"] in text
    assert "clean: 0.4" in text  # of the configuration


def test_files_of_the_report(report: Path, result: dict[str, Any]) -> None:
    assert sorted(path.name for path in report.parent.iterdir()) == sorted([PAGE, SUCCESS, CURVES])
    for name in (SUCCESS, CURVES):
        with Image.open(report.parent / name) as picture:
            assert np.asarray(picture.convert("L")).std() > 5
    assert report.stat().st_size < 15_000_000
    (report.parent / "comparison.json").write_text("{}")
    write_page(result, report.parent)  # again, beside what else is there
    assert (report.parent / "comparison.json").read_text() == "{}"
    (report.parent / "comparison.json").unlink()


def test_one_seed_few_start_states_no_pictures(small: dict[str, Any]) -> None:
    """A small comparison has a page as well; nothing of what is not there is promised."""
    result = small
    for arm in result["arms"]:
        arm.update(up=[], down=[])
        arm["scorer_auc"] = None
    for run in result["runs"]:
        run["curve"] = {"step": [], "loss": []}
    result["pairs"][0]["needed"] = None
    content = render(result)
    assert "Rollouts side by side" not in content
    assert "Learning curves" not in content
    assert "Sequential test" not in content
    assert "no longer there" not in content
    assert "1 training seed<" in content


def test_unscored_rollouts_have_no_chart(small: dict[str, Any]) -> None:
    assert "Scorer against simulator" in render(small)
    for run in small["runs"]:
        for rollout in run["rollouts"]:
            rollout["final_log_prob"] = None
    assert "Scorer against simulator" not in render(small)


def test_texts_cannot_break_the_page(small: dict[str, Any]) -> None:
    small["answer"] = "<script>alert(1)</script> `a < b`"
    small["command"] = "</pre><img src=x>"
    content = render(small)
    assert "<script>alert" not in content
    assert "<b>a &lt; b</b>" in content
    assert "<img src=x>" not in content


def test_deleted_pictures_are_counted_and_broken_ones_refused(
    made_small: dict[str, Any], tmp_path: Path
) -> None:
    result = copy.deepcopy(made_small)
    for arm in result["arms"]:
        arm.update({kind: [shutil.copy(path, tmp_path) for path in arm[kind]] for kind in ("up", "down")})
    for run in result["runs"]:
        folder = tmp_path / run["arm"]
        folder.mkdir()
        run["videos"] = {state: shutil.copy(path, folder) for state, path in run["videos"].items()}
    strips, videos = result["arms"][1]["down"], result["runs"][0]["videos"]
    Path(strips[0]).unlink()
    Path(videos[str(FIRST)]).unlink()
    found = media.collect(result)
    assert found.missing == 2
    assert [len(row.players) for row in found.rows] == [1, 2]
    assert "2 pictures or videos that the results name were no longer there" in render(result)
    Path(strips[1]).write_bytes(b"no picture")
    with pytest.raises(InputError, match="cannot be read"):
        render(result)
    Path(strips[1]).unlink()
    Path(videos[str(FIRST + 1)]).write_bytes(b"no video")
    with pytest.raises(InputError, match="cannot be decoded"):
        render(result)


def test_videos_of_start_states_that_were_not_played_are_left_out(made_small: dict[str, Any]) -> None:
    """A run keeps the videos of an earlier comparison on more start states."""
    result = copy.deepcopy(made_small)
    for run in result["runs"]:
        run["rollouts"] = run["rollouts"][1:]
    assert [row.start_state for row in media.collect(result).rows] == [FIRST + 1]


def test_videos_stop_at_the_limit(result: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    every = media.collect(result)
    size = sum(len(player.uri) + len(player.poster) for player in every.rows[0].players)
    strips = sum(len(uri) for own in every.strips.values() for uri in (*own.up, *own.down))
    monkeypatch.setattr(media, "MAX_BYTES", strips + size)
    found = media.collect(result)
    assert [row.start_state for row in found.rows] == [FIRST]
    assert found.left_out == 1


def test_outcomes_of_every_rollout_are_on_the_page(result: dict[str, Any]) -> None:
    bands = charts.outcome_bands(result)
    states = [state for band in bands for state in band.start_states]
    assert sorted(states) == list(range(FIRST, FIRST + 60))
    assert [len(band.start_states) for band in bands] == [50, 10]
    totals = [sum(column) for band in bands for column in zip(*(own for _, own in band.counts), strict=True)]
    assert totals == sorted(totals, reverse=True)
    for arm in result["arms"]:
        assert sum(sum(dict(band.counts)[arm["name"]]) for band in bands) == arm["success"]["successes"]


def test_coordinates_by_hand() -> None:
    steps, losses = curve_charts.thinned({"step": list(range(200)), "loss": [1.0, 3.0] * 100})
    np.testing.assert_allclose(steps, np.arange(100) * 2 + 0.5)
    np.testing.assert_allclose(losses, 2.0)
    steps, losses = curve_charts.thinned({"step": [0, 1, 2], "loss": [float("nan"), 0.0, 4.0]})
    assert (steps.tolist(), losses.tolist()) == ([2.0], [4.0])
    result = {
        "arms": [{"name": "plain"}, {"name": "other"}],
        "runs": [
            {"arm": "plain", "seed": 0, "curve": {"step": [5, 10], "loss": [100.0, 1.0]}},
            {"arm": "other", "seed": 0, "curve": {"step": [], "loss": []}},
        ],
    }
    curves = curve_charts.learning_curves(result)
    assert curves is not None
    assert (curves.steps, curves.low, curves.high) == (10, 1.0, 100.0)
    assert curves.panels[0].lines == [(0, "500,0.0 1000,100.0")]
    assert curves.panels[1].lines == []
    bars = charts.weight_bars({"histogram_counts": [10, 0, 5, 1000], "histogram_edges": [0, 0.5, 1, 1.5, 2]})
    assert [round(bar.x) for bar in bars] == [10, 510, 760]
    assert [bar.height for bar in bars] == [2.0, 2.0, 100.0]


def test_final_scores_by_hand() -> None:
    """Successes and, upon them, unlabelled rollouts above the middle; failures below; one scale for all."""
    scores = score_chart.panels(
        {
            "a": [(0.0, True), (0.0, True), (0.0, None), (-28.0, False)],
            "b": [(None, True), (-14.5, False)],
        }
    )
    assert scores is not None
    assert (scores.low, scores.high) == (-28.0, 0.0)
    first, second = scores.panels
    drawn = [(bar.tone, round(bar.x), round(bar.y, 1), round(bar.height, 1)) for bar in first.bars]
    assert drawn == [
        ("blue", 966, 16.7, 33.3), ("grey", 966, 0.0, 16.7), ("orange", 2, 50.0, 16.7)
    ]  # fmt: skip
    assert (first.mean_success, first.mean_failure) == (0.0, -28.0)
    assert [(bar.tone, bar.title) for bar in second.bars] == [("orange", "-15.00 to -14.00 nats: 1 failures")]
    assert second.mean_success is None
    assert score_chart.panels({"a": [(None, True)]}) is None


def test_threshold_of_the_sequential_test_by_hand() -> None:
    result = {"sequential": {"level": 0.05, "e_values": {"a": [0.1, 10.0], "b": [1.0, 4e6]}}}
    low, high = curve_charts.evidence_scale(result)
    assert (low, high) == pytest.approx((-1.0, np.log10(4e6)))
    assert curve_charts.threshold_height(result) == pytest.approx(100 * (high - np.log10(40)) / (high - low))
    first, second = curve_charts.evidence(result)
    assert first.line.endswith(f"1000,{100 * (high - 1) / (high - low):.1f}")
    assert second.line.endswith("1000,0.0")
    assert (first.decided, second.decided, second.last) == (None, 2, 4e6)


def test_texts_of_figures() -> None:
    assert texts.p_value(0.04321) == "0.043"
    assert texts.p_value(1e-7) == "< 0.0001"
    assert texts.points(-0.0001) == "+0.0"
    assert texts.points(-0.123) == "-12.3"
    assert texts.interval(None, 1.0) == ""
    assert texts.interval(0.123, 0.456, 100, 0) == "12 to 46"


def test_tensorboard_holds_the_same_numbers(result: dict[str, Any], tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    write_scalars(result, tmp_path / "tensorboard")
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()

    def shown(tag: str) -> float:
        return events.Scalars(tag)[-1].value

    assert result["contrasts"]
    for pair in [*result["pairs"], *result["contrasts"]]:
        controlled = pair["baseline"] != result["baseline"]
        name = f"{pair['arm']}-{pair['baseline']}" if controlled else pair["arm"]
        for figure in ("p", "p_states", "p_adjusted", "posterior"):
            assert shown(f"{figure}/{name}") == pytest.approx(pair[figure], rel=1e-5)
        assert shown(f"difference_low/{name}") == pytest.approx(pair["difference"]["low"], rel=1e-5)
        assert shown(f"over_seeds_high/{name}") == pytest.approx(pair["over_seeds"]["high"], rel=1e-5)
    for arm in result["arms"]:
        success = arm["success"]
        assert shown(f"success/{arm['name']}") == pytest.approx(success["successes"] / success["trials"])
