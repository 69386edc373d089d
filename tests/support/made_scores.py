"""Scores of made-up episodes as the scoring stage leaves them, and the table of their frames."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from rabc.datasets.tables import FrameTable
from rabc.scoring.store import EpisodeScores, ScoreStore, Shown
from rabc.scoring.variants import Variant

IDENTITY: dict[str, str | float] = {"scorer": "judge", "revision": "1", "prompt": "?", "sample_fps": 2.0}
DATASET = "f" * 64
"""Fingerprint of the dataset."""


def frame_table(lengths: Sequence[int], tasks: Sequence[str] | str = "Pick.") -> FrameTable:
    """Of episodes of these lengths; tasks: of each, or of all."""
    counts = np.asarray(lengths)
    ends = np.cumsum(counts)
    texts = np.array([tasks] * len(counts) if isinstance(tasks, str) else list(tasks), object)
    starts = np.repeat(ends - counts, counts)
    return FrameTable(
        episode_index=np.repeat(np.arange(len(counts)), counts),
        frame_index=np.arange(counts.sum()) - starts,
        episode_start=starts,
        episode_end=np.repeat(ends, counts),
        task=np.repeat(texts, counts),
        vectors={},
        fps=10.0,
    )


def leave_scores(
    root: Path,
    real: Mapping[int, EpisodeScores],
    static: Mapping[int, EpisodeScores] | None = None,
    unjudged: Sequence[int] = (),
) -> tuple[dict[str, Any], ScoreStore]:
    """The result of a scoring stage that left `real` and `static` scores under `root`, and the real store."""
    stores: list[ScoreStore] = []
    chosen: tuple[tuple[Variant, Mapping[int, EpisodeScores]], ...] = (
        ("real", real),
        ("static", static or {}),
    )
    for variant, records in chosen:
        shown = {n: (Shown(one.length, one.pictures, one.instruction),) for n, one in records.items()}
        store = ScoreStore.open(
            root, DATASET, IDENTITY, ["front"], 30.0, [(96, 96)], 15, variant, shown, unjudged
        )
        with store.cameras[0].part() as part:
            for record in records.values():
                part.append(record)
        store.leave()
        stores.append(store)
    results = {"store": str(stores[0].folder), "static_store": str(stores[1].folder)}
    return {**results, "diagnosis": {"verdict": "use"}}, stores[0]
