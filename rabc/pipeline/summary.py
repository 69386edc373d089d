"""The end of a run: `summary.json` for programs, a table for people, a model card for the policy.

`summary.json`, format 1:

    format          1
    run             name of the run
    config          the whole configuration, section by section
    stages          stage -> {seconds, skipped}: time it took when it ran; whether this call skipped it
    dataset         root, episodes, frames, fps, kinds {kind: episodes} (simulated data only)
    scorer          store, static_store (folders that say which raw scores are the dataset's), raw (files
                    of the raw scores, one per camera), unjudged (episodes too short to be scored),
                    scorer {name, revision, prompt, rates, sizes}, prefixes, voc, final_log_prob,
                    diagnosis (as in diagnosis/diagnosis.json, and page); simulated data also: success_auc,
                    voc_clean;
                    replaced_by (a progress or weights file from elsewhere): nothing else
    weights         scheme, caution (what speaks against it on these data, or null), frames (of the
                    selected episodes), drawn (frames of positive weight), effective_sample_size,
                    share_zero, share_saturated (of all frames),
                    histogram_edges, histogram_counts, unjudged (episodes trained with weight 1),
                    progress_file (or the foreign file; null with scheme none),
                    weights_file, weights_parquet, page, up and down (pictures of the moments that are
                    weighted most and least; none where all weights are equal)
    training        steps, training_seconds, samples_per_second, loss, tensorboard, policy_folder
    rollouts        episodes, success {successes, trials, low, high}, mean_final_log_prob (nats),
                    scorer_auc, mean_ticks, mean_closest_m, first_seed, rollouts_file, videos;
                    episodes 0: nothing else

A figure that is not defined, such as an AUC with one class only, is null.
"""

from dataclasses import asdict
from typing import Any

from rabc.config.settings import Config
from rabc.export.card import model_card
from rabc.pipeline.receipt import card_lines
from rabc.pipeline.state import Paths
from rabc.sim.scene import DONE
from rabc.statistics.intervals import Proportion
from rabc.system.atomic import whole_file, write_json
from rabc.system.stages import Finished
from rabc.system.terminal import duration, table

FORMAT = 1
_SECTION = {
    "demonstrations": "dataset",
    "scores": "scorer",
    "weights": "weights",
    "training": "training",
    "rollouts": "rollouts",
}


def write_summary(config: Config, where: Paths, finished: dict[str, Finished]) -> dict[str, Any]:
    """Write `outputs/<run>/summary.json` and return its content."""
    summary: dict[str, Any] = {
        "format": FORMAT,
        "run": config.run,
        "config": asdict(config),
        "stages": {
            name: {"seconds": round(stage.seconds, 1), "skipped": stage.skipped}
            for name, stage in finished.items()
        },
    }
    for name, stage in finished.items():
        summary[_SECTION[name]] = {key: value for key, value in stage.result.items() if key != "files"}
    write_json(where.outputs / "summary.json", summary)
    return summary


def print_summary(summary: dict[str, Any]) -> None:
    """The figures of a run as a table."""
    dataset, scorer, weights = summary["dataset"], summary["scorer"], summary["weights"]
    training, rollouts = summary["training"], summary["rollouts"]
    kinds = ", ".join(f"{count} {kind}" for kind, count in dataset["kinds"].items())
    rows = [
        [
            "demonstrations",
            f"{dataset['episodes']} episodes, {dataset['frames']} frames" + (f" ({kinds})" if kinds else ""),
        ],
        *_scorer_rows(scorer),
    ]
    if scorer.get("success_auc") is not None:
        clean = "" if scorer["voc_clean"] is None else f", VOC on clean {scorer['voc_clean']:.3f}"
        rows.append(["", f"AUC of final success {scorer['success_auc']:.3f}{clean}"])
    ess = weights["effective_sample_size"]
    rows += [
        [
            "weights",
            f"{weights['scheme']}: effective sample size {ess:.0f} of {weights['drawn']} frames that weigh "
            f"({weights['frames']} in all), "
            f"{100 * weights['share_zero']:.0f} % zero, {100 * weights['share_saturated']:.0f} % saturated",
        ],
        ["", f"from 0 to largest: {spark(weights['histogram_counts'])} ({weights['page']})"],
        [
            "training",
            f"{training['steps']} steps in {duration(training['training_seconds'])}, "
            f"{training['samples_per_second']:.0f} samples/s, loss {training['loss']:.4f}",
        ],
    ]
    if rollouts["episodes"]:
        done = DONE[summary["config"]["demonstrations"]["task"]]
        rows += [
            ["rollouts", f"{done} {Proportion(**rollouts['success'])}"],
            [
                "",
                f"mean final log p(True) {rollouts['mean_final_log_prob']:.2f} nats, {_agreement(rollouts)}",
            ],
        ]
    else:
        rows.append(["rollouts", "none"])
    rows.append(["policy", training["policy_folder"]])
    rows.append(
        [
            "time",
            ", ".join(f"{name} {duration(stage['seconds'])}" for name, stage in summary["stages"].items()),
        ]
    )
    print("\n" + table(rows, [f"run {summary['run']}", ""]))
    if weights.get("caution"):
        print(f"\nweights.scheme {weights['scheme']}: {weights['caution']}")
    print(f"\nsummary: outputs/{summary['run']}/summary.json")
    print(f"curves:  tensorboard --logdir outputs/{summary['run']}")


def _scorer_rows(scorer: dict[str, Any]) -> list[list[str]]:
    if "replaced_by" in scorer:
        return [["scorer", f"not asked about the demonstrations: {scorer['replaced_by']}"]]
    diagnosis = scorer["diagnosis"]
    reasons = f" ({diagnosis['reasons']})" if diagnosis["reasons"] else ""
    return [
        ["scorer", f"{scorer['scorer']['scorer']}, {scorer['prefixes']} prefixes, VOC {scorer['voc']:.3f}"],
        ["", f"verdict: {diagnosis['verdict']}{reasons}"],
    ]


def write_model_card(config: Config, where: Paths, results: dict[str, dict[str, Any]]) -> None:
    """Write the policy folder's README, from the results of all stages, unless it says so already."""
    path = where.policy / "README.md"
    card = model_card(config, results, weighting=card_lines(config, results))
    if not path.exists() or path.read_text() != card:
        with whole_file(path) as partial:
            partial.write_text(card)


def spark(counts: list[int]) -> str:
    """A histogram in one line of text."""
    blocks = " ▁▂▃▄▅▆▇█"
    largest = max(counts)
    return "[" + "".join(blocks[-(-count * (len(blocks) - 1) // largest)] for count in counts) + "]"


def _agreement(rollouts: dict[str, Any]) -> str:
    auc = rollouts["scorer_auc"]
    if auc is None:
        return "scorer against simulator: not defined, all rollouts ended alike"
    return f"scorer against simulator: AUC {auc:.2f}"
