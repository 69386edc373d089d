"""Raw scores of one camera's pictures on disk: one folder per question asked, one line per finished episode.

A killed scoring goes on where it stopped, several scorers and cameras live side by side, and nothing is read
that answers another question. A line says which pictures it is about and by which instruction they were
judged, so that it holds for every dataset, and every version of one, that shows these pictures. Every scoring
process appends to a part of its own (`rabc.scoring.store_part`); `merge` joins them into the same bytes,
however the work was cut up and interrupted.
"""

import fcntl
import hashlib
import io
import json
import os
from collections.abc import Generator, Iterable, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rabc.scoring.store_part import EpisodeScores, Line, Part, Shown, differing, no_link, read_lines, say
from rabc.scoring.variants import Variant
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError
from rabc.system.hashing import stamp

FORMAT = 3
META = "meta.json"
PARTS = "part-*.jsonl"


@dataclass(frozen=True)
class CameraStore:
    """Scores by one scorer of what one camera shows. Opening changes nothing on disk."""

    folder: Path
    """`<root>/<key>`."""
    meta: dict[str, Any]
    """What the scores depend on besides `Shown`, in plain words; written to `meta.json`."""

    @classmethod
    def open(
        cls,
        root: Path,
        identity: Mapping[str, str | float],
        camera: str,
        fps: float,
        image_size: tuple[int, int],
        num_prefixes: int,
        variant: Variant = "real",
    ) -> "CameraStore":
        """The store for this question under `root` (see `rabc.system.home.scores_root`).

        identity: of the scorer; camera: the dataset's key of it; fps: of the dataset, Hz; image_size: height
        and width of the pictures as the scorer sees them, pixels; num_prefixes: 0 for every sampled frame;
        variant: how the episodes are shown (see `rabc.scoring.variants`).
        """
        meta: dict[str, Any] = {
            "format": FORMAT,
            **identity,
            "camera": camera,
            "fps": float(fps),
            "image_size": [int(side) for side in image_size],
            "num_prefixes": int(num_prefixes),
            "variant": variant,
        }
        return cls.of(root, meta)

    @classmethod
    def of(cls, root: Path, meta: dict[str, Any]) -> "CameraStore":
        """The store for the question `meta` under `root`."""
        return cls(root / key_of(meta), meta)

    @property
    def path(self) -> Path:
        """File with one line per episode, sorted; `merge` writes it."""
        return self.folder / "scores.jsonl"

    def read(self) -> dict[Shown, EpisodeScores]:
        """All finished episodes, merged or not, of whatever version of a dataset.

        What is torn or damaged is left out; of two different scores for the same the first is taken, and both
        is said. Raises InputError for a file that cannot be read.
        """
        if self._of_another_question():
            say(f"scores {self.folder / META}: is of another question; the scores beside it are not used")
            return {}
        return {shown: line.record for shown, line in self._read(self._parts()).items()}

    @contextmanager
    def part(self, rank: int = 0, dataset: str = "") -> Generator[Part]:
        """The part that process `rank` of those that score a dataset appends to, locked until the block ends.

        dataset: its fingerprint; others may be scored by this question at the same time. Raises InputError if
        another process holds the part or it cannot be written.
        """
        path = self.folder / f"part-{dataset and dataset[:8] + '-'}{rank}.jsonl"
        with self._writing(), ExitStack() as opening:
            with self._locked():  # no merge removes the file between its opening and its locking
                part = opening.enter_context(Part.open(path))
            held = opening.pop_all()
        with held:
            yield part

    def append(self, record: EpisodeScores, rank: int = 0) -> None:
        """Adds one episode to the part of `rank`; on disk when this returns.

        Raises InputError as `part` and `Part.append` do.
        """
        with self.part(rank) as part:
            part.append(record)

    def merge(self) -> None:
        """Moves what the parts hold into `scores.jsonl`, which is replaced at once, and removes them.

        Parts that a process is writing to are left alone, so that merging is safe at any time. Raises
        InputError if it cannot be written: then nothing has changed.
        """
        if not self._parts():
            return
        with self._writing(), self._locked(), ExitStack() as held:
            parts = [path for path in self._parts() if held.enter_context(Part.try_lock(path))]
            lines = sorted(self._read(parts).values(), key=_place)
            with whole_file(self.path) as partial, partial.open("wb") as file:
                file.write(b"".join(line.content for line in lines))
                file.flush()
                os.fsync(file.fileno())
            # A kill here leaves lines in two files, which are equal and read as one.
            for path in parts:
                path.unlink()

    def _parts(self) -> list[Path]:
        return sorted(self.folder.glob(PARTS))

    def _read(self, parts: Iterable[Path]) -> dict[Shown, Line]:
        # Parts are read first: what a merge takes out of them meanwhile is in `scores.jsonl` by then. What
        # was merged goes before what was not.
        in_parts = [(path, read_lines(path)) for path in parts]
        found: dict[Shown, Line] = {}
        for path, lines in [(self.path, read_lines(self.path)), *in_parts]:
            for line in lines:
                kept = found.setdefault(line.record.shown, line)
                difference = "" if kept is line else differing(kept.record.scores, line.record.scores)
                if difference:
                    say(
                        f"scores {path}: episode {line.record.episode_index} was scored twice, "
                        f"{difference}; the first is kept"
                    )
        return found

    def _of_another_question(self) -> bool:
        """Whether `meta.json` states a question, and not this one: the folder was renamed, or edited.

        A missing or unreadable one is written again: the folder's name is the hash of what it has to say.
        """
        try:
            stamp(self.folder / META)  # a pipe or a device would be read for ever
            return json.loads((self.folder / META).read_text()) != self.meta
        except (OSError, ValueError, RecursionError):
            return False

    @contextmanager
    def _locked(self) -> Generator[None]:
        """The folder, with its `meta.json`, for whoever opens or removes parts; waits for milliseconds."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with io.FileIO(self.folder / ".lock", "a", opener=no_link) as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            if self._of_another_question():
                self._set_aside()
            if not _is_json(self.folder / META):
                with whole_file(self.folder / META) as partial:
                    partial.write_text(json.dumps(self.meta, indent=2) + "\n")
            yield

    def _set_aside(self) -> None:
        """Moves scores that are of another question out of the way, into a folder beside."""
        number = sum(1 for _ in self.folder.glob("aside-*")) + 1
        aside = self.folder / f"aside-{number}"
        aside.mkdir()
        for path in (*self._parts(), self.path, self.folder / META):
            if path.exists():
                path.rename(aside / path.name)

    @contextmanager
    def _writing(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            raise InputError(
                f"scores {self.folder}: cannot be written ({error.strerror}); check space and permissions"
            ) from error


def key_of(meta: Mapping[str, Any]) -> str:
    """Short hash of JSON values, 16 hex digits: the name of the folder they describe."""
    return hashlib.sha256(json.dumps(meta, sort_keys=True).encode()).hexdigest()[:16]


def _place(line: Line) -> tuple[int, str, str, int]:
    record = line.record
    return record.episode_index, record.pictures, record.instruction, record.length


def _is_json(path: Path) -> bool:
    try:
        stamp(path)
        json.loads(path.read_text())
    except (OSError, ValueError, RecursionError):
        return False
    return True
