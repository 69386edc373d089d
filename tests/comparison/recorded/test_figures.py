"""Figures and words of a comparison of recorded rollouts, from made-up rollouts."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabc.comparison.recorded.figures import Rollouts, agreement, auc, compare_rollouts, predictions
from rabc.comparison.recorded.text import answer, notes, tables
from rabc.statistics.significance import holm


def rollouts(
    name: str, successes: int, total: int, labelled: int | None = None, spread: float = 0.1
) -> Rollouts:
    """A scorer that knows: scores of -1 nat and above are successes."""
    rng = np.random.default_rng(total + successes)
    success = rng.permutation(np.arange(total) < successes)
    scores = np.where(success, -0.5, -4.0) + spread * rng.normal(size=total)
    known = total if labelled is None else labelled
    return Rollouts(
        name,
        np.linspace(4, 8, total),
        scores,
        np.where(success, 2.0, -2.0),
        tuple(bool(one) if episode < known else None for episode, one in enumerate(success)),
    )


def written(recorded: list[Rollouts], fps: tuple[int, ...] = ()) -> dict[str, Any]:
    result = compare_rollouts(recorded)
    for number, one in enumerate(result["datasets"]):
        one.update(fps=fps[number] if fps else 10, labels="" if one["judged"] == "none" else "column success")
    to_label = {one.name: Path(f"{one.name}.csv") for one in recorded if one.judged == "none"}
    result["notes"] = notes(result, to_label)
    return {**result, "answer": answer(result)}


def test_every_dataset_is_compared_with_the_first() -> None:
    result = written(
        [rollouts("bc", 10, 30), rollouts("a", 22, 30), rollouts("b", 12, 30), rollouts("c", 1, 30)]
    )
    pairs = result["pairs"]
    assert [(pair["name"], pair["baseline"]) for pair in pairs] == [("a", "bc"), ("b", "bc"), ("c", "bc")]
    assert [pair["p_adjusted"] for pair in pairs] == holm([pair["p"] for pair in pairs])
    assert pairs[0]["p_adjusted"] > pairs[0]["p"]
    first, second, third = result["answer"].split(". ")[0], result["answer"], result["answer"]
    assert first.startswith("a succeeds more often than bc: a 22/30 = 73 % (95 % interval 56 to 86)")
    assert "b is not shown to differ from bc" in second
    assert f"About {pairs[1]['needed']} rollouts of each would show a difference of this size" in second
    assert "c succeeds less often than bc" in third
    assert tables(result).count("\n") > 8


def test_how_two_are_compared_follows_from_the_labels() -> None:
    every, some, none = rollouts("every", 20, 30), rollouts("some", 10, 30, 10), rollouts("none", 5, 30, 0)
    kinds = {
        (one.judged, other.judged): compare_rollouts([one, other])["pairs"][0]
        for one in (every, some, none)
        for other in (every, some, none)
    }
    assert {judged: pair["quantity"] for judged, pair in kinds.items() if "none" in judged} == dict.fromkeys(
        [("all", "none"), ("some", "none"), ("none", "all"), ("none", "some"), ("none", "none")], "score"
    )
    assert "Fisher" in kinds["all", "all"]["method"]
    assert all("prediction" in kinds[judged]["method"] for judged in (("all", "some"), ("some", "all")))
    assert kinds["all", "some"]["difference"]["value"] == pytest.approx(
        -kinds["some", "all"]["difference"]["value"]
    )
    assert kinds["some", "some"]["p"] == 1.0


def test_predictions_share_one_scale() -> None:
    one, other = rollouts("a", 25, 30), rollouts("b", 5, 30)
    first, second = predictions([one, other])
    both, scores = np.concatenate([first, second]), np.concatenate([one.scores, other.scores])
    assert both.min() == 0
    assert both.max() == 1
    assert (np.diff(both[np.argsort(scores)]) >= 0).all()
    assert first.mean() > 0.7 > 0.3 > second.mean()


def test_scores_that_say_nothing() -> None:
    """Constant ones have no interval and no p-value; the other pair is corrected all the same."""
    flat = [rollouts(name, 0, 6, 0, spread=0.0) for name in ("bc", "a")]
    result = written([*flat, rollouts("b", 3, 6, 0)])
    one, other = result["pairs"]
    assert one["difference"] == {"value": 0.0, "low": None, "high": None}
    assert one["p"] is one["p_adjusted"] is None
    assert other["p_adjusted"] == pytest.approx(min(1.0, 2 * other["p"]))
    assert "+0.00 nats" in result["answer"]
    assert predictions(flat)[0].tolist() == [0.0] * 6


def test_the_scorer_against_the_labels() -> None:
    good = [rollouts("bc", 5, 12), rollouts("a", 9, 12)]
    found = auc(good)
    assert found is not None
    assert found == {"value": 1.0, "low": None, "high": None, "count": 24}
    blurred = auc([rollouts("bc", 5, 12, spread=2.0), rollouts("a", 9, 12, spread=2.0)])
    assert blurred is not None
    assert 0.5 < blurred["low"] < blurred["value"] < blurred["high"] < 1
    assert agreement(good) == pytest.approx(
        {"successes": 24, "trials": 24, "low": 0.8620, "high": 1.0}, abs=1e-4
    )
    assert auc([rollouts("bc", 0, 12), rollouts("a", 0, 12)]) is None
    assert auc([rollouts("bc", 3, 12, 0)]) is agreement([rollouts("bc", 3, 12, 0)]) is None


def test_what_a_reader_has_to_know() -> None:
    result = written([rollouts("bc", 5, 12, 6), rollouts("a", 9, 12, 0)], fps=(10, 30))
    text = " ".join(result["notes"])
    assert "6 of 12 rollouts of bc are labelled." in text
    assert "The labelled rollouts of bc are its first 6" in text
    assert "No human judged the rollouts of a:" in text
    assert "Fill in a.csv from the top" in text
    assert "different rates (bc 10 Hz, a 30 Hz)" in text
    assert "more cautious" in " ".join(written([rollouts("bc", 1, 6), rollouts("a", 5, 6)])["notes"])
    assert "more cautious" not in " ".join(written([rollouts("bc", 1, 9), rollouts("a", 8, 9)])["notes"])
    blind = rollouts("a", 6, 12)
    shuffled = Rollouts("a", blind.seconds, np.tile([-1.0, -2.0], 6), blind.log_odds, blind.success)
    assert "does not tell successes from failures here" in " ".join(written([shuffled, shuffled])["notes"])
