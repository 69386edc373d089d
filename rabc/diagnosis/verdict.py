"""Whether to weight by a scorer's progress: thresholds on the figures of `rabc.diagnosis.controls`. Pure.

Not judged: static VOC. It has no scale, so a model whose static curve drifts by a hundredth of a nat may have
1; TOPReward's own model has 0.987 on real SO-100 data, and weighting by it helped in all six tasks there.

A dataset of several tasks is judged by its pooled figures, and each task that has enough episodes with
controls also alone (`rabc.diagnosis.tasks`). A task that is refused alone is named and takes the verdict to
`use with care`: the scorer may judge the others well. Where all are refused, the dataset is.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

from scipy.stats import t as student

from rabc.diagnosis.controls import Diagnosis
from rabc.statistics.intervals import Estimate

Grade = Literal["use", "use with care", "do not weight"]
GRADES: tuple[Grade, ...] = ("use", "use with care", "do not weight")

MIN_EPISODES = 8
"""Fewer episodes, or fewer with controls, and every figure rests on chance: at best `use with care`."""
MAX_NOISE_PASSING = 1 / 740
"""Share of data sets of pure noise whose mean rise passes for one: three standard errors where episodes are
many, more where they are few (`required_errors`), so that it is the same for eight and for a thousand."""
MAX_STATIC_SHARE = 0.25
"""Above it more than a quarter of what looks like progress is the length of the clip: `use with care`."""
REFUSED_STATIC_SHARE = 0.5
"""Above it most of the rise comes without anything moving, so weights would mostly follow the clock."""
MIN_GAP_SHARE = 0.25
"""Below it the instruction decides less than a quarter of what a whole task is worth: `use with care`."""
REFUSED_GAP_SHARE = 0.1
"""Below it the score is nearly the same whatever is asked, so it does not judge this task."""
MIN_AUC = 0.75
"""Halfway between the paper's two models (0.654 and 0.826); below it failures often look like successes."""
REFUSED_AUC = 0.6
"""Clearly below the weaker of these, near the 0.5 of chance."""
NAMED = 3
"""Refused tasks that the verdict names."""
MIN_LABELS = 5
"""The AUC is judged from this many successes and as many failures on; fewer pairs say nothing."""


@dataclass(frozen=True)
class Finding:
    """One thing that was judged."""

    grade: Grade
    what: str
    """The figure, in words."""
    measured: str
    required: str
    """For `use`."""
    reason: str
    """What it means, where it is not `use`; else empty."""


@dataclass(frozen=True)
class Verdict:
    """The worst of all findings."""

    grade: Grade
    findings: tuple[Finding, ...]

    @property
    def reasons(self) -> str:
        """Why it is not better, in one line; empty for `use`."""
        return "; ".join(
            finding.reason for finding in self.findings if finding.grade == self.grade and finding.reason
        )

    def __str__(self) -> str:
        return self.grade + (f": {self.reasons}" if self.reasons else "")


def judge(
    diagnosis: Diagnosis,
    length_bias: Literal["none", "subtract"] = "none",
    tasks: Mapping[str, Verdict] | None = None,
) -> Verdict:
    """The verdict on weighting by these scores.

    Args:
        diagnosis: of all episodes.
        length_bias: with `subtract` the static rise does no harm by itself; what remains of the rise must
            then be distinguishable from 0.
        tasks: instruction -> verdict of each task that was judged alone, where there are several.
    """
    findings = (*_findings(diagnosis, length_bias), *([_tasks(tasks)] if tasks else []))
    return Verdict(GRADES[max(GRADES.index(finding.grade) for finding in findings)], findings)


def _findings(found: Diagnosis, length_bias: str) -> Iterator[Finding]:
    count = min(found.episodes, found.controlled)
    few = count < MIN_EPISODES
    grade: Grade = "use with care" if few else "use"
    yield Finding(
        grade,
        "episodes with controls",
        str(count),
        f">= {MIN_EPISODES}",
        "" if not few else f"only {count} episodes with controls, so that the figures are uncertain",
    )
    yield _rise(
        "real rise over its standard error", found.real_rise, "the score does not rise over an episode"
    )
    if length_bias == "subtract":
        yield _rise(
            "rise without the still picture's, over its standard error",
            found.remaining_rise,
            "nothing of the rise remains when the still picture's is subtracted",
        )
    if found.static_share.value == found.static_share.value:
        yield _static(found, length_bias)
    if found.gap_share.value == found.gap_share.value:
        yield _gap(found.gap_share.value)
    if found.compared >= MIN_LABELS:
        yield _auc(found.success_auc.value)


