"""Several tasks in one dataset: what compares episodes stays within a task, and wordings are no tasks."""

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.diagnosis.controls import EpisodeCurves, diagnose
from rabc.diagnosis.review import review
from rabc.diagnosis.tables import text
from rabc.diagnosis.tasks import judge_curves
from rabc.diagnosis.verdict import MIN_EPISODES, required_errors
from rabc.scoring.base import PrefixScores

K = 15
RAMP = np.linspace(-4, -0.1, K)
FLAT = np.full(K, -4.0)


def scores(curve: NDArray[np.float64]) -> PrefixScores:
    return PrefixScores(5 * np.arange(1, K + 1), curve, np.log1p(-np.exp(np.minimum(curve, -1e-3))))


def episode(number: int, task: str, success: bool | None = None, level: float = 0.0) -> EpisodeCurves:
    """A good or failed episode of a task whose scores lie `level` nats lower."""
    rng = np.random.default_rng(number)
    real = FLAT + 0.1 if success is False else RAMP
    shown = {"real": real, "static": FLAT, "reversed": RAMP[::-1], "wrong_instruction": FLAT}
    curves = {name: scores(curve - level + rng.normal(0, 0.02, K)) for name, curve in shown.items()}
    return EpisodeCurves(number, 5 * K, task, curves.pop("real"), curves, success)


def labelled(task: str, first: int = 0, level: float = 0.0) -> list[EpisodeCurves]:
    return [episode(first + i, task, success=i % 2 == 0, level=level) for i in range(12)]


def test_scores_of_one_task_say_nothing_about_the_success_of_another() -> None:
    """Both are told apart without an error; the failures of one end above the successes of the other."""
    tasks = [*labelled("Fold the towel."), *labelled("Plug in the cable.", 12, level=6.0)]
    found, verdict, alone = judge_curves(tasks)
    assert found.success_auc.value == 1
    assert np.isnan(found.success_auc.low)
    assert found.compared == 12
    assert verdict.grade == "use"
    assert found.final_spread == pytest.approx(diagnose(tasks[:12]).final_spread, rel=0.1)
    assert [task.instruction for task in alone] == ["Fold the towel.", "Plug in the cable."]
    assert [task.verdict.grade for task in alone if task.verdict] == ["use", "use"]


def test_where_no_task_has_both_labels_nothing_is_compared() -> None:
    """All of one task failed, all of the other succeeded, all look alike: nothing is held against that."""
    tasks = [replace(episode(i, "Fold." if i < 12 else "Plug in."), success=i < 12) for i in range(24)]
    found, verdict, _ = judge_curves(tasks)
    assert np.isnan(found.success_auc.value)
    assert (found.successes, found.failures, found.compared) == (12, 12, 0)
    assert verdict.grade == "use"


def test_curves_are_flat_beside_those_of_their_own_task() -> None:
    """A task whose whole rise is 0.3 nats, beside one of 4."""
    small = [
        replace(
            item,
            real=scores(item.real.log_prob_true / 13),
            controls={name: scores(np.full(K, -0.3)) for name in item.controls},
        )
        for item in (episode(i, "Press the button.") for i in range(10))
    ]
    found = diagnose([*small, *(episode(10 + i, "Fold the towel.") for i in range(10))])
    assert found.usable_share.value == 1
    assert found.usable_share.low < 0.9  # of twenty episodes


WORDINGS = (
    "Pick up the red cube",
    "pick up the red cube.",
    "Pick up  the red cube. ",
    "PICK UP THE RED CUBE!",
)


def test_wordings_that_differ_in_a_full_stop_are_one_task() -> None:
    plain = [episode(i, WORDINGS[0], success=i % 3 > 0) for i in range(20)]
    mixed = [replace(item, instruction=WORDINGS[i % 4]) for i, item in enumerate(plain)]
    assert str(judge_curves(mixed)) == str(judge_curves(plain))  # NaN equals no NaN, but for its text
    assert judge_curves(mixed)[2] == []
    assert review(mixed) == review(plain)


def test_a_refused_task_is_named_and_a_small_one_is_not_judged() -> None:
    good = [episode(i, "Fold the towel.") for i in range(30)]
    flat = [
        replace(item, real=item.controls["static"], instruction="Plug in the cable.")
        for item in (episode(30 + i, "") for i in range(MIN_EPISODES))
    ]
    few = [replace(item, instruction="Close the box.") for item in flat[:3]]
    found, verdict, tasks = judge_curves([*good, *flat, *few])
    assert verdict.grade == "use with care"
    assert "task 'Plug in the cable.' alone: do not weight: the score does not rise" in verdict.reasons
    assert [None if task.verdict is None else task.verdict.grade for task in tasks] == [
        "use", "do not weight", None
    ]  # fmt: skip
    shown = text(found, verdict, [], tasks)
    assert "Close the box." in shown
    assert "too few to say" in shown
    assert (
        judge_curves([*flat, *(replace(item, instruction="Open it.") for item in flat)])[1].grade
        == "do not weight"
    )


def test_the_best_episode_is_one_of_its_own_task() -> None:
    items = [*labelled("Fold the towel."), *labelled("Plug in the cable.", 12, level=6.0)]
    seen = review(items)
    places = {
        kind: [r.place for r, e in zip(seen, items, strict=True) if e.success is kind]
        for kind in (True, False)
    }
    assert min(places[True]) > max(places[False])
    assert not any(r.reasons for r in seen)


@pytest.mark.parametrize("count", [2, 4, 8, 32])
def test_noise_passes_for_a_rise_as_often_as_it_says(count: int) -> None:
    """Once in 740 data sets, whatever their size; against three standard errors once in 100 of eight."""
    draws = np.random.default_rng(count).normal(0, 1, (200_000, count))
    ratios = draws.mean(axis=1) / (draws.std(axis=1, ddof=1) / np.sqrt(count))
    passed = int((ratios >= required_errors(count)).sum())
    assert 270 - 4 * 270**0.5 < passed < 270 + 4 * 270**0.5
    if count == 8:
        assert 1800 < int((ratios >= 3).sum()) < 2200
