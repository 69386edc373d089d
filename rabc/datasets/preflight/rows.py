"""The rows of the tables against what the metadata says of them: counts, numbers, times."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.episodes import Episodes, read_episodes
from rabc.datasets.features import ACTION, likely_names, renaming, vector_inputs
from rabc.datasets.metadata import AGAIN
from rabc.datasets.preflight.findings import Finding, exclude, refusal
from rabc.datasets.tables import FrameTable, read_frames, table_files, whole_numbers
from rabc.datasets.times import drifting, of_a_calendar, row_times
from rabc.system.errors import InputError

RATE = "rate"
"""Kind of the finding that the dataset states another rate than its rows have: what else it says of times
and videos follows from that."""
_GRID = 0.2
"""Share of a frame by which a time may miss the grid of the dataset's rate and still be on it."""


def read_rows(meta: LeRobotDatasetMetadata) -> tuple[FrameTable | None, list[Finding]]:
    """All rows with what a policy is trained on; None, and why, where they cannot be read or placed."""
    counted = list(_counts(meta))
    if counted:
        return None, counted
    try:
        return read_frames(meta, vector_inputs(meta), selected=()), []
    except InputError as error:
        return None, [refusal(error, "rows")]


def row_findings(meta: LeRobotDatasetMetadata, rows: FrameTable) -> Iterator[Finding]:
    """What is odd about rows that can be read."""
    records = read_episodes(meta)
    yield from _not_finite(rows, len(records))
    yield from _times(meta, records)
    yield from _numbers(meta, rows, records)
    yield from _totals(meta, records)


def action_findings(meta: LeRobotDatasetMetadata) -> Iterator[Finding]:
    """Whether there is an action to learn, and what may be meant for one."""
    if ACTION in meta.features:
        return
    near = [name for name, ours in likely_names(meta).items() if ours == ACTION]
    remedy = renaming(meta) if near else "name the column to learn with --dataset.rename_map"
    has = f", but {near[0]}" if near else ""
    yield Finding("refused", "column", f"the dataset has no column action{has}", remedy, "meta/info.json",
                  (), near[0] if near else "", ("training",))  # fmt: skip


def _counts(meta: LeRobotDatasetMetadata) -> Iterator[Finding]:
    """Episodes whose rows are not as many as meta/episodes says, or not where it says."""
    try:
        records, found = read_episodes(meta), _episode_column(meta)
    except (InputError, OSError, KeyError, pa.ArrowException):
        return
    there = np.bincount(found[found >= 0], minlength=len(records))[: len(records)]
    stated = records.end - records.start
    begins = np.cumsum(stated) - stated
    for wrong, text in (
        (stated != records.length, "says frames {start} to {end} of the dataset, but a length of {length}"),
        (there != stated, "says {stated} frames, data/ has {there}"),
        (records.start != begins, "says it begins at frame {start}, but those before it end at {begins}"),
    ):
        if wrong.any():
            one = int(np.flatnonzero(wrong)[0])
            values = {"start": records.start, "end": records.end, "length": records.length, "there": there,
                      "stated": stated, "begins": begins}  # fmt: skip
            what = text.format(**{name: int(column[one]) for name, column in values.items()})
            yield Finding(
                "refused", "rows", f"meta/episodes {what} (episode {one})", AGAIN, "meta/episodes",
                tuple(np.flatnonzero(wrong).tolist()),
            )  # fmt: skip
            return


def _episode_column(meta: LeRobotDatasetMetadata) -> NDArray[np.int64]:
    parts: list[Any] = [pq.read_table(path, columns=["episode_index"]) for path in table_files(meta)]
    return np.concatenate([whole_numbers(part.column(0), "episode_index", meta) for part in parts])


def _not_finite(rows: FrameTable, total: int) -> Iterator[Finding]:
    for name, values in rows.vectors.items():
        bad = np.flatnonzero(~np.isfinite(values).all(axis=1))
        if len(bad):
            first, episodes = int(bad[0]), np.unique(rows.episode_index[bad]).tolist()
            yield Finding(
                "refused", "value",
                f"{len(bad)} frames are not finite, first frame {rows.frame_index[first]} of episode "
                f"{rows.episode_index[first]}: {values[first].tolist()}",
                exclude(episodes, total), "", tuple(episodes), name, ("training",),
            )  # fmt: skip


