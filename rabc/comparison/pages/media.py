"""Pictures and videos inside the page of a comparison, as data URIs, within a limit on their size."""

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.pages.charts import runs_by_arm
from rabc.pages.html import jpeg
from rabc.system.errors import InputError

MAX_BYTES = 12_000_000
"""Of all pictures and videos as they stand in the page; what does not fit is named instead."""
DOWN, UP = 3, 3
"""Filmstrips of an arm's most down-weighted and most up-weighted moments."""
START_STATES = 6
"""Start states of which rollouts are shown side by side."""


@dataclass(frozen=True)
class Video:
    """A filmed rollout."""

    arm: str
    training_seed: int
    success: bool
    ticks: int
    path: Path


@dataclass(frozen=True)
class Player:
    """A video in the page."""

    video: Video
    uri: str
    poster: str
    """Its last picture, which stands there until it is played."""


@dataclass(frozen=True)
class SideBySide:
    """Rollouts of all arms that were filmed, on one start state."""

    start_state: int
    players: list[Player]


@dataclass(frozen=True)
class Strips:
    """Moments of an arm, as pictures."""

    down: list[str]
    up: list[str]


@dataclass(frozen=True)
class Media:
    """Everything of the page that is not text."""

    strips: dict[str, Strips]
    """By arm."""
    rows: list[SideBySide]
    left_out: int
    """Filmed start states that the page does not show."""
    missing: int
    """Files that the results name and that are no longer there."""


def collect(result: Mapping[str, Any]) -> Media:
    """Pictures and videos that `result` names and that still exist.

    A run's outputs may be deleted or elsewhere; the page then says so, and has no broken pictures. Raises
    InputError for a file that exists and cannot be read.
    """
    named = [path for arm in result["arms"] for path in (*arm["down"], *arm["up"])]
    named += [path for run in result["runs"] for path in run["videos"].values()]
    strips = {
        arm["name"]: Strips(
            [picture_uri(path) for path in _existing(arm["down"])[:DOWN]],
            [picture_uri(path) for path in _existing(arm["up"])[:UP]],
        )
        for arm in result["arms"]
    }
    room = MAX_BYTES - sum(len(uri) for own in strips.values() for uri in (*own.down, *own.up))
    filmed = _filmed(result)
    rows: list[SideBySide] = []
    for start_state, videos in list(filmed.items())[:START_STATES]:
        players = [_player(video) for video in videos]
        room -= sum(len(player.uri) + len(player.poster) for player in players)
        if room < 0:
            break
        rows.append(SideBySide(start_state, players))
    return Media(strips, rows, len(filmed) - len(rows), len(named) - len(_existing(named)))


def picture_uri(path: Path) -> str:
    """The picture as a JPEG data URI. Raises InputError where it cannot be read."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return _uri("image/jpeg", jpeg(np.asarray(picture.convert("RGB"))))
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"picture {path}: cannot be read; delete it and start again") from error


def last_picture(path: Path) -> NDArray[np.uint8]:
    """The last picture (H, W, 3) of a video. Raises InputError where it cannot be decoded."""
    import av
    from av.error import FFmpegError

    last: Any = None
    try:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                last = frame
    except (FFmpegError, OSError, IndexError) as error:
        raise InputError(f"video {path}: cannot be decoded; delete it and start again") from error
    if last is None:
        raise InputError(f"video {path}: has no pictures; delete it and start again")
    return last.to_ndarray(format="rgb24")


def _player(video: Video) -> Player:
    try:
        content = video.path.read_bytes()
    except OSError as error:
        raise InputError(
            f"video {video.path}: cannot be read ({error.strerror}); delete it and start again"
        ) from error
    return Player(video, _uri("video/mp4", content), _uri("image/jpeg", jpeg(last_picture(video.path))))


def _existing(paths: Sequence[str]) -> list[Path]:
    return [Path(path) for path in paths if Path(path).is_file()]


def _filmed(result: Mapping[str, Any]) -> dict[int, list[Video]]:
    """Videos of each arm by start state, in their order; of the first training seed that was filmed there.

    They are not chosen by how they went, so that they show what is usual.
    """
    filmed: dict[int, list[Video]] = {}
    for runs in runs_by_arm(result).values():
        own: dict[int, Video] = {}
        for run in runs:
            rollouts = {rollout["seed"]: rollout for rollout in run["rollouts"]}
            for start_state, path in run["videos"].items():
                rollout = rollouts.get(int(start_state))
                if rollout is not None and int(start_state) not in own and Path(path).is_file():
                    own[int(start_state)] = Video(
                        run["arm"], run["seed"], rollout["success"], rollout["ticks"], Path(path)
                    )
        for start_state, video in own.items():
            filmed.setdefault(start_state, []).append(video)
    return dict(sorted(filmed.items()))


def _uri(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
