"""The receipts that a comparison leaves: what the weights of each arm left out, and what that showed.

Of the arms whose weights a run can ask for by its configuration: weights that were dealt out at random, or
made from the simulator's progress, are nobody's to train with. `rabc.pipeline.receipt` says where and how.
"""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.results import PlayedRun
from rabc.config.settings import Config
from rabc.pipeline.receipt import FORMAT, key_of, receipts_folder, subject, weighed, weights_hash
from rabc.system.atomic import whole_file
from rabc.weighting.deltas import episode_bounds
from rabc.weighting.segments import runs


def write_receipts(config: Config, runs: Sequence[PlayedRun], result: dict[str, Any]) -> list[Path]:
    """Write the receipts of a comparison; one about the same takes the place of an earlier one.

    Args:
        config: of the comparison.
        runs: all that were played.
        result: content of `comparison.json`, whose numbers are taken over.

    Returns:
        The files.

    Raises:
        InputError: the folder of the scores cannot be written.
    """
    from rabc.datasets.metadata import load_meta
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.tables import read_frames

    about = [
        run
        for number, run in enumerate(runs)
        if run.plan.arm.name not in {other.plan.arm.name for other in runs[:number]}
        and run.plan.arm.name != result["baseline"]
        and _can_be_asked_for(run)
    ]
    if not about:
        return []
    meta = load_meta(Path(about[0].results["demonstrations"]["root"]))
    episode_index = read_frames(meta, []).episode_index
    selected = selected_episodes(config.dataset, int(meta.total_episodes))
    written: list[Path] = []
    for run in about:
        content = receipt_of(run, result, episode_index, selected)
        path = receipts_folder(config, content["dataset"]["content"]) / f"{key_of(content)}.json"
        with whole_file(path) as partial:
            partial.write_text(json.dumps(content) + "\n", encoding="utf-8")
        written.append(path)
    return written


def receipt_of(
    run: PlayedRun, result: dict[str, Any], episode_index: NDArray[np.int64], selected: Sequence[int]
) -> dict[str, Any]:
    """The receipt of the arm of a run, any of its seeds: their weights are the same.

    episode_index: (N,) of the dataset's frames; selected: episodes that the comparison looked at.
    """
    name, made = run.plan.arm.name, run.results["weights"]
    (pair,) = (pair for pair in result["pairs"] if pair["arm"] == name)
    success = {arm["name"]: arm["success"] for arm in result["arms"]}
    weights: NDArray[np.float64] = np.load(made["weights_file"], allow_pickle=False)
    return {
        "format": FORMAT,
        "version": version("rabc"),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        **subject(run.plan.config, run.results),
        "run": result["run"],
        "arm": name,
        "left_out": {
            "frames": round(made["share_zero"] * made["frames"]),
            "of": made["frames"],
            "share": made["share_zero"],
            "weights_sha256": weights_hash(weights),
            "segments": segments((weights == 0) & np.isin(episode_index, list(selected)), episode_index),
        },
        "found": {
            **{key: result[key] for key in ("baseline", "task_done", "training_seeds", "start_states")},
            "success": success[name],
            "baseline_success": success[result["baseline"]],
            **{key: pair[key] for key in ("difference", "over_seeds", "always_valid", "p_adjusted")},
        },
    }


def segments(left_out: NDArray[np.bool_], episode_index: NDArray[np.int64]) -> list[list[int]]:
    """[episode, first, last] of every run of frames that are left out (N,), counted within their episodes.

    episode_index: (N,), ascending.
    """
    return [
        [int(episode_index[start]), first, end - 1]
        for start, stop in episode_bounds(episode_index)
        for first, end in runs(left_out[start:stop])
    ]


def _can_be_asked_for(run: PlayedRun) -> bool:
    """Whether a user can train with the weights of a run, and they weigh anything."""
    return run.plan.arm.made_from == "scores" and weighed(run.results["weights"])
