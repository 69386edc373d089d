"""Compares datasets of rollouts that LeRobot recorded on an arm.

`recorded.json`, format 1 (a figure that is not defined is null):

    format            1
    command           that made it
    baseline          name of the dataset the others are compared with, the first
    instruction       the task of all rollouts
    scorer            name, revision, model (as configured), camera, num_prefixes
    datasets          name, root, content (fingerprint), frames, fps, labels (who says what succeeded:
                      `simulator`, `column ...`, `file ...` or nothing), judged (`all`, `some` or `none` of
                      the rollouts are labelled), success {value, low, high, successes, trials (labelled
                      ones), method} or null without labels, score {value, low, high} (mean success score,
                      nats), verdicts {successes, trials, low, high} (rollouts of which the scorer holds the
                      first answer, True, for more likely at the end), mean_seconds, rollouts [{episode,
                      seconds, score, log_odds, prediction (0...1, what the scorer says of success), success
                      (true, false or null)}]
    pairs             of every dataset but the baseline: name, baseline, quantity (`success`, or `score` in
                      nats where one of the two has no labels), difference {value, low, high}, method, p,
                      p_adjusted (Holm), and where all are labelled posterior (P(name > baseline), Beta(1, 1)
                      priors) and needed (rollouts of each for 80 % power)
    scorer_auc        of the success score against the labels of all datasets {value, low, high, count}
    scorer_agreement  labelled rollouts of which the scorer says what the label says {successes, trials, low,
                      high}
    notes             what has to be known to read it, sentences
    answer            the result in a sentence
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from rabc.comparison.recorded.figures import Rollouts, compare_rollouts
from rabc.comparison.recorded.labels import write_label_template
from rabc.comparison.recorded.recordings import Recording, open_recordings
from rabc.comparison.recorded.text import answer, notes, tables
from rabc.config.arguments import command_line
from rabc.config.settings import Config
from rabc.scoring.asked import clip_count, named
from rabc.scoring.base import Scorer
from rabc.scoring.configured import load_scorer
from rabc.scoring.plan import carry_out, plan_scoring
from rabc.statistics.curves import success_score
from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id
from rabc.system.stages import key

FORMAT = 1
FILE = "recorded.json"


def recorded_folder(datasets: Mapping[str, Path]) -> Path:
    """Where the results go; other datasets of the same names, say `old` and `new`, get their own."""
    places = {name: str(path if is_hub_id(str(path)) else path.absolute()) for name, path in datasets.items()}
    names = "-".join(datasets)[:60]  # the key tells them apart, and names of folders have an end
    return Path("outputs") / f"{names}-recorded-{key(places)}"


def recorded_command(
    config: Config, datasets: Mapping[str, Path], labels: Mapping[str, Path], outputs: Path
) -> dict[str, Any]:
    """What `rabc compare --recorded` does: compares, prints, writes JSON and a page into `outputs`."""
    from rabc.comparison.recorded.page import write_recorded_page
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    result = compare_recorded(config, datasets, labels, outputs)
    print(f"\n{tables(result)}\n")
    for note in result["notes"]:
        print(f"- {note}")
    page = write_recorded_page(result, outputs)
    print(f"\n{result['answer']}\nresults: {outputs / FILE}\npage: {page}")
    return result


def compare_recorded(
    config: Config, datasets: Mapping[str, Path], labels: Mapping[str, Path], folder: Path
) -> dict[str, Any]:
    """Scores the datasets as `rabc score` does, compares them and writes `recorded.json`.

    Returns its content. For a dataset without labels it also writes `labels/<name>-<content>.csv`, a list to
    fill in. What has been scored before is not scored again.

    Args:
        config: scorer and device.
        datasets: folder or hub id by name, the baseline first.
        labels: CSV files of human labels (see `rabc.comparison.recorded.labels`), by the dataset's name.
        folder: of the results.

    Raises:
        InputError: datasets that cannot be compared or scored, labels that cannot be read.
    """
    recordings = open_recordings(config, datasets, labels)
    scorer = load_scorer(config.scorer, config.device)
    seen_as = max(clip_count(recording.meta, scorer) for recording in recordings)
    rollouts = [_scored(recording, scorer, seen_as) for recording in recordings]
    figures = compare_rollouts(rollouts)
    described = [
        {**_described(recording), **found}
        for recording, found in zip(recordings, figures["datasets"], strict=True)
    ]
    result: dict[str, Any] = {
        "format": FORMAT,
        "command": command_line(),
        "baseline": recordings[0].name,
        "instruction": recordings[0].instruction,
        "scorer": {
            "name": scorer.identity["scorer"],
            "revision": scorer.identity["revision"],
            "model": config.scorer.model,
            "camera": config.scorer.camera,
            "num_prefixes": config.scorer.num_prefixes,
        },
        **figures,
        "datasets": described,
    }
    # The content in its name keeps the list of another dataset from being taken for this one's.
    lists = {one.name: folder / "labels" / f"{one.name}-{one.content[:8]}.csv" for one in recordings}
    to_label = {one.name: lists[one.name] for one in rollouts if one.judged == "none"}
    result["notes"] = notes(result, to_label)
    result["answer"] = answer(result)
    for recording in recordings:
        if recording.name in to_label:
            total, seed = int(recording.meta.total_episodes), int(recording.content[:8], 16)
            write_label_template(to_label[recording.name], total, seed)
    write_json(folder / FILE, result)
    return result


def _scored(recording: Recording, scorer: Scorer, seen_as: int) -> Rollouts:
    """The recording's rollouts with their scores; only of the videos as they are, without the controls.

    seen_as: frames of the clip for which the pictures of all recordings are resized.
    """
    plan = plan_scoring(recording.config, recording.root, scorer, seen_as=seen_as)
    if plan.unjudged:
        raise InputError(
            f"--recorded {recording.name}={recording.root}: {named(plan.unjudged)} too short to be judged; "
            "record longer ones, or give a higher scorer.fps"
        )
    plan = replace(plan, wanted={"real": plan.episodes})
    carry_out(recording.config, plan, scorer)
    found = plan.stores["real"].read()
    records = [found[episode] for episode in plan.episodes]
    true = np.array([success_score(record.scores.log_prob_true) for record in records])
    false = np.array([success_score(record.scores.log_prob_false) for record in records])
    return Rollouts(
        recording.name,
        np.array([record.length for record in records]) / float(recording.meta.fps),
        true,
        true - false,
        tuple(recording.labels.success.get(episode) for episode in plan.episodes),
    )


def _described(recording: Recording) -> dict[str, Any]:
    return {
        "root": str(recording.root),
        "content": recording.content,
        "frames": int(recording.meta.total_frames),
        "fps": int(recording.meta.fps),
        "labels": recording.labels.source,
    }
