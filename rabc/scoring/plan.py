"""What has to be scored: which episodes of a dataset, in which variants, into which stores."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from rabc.config.settings import Config
from rabc.datasets.fingerprint import fingerprint
from rabc.datasets.tables import load_meta
from rabc.scoring.base import Scorer
from rabc.scoring.label import open_store, score_dataset
from rabc.scoring.processes import Process
from rabc.scoring.store import ScoreStore, scores_root
from rabc.scoring.variants import VARIANTS, Variant
from rabc.system.errors import InputError
from rabc.system.hub import is_hub_id


@dataclass(frozen=True)
class ScoringPlan:
    """The scores that a configuration asks for."""

    root: Path
    """Folder of the dataset."""
    total: int
    """Episodes of the dataset."""
    stores: Mapping[Variant, ScoreStore]
    """Where each variant goes."""
    wanted: Mapping[Variant, Sequence[int]]
    """Episodes of each variant, ascending."""

    def missing(self) -> dict[Variant, list[int]]:
        """What of it has no scores yet."""
        return {variant: self.stores[variant].missing(self.wanted[variant]) for variant in self.wanted}


def plan_scoring(
    config: Config, root: Path, scorer: Scorer, episodes: Sequence[int] | None = None
) -> ScoringPlan:
    """Real scores of `episodes` (None: all), and the controls of these for the diagnosis and `length_bias`.

    Raises InputError for an unknown camera or a store that was made for something else.
    """
    meta = load_meta(root)
    total = int(meta.total_episodes)
    chosen = range(total) if episodes is None else sorted(set(episodes))
    controls = set(spread(total, config.diagnostics.episodes))
    wanted: dict[Variant, list[int]] = {
        variant: [episode for episode in chosen if variant == "real" or episode in controls]
        for variant in VARIANTS
    }
    if config.weights.length_bias == "subtract":
        wanted["static"] = list(chosen)
    folder, content = scores_root(root), fingerprint(root)
    stores: dict[Variant, ScoreStore] = {
        variant: open_store(
            folder, meta, content, scorer, config.scorer.cameras, config.scorer.num_prefixes, variant,
            config.diagnostics.wrong_instruction,
        )
        for variant in VARIANTS
    }  # fmt: skip
    return ScoringPlan(root, total, stores, wanted)


def carry_out(config: Config, plan: ScoringPlan, scorer: Scorer, process: Process | None = None) -> None:
    """Scores what is missing and merges it; in several processes, process 0 merges when all have finished.

    Raises InputError as `score_dataset` does.
    """
    me = process or Process(0, 1, "")
    missing: dict[Variant, list[int]] = {}
    # All have to see the same before anyone writes: they deal out what is missing.
    me.together(lambda: missing.update(plan.missing()))
    path = config.dataset.path
    settings = config.scorer

    def work() -> None:
        score_dataset(
            plan.root, scorer, settings.cameras, settings.num_prefixes, plan.stores, missing, me.rank,
            me.world_size, path if is_hub_id(path) else None,
        )  # fmt: skip

    me.together(work)
    if me.rank == 0:
        for store in plan.stores.values():
            store.merge()


def spread(total: int, count: int) -> list[int]:
    """`count` of the episodes 0 ... total - 1, evenly spread, the first and the last among them; 0: all."""
    if count == 0 or count >= total:
        return list(range(total))
    return np.unique(np.linspace(0, total - 1, count).round().astype(int)).tolist()


def parse_episodes(text: str) -> list[int]:
    """Episodes of `0:50,60`: ranges whose end is left out, and single ones. Raises InputError."""
    found: set[int] = set()
    for piece in text.split(","):
        first, colon, end = (word.strip() for word in piece.partition(":"))
        if not first.isdecimal() or (colon and not end.isdecimal()):
            raise InputError(f"--episodes {text}: {piece!r} is no episode and no range; write 0:50,60")
        some = range(int(first), int(end)) if colon else [int(first)]
        if not some:
            raise InputError(
                f"--episodes {text}: {piece!r} is empty; its end, which is left out, must be larger"
            )
        found.update(some)
    return sorted(found)
