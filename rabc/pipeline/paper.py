"""Tables of TOPReward's paper (arXiv 2602.19313), measured anew and put beside what it reports."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from rabc.config.settings import Config
from rabc.datasets.cameras import colour_cameras
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.source import find_dataset, open_dataset
from rabc.pipeline.checks import take_out
from rabc.scoring.asked import say_what_is_unjudged
from rabc.scoring.base import PrefixScores, Scorer
from rabc.scoring.configured import load_scorer
from rabc.scoring.label import open_store, score_dataset
from rabc.statistics import intervals
from rabc.statistics.areas import area
from rabc.statistics.curves import success_score, voc
from rabc.statistics.intervals import Estimate
from rabc.system.atomic import write_json
from rabc.system.errors import InputError
from rabc.system.home import scores_root


@dataclass(frozen=True)
class Row:
    """One dataset under one prompt."""

    dataset: str
    prompt: str
    """`plain` or `chat template`."""
    measured: Estimate | None
    """None: it could not be measured."""
    reported: float | None
    """What the paper says; None: nothing."""
    problem: str = ""
    """Why it could not be measured."""

    def cells(self) -> list[str]:
        """The row as text."""
        measured = f"- ({self.problem})" if self.measured is None else str(self.measured)
        episodes = "" if self.measured is None else str(self.measured.count)
        reported = "" if self.reported is None else f"{self.reported:.3f}"
        return [self.dataset, self.prompt, episodes, measured, reported]


HEADERS = ["dataset", "prompt", "episodes", "measured", "paper"]


def measure(config: Config) -> list[Row]:
    """Every dataset under every prompt; what is finished is on disk and not scored again.

    A dataset that cannot be had is a row with its problem. Raises InputError for a scorer that cannot be
    loaded, or where no dataset is named.
    """
    paper = config.paper
    if not paper.datasets:
        raise InputError("paper.datasets: empty; use a configuration such as paper_table1_oxe.yaml")
    rows: list[Row] = []
    prompts = (False, True) if paper.both_prompts else (config.scorer.chat_template,)
    for chat_template in prompts:
        scorer = load_scorer(replace(config.scorer, chat_template=chat_template), config.device)
        prompt = "chat template" if chat_template else "plain"
        for name, reported in paper.datasets.items():
            print(f"{name} ({prompt})", flush=True)
            value = None if reported is None else float(reported)
            try:
                rows.append(Row(name, prompt, _figure(config, scorer, name), value))
            except InputError as error:
                rows.append(Row(name, prompt, None, value, str(error)))
            write_json(Path("outputs") / config.run / "paper.json", [asdict(row) for row in rows])
    return [*rows, *_means(rows)]


def _figure(config: Config, scorer: Scorer, name: str) -> Estimate:
    paper = config.paper
    good = [scores.log_prob_true for scores in _scores(config, scorer, name)]
    if paper.quantity == "voc":
        return intervals.mean(np.array([voc(curve) for curve in good]), (-1, 1))
    if name not in paper.failed:
        raise InputError(f"paper.failed {name}: names no dataset of failures; ROC-AUC needs both")
    bad = [scores.log_prob_true for scores in _scores(config, scorer, str(paper.failed[name]))]
    final = np.array([success_score(curve) for curve in [*good, *bad]])
    success = np.arange(len(final)) < len(good)
    return area(final, success)


def _scores(config: Config, scorer: Scorer, name: str) -> list[PrefixScores]:
    """Scores of the first episodes of a dataset, seen by its first camera as in the paper."""
    chosen = replace(config, dataset=replace(config.dataset, path=name, revision=None))
    root = find_dataset(chosen)
    meta = open_dataset(chosen, root)
    cameras = colour_cameras(meta)[:1]
    if not cameras:
        raise InputError(f"dataset {name}: has no camera")
    take_out(chosen, root)
    total = int(meta.total_episodes)
    episodes = range(min(total, config.paper.episodes or total))
    store = open_store(
        scores_root(config.scorer.scores_folder), meta, fingerprint(root), scorer, cameras,
        config.scorer.num_prefixes, episodes=episodes,
    )  # fmt: skip
    score_dataset(meta, scorer, config.scorer.num_prefixes, {"real": store}, {"real": episodes})
    for camera in store.cameras:
        camera.merge()
    say_what_is_unjudged(meta, scorer, store.unjudged)
    return [record.scores for record in store.read().values()]


def _means(rows: Sequence[Row]) -> list[Row]:
    """Mean over the datasets that could be measured, per prompt, where there are several."""
    means: list[Row] = []
    for prompt in dict.fromkeys(row.prompt for row in rows):
        some: list[Any] = [row for row in rows if row.prompt == prompt and row.measured is not None]
        if len(some) < 2:
            continue
        reported = [row.reported for row in some]
        known = None if None in reported else float(np.mean(reported))
        estimate = intervals.mean(np.array([row.measured.value for row in some]))
        means.append(Row(f"mean of {len(some)} datasets", prompt, estimate, known))
    return means
