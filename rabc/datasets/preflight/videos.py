"""The videos of a dataset against the rows that they are to show: files, sizes, frames, stretches."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.datasets.cameras import recorded_shape
from rabc.datasets.episodes import Episodes, read_episodes
from rabc.datasets.metadata import AGAIN
from rabc.datasets.preflight.findings import Finding, edit_command, exclude
from rabc.datasets.preflight.headers import Header, frame_times, read_header
from rabc.datasets.preflight.offsets import UNDECIDED
from rabc.datasets.times import half_frame, row_times
from rabc.system.terminal import shell_word

_SPARE = 2
"""Frames that a stretch of video may have beyond its episode without a word: converters keep the odd one."""


@dataclass(frozen=True)
class _Shown:
    """What the episodes in one file of a camera ask of it."""

    camera: str
    path: Path
    episodes: NDArray[np.int64]
    """(K,) those in the file."""
    rows: NDArray[np.int64]
    """(K,) frames of each."""
    first: NDArray[np.float64]
    """(K,) time of each one's first frame in the file, seconds."""
    last: NDArray[np.float64]
    """(K,) time of its last."""


def video_findings(meta: LeRobotDatasetMetadata) -> Iterator[Finding]:
    """Every video camera: each file's header against the episodes in it. Raises InputError as its readers."""
    records = read_episodes(meta)
    for camera in meta.video_keys:
        for shown in _files(meta, records, camera):
            yield from _file(meta, records, shown)
        yield from _strays(meta, records, camera)


def _files(meta: LeRobotDatasetMetadata, records: Episodes, camera: str) -> Iterator[_Shown]:
    ranges, times = records.videos[camera], row_times(meta)
    some = records.length > 0
    bounds = np.minimum(records.start, len(times) - 1), np.minimum(records.end, len(times)) - 1
    first, last = (ranges.start + times[place] for place in bounds)
    for number, path in enumerate(ranges.files):
        episodes = np.flatnonzero((ranges.file == number) & some)
        yield _Shown(camera, path, episodes, records.length[episodes], first[episodes], last[episodes])


def _file(meta: LeRobotDatasetMetadata, records: Episodes, shown: _Shown) -> Iterator[Finding]:
    def refused(what: str, remedy: str, episodes: NDArray[np.int64] = shown.episodes) -> Finding:
        numbers = tuple(episodes.tolist())
        return Finding("refused", "video", what, remedy, name, numbers, shown.camera)

    name = _name(meta, shown.path)
    if not shown.path.is_file():
        yield refused("is missing", _without(meta, shown, shown.episodes, AGAIN))
        return
    header = read_header(shown.path)
    if isinstance(header, str):
        yield refused(header, _without(meta, shown, shown.episodes, AGAIN))
        return
    size = recorded_shape(meta, shown.camera)
    if size != (header.height, header.width):
        yield refused(
            f"its pictures are {header.height}x{header.width}, meta/info.json says {size[0]}x{size[1]}",
            f"write [{header.height}, {header.width}, 3] as the shape of {shown.camera} in meta/info.json",
        )
    lacking = _lacking(meta, shown, header)
    if lacking is not None:
        yield refused(lacking[0], lacking[2] or _without(meta, shown, lacking[1]), lacking[1])
    else:
        yield from _stretches(meta, records, shown, header)
    yield from _overlaps(meta, shown)


def _lacking(
    meta: LeRobotDatasetMetadata, shown: _Shown, header: Header
) -> tuple[str, NDArray[np.int64], str] | None:
    """What episodes ask for and the file has not, the episodes that this spoils, and a remedy of its own."""
    half, needed = half_frame(meta), int(shown.rows[_distinct(shown)].sum())
    before = shown.first < header.first - half
    behind = shown.last > header.last + half
    rate = (
        ""
        if abs(header.rate / float(meta.fps) - 1) < 0.01
        else f" ({header.rate:.4g} frames a second, the dataset {float(meta.fps):.4g})"
    )
    if before.any() and not behind.any() and header.frames >= needed:
        return (
            f"its first picture is at {header.first:.2f} s, the rows ask for "
            f"{shown.first[before].min():.2f} s",
            shown.episodes[before],
            f"begin it at 0: `ffmpeg -i {shown.path} -c copy /tmp/shifted.mp4 && mv /tmp/shifted.mp4 "
            f"{shown.path}`",
        )
    if header.frames < needed:
        spoilt = _spoilt(meta, shown, header)
        return f"has {header.frames} frames, its episodes {needed}{rate}", spoilt, ""
    if before.any() or behind.any():
        outside = before | behind
        return (
            f"shows {header.first:.2f} to {header.last:.2f} s, the rows ask for "
            f"{shown.first[outside].min():.2f} to {shown.last[outside].max():.2f} s{rate}",
            shown.episodes[outside],
            "",
        )
    return None