def _stated_wrongly(meta: LeRobotDatasetMetadata, records: Episodes) -> Finding | None:
    """Times that are a grid throughout, of another rate than meta/info.json states."""
    fps, times = float(meta.fps), row_times(meta)
    steps = [np.diff(times[start:end]) for start, end in zip(records.start, records.end, strict=True)]
    every = np.concatenate(steps) * fps
    if not len(every):
        return None
    step = float(np.median(every))
    if abs(step - 1) < _GRID or step <= 0 or np.abs(every - step).max() > _GRID * step:
        return None
    return Finding(
        "wrong", RATE, f"rows are 1/{fps / step:.4g} s apart throughout, and fps is {fps:.4g}: chunks of "
        "actions would be played at another speed", f"correct fps to {fps / step:.4g}", "meta/info.json",
        tuple(range(len(records))), "timestamp",
    )  # fmt: skip


def _times(meta: LeRobotDatasetMetadata, records: Episodes) -> Iterator[Finding]:
    """Episodes whose timestamps are no grid of the dataset's rate."""
    fps, used = float(meta.fps), row_times(meta)
    rate = _stated_wrongly(meta, records)
    if rate is not None:
        yield rate
        return
    mended: list[int] = []
    off_grid = set(drifting(meta))
    for episode in sorted(off_grid.union(of_a_calendar(meta))):
        rows = used[records.start[episode] : records.end[episode]] * fps
        if np.allclose(rows, np.arange(len(rows)), atol=1e-3):
            mended.append(episode)  # row_times goes by the numbers of the frames there
        if (
            episode in mended or episode not in off_grid
        ):  # what asks for frames that are not there, videos say
            continue
        off = rows - np.round(rows)
        steps = np.round(np.diff(rows)).astype(int)
        if np.abs(off - np.median(off)).max() < _GRID and (steps >= 1).all():
            place = int(np.argmax(steps))
            yield Finding(
                "wrong", "time", f"{int((steps - 1).sum())} rows are missing inside the episode, "
                f"{steps[place] - 1} of them behind row {place}: actions jump there",
                exclude([episode], len(records)), "data", (episode,), "timestamp",
            )  # fmt: skip
        elif records.videos:
            yield Finding(
                "refused", "time", f"its times leave the grid of {fps:.4g} frames a second (row "
                f"{len(rows) - 1} is at {rows[-1] / fps:.2f} s), and its video has another number of frames "
                "than it has rows, so nobody can say which belong together",
                exclude([episode], len(records)), "data", (episode,), "timestamp",
            )  # fmt: skip
    if mended:
        yield Finding(
            "note", "time", f"times leave the grid of {fps:.4g} frames a second or the video, as those of a "
            "wall clock; the videos have a frame for each row, which is taken (LeRobot's own reader fails)",
            "", "data", tuple(mended), "timestamp",
        )  # fmt: skip


def _numbers(meta: LeRobotDatasetMetadata, rows: FrameTable, records: Episodes) -> Iterator[Finding]:
    expected = np.arange(len(rows)) - rows.episode_start
    other = np.unique(rows.episode_index[rows.frame_index != expected]).tolist()
    if other:
        yield Finding(
            "note", "rows", "frame_index does not count from 0, as where rows were cut off; nothing goes by "
            "it", "", "data", tuple(other), "frame_index",
        )  # fmt: skip
    single = np.flatnonzero(records.length == 1).tolist()
    if single:
        yield Finding(
            "wrong", "rows", "has one frame alone", exclude(single, len(records)), "", tuple(single), "",
            ("training",),
        )  # fmt: skip


def _totals(meta: LeRobotDatasetMetadata, records: Episodes) -> Iterator[Finding]:
    """What info.json counts and nothing goes by."""
    if meta.total_tasks != len(meta.tasks):  # pyright: ignore[reportArgumentType]
        yield Finding(
            "note", "metadata", f"total_tasks is {meta.total_tasks}, meta/tasks.parquet has "
            f"{len(meta.tasks)}", "", "meta/info.json",  # pyright: ignore[reportArgumentType]
        )  # fmt: skip
    for name, text in dict(meta.info.splits or {}).items():
        end = str(text).rpartition(":")[2]
        if end.isdecimal() and int(end) > len(records):
            yield Finding(
                "note", "metadata", f"split {name} is {text}, but there are {len(records)} episodes; LeRobot "
                "does not go by it", "", "meta/info.json",
            )  # fmt: skip
