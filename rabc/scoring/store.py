"""Raw scores on disk: one folder per question asked, one line per finished episode.

A killed scoring goes on where it stopped, several scorers and cameras live side by side, and nothing is read
that answers another question.
"""

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rabc.errors import InputError
from rabc.scoring.base import PrefixScores

FORMAT = 1


@dataclass(frozen=True)
class EpisodeScores:
    """Scores of one episode."""

    episode_index: int
    """Episode of the dataset."""
    length: int
    """Frames of the episode."""
    scores: PrefixScores
    """Its prefixes."""


def scores_root(dataset_root: Path) -> Path:
    """Folder of all scores of a dataset: inside it, or in the user's cache if the hub's cache holds it."""
    from lerobot.utils.constants import HF_LEROBOT_HOME

    root = dataset_root.resolve()
    if not root.is_relative_to(Path(HF_LEROBOT_HOME).resolve()):
        return root / ".rabc" / "scores"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "rabc" / "scores"


@dataclass(frozen=True)
class ScoreStore:
    """Scores of one dataset version by one scorer with one camera. Opening changes nothing on disk."""

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
        camera: str,
        fps: float,
        image_size: tuple[int, int],
        num_prefixes: int,
    ) -> "ScoreStore":
        """The store for this question under `root` (see `scores_root`).

        identity: of the scorer; fps: of the dataset, Hz; image_size: height and width of its frames, pixels.
        Raises InputError for a store that was made for something else or is damaged.
        """
        meta: dict[str, Any] = {
            "format": FORMAT,
            "dataset_fingerprint": dataset_fingerprint,
            **identity,
            "camera": camera,
            "fps": float(fps),
            "image_height": int(image_size[0]),
            "image_width": int(image_size[1]),
            "num_prefixes": int(num_prefixes),
        }
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
        """File with one line per episode."""
        return self.folder / "scores.jsonl"

    def read(self) -> dict[int, EpisodeScores]:
        """All finished episodes by index. A torn last line, of an episode that was being written, is dropped.

        Raises InputError naming a damaged line.
        """
        try:
            content = self.path.read_bytes()
        except FileNotFoundError:
            return {}
        except OSError as error:
            raise InputError(f"scores {self.path}: cannot be read ({error.strerror})") from error
        found: dict[int, EpisodeScores] = {}
        for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(), start=1):
            try:
                record = _parse(line)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(f"scores {self.path}: line {number} is damaged; delete the file") from error
            if record.episode_index in found:
                raise InputError(
                    f"scores {self.path}: episode {record.episode_index} is there twice; delete the file"
                )
            found[record.episode_index] = record
        return found

    def missing(self, episodes: Iterable[int]) -> list[int]:
        """Those of `episodes` that have no scores yet, in order."""
        finished = self.read()
        return [episode for episode in episodes if episode not in finished]

    def append(self, episode_index: int, length: int, scores: PrefixScores) -> None:
        """Adds an episode of `length` frames; on disk when this returns.

        Raises InputError if it cannot be written or a score is not finite.
        """
        values = np.concatenate([scores.log_prob_true, scores.log_prob_false])
        if not np.isfinite(values).all():
            raise InputError(
                f"episode {episode_index}: the scorer gave {values[~np.isfinite(values)][0]}; "
                "use scorer.dtype float32"
            )
        if scores.prefix_lengths[-1] > length:
            raise ValueError(f"prefix of {scores.prefix_lengths[-1]} frames in an episode of {length}")
        record = {
            "episode_index": int(episode_index),
            "length": int(length),
            "prefix_lengths": scores.prefix_lengths.tolist(),
            "log_prob_true": scores.log_prob_true.tolist(),
            "log_prob_false": scores.log_prob_false.tolist(),
        }
        try:
            self._write_meta()
            _drop_torn_line(self.path)
            with self.path.open("ab") as file:
                file.write(json.dumps(record).encode() + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise InputError(
                f"scores {self.folder}: cannot be written ({error.strerror}); check space and permissions"
            ) from error

    def _check_meta(self) -> None:
        path = self.folder / "meta.json"
        if not self.folder.exists():
            return
        try:
            found = json.loads(path.read_text())
        except (OSError, ValueError) as error:
            raise InputError(f"scores {path}: is missing or damaged; delete the folder") from error
        if found != self.meta:
            raise InputError(f"scores {path}: was made for something else; delete the folder")

    def _write_meta(self) -> None:
        path = self.folder / "meta.json"
        if path.exists():
            return
        # The folder appears complete: it is never there without its meta.json.
        temporary = self.folder.with_name(f"{self.key}.{os.getpid()}.part")
        temporary.mkdir(parents=True, exist_ok=True)
        (temporary / "meta.json").write_text(json.dumps(self.meta, indent=2) + "\n")
        os.replace(temporary, self.folder)


def _key(meta: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:16]


def _parse(line: bytes) -> EpisodeScores:
    record = cast(dict[str, Any], json.loads(line))
    true, false = (np.array(record[f"log_prob_{name}"], dtype=np.float64) for name in ("true", "false"))
    lengths: NDArray[np.int64] = np.array(record["prefix_lengths"], dtype=np.int64)
    return EpisodeScores(
        int(record["episode_index"]), int(record["length"]), PrefixScores(lengths, true, false)
    )


def _drop_torn_line(path: Path) -> None:
    if not path.exists():
        return
    content = path.read_bytes()
    if content and not content.endswith(b"\n"):
        os.truncate(path, content.rfind(b"\n") + 1)
