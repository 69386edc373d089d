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

REALIGN = (
    "table and video disagree: `uv run rabc check-dataset` says where; record the episode again, or leave it "
    "out with --dataset.exclude"
)
# What PyAV raises for missing, foreign and damaged files, and this module for files without frames.
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


def decode_at(
    path: Path, times: Sequence[float], half_frame: float, what: str = "it"
) -> Iterator[NDArray[np.uint8]]:
    """The frames (H, W, 3) of the video nearest to ascending `times`, seconds, each decoded once.

    half_frame: half the time between frames, seconds; a frame as far from a time as that is another one.
    Groups of pictures in which no wanted frame lies are not decoded. Raises InputError, saying that `what`
    cannot be decoded for a damaged file, or what the file shows instead where a time has no frame.
    """
    try:
        with av.open(str(path)) as container:
            yield from _decode_at(container, times, half_frame)
    except _NoFrame as error:
        raise InputError(f"video {path}: {what} {error}; {REALIGN}") from error
    except UNREADABLE as error:
        raise _refusal(path, what, error) from error


class _NoFrame(Exception):
    """The file is whole and shows nothing at a time."""


def _decode_at(container: Any, times: Sequence[float], half_frame: float) -> Iterator[NDArray[np.uint8]]:
    stream = _video_stream(container)
    margin = _ticks(stream, half_frame) + 1
    container.seek(_ticks(stream, times[0]) - margin, backward=True, stream=stream)
    tick = stream.time_base
    before: Any = None  # the last frame shown before the time that is looked for
    at = 0
    for frame in _frames(stream.codec_context, _needed_packets(container, stream, times, margin)):
        if frame.pts is None:
            continue
        while at < len(times) and float(frame.pts * tick) >= times[at]:
            near = [one for one in (before, frame) if one is not None]
            yield _nearest(near, tick, times[at], half_frame, first=before is None)
            at += 1
        if at == len(times):
            return
        before = frame
    if before is None:
        raise _nothing_near(stream, times[at])
    for time in times[at:]:
        yield _nearest([before], tick, time, half_frame, first=False)


def _nothing_near(stream: Any, time: float) -> Exception:
    """What to say where no group of pictures was worth decoding: all end before."""
    if not stream.duration:
        return ValueError("it has no frames")
    end = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    return _NoFrame(f"needs a frame at {time:.3f} s, and its video ends before, at {end:.3f} s")


def _nearest(
    frames: Sequence[Any], tick: Any, time: float, half_frame: float, first: bool
) -> NDArray[np.uint8]:
    """The picture (H, W, 3) of whichever of the frames around a time is nearer; the earlier of two."""
    shown, _, frame = min(
        ((float(one.pts * tick), place, one) for place, one in enumerate(frames)),
        key=lambda found: (abs(found[0] - time), found[1]),
    )
    if abs(shown - time) < half_frame:
        return frame.to_ndarray(format="rgb24")
    if shown < time:
        raise _NoFrame(f"needs a frame at {time:.3f} s, and its video ends before, at {shown:.3f} s")
    if first:
        raise _NoFrame(f"needs a frame at {time:.3f} s, and its video begins later, at {shown:.3f} s")
    raise _NoFrame(f"needs a frame at {time:.3f} s, and the nearest one is at {shown:.3f} s")


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


def _needed_packets(container: Any, stream: Any, times: Sequence[float], margin: int) -> Iterator[Any]:
    """The packets of those groups of pictures that show any of `times`, and None for groups left out between.

    A group begins with a key frame and can be decoded without those before it, but for pictures that are
    shown before its key frame: these are of the time of the group before, which is then needed as well.
    margin: how far from a time its frame may be, in the stream's ticks.
    """
    ticks = np.array([_ticks(stream, time) for time in times])

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
