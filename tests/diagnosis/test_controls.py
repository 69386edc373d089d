"""The figures of a diagnosis, the thresholds of the verdict, and the page, on made-up curves."""

from dataclasses import replace
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.diagnosis import page as diagnosis_page
from rabc.diagnosis.calibrations import compare, failed_below
from rabc.diagnosis.controls import EpisodeCurves, diagnose, usable
from rabc.diagnosis.page import PageFacts, filmstrip, render, shown_episodes, strip_frames
from rabc.diagnosis.review import review
from rabc.diagnosis.tables import text
from rabc.diagnosis.verdict import GRADES, MIN_LABELS, judge
from rabc.scoring.base import PrefixScores
from rabc.scoring.store import EpisodeScores

K = 15
RAMP = np.linspace(-4, -0.1, K)
FLAT = np.full(K, -4.0)


def scores(curve: NDArray[np.float64]) -> PrefixScores:
    return PrefixScores(5 * np.arange(1, K + 1), curve, np.log1p(-np.exp(np.minimum(curve, -1e-3))))


def episode(number: int, seed: int = 0, success: bool | None = None, **changes: Any) -> EpisodeCurves:
    """A good episode, or a failed one, with a little noise; `changes` are curves."""
    rng = np.random.default_rng([seed, number])
    jitter = lambda curve: curve + rng.normal(0, 0.02, K)  # noqa: E731
    given = {
        "real": FLAT + 0.1 if success is False else RAMP,
        "static": FLAT,
        "reversed": RAMP[::-1],
        "wrong_instruction": FLAT,
        **changes,
    }
    curves = {name: scores(jitter(curve)) for name, curve in given.items() if curve is not None}
    real = curves.pop("real")
    return EpisodeCurves(number, 5 * K, "Pick up the red cube.", real, curves, success)


def dataset(count: int = 20, **changes: Any) -> list[EpisodeCurves]:
    return [episode(number, **changes) for number in range(count)]


def labelled(successes: int = 10, failures: int = 6) -> list[EpisodeCurves]:
    return [episode(number, success=number < successes) for number in range(successes + failures)]


def test_figures_of_good_scores() -> None:
    found = diagnose(labelled())
    assert found.episodes == found.controlled == 16
    assert found.static_share.value == pytest.approx(0, abs=0.02)
    assert found.success_auc.value == 1
    assert (found.successes, found.failures) == (10, 6)
    assert found.reversed_voc.value < -0.9
    assert found.gap_share.value == pytest.approx(1, abs=0.05)
    assert found.final_low < found.final_score.value < found.final_high
    assert found.real_rise.low < found.real_rise.value < found.real_rise.high
    assert judge(found).grade == "use"


def test_failures_change_no_figure_of_what_should_rise() -> None:
    """Nor does a label: an episode without one is taken for a good one."""
    without, failed = diagnose(labelled(10, 0)), diagnose(labelled(10, 6))
    unlabelled = diagnose([replace(item, success=None) for item in labelled(10, 0)])
    for name in (
        "real_rise", "static_rise", "static_share", "remaining_rise", "wrong_instruction_gap", "gap_share"
    ):  # fmt: skip
        figures = [getattr(found, name) for found in (without, failed, unlabelled)]
        assert figures[0] == figures[1] == figures[2], name
        assert figures[0].count == 10
    assert failed.final_score.count == failed.voc.count == 16  # these are of all


def test_figures_that_are_not_defined_are_nan() -> None:
    found = diagnose([replace(episode(0), controls={})])
    assert np.isnan([found.static_share.value, found.success_auc.value, found.final_spread]).all()
    assert found.controlled == 0
    assert judge(found).grade == "use with care"
    with pytest.raises(ValueError, match="no episodes"):
        diagnose([])


