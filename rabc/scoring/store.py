"""The scores of a dataset as it is now: which lines of which cameras' stores are about its episodes.

What was scored lies in a store for each camera (`rabc.scoring.camera_store`), whatever dataset asked for it.
Here these are read as one: a record counts for an episode only where length, pictures and instruction are the
episode's, and the log-probabilities of several cameras are averaged. A camera's scores are thus the same ones
alone and together with another's, and what does not change an episode does not cost its scores.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np

from rabc.scoring.base import PrefixScores
from rabc.scoring.camera_store import FORMAT, CameraStore, key_of
from rabc.scoring.store_part import EpisodeScores, Shown
from rabc.scoring.variants import Variant
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError
from rabc.system.hashing import stamp

__all__ = ["EpisodeScores", "ScoreStore", "Shown"]

FILE = "dataset.json"
_OF_DATASET = ("dataset_fingerprint", "cameras", "image_sizes")


@dataclass(frozen=True)
class ScoreStore:
    """Scores of the episodes of one dataset by one scorer, with some cameras. Opening it writes nothing."""

    root: Path
    """Folder of all scores."""
    meta: dict[str, Any]
    """The question and the dataset, in plain words."""
    episodes: Mapping[int, tuple[Shown, ...]]
    """Episode -> what is asked about it, for each camera."""
    unjudged: tuple[int, ...] = ()
    """Episodes too short to be scored, ascending."""

    @classmethod
    def open(
        cls,
        root: Path,
        dataset_fingerprint: str,
        identity: Mapping[str, str | float],
        cameras: Sequence[str],
        fps: float,
        image_sizes: Sequence[tuple[int, int]],
        num_prefixes: int,
        variant: Variant = "real",
        episodes: Mapping[int, tuple[Shown, ...]] | None = None,
        unjudged: Sequence[int] = (),
    ) -> "ScoreStore":
        """The scores for this question under `root` (see `rabc.system.home.scores_root`).

        identity: of the scorer; cameras: the dataset's keys of them; fps: of the dataset, Hz; image_sizes:
        height and width of each camera's pictures as the scorer sees them, pixels; num_prefixes: 0 for every
        sampled frame; variant: how the episodes are shown (see `rabc.scoring.variants`).
        """
        meta: dict[str, Any] = {
            "format": FORMAT,
            "dataset_fingerprint": dataset_fingerprint,
            **identity,
            "cameras": list(cameras),
            "fps": float(fps),
            "image_sizes": [[int(height), int(width)] for height, width in image_sizes],
            "num_prefixes": int(num_prefixes),
            "variant": variant,
        }
        return cls(root, meta, dict(sorted((episodes or {}).items())), tuple(sorted(unjudged)))

    @classmethod
    def reopen(cls, folder: Path, root: Path | None = None) -> "ScoreStore":
        """What `leave` left in `folder`, without the dataset and the scorer.

        root: folder of all scores now, to which those of `folder` may have been moved since. Raises
        InputError where it is missing or damaged.
        """
        if root is not None and not folder.is_dir():
            folder = root / folder.name
        path = folder / FILE
        try:
            stamp(path)  # a pipe or a device would be read for ever
            content = cast(dict[str, Any], json.loads(path.read_text()))
            texts = [str(text) for text in content["instructions"]]
            episodes = {
                int(episode): tuple(Shown(int(length), str(shown), texts[number]) for shown in pictures)
                for episode, length, number, pictures in content["episodes"]
            }
            store = cls(folder.parent, content["meta"], episodes, tuple(map(int, content["unjudged"])))
            if any(len(shown) != len(store.cameras) for shown in episodes.values()):
                raise ValueError("an episode without a camera")
            matches = store.key == folder.name
        # Whatever JSON of another form makes Python stumble over.
        except (
            OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, OverflowError,
            RecursionError,
        ) as error:  # fmt: skip
            raise InputError(f"scores {path}: is missing or damaged; {_AGAIN}") from error
        if not matches:
            raise InputError(f"scores {path}: was made for something else; {_AGAIN}")
        return store

    @property
    def key(self) -> str:
        """Short hash of all that the scores of this dataset depend on, 16 hex digits."""
        return key_of(self._content())

    @property
    def folder(self) -> Path:
        """`<root>/<key>`: for what is derived from the scores of this dataset as it is now."""
        return self.root / self.key

    @property
    def path(self) -> Path:
        """File that `reopen` reads; `leave` writes it."""
        return self.folder / FILE

    @property
    def cameras(self) -> tuple[CameraStore, ...]:
        """Where the scores of each camera are."""
        shared = {name: value for name, value in self.meta.items() if name not in _OF_DATASET}
        pairs = zip(self.meta["cameras"], self.meta["image_sizes"], strict=True)
        metas = [{**shared, "camera": camera, "image_size": size} for camera, size in pairs]
        return tuple(CameraStore.of(self.root, meta) for meta in metas)

    def read(self) -> dict[int, EpisodeScores]:
        """All episodes that have scores of every camera, ascending; raises as `CameraStore.read`."""
        finished = [store.read() for store in self.cameras]
        found: dict[int, EpisodeScores] = {}
        for episode, shown in self.episodes.items():
            records = [some.get(one) for some, one in zip(finished, shown, strict=True)]
            whole = [record for record in records if record is not None]
            if len(whole) == len(records):
                found[episode] = _together(episode, whole)
        return found

    def missing(self, episodes: Iterable[int]) -> list[int]:
        """Those of `episodes` that have no scores of some camera yet and can be judged, in order."""
        done = {*self.read(), *self.unjudged}
        return [episode for episode in episodes if episode not in done]

    def leave(self) -> None:
        """Writes what `reopen` needs. Raises InputError where it cannot be written."""
        content = json.dumps(self._content()) + "\n"
        path = self.path
        if path.exists() and path.read_text() == content:
            return
        with whole_file(path) as partial:
            partial.write_text(content)

    def _content(self) -> dict[str, Any]:
        texts = sorted({shown[0].instruction for shown in self.episodes.values()})
        numbers = {text: number for number, text in enumerate(texts)}
        rows = [
            [episode, shown[0].length, numbers[shown[0].instruction], [one.pictures for one in shown]]
            for episode, shown in self.episodes.items()
        ]
        return {"meta": self.meta, "unjudged": list(self.unjudged), "instructions": texts, "episodes": rows}


_AGAIN = "run the same command again, which writes it anew; no score is lost"


def _together(episode: int, records: Sequence[EpisodeScores]) -> EpisodeScores:
    """The same prefixes seen by several cameras: the mean of their log-probabilities."""
    first = records[0]
    scores = first.scores
    if len(records) > 1:
        scores = PrefixScores(
            scores.prefix_lengths,
            np.mean([one.scores.log_prob_true for one in records], axis=0),
            np.mean([one.scores.log_prob_false for one in records], axis=0),
        )
    pictures = first.pictures if len(records) == 1 else ""
    return EpisodeScores(episode, first.length, scores, first.instruction, pictures)
