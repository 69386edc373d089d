"""What has to be scored: which episodes of a dataset, in which variants, into which stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.selection import selected_episodes
from rabc.datasets.source import open_dataset
from rabc.datasets.tasks import task_groups
from rabc.scoring.asked import clip_count, instructions, say_what_is_unjudged
from rabc.scoring.base import Scorer
from rabc.scoring.label import open_store, score_dataset
from rabc.scoring.processes import Process
from rabc.scoring.store import ScoreStore
from rabc.scoring.variants import VARIANTS, Variant
from rabc.system.errors import InputError
from rabc.system.home import scores_root


@dataclass(frozen=True)
class ScoringPlan:
    """The scores that a configuration asks for."""

    root: Path
    """Folder of the dataset."""
    meta: LeRobotDatasetMetadata
    episodes: tuple[int, ...]
    """Episodes that the run looks at and that are long enough to be judged, ascending."""
    unjudged: tuple[int, ...]
    """Those of the run that are too short, ascending."""
    stores: Mapping[Variant, ScoreStore]
    """Where each variant goes."""
    wanted: Mapping[Variant, Sequence[int]]
    """Episodes of each variant, ascending."""
    seen_as: int
    """Frames of the clip for which all pictures are resized (see `rabc.scoring.asked.clip_count`)."""

    def missing(self) -> dict[Variant, list[int]]:
        """What of it has no scores yet."""
        return {variant: self.stores[variant].missing(self.wanted[variant]) for variant in self.wanted}


def plan_scoring(
    config: Config,
    root: Path,
    scorer: Scorer,
    episodes: Sequence[int] | None = None,
    seen_as: int | None = None,
) -> ScoringPlan:
    """Real scores of `episodes` (None: all of the run), and the controls of these for the diagnosis and
    `length_bias`.

    seen_as: where several datasets are compared, the largest of their `clip_count`s; None: this one's.
    Raises InputError for an unknown camera or episode, a task that cannot be asked about, or where every
    episode is too short.
    """
    meta = open_dataset(config, root)
    total = int(meta.total_episodes)
    of_run = selected_episodes(config.dataset, total)
    asked_for = set(of_run if episodes is None else episodes)
    outside = sorted(asked_for.difference(of_run))
    if outside:
        there = f"0 to {total - 1}" if len(of_run) == total else "those of dataset.episodes"
        raise InputError(f"--episodes {outside[0]}: dataset {root} has episodes {there}; choose among these")
    folder, content = scores_root(config.scorer.scores_folder), fingerprint(root)
    count = seen_as or clip_count(meta, scorer)
    stores: dict[Variant, ScoreStore] = {
        variant: open_store(
            folder, meta, content, scorer, config.scorer.cameras, config.scorer.num_prefixes, variant,
            config.diagnostics.wrong_instruction, of_run, count,
        )
        for variant in VARIANTS
    }  # fmt: skip
    judged, unjudged = tuple(stores["real"].episodes), stores["real"].unjudged
    if not judged:
        raise InputError(
            f"dataset {root}: every episode is too short to be judged at scorer.fps {_rate(scorer)}; give a "
            "higher scorer.fps, or train without scores (--weights.scheme none)"
        )
    chosen = [episode for episode in judged if episode in asked_for]
    controls = set(_controls(meta, judged, config.diagnostics.episodes))
    wanted: dict[Variant, list[int]] = {
        variant: [episode for episode in chosen if variant == "real" or episode in controls]
        for variant in VARIANTS
    }
    if config.weights.length_bias == "subtract":
        wanted["static"] = chosen
    return ScoringPlan(root, meta, judged, unjudged, stores, wanted, count)


def carry_out(config: Config, plan: ScoringPlan, scorer: Scorer, process: Process | None = None) -> None:
    """Scores what is missing and merges it; in several processes, process 0 merges when all have finished.

    Names the episodes that are too short to be judged. Raises InputError as `score_dataset` does.
    """
    me = process or Process(0, 1, "")
    if me.rank == 0:
        say_what_is_unjudged(plan.meta, scorer, plan.unjudged)
    missing: dict[Variant, list[int]] = {}
    # All have to see the same before anyone writes: they deal out what is missing.
    me.together(lambda: missing.update(plan.missing()))

    def work() -> None:
        score_dataset(
            plan.meta, scorer, config.scorer.num_prefixes, plan.stores, missing, me.rank, me.world_size,
            plan.seen_as,
        )  # fmt: skip

    me.together(work)
    if me.rank == 0:
        for store in plan.stores.values():
            for camera in store.cameras:
                camera.merge()
            store.leave()


def spread(total: int, count: int) -> list[int]:
    """`count` of the numbers 0 ... total - 1, evenly spread, the first and the last among them; 0: all."""
    if count == 0 or count >= total:
        return list(range(total))
    return np.unique(np.linspace(0, total - 1, count).round().astype(int)).tolist()


def _controls(meta: LeRobotDatasetMetadata, episodes: Sequence[int], count: int) -> list[int]:
    """Episodes scored as controls, spread over the tasks in proportion and over the episodes of each."""
    asked = instructions(meta, episodes)
    groups = task_groups([asked[episode] for episode in episodes])
    by_task = [episodes[place] for place in np.argsort(groups, kind="stable").tolist()]
    return [by_task[place] for place in spread(len(by_task), count)]


def _rate(scorer: Scorer) -> str | float:
    return scorer.identity["sample_fps"]
