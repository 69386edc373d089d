"""README of a policy folder: data, scorer, weighting, results, licence."""

from collections.abc import Mapping, Sequence
from typing import Any

from rabc.config.settings import Config
from rabc.sim.scene import DONE
from rabc.statistics.intervals import Proportion
from rabc.system.hub import is_hub_id

LICENSE = "apache-2.0"
"""Of a policy where nobody says otherwise: a licence identifier of the hub."""


def model_card(
    config: Config,
    results: Mapping[str, dict[str, Any]],
    weights: str = "",
    license_id: str = LICENSE,
    weighting: Sequence[str] = (),
) -> str:
    """The card as Markdown, with the hub's metadata in front.

    Args:
        config: of the run.
        results: of its stages, as far as they are known to be this policy's: `demonstrations` and `training`
            (at least its `steps`), and perhaps `scores`, `weights` and `rollouts`.
        weights: which weights of the network these are, if that is worth a word.
        license_id: a licence identifier of the hub.
        weighting: lines of a part of its own, Markdown.
    """
    dataset, training, paths = results["demonstrations"], results["training"], config.dataset.paths
    hub_ids = [path for path in paths if is_hub_id(path)]
    data = ", ".join(f"`{path}`" for path in paths)
    if hub_ids and config.dataset.revision:
        data += f" at {config.dataset.revision}"
    simulated = ", simulated" if dataset.get("kinds") else ""
    return "\n".join(
        [
            "---",
            "library_name: lerobot",
            *([f"datasets: [{', '.join(hub_ids)}]"] if hub_ids else []),
            "pipeline_tag: robotics",
            f"tags: [robotics, lerobot, {config.policy.type}, rabc]",
            f"license: {license_id}",
            "---",
            "",
            f"# {config.run}",
            "",
            f"LeRobot {config.policy.type.upper()} policy, trained by reward-aligned behavior cloning "
            "(rabc): each sample of the demonstrations is weighted by the progress that a frozen "
            "video-language model sees over its chunk of actions.",
            "",
            f"- Demonstrations: {data}, {dataset['episodes']} episodes, {dataset['frames']} frames "
            f"at {dataset['fps']} Hz{simulated}",
            *_scorer(config, results.get("scores")),
            *_weights(config, results.get("weights")),
            f"- Training: {training['steps']} steps of {config.trainer.samples_per_step} samples, "
            f"seed {config.seed}{f'; {weights}' if weights else ''}",
            *_results(config, results.get("rollouts")),
            f"- Licence: {license_id}",
            "",
            *weighting,
        ]
    )


def _scorer(config: Config, scores: dict[str, Any] | None) -> list[str]:
    if scores is None:
        return []
    if config.weights.scheme == "none":
        return []
    if "replaced_by" in scores:
        return [f"- Progress or weights from elsewhere: `{scores['replaced_by']}`"]
    settings = config.weights
    return [
        f"- Scorer: `{scores['scorer']['scorer']}` ({scores['scorer']['revision'][:12]}), "
        f"camera {config.scorer.camera}, verdict on its scores: {scores['diagnosis']['verdict']}",
        f"- Progress: calibration `{settings.calibration}`, length bias `{settings.length_bias}`",
    ]


def _weights(config: Config, weights: dict[str, Any] | None) -> list[str]:
    if weights is None:
        return ["- Scorer and weights: not known to the export of this checkpoint"]
    return [
        f"- Weights: `{weights['scheme']}`, horizon `{config.weights.horizon}`, effective sample size "
        f"{weights['effective_sample_size']:.0f} of {weights['drawn']} frames that weigh "
        f"({weights['frames']} in all)"
    ]


def _results(config: Config, rollouts: dict[str, Any] | None) -> list[str]:
    if rollouts is None:
        return ["- Results: this checkpoint was not evaluated"]
    if not rollouts["episodes"]:
        return ["- Not evaluated in simulation"]
    done = DONE[config.demonstrations.task]
    auc = rollouts["scorer_auc"]
    judged = "" if auc is None else f"; AUC of the scorer against the simulator on these rollouts {auc:.2f}"
    return [
        f"- Simulated rollouts on unseen start states: {done} {Proportion(**rollouts['success'])}{judged}"
    ]