@pytest.mark.parametrize(
    ("share", "length_bias", "grade"),
    [
        (0.2, "none", "use"),
        (0.3, "none", "use with care"),
        (0.7, "none", "do not weight"),
        (0.7, "subtract", "use with care"),
        (1.0, "subtract", "do not weight"),
    ],
)
def test_the_still_pictures_rise(share: float, length_bias: Any, grade: str) -> None:
    verdict = judge(diagnose(dataset(static=-4 + share * (RAMP + 4))), length_bias)
    assert verdict.grade == grade
    if grade != "use":
        assert "still picture" in verdict.reasons


@pytest.mark.parametrize(
    ("gap", "grade"),
    [(0.5, "use"), (0.15, "use with care"), (0.05, "do not weight"), (-0.5, "do not weight")],
)
def test_the_wrong_instructions_gap(gap: float, grade: str) -> None:
    verdict = judge(diagnose(dataset(wrong_instruction=RAMP - gap * 3.6)))
    assert verdict.grade == grade
    if grade != "use":
        assert "wrong instruction" in verdict.reasons


def test_scores_that_do_not_rise() -> None:
    verdict = judge(diagnose(dataset(real=FLAT, reversed=FLAT)))
    assert verdict.grade == "do not weight"
    assert "does not rise" in verdict.reasons
    few = judge(diagnose(dataset(real=FLAT, reversed=FLAT)[:2]))
    assert "standard errors; 2 episodes need 235.5)" in few.reasons


@pytest.mark.parametrize("seed", range(10))
def test_noise_is_refused(seed: int) -> None:
    rng = np.random.default_rng(seed)
    noise = lambda: scores(rng.normal(-2, 1, K))  # noqa: E731
    names = ("static", "reversed", "wrong_instruction")
    episodes = [
        EpisodeCurves(i, 75, "x", noise(), {name: noise() for name in names}, None) for i in range(32)
    ]
    found = diagnose(episodes)
    assert judge(found).grade == "do not weight"
    assert found.usable_share.value < 0.2


def test_static_voc_is_not_judged() -> None:
    """The drift of a still picture in perfect order, but a hundredth of a nat in size, refuses nobody."""
    found = diagnose(
        [
            replace(item, controls={**item.controls, "static": scores(np.linspace(-4, -3.99, K))})
            for item in dataset()
        ]
    )
    assert found.static_voc.value == pytest.approx(1)
    assert judge(found).grade == "use"


def test_failures_that_score_like_successes() -> None:
    alike = [replace(episode(number), success=number % 2 == 0) for number in range(20)]
    verdict = judge(diagnose(alike))
    assert verdict.grade != "use"
    assert "failed episodes score like successful ones" in verdict.reasons
    few = [replace(item, success=item.episode_index >= MIN_LABELS - 1) for item in alike]
    assert judge(diagnose(few)).grade == "use"


def test_few_episodes_are_never_more_than_care() -> None:
    verdict = judge(diagnose(dataset(5)))
    assert verdict.grade == "use with care"
    assert "only 5 episodes" in str(verdict)


def test_usable_curves() -> None:
    assert usable(episode(0), 4.0)
    assert not usable(episode(0, real=FLAT), 4.0)
    assert not usable(episode(0, static=RAMP), 4.0)
    assert not usable(episode(0, real=np.tile([-4.0, -1.0], K)[:K]), 4.0)
    failed = np.r_[np.linspace(-4, -2, 8), np.linspace(-2, -4, 7)]
    assert usable(episode(0, real=failed), 4.0)


def test_calibrations_are_compared_on_the_same_episodes() -> None:
    items = labelled()
    real = {item.episode_index: EpisodeScores(item.episode_index, item.length, item.real) for item in items}
    static = {
        item.episode_index: EpisodeScores(item.episode_index, item.length, item.controls["static"])
        for item in items[::2]
    }
    rows = compare(Config(), real, static, {item.episode_index: bool(item.success) for item in items}, 10)
    assert len(rows) == 6
    by_dataset = next(row for row in rows if (row.calibration, row.length_bias) == ("dataset", "none"))
    assert by_dataset.failed_below == 1
    assert by_dataset.final_success is not None
    assert by_dataset.final_failure is not None
    assert by_dataset.final_success > 0.9 > 0.2 > by_dataset.final_failure
    without = compare(Config(), real, static, {}, 10)
    assert all(row.failed_below is None and row.final_success is None for row in without)
    final, success = np.array([0.1, 0.9, 0.8, 0.0]), np.array([False, True, True, False])
    assert failed_below(final, success, np.zeros(4, int)) == 1
    # Of two tasks, each with its own bound; the second has no success to be below.
    assert failed_below(final, success, np.array([0, 0, 0, 1])) == 1
    assert (
        failed_below(np.tile(final, 2) + np.repeat([0, 1], 4), np.tile(success, 2), np.repeat([0, 1], 4)) == 1
    )


