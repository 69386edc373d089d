"""Every threshold of the verdict from both sides, and every word of it, on made-up figures."""

import math
from dataclasses import replace
from typing import Any

import pytest

from rabc.diagnosis.controls import Diagnosis
from rabc.diagnosis.verdict import Finding, Verdict, errors, judge, required_errors
from rabc.statistics.intervals import Estimate


def figure(value: float, error: float = 0.1, count: int = 20) -> Estimate:
    return Estimate(value, value - 2 * error, value + 2 * error, error, count)


NOTHING = Estimate(math.nan, math.nan, math.nan, math.nan, 0)
GOOD = Diagnosis(
    episodes=20, controlled=20, voc=figure(0.9), static_voc=figure(0.1), reversed_voc=figure(-0.9),
    real_rise=figure(4), static_rise=figure(0.4), static_share=figure(0.1), remaining_rise=figure(3.6),
    wrong_instruction_gap=figure(3), gap_share=figure(0.75), final_score=figure(-0.1), final_spread=0.1,
    final_low=-0.3, final_high=-0.05, successes=10, failures=10, success_auc=figure(0.9), compared=10,
    usable_share=figure(1),
)  # fmt: skip


def of(what: str, found: Diagnosis, *more: Any) -> Finding:
    (finding,) = [finding for finding in judge(found, *more).findings if finding.what == what]
    return finding


def test_good_scores_are_used() -> None:
    verdict = judge(GOOD)
    assert verdict.grade == str(verdict) == "use"
    assert verdict.reasons == ""
    assert [(one.what, one.measured, one.required, one.reason) for one in verdict.findings] == [
        ("episodes with controls", "20", ">= 8", ""),
        ("real rise over its standard error", "40.0", ">= 3.4", ""),
        ("static rise / real rise", "10.0 %", "<= 25 %", ""),
        ("wrong-instruction gap / real rise", "75.0 %", ">= 25 %", ""),
        ("ROC-AUC of final success", "0.900", ">= 0.75", ""),
    ]
    assert {one.grade for one in verdict.findings} == {"use"}


def test_what_is_not_defined_is_not_judged() -> None:
    bare = replace(GOOD, static_share=NOTHING, gap_share=NOTHING, compared=4, success_auc=NOTHING)
    assert [one.what for one in judge(bare).findings] == [
        "episodes with controls", "real rise over its standard error",
    ]  # fmt: skip
    assert of("ROC-AUC of final success", replace(GOOD, compared=5)).measured == "0.900"


@pytest.mark.parametrize(("episodes", "controlled"), [(7, 9), (9, 7)])
def test_few_episodes(episodes: int, controlled: int) -> None:
    found = replace(GOOD, episodes=episodes, controlled=controlled)
    assert of("episodes with controls", found) == Finding(
        "use with care", "episodes with controls", "7", ">= 8",
        "only 7 episodes with controls, so that the figures are uncertain",
    )  # fmt: skip
    assert of("episodes with controls", replace(GOOD, controlled=8)).grade == "use"


def test_what_noise_needs() -> None:
    # Student's quantiles of 1 - 1 / 740 with 7 and 31 degrees of freedom, and of the normal distribution.
    assert required_errors(8) == pytest.approx(4.53, abs=0.005)
    assert required_errors(32) == pytest.approx(3.26, abs=0.005)
    assert required_errors(10**6) == pytest.approx(3.0, abs=0.001)
    # With one degree of freedom it is Cauchy's: cot(pi / 740).
    assert required_errors(2) == pytest.approx(1 / math.tan(math.pi / 740))


def test_standard_errors_above_0() -> None:
    assert errors(figure(3, 0.5)) == 6
    assert errors(figure(3, 2)) == 1.5
    assert (errors(figure(1, 0)), errors(figure(0, 0)), errors(figure(-1, 0))) == (math.inf, 0, 0)


@pytest.mark.parametrize(
    ("what", "name", "more", "reason"),
    [
        ("real rise over its standard error", "real_rise", (), "the score does not rise over an episode"),
        (
            "rise without the still picture's, over its standard error", "remaining_rise", ("subtract",),
            "nothing of the rise remains when the still picture's is subtracted",
        ),
    ],
)  # fmt: skip
def test_a_rise_that_noise_might_give(what: str, name: str, more: tuple[Any, ...], reason: str) -> None:
    least = required_errors(20)
    for ratio, grade in ((least, "use"), (0.999 * least, "do not weight")):
        finding = of(what, replace(GOOD, **{name: figure(ratio, 1)}), *more)
        assert finding.grade == grade
        assert finding.measured == f"{ratio:.1f}"
    assert finding.required == ">= 3.4"
    assert finding.reason == f"{reason} (3.4 standard errors; 20 episodes need 3.4)"
    single = of(what, replace(GOOD, **{name: figure(1, 0.1, 1)}), *more)
    assert single == Finding("use with care", what, "not defined", "-", "too few episodes that should rise")
    assert of(what, replace(GOOD, **{name: figure(300, 1, 2)}), *more).grade == "use"
    if more:
        assert what not in [one.what for one in judge(GOOD).findings]


