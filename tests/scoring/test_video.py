"""Reading frames at given times equals decoding everything, whatever the codec and its groups of pictures."""

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.scoring.video import decode_at, read_facts
from rabc.system.errors import InputError

FRAMES, FPS, SIDE = 90, 30, 64
HALF_FRAME = 0.5 / FPS
ENCODINGS = {
    "short groups": ("libx264", {"g": "2"}),
    "b-frames": ("libx264", {"g": "12", "bf": "3"}),
    "open groups": ("libx264", {"g": "12", "bf": "3", "x264-params": "open-gop=1"}),
    "one group": ("libx264", {"g": "1000"}),
    "open groups, hevc": ("libx265", {"x265-params": "keyint=12:open-gop=1:bframes=4:log-level=error"}),
    "lerobot's av1": ("libsvtav1", {"g": "2"}),
}


def write_video(path: Path, codec: str, options: dict[str, str], frames: int = FRAMES) -> None:
    picture = np.random.default_rng(0).integers(0, 255, (SIDE, SIDE + 2 * FRAMES, 3), dtype=np.uint8)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(codec, rate=Fraction(FPS), options=options)
        stream.width, stream.height, stream.pix_fmt = SIDE, SIDE, "yuv420p"
        for t in range(frames):
            view = np.ascontiguousarray(picture[:, 2 * t : 2 * t + SIDE])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(view, format="rgb24")))
        container.mux(stream.encode())


def decode_all(path: Path) -> list[tuple[float, NDArray[np.uint8]]]:
    with av.open(str(path)) as container:
        return [
            (float(frame.time or 0), frame.to_ndarray(format="rgb24")) for frame in container.decode(video=0)
        ]


@pytest.mark.parametrize("name", ENCODINGS)
def test_frames_are_those_of_the_whole_video(tmp_path: Path, name: str) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, *ENCODINGS[name])
    whole = decode_all(path)
    facts = read_facts(path)
    assert len(whole) == len(facts.times) == FRAMES
    assert np.allclose([time for time, _ in whole], facts.times)
    assert facts.fps == FPS
    rng = np.random.default_rng(1)
    wanted = [rng.choice(FRAMES, count, replace=False) for count in rng.integers(1, 20, 30)]
    for index in [*wanted, np.arange(FRAMES), np.arange(0, FRAMES, 15), np.array([FRAMES - 1])]:
        index = np.sort(index)
        times = np.array([facts.times[i] for i in index]) + rng.uniform(-0.45, 0.45, len(index)) / FPS
        found = list(decode_at(path, times.tolist(), HALF_FRAME))
        assert len(found) == len(index)
        assert all(np.array_equal(frame, whole[i][1]) for frame, i in zip(found, index, strict=True))


def test_a_time_without_a_frame_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    write_video(path, *ENCODINGS["b-frames"], frames=10)
    first = read_facts(path).times[0]
    for times, words in (
        ([first, first + 20 / FPS], rf"needs a frame at {first + 20 / FPS:.3f} s, and its video ends before"),
        ([first, first + 9.51 / FPS], "its video ends before"),
        (
            [first - 0.3, first],
            rf"needs a frame at {first - 0.3:.3f} s, and its video begins later, at {first:.3f} s",
        ),
    ):
        with pytest.raises(
            InputError, match=rf"video {path}: episode 7 .*{words}.*: `uv run rabc check-dataset`"
        ):
            list(decode_at(path, times, HALF_FRAME, "episode 7"))
    with pytest.raises(InputError, match="and the nearest one is at"):
        list(decode_at(path, [first, first + 1.5 / FPS], 0.1 / FPS))


def test_unreadable_files_are_named(tmp_path: Path) -> None:
    path = tmp_path / "video.mp4"
    path.write_bytes(b"no video")
    for read in (read_facts, lambda path: list(decode_at(path, [0.0], HALF_FRAME))):
        with pytest.raises(InputError, match=rf"video {path}: it cannot be decoded"):
            read(path)
        with pytest.raises(InputError, match="cannot be decoded"):
            read(tmp_path / "none.mp4")
    with av.open(str(path), "w", format="mp4") as container:  # sound only
        stream: Any = container.add_stream("aac", rate=44100)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 44100
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with pytest.raises(InputError, match="no video stream"):
        read_facts(path)
