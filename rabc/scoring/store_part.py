"""One file of a score store: lines of finished episodes, written by one process at a time."""

import fcntl
import io
import json
import os
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rabc.scoring.base import PrefixScores
from rabc.system.errors import InputError


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
        with io.FileIO(path, "a+") as file:
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


def read_lines(path: Path) -> Iterator[tuple[EpisodeScores, bytes]]:
    """Episodes of a file with their lines as they stand there; nothing if it is missing.

    A torn last line is dropped. Raises InputError naming a damaged line.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"scores {path}: cannot be read ({error.strerror})") from error
    lines = content[: content.rfind(b"\n") + 1].splitlines(keepends=True)
    for number, line in enumerate(lines, start=1):
        try:
            record = _parse(line)
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"scores {path}: line {number} is damaged; delete the file") from error
        yield record, line


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
    return EpisodeScores(
        int(record["episode_index"]),
        int(record["length"]),
        PrefixScores(lengths, true, false),
        str(record["instruction"]),
    )
