"""What the header of a video says, without reading its frames."""

import struct
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from rabc.datasets.metadata import first_line


@dataclass(frozen=True)
class Header:
    """The picture stream of one file."""

    frames: int
    """As the container counts them; its duration times its rate where it counts none."""
    rate: float
    """Frames a second, on average."""
    first: float
    """Time of the first frame, seconds."""
    height: int
    """Pixels."""
    width: int
    """Pixels."""

    @property
    def last(self) -> float:
        """Time of the last frame where they are evenly spaced, seconds."""
        return self.first + (self.frames - 1) / self.rate


def read_header(path: Path) -> Header | str:
    """The header of a video, or in words why there is none."""
    cut = _cut_off(path)
    if cut is not None:
        return cut
    try:
        container = av.open(str(path))
    except (OSError, FFmpegError, ValueError) as error:
        return f"cannot be opened ({first_line(error)}), it is truncated or damaged"
    with closing(container):
        if not container.streams.video:
            return "has no pictures"
        stream = container.streams.video[0]
        base, rate = float(stream.time_base or 0), float(stream.average_rate or 0)
        frames = stream.frames or round(float(stream.duration or 0) * base * rate)
        if not (rate > 0 and frames > 0):
            return "has no frames"
        return Header(frames, rate, (stream.start_time or 0) * base, stream.height, stream.width)


def frame_times(path: Path) -> NDArray[np.float64]:
    """Times of all frames, ascending, seconds; reads the whole file, so it is for files in doubt alone."""
    try:
        with closing(av.open(str(path))) as container:
            stream = container.streams.video[0]
            base = float(stream.time_base or 0)
            packets = [packet.pts for packet in container.demux(stream)]
    except (OSError, FFmpegError, IndexError):
        return np.zeros(0)
    return np.sort([time * base for time in packets if time is not None])


def _cut_off(path: Path) -> str | None:
    """Why the file is shorter than its boxes say (ISO 14496-12, 4.2), where it is.

    A header at the front, as LeRobot writes it, stays sound when the pictures behind it are cut off.
    """
    size = path.stat().st_size
    place = 0
    with path.open("rb") as file:
        while place + 8 <= size:
            file.seek(place)
            length, kind = struct.unpack(">I4s", file.read(8))
            if not kind.isalnum():
                return None  # another container
            if length == 1:
                (length,) = struct.unpack(">Q", file.read(8).ljust(8, b"\0"))
            elif length == 0:  # to the end of the file
                return None
            if length < 8:
                return None
            place += length
    return None if place <= size else f"is truncated: it has {size} of at least {place} bytes"