@pytest.mark.parametrize(
    ("share", "length_bias", "grade"),
    [
        (0.25, "none", "use"), (0.2501, "none", "use with care"), (0.5, "none", "use with care"),
        (0.5001, "none", "do not weight"), (0.25, "subtract", "use"), (0.9, "subtract", "use with care"),
    ],
)  # fmt: skip
def test_what_the_still_picture_rises_by(share: float, length_bias: Any, grade: str) -> None:
    finding = of("static rise / real rise", replace(GOOD, static_share=figure(share)), length_bias)
    assert (finding.grade, finding.required) == (grade, "<= 25 %")
    assert finding.measured == f"{100 * share:.1f} %"
    remedy = " (weights.length_bias subtract removes it)" if length_bias == "none" else ""
    said = f"a still picture gives {100 * share:.0f} % of the rise{remedy}"
    assert finding.reason == ("" if grade == "use" else said)


def test_a_remedy_is_named_only_where_it_helps() -> None:
    least = required_errors(20)
    for remaining, helps in (
        (figure(least, 1), True), (figure(0.999 * least, 1), False), (figure(300, 1, 1), False),
        (figure(300, 1, 2), True), (figure(200, 1, 2), False),
    ):  # fmt: skip
        found = replace(GOOD, static_share=figure(0.3), remaining_rise=remaining)
        assert ("removes it" in of("static rise / real rise", found).reason) == helps


@pytest.mark.parametrize(
    ("gap", "grade", "reason"),
    [
        (0.25, "use", ""),
        (0.249, "use with care", "a wrong instruction lowers the final score by only 25 % of the rise"),
        (0.244, "use with care", "a wrong instruction lowers the final score by only 24 % of the rise"),
        (0.1, "use with care", "a wrong instruction lowers the final score by only 10 % of the rise"),
        (0.099, "do not weight", "a wrong instruction lowers the final score by only 10 % of the rise"),
        (0.0, "do not weight", "a wrong instruction lowers the final score by only 0 % of the rise"),
        (-0.01, "do not weight", "a wrong instruction ends higher than the right one"),
    ],
)
def test_what_a_wrong_instruction_takes_away(gap: float, grade: str, reason: str) -> None:
    finding = of("wrong-instruction gap / real rise", replace(GOOD, gap_share=figure(gap)))
    assert (finding.grade, finding.reason) == (grade, reason)
    assert (finding.measured, finding.required) == (f"{100 * gap:.1f} %", ">= 25 %")


@pytest.mark.parametrize(
    ("auc", "grade"),
    [(0.75, "use"), (0.7499, "use with care"), (0.6, "use with care"), (0.5999, "do not weight")],
)
def test_failures_that_score_like_successes(auc: float, grade: str) -> None:
    finding = of("ROC-AUC of final success", replace(GOOD, success_auc=figure(auc)))
    assert (finding.grade, finding.measured, finding.required) == (grade, f"{auc:.3f}", ">= 0.75")
    said = f"failed episodes score like successful ones (AUC {auc:.2f})"
    assert finding.reason == ("" if grade == "use" else said)


def test_the_worst_finding_is_the_verdict_and_says_why() -> None:
    care = replace(GOOD, gap_share=figure(0.2), success_auc=figure(0.7))
    assert str(judge(care)) == (
        "use with care: a wrong instruction lowers the final score by only 20 % of the rise; failed episodes "
        "score like successful ones (AUC 0.70)"
    )
    # What is less bad is not said beside what is worse.
    refused = replace(care, static_share=figure(0.8))
    assert str(judge(refused)) == (
        "do not weight: a still picture gives 80 % of the rise (weights.length_bias subtract removes it)"
    )
    assert judge(refused, "subtract").grade == "use with care"
    assert str(Verdict("use with care", (Finding("use with care", "a", "b", "c", ""),))) == "use with care"


def test_tasks_that_were_judged_alone() -> None:
    good = judge(GOOD)
    bad = judge(replace(GOOD, static_share=figure(0.8), remaining_rise=figure(0)))
    why = "do not weight: a still picture gives 80 % of the rise"
    cases: list[tuple[dict[str, Verdict], str, str]] = [
        ({"a": good, "b": good}, "use", ""),
        ({"a": good, "b": bad}, "use with care", f"task 'b' alone: {why}"),
        ({"a": bad, "b": bad}, "do not weight", f"task 'a' alone: {why}; task 'b' alone: {why}"),
        (
            {"x": good, **dict.fromkeys("abc", bad)}, "use with care",
            "; ".join(f"task '{name}' alone: {why}" for name in "abc"),
        ),
        (
            {"x": good, **dict.fromkeys("abcde", bad)}, "use with care",
            "; ".join(f"task '{name}' alone: {why}" for name in "abc") + "; and 2 tasks more",
        ),
    ]  # fmt: skip
    for tasks, grade, reason in cases:
        refused = sum(verdict is bad for verdict in tasks.values())
        assert of("tasks refused alone", GOOD, "none", tasks) == Finding(
            grade,  # pyright: ignore[reportArgumentType]
            "tasks refused alone", f"{refused} of {len(tasks)}", "0", reason,
        )  # fmt: skip
    assert judge(GOOD, "none", {}) == judge(GOOD)
