"""What a comparison found, as plain JSON values.

`comparison.json`, format 1 (a figure that is not defined is null):

    format          1
    command         that made it
    run, config     name and whole configuration
    baseline        name of the arm the others are compared with
    task_done       what success is called
    dataset         root, content (fingerprint), episodes, frames, fps, kinds {kind: episodes}
    scorer          name, revision, verdict on its scores, success_auc {value, low, high, ...} of the
                    demonstrations' final scores (null where no label tells successes from failures)
    start_states    first (seed), count
    training_seeds  of every arm
    arms            name, about, weights (settings that are not at their default), summary (see
                    `rabc.weighting.schemes.WeightSummary`), up and down (pictures of the moments
                    weighted most and least), success {successes, trials, low, high: Student's over training
                    seeds, Wilson's with one}, seeds_mean and
                    seeds_spread (of the success rates of the training seeds; standard deviation),
                    scorer_auc {value, low, high, count}, mean_final_log_prob (nats), mean_ticks,
                    mean_closest_m
    runs            arm, seed, run, policy_folder, policy_content (hash), steps, training_seconds, curve
                    {step, loss}, rollouts [{seed, success, ticks, closest_m, final_log_prob}], videos
                    {start state: file}
    pairs           of every arm but the baseline: arm, baseline, same (whether its runs are the baseline's:
                    its weights came out equal, and it differs by exactly 0), paired, both, only_arm,
                    only_baseline, neither, difference {value, low, high: of these trained policies, over
                    start states},
                    over_seeds (its {low, high} by Student's t over training seeds; null with one),
                    over_seeds_together (the same, to hold for all arms together (Bonferroni); for
                    `weighted`, which the configuration names beforehand, and for contrasts the same as
                    over_seeds), p (exact McNemar, each pair for itself), p_states
                    (exact, start states as units), p_adjusted (Holm's, of p_states), posterior
                    (P(arm > baseline), flat priors: over training seeds, null where all differ by the same;
                    with one that of these two policies), needed (paired rollouts for 80 % power),
                    always_valid {low, high} of the difference where a sequential test was asked for, all
                    arms together, else null; where it was, p, p_states, p_adjusted and the other
                    intervals are null: they are for a number of rollouts that was fixed beforehand
    contrasts       the same of every arm that is no control against success-only, and of weighted against
                    shuffled; p_adjusted is Holm's over these; empty after a sequential test
    gains           arm -> its gain over the baseline as a share of the oracle's {value, low, high: of
                    these trained policies, over start states};
                    null where the oracle gains less than 10 points; empty after a sequential test
    sequential      level, stopped_after (start states; null where all were played), e_values
                    {arm: [...]}; null where none was asked for
    answer          the result in a sentence or two
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.arms import BASELINE, CONTROLS, Arm
from rabc.comparison.pages.texts import p_value
from rabc.comparison.pairs import contrasts_of, estimate_of, pairs_of, shares_of_oracle
from rabc.comparison.plan import PlannedRun
from rabc.config.settings import Config
from rabc.pages.html import ends, points
from rabc.pipeline.receipt import differences
from rabc.rollouts.evaluation import ScoredRollout
from rabc.sim.scene import DONE
from rabc.statistics import intervals
from rabc.statistics.areas import area
from rabc.system.stages import Result

FORMAT = 1
LEVEL = 0.05
FILE = "comparison.json"


@dataclass(frozen=True)
class PlayedRun:
    """A finished training and its rollouts."""

    plan: PlannedRun
    results: dict[str, Result]
    """Of the run's stages."""
    rollouts: tuple[ScoredRollout, ...]
    """One for each start state, in their order."""
    folder: Path
    """Of the rollouts."""

    @property
    def outcomes(self) -> NDArray[np.bool_]:
        """(N,) success on each start state."""
        return np.array([rollout.success for rollout in self.rollouts])


