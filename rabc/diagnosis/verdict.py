"""Whether to weight by a scorer's progress: thresholds on the figures of `rabc.diagnosis.controls`. Pure.

Not judged: static VOC. It has no scale, so a model whose static curve drifts by a hundredth of a nat may have
1; TOPReward's own model has 0.987 on real SO-100 data, and weighting by it helped in all six tasks there.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from rabc.diagnosis.controls import Diagnosis
from rabc.statistics.intervals import Estimate

Grade = Literal["use", "use with care", "do not weight"]
GRADES: tuple[Grade, ...] = ("use", "use with care", "do not weight")

MIN_EPISODES = 8
"""Fewer episodes, or fewer with controls, and every figure rests on chance: at best `use with care`."""
MIN_RISE_ERRORS = 3.0
"""The mean rise must be this many standard errors above 0. Noise passes once in 740 data sets."""
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


def judge(diagnosis: Diagnosis, length_bias: Literal["none", "subtract"] = "none") -> Verdict:
    """The verdict on weighting by these scores.

    length_bias: with `subtract` the static rise does no harm by itself; what remains of the rise must then be
    distinguishable from 0.
    """
    findings = tuple(_findings(diagnosis, length_bias))
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
    if min(found.successes, found.failures) >= MIN_LABELS:
        yield _auc(found.success_auc.value)


def _rise(what: str, rise: Estimate, reason: str) -> Finding:
    required = f">= {MIN_RISE_ERRORS:.0f}"
    if rise.count < 2:
        return Finding("use with care", what, "not defined", required, "too few episodes that should rise")
    ratio = errors(rise)
    grade: Grade = "use" if ratio >= MIN_RISE_ERRORS else "do not weight"
    return Finding(
        grade,
        what,
        f"{ratio:.1f}",
        required,
        "" if grade == "use" else f"{reason} ({ratio:.1f} standard errors)",
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
    helps = length_bias == "none" and errors(found.remaining_rise) >= MIN_RISE_ERRORS
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
