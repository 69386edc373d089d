"""Whether rows were cut off in front of an episode or behind it, where its video has more frames than rows.

Nothing in the metadata says so. But a picture changes when the joints move: where the changes fit the motion
better some frames later, the rows' pictures are that much too early. Of 240 cuts in 20 simulated episodes it
decided 9 in 10, none wrongly; of 60 in a real recording, whose hands never rest, none.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray
from scipy.stats import rankdata

from rabc.datasets.episodes import read_episodes
from rabc.datasets.features import ACTION, STATE
from rabc.datasets.preflight.findings import Finding
from rabc.datasets.preflight.motion import span
from rabc.datasets.preflight.pictures import blocks
from rabc.datasets.tables import FrameTable
from rabc.datasets.times import half_frame

UNDECIDED = "stretch"
"""Kind of the findings that this decides."""
_LATENCY = 2
"""Frames by which a camera may come later than the joints."""
_FITS = 0.3
"""Rank correlation of changes and motion from which on it means something."""
_BETTER = 0.15
"""By how much the better of two has to be better."""
_MOST = 16
"""Episodes that are looked at, since whole ones are decoded."""


def decided(
    meta: LeRobotDatasetMetadata, rows: FrameTable, undecided: Sequence[Finding]
) -> Iterator[Finding]:
    """The findings of kind UNDECIDED as far as pictures decide them: still wrong, or a note."""
    records = read_episodes(meta)
    column = STATE if STATE in rows.vectors else ACTION
    if column not in rows.vectors:
        return
    full = np.maximum(span(rows.vectors[column]), 1e-9)
    for finding in undecided[:_MOST]:
        (episode,) = finding.episodes
        ranges = records.videos[finding.column]
        start, end = ranges.start[episode], ranges.end[episode]
        joints = rows.vectors[column][records.start[episode] : records.end[episode]] / full
        grey = _stretch(ranges.files[ranges.file[episode]], start, end, half_frame(meta))
        frames = cut_in_front(
            np.abs(np.diff(grey, axis=0)).mean(axis=(1, 2)), np.abs(np.diff(joints, axis=0)).mean(axis=1)
        )
        if frames == 0:
            yield replace(
                finding, severity="note", remedy="",
                what="rows were cut off behind the episode, whose video is longer: pictures and joints fit",
            )  # fmt: skip
        elif frames is not None:
            yield replace(
                finding,
                what="rows were cut off in front of the episode and its times begin at 0 again: pictures are "
                f"about {frames} frames early, by when they change and the joints move",
            )


def cut_in_front(changes: NDArray[np.floating], speed: NDArray[np.floating]) -> int | None:
    """How many frames the rows are behind the first picture of their stretch: all that are spare, or 0. Pure.

    Args:
        changes: (T,) of the picture from each frame of the stretch to the next.
        speed: (N,) of the joints from each row to the next, N at most T.

    Returns:
        T - N or 0; None where neither fits the motion clearly better.
    """
    spare = len(changes) - len(speed)
    if spare <= 2 * _LATENCY or len(speed) < 10 or speed.std() == 0:
        return None

    ranks = rankdata(speed)

    def fit(first: int) -> float:
        """The best rank correlation with a camera that is a little late."""
        some = [changes[late : late + len(speed)] for late in range(first, min(first + _LATENCY, spare) + 1)]
        fits = [np.corrcoef(rankdata(one), ranks)[0, 1] for one in some if one.std() > 0]
        return max(map(float, fits), default=0.0)

    behind, front = fit(0), fit(spare)
    if max(behind, front) < _FITS or abs(behind - front) < _BETTER:
        return None
    return spare if front > behind else 0


def _stretch(path: Path, start: float, end: float, half: float) -> NDArray[np.float32]:
    """Block means (T, SIDE, SIDE) of the frames of a file from `start` to before `end`, seconds."""
    found: list[NDArray[np.float32]] = []
    try:
        with closing(av.open(str(path))) as container:
            stream = container.streams.video[0]
            base = float(stream.time_base or 1)
            container.seek(max(0, round(start / base) - 1), backward=True, stream=stream)
            for frame in container.decode(stream):
                time = (frame.pts or 0) * base
                if time >= end - half:
                    break
                if time >= start - half:
                    picture: Any = frame.to_ndarray(format="rgb24")
                    found.append(blocks(picture))
    except (OSError, FFmpegError, IndexError):
        pass  # said by what decodes pictures
    return np.stack(found) if len(found) > 1 else np.zeros((2, 1, 1), np.float32)
