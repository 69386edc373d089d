"""Raw scores on disk: one folder per question asked, one line per finished episode.

A killed scoring goes on where it stopped, several scorers and cameras live side by side, and nothing is read
that answers another question. Every scoring process appends to a part of its own (`rabc.scoring.store_part`);
`merge` joins them into the same bytes, however the work was cut up and interrupted.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from rabc.datasets.fingerprint import derived_folder
from rabc.scoring.base import PrefixScores
from rabc.scoring.store_part import EpisodeScores, Part, read_lines
from rabc.scoring.variants import Variant
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError

__all__ = ["EpisodeScores", "ScoreStore", "scores_root"]

FORMAT = 2
PARTS = "part-*.jsonl"


def scores_root(dataset_root: Path) -> Path:
    """Folder of all scores of a dataset (see `rabc.datasets.fingerprint.derived_folder`)."""
    return derived_folder(dataset_root) / "scores"


@dataclass(frozen=True)
class ScoreStore:
    """Scores of one dataset version by one scorer, with some cameras. Opening changes nothing on disk."""

    folder: Path
    """`<root>/<key>`."""
    key: str
    """Short hash of `meta`, 16 hex digits."""
    meta: dict[str, Any]
    """What the scores depend on, in plain words; written to `meta.json`."""

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
        wrong_instruction: str | None = None,
    ) -> "ScoreStore":
        """The store for this question under `root` (see `scores_root`).

        identity: of the scorer; fps: of the dataset, Hz; image_sizes: height and width of each camera's
        frames, pixels; num_prefixes: 0 for every sampled frame; variant: how the episodes are shown (see
        `rabc.scoring.variants`); wrong_instruction: the sentence of that variant, where the dataset has none.
        Raises InputError for a store that was made for something else or is damaged.
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
        if wrong_instruction is not None:
            meta["wrong_instruction"] = wrong_instruction
        key = _key(meta)
        store = cls(root / key, key, meta)
        store._check_meta()
        return store

    @classmethod
    def reopen(cls, folder: Path) -> "ScoreStore":
        """A store by its folder, without the scorer. Raises InputError if its `meta.json` is not its own."""
        path = folder / "meta.json"
        try:
            meta = cast(dict[str, Any], json.loads(path.read_text()))
        except (OSError, ValueError) as error:
            raise InputError(f"scores {path}: is missing or damaged; delete the folder") from error
        if _key(meta) != folder.name:
            raise InputError(f"scores {path}: was made for something else; delete the folder")
        return cls(folder, folder.name, meta)

    @property
    def path(self) -> Path:
        """File with one line per episode, sorted; `merge` writes it."""
        return self.folder / "scores.jsonl"

    def read(self) -> dict[int, EpisodeScores]:
        """All finished episodes by index, merged or not, in ascending order.

        A torn last line, of an episode that was being written, is dropped. Raises InputError naming a damaged
        line, or an episode with two different scores.
        """
        return {episode: record for episode, (record, _) in self._read(self._parts()).items()}

    def missing(self, episodes: Iterable[int]) -> list[int]:
        """Those of `episodes` that have no scores yet, in order."""
        finished = self.read()
        return [episode for episode in episodes if episode not in finished]

    @contextmanager
    def part(self, rank: int = 0) -> Generator[Part]:
        """The part that process `rank` appends to, locked until the context ends.

        Raises InputError if another process holds it or it cannot be written.
        """
        path = self.folder / f"part-{rank}.jsonl"
        with self._writing(), ExitStack() as opening:
            with self._locked():  # no merge removes the file between its opening and its locking
                part = opening.enter_context(Part.open(path))
            held = opening.pop_all()
        with held:
            yield part

    def append(
        self, episode_index: int, length: int, scores: PrefixScores, instruction: str = "", rank: int = 0
    ) -> None:
        """Adds one episode of `length` frames to the part of `rank`; on disk when this returns.

        Raises InputError as `part` and `Part.append` do.
        """
        with self.part(rank) as part:
            part.append(EpisodeScores(episode_index, length, scores, instruction))

    def merge(self) -> None:
        """Moves what the parts hold into `scores.jsonl`, which is replaced at once, and removes them.

        Parts that a process is writing to are left alone, so that merging is safe at any time. Raises
        InputError as `read` does, or if it cannot be written: then nothing has changed.
        """
        if not self._parts():
            return
        with self._writing(), self._locked(), ExitStack() as held:
            parts = [path for path in self._parts() if held.enter_context(Part.try_lock(path))]
            lines = [line for _, line in self._read(parts).values()]
            with whole_file(self.path) as partial, partial.open("wb") as file:
                file.write(b"".join(lines))
                file.flush()
                os.fsync(file.fileno())
            # A kill here leaves lines in two files, which are equal and read as one.
            for path in parts:
                path.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob(PARTS))

    def _read(self, parts: Iterable[Path]) -> dict[int, tuple[EpisodeScores, bytes]]:
        found: dict[int, tuple[EpisodeScores, bytes]] = {}
        # Parts first: what a merge takes out of them meanwhile is in `scores.jsonl` by then.
        for path in (*parts, self.path):
            for record, line in read_lines(path):
                episode = record.episode_index
                if episode in found and found[episode][1] != line:
                    raise InputError(
                        f"scores {path}: episode {episode} is there twice, with different scores; "
                        "delete the folder"
                    )
                found[episode] = record, line
        return dict(sorted(found.items()))

    @property
    def _meta_path(self) -> Path:
        return self.folder / "meta.json"

    def _check_meta(self) -> None:
        path = self._meta_path
        if not path.exists() and not self.path.exists() and not self._parts():
            return
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"scores {path}: is missing or damaged; delete the folder") from error
        if found != self.meta:
            raise InputError(f"scores {path}: was made for something else; delete the folder")

    @contextmanager
    def _locked(self) -> Generator[None]:
        """The folder, with its `meta.json`, for whoever opens or removes parts; waits for milliseconds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with (self.folder / ".lock").open("ab") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            self._check_meta()
            if not self._meta_path.exists():
                with whole_file(self._meta_path) as partial:
                    partial.write_text(json.dumps(self.meta, indent=2) + "\n")
            yield

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"scores {self.folder}: cannot be written ({error.strerror}); check space and permissions"
            ) from error


def _key(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:16]
