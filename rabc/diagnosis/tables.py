"""The diagnosis as rows of text, for the terminal and for the page. Pure."""

from collections.abc import Sequence

from rabc.diagnosis.calibrations import CalibrationRow
from rabc.diagnosis.controls import Diagnosis
from rabc.diagnosis.tasks import TaskDiagnosis
from rabc.diagnosis.verdict import Verdict
from rabc.statistics.intervals import Estimate
from rabc.system.terminal import table

CALIBRATION_HEADERS = (
    "calibration",
    "length bias",
    "failed end low",
    "final: success",
    "failure",
    "all",
    "regressing",
    "effective sample size",
)
STAGE_HEADER = "stage error"
TASK_HEADERS = (
    "task",
    "episodes",
    "with controls",
    "real rise, nats",
    "still / real",
    "gap / real",
    "ROC-AUC",
    "alone",
)
NO_INTERVAL = "-"
"""In place of an interval that the episodes do not support: too few, all alike, or told apart perfectly."""


def figure_rows(found: Diagnosis) -> list[tuple[str, str, str]]:
    """(figure, value, 95 % interval or what it rests on) of every figure."""
    spread = f"{found.final_low:.3f} to {found.final_high:.3f} (5-95 %)"
    rows = [
        _row("VOC", found.voc),
        _row("VOC, still picture (has no scale)", found.static_voc),
        _row("VOC, backwards", found.reversed_voc),
        _row("real rise, nats", found.real_rise),
        _row("still picture's rise, nats", found.static_rise),
        _row("still picture's rise / real rise", found.static_share, percent=True),
        _row("wrong-instruction gap, nats", found.wrong_instruction_gap),
        _row("wrong-instruction gap / real rise", found.gap_share, percent=True),
        _row("final score, nats", found.final_score),
        ("spread of final scores, nats", f"{found.final_spread:.3f}", spread),
        _row("episodes with usable signal", found.usable_share, percent=True),
    ]
    if found.successes and found.failures:
        rows.append(_row("ROC-AUC of final success", found.success_auc))
    return rows


def finding_rows(verdict: Verdict) -> list[tuple[str, str, str, str]]:
    """(what, measured, required, grade) of everything that was judged."""
    return [(item.what, item.measured, item.required, item.grade) for item in verdict.findings]


def task_rows(tasks: Sequence[TaskDiagnosis]) -> list[tuple[str, ...]]:
    """As many texts as TASK_HEADERS for each task."""
    return [
        (
            task.instruction,
            str(task.diagnosis.episodes),
            str(task.diagnosis.controlled),
            _value(task.diagnosis.real_rise),
            _value(task.diagnosis.static_share, percent=True),
            _value(task.diagnosis.gap_share, percent=True),
            _value(task.diagnosis.success_auc),
            "too few to say" if task.verdict is None else task.verdict.grade,
        )
        for task in tasks
    ]


def calibration_table(rows: Sequence[CalibrationRow]) -> tuple[list[str], list[list[str]]]:
    """Headers, and as many texts for each row; the stage error only where there are annotated stages."""
    headers: list[str] = [*CALIBRATION_HEADERS]
    cells = [_cells(row) for row in rows]
    if any(row.stage_error is not None for row in rows):
        headers.append(STAGE_HEADER)
        for row, texts in zip(rows, cells, strict=True):
            texts.append(_number(row.stage_error))
    return headers, cells


def _cells(row: CalibrationRow) -> list[str]:
    return [
        row.calibration,
        row.length_bias,
        _percent(row.failed_below),
        _number(row.final_success),
        _number(row.final_failure),
        _number(row.final),
        _percent(row.regressing),
        _percent(row.effective_sample_size),
    ]


def text(
    found: Diagnosis,
    verdict: Verdict,
    calibrations: Sequence[CalibrationRow],
    tasks: Sequence[TaskDiagnosis] = (),
    remarks: Sequence[str] = (),
) -> str:
    """Everything as tables for a terminal, the verdict last."""
    title = f"{found.episodes} episodes, {found.controlled} with controls"
    parts = [
        table(figure_rows(found), [title, "", "95 % interval"]),
        table(finding_rows(verdict), ["judged", "measured", "required", "verdict"]),
    ]
    if tasks:
        parts.append(table(task_rows(tasks), TASK_HEADERS))
    if calibrations:
        headers, cells = calibration_table(calibrations)
        parts.append(table(cells, headers))
    return "\n\n".join([*parts, *remarks, f"verdict: {verdict}"])


def _row(name: str, estimate: Estimate, percent: bool = False) -> tuple[str, str, str]:
    value = _value(estimate, percent)
    if estimate.value != estimate.value:
        return name, value, ""
    scale, unit, digits = _form(percent)
    interval = f"{scale * estimate.low:.{digits}f} to {scale * estimate.high:.{digits}f}{unit}"
    return name, value, interval if estimate.low == estimate.low else NO_INTERVAL


def _value(estimate: Estimate, percent: bool = False) -> str:
    if estimate.value != estimate.value:
        return "not defined"
    scale, unit, digits = _form(percent)
    return f"{scale * estimate.value:.{digits}f}{unit}"


def _form(percent: bool) -> tuple[float, str, int]:
    """Factor, unit and digits."""
    return (100.0, " %", 1) if percent else (1.0, "", 3)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.0f} %"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