def required_errors(count: int) -> float:
    """Standard errors above 0 that a mean of `count` >= 2 episodes must have not to pass for noise.

    By Student's distribution: 4.5 with eight episodes, 3.3 with 32. That of many, 3, would let noise of eight
    pass once in about 100 data sets.
    """
    return float(student.isf(MAX_NOISE_PASSING, count - 1))


def _rise(what: str, rise: Estimate, reason: str) -> Finding:
    if rise.count < 2:
        return Finding("use with care", what, "not defined", "-", "too few episodes that should rise")
    ratio, required = errors(rise), required_errors(rise.count)
    grade: Grade = "use" if ratio >= required else "do not weight"
    return Finding(
        grade,
        what,
        f"{ratio:.1f}",
        f">= {required:.1f}",
        ""
        if grade == "use"
        else f"{reason} ({ratio:.1f} standard errors; {rise.count} episodes need {required:.1f})",
    )


def errors(estimate: Estimate) -> float:
    """How many standard errors an estimate is above 0."""
    if estimate.standard_error > 0:
        return estimate.value / estimate.standard_error
    return float("inf") if estimate.value > 0 else 0.0


def _static(found: Diagnosis, length_bias: str) -> Finding:
    share = found.static_share.value
    grade: Grade = "use"
    if share > MAX_STATIC_SHARE:
        # What is subtracted is no longer there; that it is so much still calls for care.
        refused = share > REFUSED_STATIC_SHARE and length_bias == "none"
        grade = "do not weight" if refused else "use with care"
    remaining = found.remaining_rise
    helps = (
        length_bias == "none"
        and remaining.count > 1
        and errors(remaining) >= required_errors(remaining.count)
    )
    remedy = " (weights.length_bias subtract removes it)" if helps else ""
    return Finding(
        grade,
        "static rise / real rise",
        f"{100 * share:.1f} %",
        f"<= {100 * MAX_STATIC_SHARE:.0f} %",
        "" if grade == "use" else f"a still picture gives {100 * share:.0f} % of the rise{remedy}",
    )


def _gap(share: float) -> Finding:
    grade: Grade = "use"
    if share < MIN_GAP_SHARE:
        grade = "do not weight" if share < REFUSED_GAP_SHARE else "use with care"
    reason = (
        f"a wrong instruction lowers the final score by only {100 * share:.0f} % of the rise"
        if share >= 0
        else "a wrong instruction ends higher than the right one"
    )
    return Finding(
        grade,
        "wrong-instruction gap / real rise",
        f"{100 * share:.1f} %",
        f">= {100 * MIN_GAP_SHARE:.0f} %",
        "" if grade == "use" else reason,
    )


def _auc(auc: float) -> Finding:
    grade: Grade = "use"
    if auc < MIN_AUC:
        grade = "do not weight" if auc < REFUSED_AUC else "use with care"
    return Finding(
        grade,
        "ROC-AUC of final success",
        f"{auc:.3f}",
        f">= {MIN_AUC}",
        "" if grade == "use" else f"failed episodes score like successful ones (AUC {auc:.2f})",
    )


def _tasks(tasks: Mapping[str, Verdict]) -> Finding:
    refused = {text: verdict for text, verdict in tasks.items() if verdict.grade == "do not weight"}
    named = "; ".join(f"task {text!r} alone: {verdict}" for text, verdict in list(refused.items())[:NAMED])
    more = f"; and {len(refused) - NAMED} tasks more" if len(refused) > NAMED else ""
    grade: Grade = "use with care" if refused else "use"
    return Finding(
        "do not weight" if len(refused) == len(tasks) else grade,
        "tasks refused alone",
        f"{len(refused)} of {len(tasks)}",
        "0",
        named + more,
    )
