"""When each row of a dataset is shown in its episode's videos."""

from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.episodes import read_episodes
from rabc.datasets.metadata import AGAIN, first_line
from rabc.datasets.tables import table_files
from rabc.system.errors import InputError

_DAY = 24 * 3600.0


def half_frame(meta: LeRobotDatasetMetadata) -> float:
    """Half the time between frames, seconds: the frame nearer than that to a time is the one meant."""
    return 0.5 / float(meta.fps)


def video_times(
    meta: LeRobotDatasetMetadata, camera: str, episode: int, ticks: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Times (T,) at which the camera's file shows frames `ticks` (T,) of the episode, seconds.

    `from_timestamp` of the episode plus the row's own time (`row_times`), as LeRobotDataset asks for.
    """
    records = read_episodes(meta)
    start = records.videos[camera].start[episode]
    return start + row_times(meta)[records.start[episode] + ticks]


@lru_cache(maxsize=8)
def row_times(meta: LeRobotDatasetMetadata) -> NDArray[np.float64]:
    """Time (N,) of every row within its episode's stretch of video, seconds.

    The row's `timestamp`, as in LeRobot: rows that were trimmed in front begin later than 0. Where the
    timestamps of an episode are no grid of the dataset's rate (a recorder's wall clock that drifts), or count
    from 1970, and its stretch of video has exactly the episode's frames, the frame's number says when: there
    LeRobot's own reader fails. Where it has other frames, the timestamps stay, and `rabc.datasets.preflight`
    refuses them.
    """
    records = read_episodes(meta)
    nominal = np.concatenate([np.arange(length) for length in records.length]) / float(meta.fps)
    given = _timestamps(meta, len(nominal))
    if given is None:
        return nominal
    times = given
    for episode in sorted({*drifting(meta), *of_a_calendar(meta)}):
        rows = slice(records.start[episode], records.end[episode])
        if all(_whole(meta, camera, episode) for camera in records.videos):
            times[rows] = nominal[rows]
    return times


def drifting(meta: LeRobotDatasetMetadata) -> list[int]:
    """Episodes whose timestamps leave the grid of the dataset's rate by half a frame or more."""
    records = read_episodes(meta)
    given = _timestamps(meta, int(records.length.sum()))
    if given is None:
        return []
    found: list[int] = []
    for episode in range(len(records)):
        some = given[records.start[episode] : records.end[episode]]
        away = some - np.arange(len(some)) / float(meta.fps)
        if len(some) and np.abs(away - np.median(away)).max() >= half_frame(meta):
            found.append(episode)
    return found


def of_a_calendar(meta: LeRobotDatasetMetadata) -> list[int]:
    """Episodes whose timestamps begin a day or more behind 0, which is in no video: seconds since 1970.

    Any smaller offset may be rows that were cut off in front, whose pictures are where their times say.
    """
    records = read_episodes(meta)
    given = _timestamps(meta, int(records.length.sum()))
    if given is None:
        return []
    some = np.flatnonzero(records.length > 0)
    return some[given[records.start[some]] >= _DAY].tolist()


def _whole(meta: LeRobotDatasetMetadata, camera: str, episode: int) -> bool:
    """Whether the episode's stretch of video has as many frames as the episode."""
    records = read_episodes(meta)
    ranges = records.videos[camera]
    frames = (ranges.end[episode] - ranges.start[episode]) * float(meta.fps)
    return bool(abs(frames - records.length[episode]) < 0.5)


def _timestamps(meta: LeRobotDatasetMetadata, count: int) -> NDArray[np.float64] | None:
    """(N,) the column `timestamp` in the order of the files; None where there is none to go by."""
    parts: list[NDArray[np.float64]] = []
    for path in table_files(meta):
        try:
            file = pq.ParquetFile(path)
            if "timestamp" not in file.schema_arrow.names:
                return None
            values = file.read(columns=["timestamp"]).column("timestamp")
            parts.append(np.asarray(values.to_numpy(), np.float64).reshape(-1))
        except (OSError, ValueError, TypeError, KeyError, pa.ArrowException) as error:
            raise InputError(f"table {path}: cannot be read ({first_line(error)}); {AGAIN}") from error
    joined = np.concatenate(parts)
    return joined if len(joined) == count and np.isfinite(joined).all() else None