def test_review_says_what_contradicts_the_label() -> None:
    items = [*labelled(), replace(episode(16), success=False), replace(episode(17, real=FLAT), success=True)]
    last = {item.episode_index: item for item in review(items)}
    assert last[16].reasons[0] == "labelled a failure, ends high"
    assert last[17].reasons[0] == "labelled a success, ends low"
    assert last[0].reasons == ()
    assert {item.episode_index for item in sorted(last.values(), key=lambda r: -r.suspicion)[:2]} == {16, 17}


class Page(HTMLParser):
    """Collects tags; refuses what does not close as it opened."""

    VOID = ("meta", "link", "input", "img", "br")

    def __init__(self, content: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.feed(content)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def page_of(items: list[EpisodeCurves], title: str = "scores") -> str:
    found = diagnose(items)
    rng = np.random.default_rng(0)
    strips = {
        items[position].episode_index: filmstrip(rng.integers(0, 255, (8, 48, 64, 3), dtype=np.uint8))
        for position in shown_episodes(items)
    }
    return render(PageFacts(title, {"dataset": "d"}, found, judge(found), []), items, 10.0, strips)


def test_page_is_whole_and_self_contained() -> None:
    nasty = replace(episode(99), instruction='<script>alert("x")</script>')
    content = page_of([*labelled(), nasty], title="a < b")
    page = Page(content)
    assert page.open == []
    assert "http:" not in content
    assert "https:" not in content
    assert "<script>alert" not in content
    for tag, attributes in page.tags:
        for name in ("src", "href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert "url(" not in content
    assert "prefers-color-scheme: dark" in content


def test_page_has_what_sorting_and_search_need() -> None:
    items = labelled()
    page = Page(page_of(items))
    cards = [attributes for tag, attributes in page.tags if tag == "article"]
    assert {int(card["data-episode"] or -1) for card in cards} == set(range(16))
    for name in ("suspicion", "final", "voc", "rise"):
        assert all(np.isfinite(float(card[f"data-{name}"] or "nan")) for card in cards)
    assert all("pick up the red cube." in (card["data-text"] or "") for card in cards)
    assert sum("failure" in (card["data-text"] or "") for card in cards) == 6
    assert [tag for tag, _ in page.tags].count("polyline") == 4 * 16
    best = max(review(items), key=lambda item: item.final).episode_index
    first = [int(card["data-episode"] or -1) for card in cards[: 3 * diagnosis_page.HIGHLIGHTS]]
    assert best in first


def test_page_of_very_many_episodes_shows_the_telling_ones() -> None:
    items = labelled(350, 50)
    shown = shown_episodes(items)
    assert len(shown) == len(set(shown)) == diagnosis_page.MAX_EPISODES
    final = [item.final for item in review(items)]
    assert int(np.argmax(final)) in shown
    assert int(np.argmin(final)) in shown


@pytest.mark.parametrize("length", [1, 2, 7, 8, 500])
def test_filmstrip_frames_are_in_the_episode(length: int) -> None:
    frames = strip_frames(length)
    assert np.all(np.diff(frames) > 0)
    assert 0 <= frames[0] <= frames[-1] < length


def test_tables_for_the_terminal() -> None:
    found = diagnose(labelled())
    shown = text(found, judge(found), [])
    assert "verdict: use" in shown
    assert "ROC-AUC" in shown
    assert [GRADES.index(grade) for grade in ("use", "use with care", "do not weight")] == [0, 1, 2]
