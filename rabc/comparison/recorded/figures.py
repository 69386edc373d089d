"""What recorded rollouts say: success rates, differences and how far the scorer can be believed. Pure.

How two datasets are compared follows from what is labelled. All of both: the two proportions. Some: estimates
in which the scorer speaks for the rollouts without a label (prediction-powered). One without any: the success
scores, which say nothing about how often a policy succeeds.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.recorded.estimated_success import Sample, estimated_difference, estimated_rate
from rabc.statistics.areas import area
from rabc.statistics.intervals import Estimate, Proportion, mean, proportion
from rabc.statistics.significance import holm, probability_better, rollouts_needed
from rabc.statistics.unpaired import difference_of_means, difference_of_proportions, fisher

PREDICTION_PERCENTILES = (5.0, 95.0)


@dataclass(frozen=True)
class Rollouts:
    """The N recorded rollouts of one dataset, by episode."""

    name: str
    seconds: NDArray[np.float64]
    """(N,) duration, s."""
    scores: NDArray[np.float64]
    """(N,) success score: mean log p(True) of the last three prefixes, nats."""
    log_odds: NDArray[np.float64]
    """(N,) that score less the same mean of log p(False), nats; above 0 the scorer says that it succeeded."""
    success: tuple[bool | None, ...]
    """(N,) label, None where there is none."""

    @property
    def labelled(self) -> NDArray[np.bool_]:
        """(N,) whether the rollout has a label."""
        return np.array([label is not None for label in self.success])

    @property
    def judged(self) -> Literal["all", "some", "none"]:
        """How many of them are labelled."""
        known = self.labelled
        return "all" if known.all() else "some" if known.any() else "none"

    @property
    def outcomes(self) -> NDArray[np.float64]:
        """(L,) labels of the rollouts that have one, 0 or 1."""
        return np.array([label for label in self.success if label is not None], dtype=np.float64)

    @property
    def share(self) -> Proportion:
        """Successes among those that have a label, at least one."""
        return proportion(int(self.outcomes.sum()), len(self.outcomes))


def compare_rollouts(recorded: Sequence[Rollouts]) -> dict[str, Any]:
    """The figures of `rabc.comparison.recorded.run` that follow from the rollouts of two datasets or more.

    The first is the baseline of all pairs. Figures that are not defined are None.
    """
    predicted = predictions(recorded)
    pairs = [
        _pair(one, recorded[0], mine, predicted[0])
        for one, mine in zip(recorded[1:], predicted[1:], strict=True)
    ]
    # A difference without a p-value counts as one that nothing was found for.
    adjusted = holm([1.0 if pair["p"] is None else pair["p"] for pair in pairs])
    return {
        "datasets": [_dataset(one, mine) for one, mine in zip(recorded, predicted, strict=True)],
        "pairs": [
            {**pair, "p_adjusted": None if pair["p"] is None else p}
            for pair, p in zip(pairs, adjusted, strict=True)
        ],
        "scorer_auc": auc(recorded),
        "scorer_agreement": agreement(recorded),
    }


def predictions(recorded: Sequence[Rollouts]) -> list[NDArray[np.float64]]:
    """What the success scores say about success, (N,) in 0...1 for each dataset, on one scale for all.

    0 and 1 are the 5th and the 95th percentile of all scores together; labels have no part in it, so that
    they can correct it.
    """
    low, high = np.percentile(np.concatenate([one.scores for one in recorded]), PREDICTION_PERCENTILES)
    if high <= low:
        return [np.zeros_like(one.scores) for one in recorded]
    return [np.clip((one.scores - low) / (high - low), 0.0, 1.0) for one in recorded]


def auc(recorded: Sequence[Rollouts]) -> dict[str, Any] | None:
    """ROC-AUC of the success score against the labels of all datasets; None without labels of both kinds."""
    scores = np.concatenate([one.scores[one.labelled] for one in recorded])
    outcomes = np.concatenate([one.outcomes for one in recorded]).astype(bool)
    if outcomes.all() or not outcomes.any():
        return None
    found = area(scores, outcomes)
    return {**_interval(found), "count": found.count}


def agreement(recorded: Sequence[Rollouts]) -> dict[str, Any] | None:
    """Share of the labelled rollouts of which the scorer says what the label says; None without labels."""
    outcomes = np.concatenate([one.outcomes for one in recorded])
    if not len(outcomes):
        return None
    verdicts = np.concatenate([one.log_odds[one.labelled] > 0 for one in recorded])
    return asdict(proportion(int((verdicts == outcomes).sum()), len(outcomes)))


def _dataset(rollouts: Rollouts, predicted: NDArray[np.float64]) -> dict[str, Any]:
    verdicts = rollouts.log_odds > 0
    return {
        "name": rollouts.name,
        "judged": rollouts.judged,
        "success": _success(rollouts, predicted),
        "score": _interval(mean(rollouts.scores)),
        "verdicts": asdict(proportion(int(verdicts.sum()), len(verdicts))),
        "mean_seconds": float(rollouts.seconds.mean()),
        "rollouts": [
            {
                "episode": episode,
                "seconds": float(rollouts.seconds[episode]),
                "score": float(rollouts.scores[episode]),
                "log_odds": float(rollouts.log_odds[episode]),
                "prediction": float(predicted[episode]),
                "success": success,
            }
            for episode, success in enumerate(rollouts.success)
        ],
    }


def _success(rollouts: Rollouts, predicted: NDArray[np.float64]) -> dict[str, Any] | None:
    if rollouts.judged == "none":
        return None
    share = rollouts.share
    counts = {"successes": share.successes, "trials": share.trials}
    if rollouts.judged == "all":
        return {"value": share.value, "low": share.low, "high": share.high, **counts, "method": "Wilson"}
    found = estimated_rate(_sample(rollouts, predicted))
    return {**_interval(found), **counts, "method": "prediction-powered"}


def _pair(
    one: Rollouts, baseline: Rollouts, predicted: NDArray[np.float64], baseline_predicted: NDArray[np.float64]
) -> dict[str, Any]:
    judged = {one.judged, baseline.judged}
    quantity, posterior, needed = "success", None, None
    if "none" in judged:
        difference, p = difference_of_means(one.scores, baseline.scores)
        quantity, method = "score", "Welch's interval and test"
    elif "some" in judged:
        difference, p = estimated_difference(_sample(one, predicted), _sample(baseline, baseline_predicted))
        method = "prediction-powered"
    else:
        share, other = one.share, baseline.share
        difference, p = difference_of_proportions(share, other), fisher(share, other)
        posterior = probability_better(share.successes, share.trials, other.successes, other.trials)
        needed = rollouts_needed(share.value, other.value)
        method = "Newcombe's interval, Fisher's exact test"
    return {
        "name": one.name,
        "baseline": baseline.name,
        "quantity": quantity,
        "difference": _interval(difference),
        "method": method,
        "p": _finite(p),
        "posterior": posterior,
        "needed": needed,
    }


def _sample(rollouts: Rollouts, predicted: NDArray[np.float64]) -> Sample:
    known = rollouts.labelled
    return Sample(rollouts.outcomes, predicted[known], predicted[~known])


def _interval(estimate: Estimate) -> dict[str, float | None]:
    return {name: _finite(getattr(estimate, name)) for name in ("value", "low", "high")}


def _finite(value: float) -> float | None:
    """JSON has no NaN; None stands for a figure that is not defined."""
    return float(value) if math.isfinite(value) else None
