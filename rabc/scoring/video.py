"""Frames of a video file at given times, one after the other: memory does not grow with its length."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.error import FFmpegError
from numpy.typing import NDArray

from rabc.system.errors import InputError

# LeRobotDataset's own default: how far a frame may be from the time it is asked for, seconds.
TOLERANCE_S = 1e-4
# What PyAV raises for missing, foreign and damaged files, and this module for frames that are not there.
UNREADABLE = (FFmpegError, OSError, ValueError)


@dataclass(frozen=True)
class VideoFacts:
    """What a file says of its video, without decoding."""

    times: tuple[float, ...]
    """Presentation time of every frame, ascending, seconds."""
    fps: float
    """Average frame rate, Hz."""


def read_facts(path: Path) -> VideoFacts:
    """Frame times and rate of the video at `path`. Raises InputError if it cannot be read."""
    times: list[float] = []
    rate = None
    try:
        with av.open(str(path)) as container:
            stream: Any = _video_stream(container)
            tick = float(stream.time_base)
            times = sorted(packet.pts * tick for packet in container.demux(stream) if packet.pts is not None)
            rate = stream.average_rate or stream.base_rate
    except UNREADABLE as error:
        raise _refusal(path, "it", error) from error
    if not times or not rate:
        raise _refusal(path, "it", ValueError("it has no frames"))
    return VideoFacts(tuple(times), float(rate))


def end_time(path: Path, what: str = "it") -> float | None:
    """Time at which the last frame of the video ends, seconds; None where the file does not say.

    Raises InputError, saying that `what` cannot be decoded, if it cannot be read.
    """
    duration = tick = None
    start = 0
    try:
        with av.open(str(path)) as container:
            stream: Any = _video_stream(container)
            duration, start, tick = stream.duration, stream.start_time or 0, stream.time_base
    except UNREADABLE as error:
        raise _refusal(path, what, error) from error
    return None if duration is None or tick is None else float((start + duration) * tick)


def decode_at(path: Path, times: Sequence[float], what: str = "it") -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) of the video at ascending `times`, seconds, each decoded once.

    Groups of pictures in which no wanted frame lies are not decoded. Raises InputError, saying that `what`
    cannot be decoded, for a damaged file or where there is no frame within `TOLERANCE_S` of a time.
    """
    try:
        with av.open(str(path)) as container:
            yield from _decode_at(container, times)
    except UNREADABLE as error:
        raise _refusal(path, what, error) from error


def _decode_at(container: Any, times: Sequence[float]) -> Iterator[NDArray[np.uint8]]:
    stream = _video_stream(container)
    container.seek(_ticks(stream, times[0]) - 1, backward=True, stream=stream)
    wanted = iter(times)
    time = next(wanted)
    for frame in _frames(stream.codec_context, _needed_packets(container, stream, times)):
        if frame.pts is None:
            continue
        shown = float(frame.pts * stream.time_base)
        while shown >= time - TOLERANCE_S:
            if shown > time + TOLERANCE_S:
                raise ValueError(f"no frame at {time:.4f} s")
            yield frame.to_ndarray(format="rgb24")
            following = next(wanted, None)
            if following is None:
                return
            time = following
    raise ValueError(f"no frame at {time:.4f} s: the video ends before")


def _refusal(path: Path, what: str, error: Exception) -> InputError:
    reason = (str(error).strip() or type(error).__name__).splitlines()[0]
    return InputError(
        f"video {path}: {what} cannot be decoded ({reason}); "
        "the file is missing, truncated or damaged: download or record it again"
    )


def _video_stream(container: Any) -> Any:
    if not container.streams.video:
        raise ValueError("it has no video stream")
    return container.streams.video[0]


def _frames(codec: Any, packets: Iterator[Any]) -> Iterator[Any]:
    """Decoded frames in order of time; None among the packets stands for a gap."""
    for packet in packets:
        yield from codec.decode(packet)
        if packet is None:
            codec.flush_buffers()
    yield from codec.decode(None)


def _needed_packets(container: Any, stream: Any, times: Sequence[float]) -> Iterator[Any]:
    """The packets of those groups of pictures that show any of `times`, and None for groups left out between.

    A group begins with a key frame and can be decoded without those before it, but for pictures that are
    shown before its key frame: these are of the time of the group before, which is then needed as well.
    """
    ticks = np.array([_ticks(stream, time) for time in times])
    margin = _ticks(stream, TOLERANCE_S) + 1

    def any_between(start: int, end: int) -> bool:
        place = int(np.searchsorted(ticks, start - margin))
        return place < len(ticks) and bool(ticks[place] <= end + margin)

    held: list[Any] = []  # packets of a group of which none is needed so far
    needed = gap = False
    first = last = 0  # earliest and latest picture of the group so far, ticks
    for packet in container.demux(stream):
        if packet.pts is None:
            continue
        if packet.dts is not None and packet.dts > ticks[-1] + margin:
            return  # no picture is shown before it is decoded
        if packet.is_keyframe:
            # A picture of this time may come after the key frame and refer to this group.
            if held and any_between(last, packet.pts - 2 * margin):
                yield from [None, *held] if gap else held
                gap = False
            elif held:
                gap = True
            held, needed, first, last = [], False, packet.pts, packet.pts
        held.append(packet)
        first, last = min(first, packet.pts), max(last, packet.pts)
        needed = needed or any_between(first, last)
        if needed:
            yield from [None, *held] if gap else held
            held, gap = [], False


def _ticks(stream: Any, time: float) -> int:
    return round(time / float(stream.time_base))