def summarise(
    config: Config,
    arms: Sequence[Arm],
    runs: Sequence[PlayedRun],
    command: str,
    sequential: dict[str, Any] | None,
) -> dict[str, Any]:
    """The content of `comparison.json`; runs: of every arm with every training seed."""
    by_arm = {arm.name: [run for run in runs if run.plan.arm.name == arm.name] for arm in arms}
    outcomes = {name: np.stack([run.outcomes for run in own]) for name, own in by_arm.items()}
    first = runs[0]
    data = first.results["demonstrations"]
    scores = next((run.results["scores"] for run in runs if "scorer" in run.results["scores"]), None)
    played = [_run(run) for run in runs]
    level = None if sequential is None else sequential["level"]
    pairs = pairs_of(outcomes, level, same_as_baseline(played))
    result: dict[str, Any] = {
        "format": FORMAT,
        "command": command,
        "run": config.run,
        "config": asdict(config),
        "baseline": BASELINE,
        "task_done": DONE[config.demonstrations.task],
        "dataset": {name: data[name] for name in ("root", "content", "episodes", "frames", "fps", "kinds")},
        "scorer": None
        if scores is None
        else {
            "name": scores["scorer"]["scorer"],
            "revision": scores["scorer"]["revision"],
            "verdict": scores["diagnosis"]["verdict"],
            "success_auc": scores["diagnosis"]["figures"]["success_auc"],
        },
        "start_states": {"first": first.rollouts[0].seed, "count": len(first.rollouts)},
        "training_seeds": [run.plan.seed for run in by_arm[BASELINE]],
        "arms": [_arm(arm, by_arm[arm.name], outcomes[arm.name]) for arm in arms],
        "runs": played,
        "pairs": pairs,
        "contrasts": [] if sequential else contrasts_of(outcomes),
        "gains": {} if sequential else shares_of_oracle(outcomes),
        "sequential": sequential,
    }
    return {**result, "answer": answer(result)}


def restated(result: dict[str, Any]) -> dict[str, Any]:
    """A kept comparison, without a sequential test, with its statistics anew from its rollouts.

    So that tables made at different times are all of the present code.
    """
    success = {
        arm["name"]: [
            [rollout["success"] for rollout in run["rollouts"]]
            for run in result["runs"]
            if run["arm"] == arm["name"]
        ]
        for arm in result["arms"]
    }
    outcomes = {name: np.array(rows, bool) for name, rows in success.items()}
    found = {
        **result,
        "arms": [{**arm, "success": _success(outcomes[arm["name"]])} for arm in result["arms"]],
        "pairs": pairs_of(outcomes, None, same_as_baseline(result["runs"])),
        "contrasts": contrasts_of(outcomes),
        "gains": shares_of_oracle(outcomes),
    }
    return {**found, "answer": answer(found)}


def same_as_baseline(runs: Sequence[dict[str, Any]]) -> set[str]:
    """Arms whose `runs` are the baseline's (`rabc.comparison.plan.with_plain_shared`)."""
    plain = {run["seed"]: run["run"] for run in runs if run["arm"] == BASELINE}
    own = {run["arm"] for run in runs if run["run"] != plain[run["seed"]]}
    return {run["arm"] for run in runs if run["arm"] != BASELINE} - own


def answer(result: dict[str, Any]) -> str:
    """The result in a few sentences: the best arm that is no control, against the baseline and the controls.

    Where the best is not shown to differ, what is shown of the other arms.
    """
    real = [pair for pair in result["pairs"] if pair["arm"] not in CONTROLS]
    if not real:
        return "Only controls were compared."
    best = max(real, key=lambda pair: pair["difference"]["value"])
    seeds, arms = len(result["training_seeds"]), sum(not pair.get("same") for pair in result["pairs"])
    said = [_verdict(best, seeds, arms, ", the best arm," if len(real) > 1 else "")]
    if not _differs(best):
        said += [_verdict(pair, seeds, arms) for pair in real if _differs(pair)]
    contrasts = result["contrasts"]
    beside = [
        f"{_points(pair)} over `{pair['baseline']}` {_certainty(pair, len(contrasts))}"
        + (f", for other training seeds {limits}" if (limits := _for_others(pair, len(contrasts))) else "")
        for pair in contrasts
        if pair["arm"] == best["arm"]
    ]
    return " ".join([*said, *([f"Beside the controls: {'; '.join(beside)}."] if beside else [])])


def _differs(pair: dict[str, Any]) -> bool:
    """Whether the trained policies of an arm are shown to succeed more or less often than the baseline's."""
    # Where looking decided when to stop, only what holds at every look may be said.
    interval = pair["always_valid"] or pair["difference"]
    proven = bool(pair["always_valid"]) or pair["p_adjusted"] < LEVEL
    return proven and (interval["low"] is None or not interval["low"] <= 0 <= interval["high"])


def _verdict(pair: dict[str, Any], seeds: int, arms: int, which: str = "") -> str:
    name, baseline = f"`{pair['arm']}`{which}", pair["baseline"]
    if pair.get("same"):
        return f"{name} is {baseline} on these data: its weights are all equal, and its policies the same."
    facts = f"{_points(pair)} over {baseline} {_certainty(pair, arms)}"
    if not _differs(pair):
        return f"{name} is not shown to differ from {baseline}: {facts}."
    better = pair["difference"]["value"] > 0
    others = pair["over_seeds_together"]
    if others["low"] is None or others["low"] <= 0 <= others["high"]:
        # These policies differ; what other trainings would give, so few of them cannot tell.
        trained = "this one training seed" if seeds == 1 else "these training seeds"
        said = f"With {trained} {name} succeeds {'more' if better else 'less'} often than {baseline}: {facts}"
        if others["low"] is None:
            return f"{said}."
        return f"{said}; by how these {seeds} vary, others might not ({_for_others(pair, arms)})."
    does = "helps" if better else "hurts"
    return f"{name} {does}: {facts}, for other training seeds {_for_others(pair, arms)}."


