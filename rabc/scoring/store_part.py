"""One file of a score store: lines of finished episodes, written by one process at a time."""

import fcntl
import io
import json
import os
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from rabc.scoring.base import PrefixScores
from rabc.system.errors import InputError
from rabc.system.hashing import stamp


@dataclass(frozen=True)
class Shown:
    """What a score was given for, besides the question that its store stands for."""

    length: int
    """Frames of the episode."""
    pictures: str
    """Which pictures it shows of the camera (see `rabc.datasets.fingerprint.pictures_identity`)."""
    instruction: str
    """What it is judged by."""


@dataclass(frozen=True)
class EpisodeScores:
    """Scores of one episode."""

    episode_index: int
    """Episode of the dataset."""
    length: int
    """Frames of the episode."""
    scores: PrefixScores
    """Its prefixes."""
    instruction: str = ""
    """What it was judged by."""
    pictures: str = ""
    """Which pictures of a camera were judged; empty for several cameras together."""

    @property
    def shown(self) -> Shown:
        """What the scores were given for."""
        return Shown(self.length, self.pictures, self.instruction)


class Line(NamedTuple):
    """An episode as it stands in a file."""

    record: EpisodeScores
    content: bytes
    """With its line break."""


@dataclass(frozen=True)
class Part:
    """A locked file that finished episodes are appended to."""

    path: Path
    """`part-<rank>.jsonl` in the store's folder."""
    file: io.FileIO
    """Open for reading and appending, without a buffer."""

    @classmethod
    @contextmanager
    def open(cls, path: Path) -> Generator["Part"]:
        """The part at `path`, created when missing, locked until the context ends, a torn last line cut off.

        Raises InputError if another process holds it, OSError if it cannot be written.
        """
        with io.FileIO(path, "a+", opener=no_link) as file:
            if not _try_lock(file):
                raise InputError(f"scores {path}: is being scored by another process; wait for it or stop it")
            file.seek(0)
            content = file.readall()
            os.ftruncate(file.fileno(), content.rfind(b"\n") + 1)
            yield cls(path, file)

    @classmethod
    @contextmanager
    def try_lock(cls, path: Path) -> Generator[bool]:
        """Whether no process holds the part at `path`; then none can until the context ends."""
        with io.FileIO(path, "r+") as file:
            yield _try_lock(file)

    def append(self, record: EpisodeScores) -> None:
        """Adds an episode; on disk when this returns.

        Raises InputError if it cannot be written (what was there stays as it was) or a score is not finite.
        """
        line = _line(record)
        before = os.fstat(self.file.fileno()).st_size
        try:
            written = self.file.write(line)
            if written != len(line):  # the disk took a piece; the next write says why it stopped
                self.file.write(line[written:])
            os.fsync(self.file.fileno())
        except OSError as error:
            os.ftruncate(self.file.fileno(), before)
            raise InputError(
                f"scores {self.path}: cannot be written ({error.strerror}); make space or mend the "
                "permissions and run the same command again: finished episodes are kept"
            ) from error


def no_link(path: str, flags: int) -> int:
    """Opener of a file to write; not through a link, which in a store of others leads anywhere."""
    return os.open(path, flags | os.O_NOFOLLOW, 0o666)


def read_lines(path: Path) -> tuple[Line, ...]:
    """The episodes of a file; none if it is missing. An unchanged file is read once a process.

    A torn last line is dropped, a damaged one left out and named. Raises InputError if it cannot be read.
    """
    try:
        stamp(path)  # a pipe or a device would be read for ever
        found = path.stat()
        return _read_lines(path, found.st_ino, found.st_size, found.st_mtime_ns)
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise InputError(
            f"scores {path}: cannot be read ({error.strerror}); mend the permissions (chmod u+rw)"
        ) from error


def differing(one: PrefixScores, other: PrefixScores) -> str:
    """By how much two scores of the same video differ, in words; empty where they do not."""
    if not np.array_equal(one.prefix_lengths, other.prefix_lengths):
        return "of other prefixes"
    columns = ((one.log_prob_true, other.log_prob_true), (one.log_prob_false, other.log_prob_false))
    largest = max(float(np.abs(a - b).max()) for a, b in columns)
    return f"{largest:.2g} nats apart" if largest else ""


@cache
def say(line: str) -> None:
    """Prints a line about a store to stderr, once a process: stores are read many times."""
    print(line, file=sys.stderr, flush=True)


@lru_cache(maxsize=64)
def _read_lines(path: Path, inode: int, size: int, mtime_ns: int) -> tuple[Line, ...]:
    content = path.read_bytes()
    found: list[Line] = []
    for number, line in enumerate(content[: content.rfind(b"\n") + 1].splitlines(keepends=True), start=1):
        try:
            found.append(Line(_parse(line), line))
        except (ValueError, KeyError, TypeError, OverflowError, RecursionError):
            say(f"scores {path}: line {number} is damaged and left out; its episode is scored again")
    return tuple(found)


def _try_lock(file: io.FileIO) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _line(record: EpisodeScores) -> bytes:
    scores = record.scores
    values = np.concatenate([scores.log_prob_true, scores.log_prob_false])
    if not np.isfinite(values).all():
        raise InputError(
            f"episode {record.episode_index}: the scorer gave {values[~np.isfinite(values)][0]}; "
            "use scorer.dtype float32"
        )
    if scores.prefix_lengths[-1] > record.length:
        raise ValueError(f"prefix of {scores.prefix_lengths[-1]} frames in an episode of {record.length}")
    content = {
        "episode_index": int(record.episode_index),
        "length": int(record.length),
        "pictures": record.pictures,
        "instruction": record.instruction,
        "prefix_lengths": scores.prefix_lengths.tolist(),
        "log_prob_true": scores.log_prob_true.tolist(),
        "log_prob_false": scores.log_prob_false.tolist(),
    }
    return json.dumps(content).encode() + b"\n"


def _parse(line: bytes) -> EpisodeScores:
    record = cast(dict[str, Any], json.loads(line))
    true, false = (np.array(record[f"log_prob_{name}"], dtype=np.float64) for name in ("true", "false"))
    lengths: NDArray[np.int64] = np.array(record["prefix_lengths"], dtype=np.int64)
    if not (np.isfinite(true).all() and np.isfinite(false).all()):
        raise ValueError("a score is not finite")
    return EpisodeScores(
        int(record["episode_index"]),
        int(record["length"]),
        PrefixScores(lengths, true, false),
        str(record["instruction"]),
        str(record["pictures"]),
    )
