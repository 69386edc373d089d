"""Datasets of any number of episodes in LeRobot's layout, written at once: a recorder would take hours.

Tables, metadata and statistics are as LeRobot writes them, many episodes to a file; the arm moves at random.
A camera shows the same moving bar in every episode: its frames are encoded once and copied into every file.
"""

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from rabc.benchmarks.recordings import CAMERAS, JOINTS

TASK = "Pick up the cube."
_SHARES = (1, 10, 50, 90, 99)
"""Quantiles in LeRobot's statistics, %."""
_PATHS = {
    "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
    "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
}


@dataclass(frozen=True)
class Sizes:
    """Of a synthetic dataset."""

    frames: int = 900
    """Of an episode: 30 s at 30 fps."""
    fps: int = 30
    side: int = 32
    """Height and width of the pictures, pixels."""
    episodes_a_video: int = 5
    """About as many as 200 MB hold of 480x640, LeRobot's size of a file."""
    episodes_a_table: int = 500


def make_dataset(root: Path, episodes: int, sizes: Sizes | None = None) -> Path:
    """Writes a LeRobotDataset v3 of `episodes` episodes to folder `root`, which is made, and returns it."""
    sizes = sizes or Sizes()
    columns, features = _columns(episodes, sizes), _features(sizes)
    one = {name: values[: sizes.frames] for name, values in columns.items()}
    statistics = {name: _statistics(features[name], columns.get(name)) for name in features}
    _write_info(root, episodes, sizes, features)
    (root / "meta" / "stats.json").write_text(json.dumps(statistics))
    tasks = pd.DataFrame({"task_index": [0]}, index=pd.Index([TASK], name="task"))
    tasks.to_parquet(root / "meta" / "tasks.parquet")
    # Of each episode LeRobot keeps statistics as well, which take most of the file and which nobody reads.
    own = {name: _statistics(features[name], one.get(name)) for name in features}
    flat = {f"stats/{name}/{kind}": value for name, some in own.items() for kind, value in some.items()}
    records = pa.Table.from_pylist([_record(episode, sizes) | flat for episode in range(episodes)])
    path = root / "meta" / "episodes" / "chunk-000" / "file-000.parquet"
    path.parent.mkdir(parents=True)
    pq.write_table(records, path, row_group_size=10)
    for file in range(-(-episodes // sizes.episodes_a_table)):
        first = file * sizes.episodes_a_table * sizes.frames
        some = {k: v[first : first + sizes.episodes_a_table * sizes.frames] for k, v in columns.items()}
        _write_table(root / _PATHS["data_path"].format(chunk_index=0, file_index=file), some, sizes)
    for number, camera in enumerate(CAMERAS):
        shown = _encoded(number, sizes)
        for file in range(-(-episodes // sizes.episodes_a_video)):
            count = min(sizes.episodes_a_video, episodes - file * sizes.episodes_a_video)
            where = _PATHS["video_path"].format(video_key=camera, chunk_index=0, file_index=file)
            _write_video(root / where, shown, count, f"{camera} {file}")
    return root


def _record(episode: int, sizes: Sizes) -> dict[str, Any]:
    """The row of `meta/episodes`."""
    first, seconds = episode * sizes.frames, sizes.frames / sizes.fps
    file, place = divmod(episode, sizes.episodes_a_video)
    row: dict[str, Any] = {
        "episode_index": episode,
        "tasks": [TASK],
        "length": sizes.frames,
        "data/chunk_index": 0,
        "data/file_index": episode // sizes.episodes_a_table,
        "dataset_from_index": first,
        "dataset_to_index": first + sizes.frames,
    }
    for camera in CAMERAS:
        row |= {
            f"videos/{camera}/chunk_index": 0,
            f"videos/{camera}/file_index": file,
            f"videos/{camera}/from_timestamp": place * seconds,
            f"videos/{camera}/to_timestamp": (place + 1) * seconds,
        }
    return row | {"meta/episodes/chunk_index": 0, "meta/episodes/file_index": 0}


def _features(sizes: Sizes) -> dict[str, dict[str, Any]]:
    names = [f"joint_{joint}.pos" for joint in range(JOINTS)]
    vector = {"dtype": "float32", "shape": [JOINTS], "names": names}
    video = {
        "dtype": "video",
        "shape": [sizes.side, sizes.side, 3],
        "names": ["height", "width", "channels"],
        "info": {"video.fps": sizes.fps, "video.codec": "h264", "video.pix_fmt": "yuv420p"},
    }
    numbers = ("frame_index", "episode_index", "index", "task_index")
    return {
        **dict.fromkeys(CAMERAS, video),
        "observation.state": vector,
        "action": vector,
        "timestamp": {"dtype": "float32", "shape": [1], "names": None},
        **{name: {"dtype": "int64", "shape": [1], "names": None} for name in numbers},
    }


def _statistics(feature: dict[str, Any], values: NDArray[Any] | None) -> dict[str, Any]:
    """As LeRobot's; of pictures, which have no `values`, in their shape only."""
    if values is None:
        numbers = {"min": 0.0, "max": 1.0, "mean": 0.5, "std": 0.2}
        shares = {f"q{share:02d}": share / 100 for share in _SHARES}
        flat = {kind: np.full((3, 1, 1), number) for kind, number in (numbers | shares).items()}
        return {kind: value.tolist() for kind, value in flat.items()} | {"count": [1]}
    rows = values.reshape(len(values), -1).astype(np.float64)
    found = {"min": rows.min(0), "max": rows.max(0), "mean": rows.mean(0), "std": rows.std(0)}
    found |= {f"q{share:02d}": np.percentile(rows, share, axis=0) for share in _SHARES}
    return {kind: value.tolist() for kind, value in found.items()} | {"count": [len(rows)]}


def _write_info(root: Path, episodes: int, sizes: Sizes, features: dict[str, dict[str, Any]]) -> None:
    (root / "meta").mkdir(parents=True)
    info = {
        "codebase_version": "v3.0", "robot_type": "so101_follower", "fps": sizes.fps, "features": features,
        "total_episodes": episodes, "total_frames": episodes * sizes.frames, "total_tasks": 1,
        "chunks_size": 1000, "data_files_size_in_mb": 100, "video_files_size_in_mb": 200,
        "splits": {"train": f"0:{episodes}"}, **_PATHS,
    }  # fmt: skip
    (root / "meta" / "info.json").write_text(json.dumps(info))


def _columns(episodes: int, sizes: Sizes) -> dict[str, NDArray[Any]]:
    """All rows of the tables: name -> (N,) or (N, joints)."""
    shape = (episodes, sizes.frames, JOINTS)
    moved = np.random.default_rng(0).normal(0, 1, shape).astype(np.float32)
    state = np.cumsum(moved, axis=1).reshape(-1, JOINTS)
    frame = np.tile(np.arange(sizes.frames), episodes)
    return {
        "observation.state": state,
        "action": state + 1,
        "timestamp": (frame / sizes.fps).astype(np.float32),
        "frame_index": frame,
        "episode_index": np.repeat(np.arange(episodes), sizes.frames),
        "index": np.arange(len(frame)),
        "task_index": np.zeros(len(frame), np.int64),
    }


def _write_table(path: Path, columns: dict[str, NDArray[Any]], sizes: Sizes) -> None:
    """A file of `data/`, with a row group for each episode."""
    arrays = {k: _vectors(v) if v.ndim == 2 else pa.array(v) for k, v in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(arrays), path, row_group_size=sizes.frames)


def _vectors(values: NDArray[np.float32]) -> Any:
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _encoded(camera: int, sizes: Sizes) -> bytes:
    """One episode as a video, with a key frame every other frame, as LeRobot encodes."""
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        options = {"preset": "ultrafast", "g": "2", "crf": "30", "bf": "0"}
        stream: Any = container.add_stream("libx264", sizes.fps, options=options)
        stream.width = stream.height = sizes.side
        stream.pix_fmt = "yuv420p"
        for tick in range(sizes.frames):
            picture = np.full((sizes.side, sizes.side, 3), 40 + 60 * camera, np.uint8)
            picture[:, tick % sizes.side] = 255
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())
    return buffer.getvalue()


def _write_video(path: Path, episode: bytes, count: int, title: str) -> None:
    """A file of `count` equal episodes, one behind the other; its title tells it from its siblings."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(io.BytesIO(episode), "r") as source, av.open(str(path), "w") as target:
        template: Any = source.streams.video[0]
        stream: Any = target.add_stream_from_template(template)
        target.metadata["title"] = title
        packets = [packet for packet in source.demux(template) if packet.pts is not None]
        tick = int(packets[1].pts or 0) - int(packets[0].pts or 0)
        for number in range(count * len(packets)):
            packet = packets[number % len(packets)]
            copied = av.Packet(bytes(packet))
            copied.pts = copied.dts = number * tick
            copied.duration, copied.time_base, copied.stream = tick, template.time_base, stream
            copied.is_keyframe = packet.is_keyframe
            target.mux(copied)