def _spoilt(meta: LeRobotDatasetMetadata, shown: _Shown, header: Header) -> NDArray[np.int64]:
    """The episodes that a file of too few frames spoils: those with holes, where the holes can be seen.

    Where its frames are evenly spaced nobody can see after which one they are those of later rows.
    """
    there, times, half = frame_times(shown.path), row_times(meta), half_frame(meta)
    starts = read_episodes(meta).start
    holes = np.zeros(len(shown.episodes), np.int64)
    for place, episode in enumerate(shown.episodes.tolist()):
        rows = times[starts[episode] : starts[episode] + shown.rows[place]]
        asked = shown.first[place] + rows - rows[0]
        near = np.searchsorted(there, asked - half) < np.searchsorted(there, asked + half)
        holes[place] = np.sum(~near)
    at_the_end = header.last + half < shown.last.max()
    return shown.episodes if at_the_end or not holes.any() else shown.episodes[holes > 0]


def _stretches(
    meta: LeRobotDatasetMetadata, records: Episodes, shown: _Shown, header: Header
) -> Iterator[Finding]:
    """Frames of the file that no row shows."""
    name, fps = _name(meta, shown.path), float(meta.fps)
    ranges = records.videos[shown.camera]
    spare = np.round((ranges.end - ranges.start)[shown.episodes] * fps).astype(np.int64) - shown.rows
    from_zero = np.abs(shown.first - ranges.start[shown.episodes]) < half_frame(meta)
    for place in np.flatnonzero((spare > _SPARE) & from_zero):
        episode = int(shown.episodes[place])
        yield Finding(
            "wrong", UNDECIDED,
            f"its stretch of the video has {spare[place]} frames more than it has rows, whose times begin at "
            "0: if rows were cut off in front, every picture is that much too early",
            "look whether pictures and joints fit together, or " + exclude([episode], len(records)),
            name, (episode,), shown.camera,
        )  # fmt: skip
    asked = int(shown.rows[_distinct(shown)].sum())
    unused = header.frames - asked
    if unused > _SPARE and not np.any((spare > _SPARE) & from_zero):
        yield Finding(
            "note", "video", f"{unused} of its {header.frames} frames belong to no row, as those of takes "
            "that were deleted", "", name, (), shown.camera,
        )  # fmt: skip
    if abs(header.rate / fps - 1) >= 0.01:
        yield Finding(
            "note", "video", f"has {header.rate:.4g} frames a second, the dataset {fps:.4g}: each row shows "
            "the picture of its time", "", name, (), shown.camera,
        )  # fmt: skip


def _overlaps(meta: LeRobotDatasetMetadata, shown: _Shown) -> Iterator[Finding]:
    """Episodes that are said to be shown by the same frames of the file."""
    half = half_frame(meta)
    order = np.argsort(shown.first, kind="stable")
    holder = -1  # the one that ends last so far
    for place in order:
        if holder >= 0 and shown.first[place] < shown.last[holder] + half:
            pair = sorted((int(shown.episodes[holder]), int(shown.episodes[place])))
            common = min(shown.last[holder], shown.last[place]) - shown.first[place]
            yield Finding(
                "refused", "video",
                f"both are said to be shown by the same {round(common * float(meta.fps)) + 1} frames, from "
                f"{shown.first[place]:.2f} s on",
                "correct meta/episodes, or " + exclude(pair, meta.total_episodes), _name(meta, shown.path),
                tuple(pair), shown.camera,
            )  # fmt: skip
        if holder < 0 or shown.last[place] > shown.last[holder]:
            holder = int(place)


def _strays(meta: LeRobotDatasetMetadata, records: Episodes, camera: str) -> Iterator[Finding]:
    """Videos in the camera's folder that no episode is in."""
    known = set(records.videos[camera].files)
    folders = {path.parent.parent for path in known}
    strays = sorted(path for folder in folders for path in folder.glob("*/*.mp4") if path not in known)
    if strays:
        more = f" and {len(strays) - 1} more" if len(strays) > 1 else ""
        yield Finding(
            "note", "video", f"no episode is in it{more}", "", _name(meta, strays[0]), (), camera
        )  # fmt: skip


def _distinct(shown: _Shown) -> NDArray[np.int64]:
    """Places of episodes that are shown by stretches of their own."""
    return np.unique(np.round(shown.first, 3), return_index=True)[1]


def _without(
    meta: LeRobotDatasetMetadata, shown: _Shown, episodes: NDArray[np.int64], first: str = ""
) -> str:
    """How to go on without what the file should show."""
    parts = [first] if first else []
    if len(episodes) < meta.total_episodes:
        parts.append(exclude(episodes.tolist(), meta.total_episodes))
    elif len(meta.camera_keys) > 1 and shown.path.is_file():  # LeRobot opens no dataset that lacks a file
        parts.append(
            "do without the camera: "
            + edit_command(meta.root, f"remove_feature --operation.feature_names {_listed(shown.camera)}")
        )
    elif not first:
        parts.append(AGAIN)
    return ", or ".join(parts)


def _name(meta: LeRobotDatasetMetadata, path: Path) -> str:
    return path.relative_to(meta.root).as_posix() if path.is_relative_to(meta.root) else str(path)


def _listed(name: str) -> str:
    """A list of one name as LeRobot's commands take it; a word of the shell whatever the name is."""
    return f"\"['{name}']\"" if re.fullmatch(r"[\w.-]+", name) else shell_word(json.dumps([name]))