def _for_others(pair: dict[str, Any], count: int) -> str:
    """Interval over training seeds of a pair, one of `count`; empty where there is none."""
    limits = ends(pair["over_seeds_together"], 0)
    if count == 1 or not limits:
        return limits
    corrected = pair["over_seeds_together"] != pair["over_seeds"]
    return limits + (f" corrected for {count}" if corrected else " uncorrected")


def _points(pair: dict[str, Any]) -> str:
    return f"{points(pair['difference']['value'], 0)} points"


def _certainty(pair: dict[str, Any], count: int) -> str:
    """Interval and p-value of a pair, one of `count`."""
    if pair["always_valid"]:
        return f"(always-valid interval {ends(pair['always_valid'], 0)})"
    limits = ends(pair["difference"], 0)
    corrected = f" corrected for {count}" if count > 1 else ""
    p = p_value(pair["p_adjusted"])
    interval = f"95 % interval {limits}" if limits else "no interval: a single start state"
    return f"({interval}, p {p if p.startswith('<') else f'= {p}'}{corrected})"


def _arm(arm: Arm, runs: Sequence[PlayedRun], outcomes: NDArray[np.bool_]) -> dict[str, Any]:
    rollouts = [rollout for run in runs for rollout in run.rollouts]
    rates = outcomes.mean(axis=1)
    final = np.array([rollout.final_log_prob for rollout in rollouts])
    weights = runs[0].results["weights"]
    summary = ("frames", "drawn", "effective_sample_size", "share_zero", "share_saturated")
    # Trainings play the same start states, which are what the scorer finds easy or hard to judge.
    states = np.tile(np.arange(outcomes.shape[1]), len(outcomes))
    auc = area(final, outcomes.ravel(), clusters=states)
    return {
        "name": arm.name,
        "about": arm.about,
        "weights": differences(runs[0].plan.weights),
        "summary": {name: weights[name] for name in (*summary, "histogram_edges", "histogram_counts")},
        "up": weights["up"],
        "down": weights["down"],
        "success": _success(outcomes),
        "seeds_mean": float(rates.mean()),
        "seeds_spread": float(rates.std(ddof=1)) if len(rates) > 1 else None,
        "scorer_auc": estimate_of(auc),
        "mean_final_log_prob": float(final.mean()),
        "mean_ticks": float(np.mean([rollout.ticks for rollout in rollouts])),
        "mean_closest_m": float(np.mean([rollout.closest_m for rollout in rollouts])),
    }


def _success(outcomes: NDArray[np.bool_]) -> dict[str, Any]:
    """Rate of all rollouts; its interval speaks of trainings, where there are several."""
    trials = [outcomes.shape[1]] * len(outcomes)
    return asdict(intervals.proportion_over_seeds(outcomes.sum(axis=1).tolist(), trials))


def _run(run: PlayedRun) -> dict[str, Any]:
    training = run.results["training"]
    names = ("seed", "success", "ticks", "closest_m", "final_log_prob")
    return {
        "arm": run.plan.arm.name,
        "seed": run.plan.seed,
        "run": run.plan.config.run,
        "policy_folder": training["policy_folder"],
        "policy_content": training["content"],
        "steps": training["steps"],
        "training_seconds": training["training_seconds"],
        "curve": learning_curve(Path(training["tensorboard"])),
        "rollouts": [{name: getattr(rollout, name) for name in names} for rollout in run.rollouts],
        "videos": {path.stem.split("-")[1]: str(path) for path in sorted(run.folder.glob("rollout-*.mp4"))},
    }


def learning_curve(tensorboard: Path) -> dict[str, list[float]]:
    """Steps and training losses from a run's TensorBoard files; empty where there are none."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(tensorboard), size_guidance={"scalars": 0})
    events.Reload()
    tags: Any = events.Tags()
    if "loss" not in tags["scalars"]:
        return {"step": [], "loss": []}
    # A resumed training writes the steps since its checkpoint again.
    losses = {event.step: round(event.value, 6) for event in events.Scalars("loss")}
    return {"step": sorted(losses), "loss": [losses[step] for step in sorted(losses)]}
