"""What trims, merges, converters and recorders do to a dataset: each changes the folder it is given."""

import json
from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import pandas as pd
from numpy.typing import NDArray


def edit_rows(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    """`change` gets all rows of `data/`, which lie in one file, and changes them or gives others."""
    (path,) = (root / "data").glob("*/file-*.parquet")
    rows = pd.read_parquet(path)
    changed = change(rows)
    (rows if changed is None else changed).to_parquet(path)


def edit_episodes(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame | None]) -> None:
    """Likewise of `meta/episodes`."""
    (path,) = (root / "meta" / "episodes").glob("*/*.parquet")
    rows = pd.read_parquet(path)
    changed = change(rows)
    (rows if changed is None else changed).to_parquet(path)


def edit_json(path: Path, change: Callable[[Any], None]) -> None:
    """`change` changes the content of a JSON file in its place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def edit_info(root: Path, change: Callable[[Any], None]) -> None:
    edit_json(root / "meta" / "info.json", change)


def edit_statistics(root: Path, change: Callable[[Any], None]) -> None:
    edit_json(root / "meta" / "stats.json", change)


def edit_tasks(root: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    path = root / "meta" / "tasks.parquet"
    change(pd.read_parquet(path)).to_parquet(path)


def set_vector(
    root: Path, column: str, change: Callable[[NDArray[np.float32], pd.DataFrame], NDArray[np.float32]]
) -> None:
    """`change` gets the vectors (N, D) of a column and all rows, and gives other vectors."""

    def edit(rows: pd.DataFrame) -> None:
        rows[column] = list(change(np.stack(list(rows[column])), rows).astype(np.float32))

    edit_rows(root, edit)


def recompute_statistics(root: Path, *columns: str) -> None:
    """What LeRobot would write of these columns, as far as the check looks at it."""
    (path,) = (root / "data").glob("*/file-*.parquet")
    rows = pd.read_parquet(path)

    def change(statistics: Any) -> None:
        for name in columns:
            values = np.stack(list(rows[name])).astype(np.float64)
            for what in ("mean", "std", "min", "max"):
                statistics[name][what] = getattr(values, what)(axis=0).tolist()

    edit_statistics(root, change)


def video(root: Path, camera: str) -> Path:
    """The one file of a camera."""
    (path,) = (root / "videos" / f"observation.images.{camera}").glob("*/*.mp4")
    return path


def pictures(path: Path) -> list[NDArray[np.uint8]]:
    """All frames of a video."""
    with av.open(str(path)) as container:
        return [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]


def write_video(path: Path, frames: Sequence[NDArray[np.uint8]], fps: int, first: float = 0.0) -> None:
    """Writes frames one after the other; `first` is the time of the first one, seconds."""
    path.unlink(missing_ok=True)
    with av.open(str(path), "w") as container:
        stream: Any = container.add_stream(
            "h264", rate=fps, options={"crf": "20", "preset": "ultrafast", "g": "2"}
        )
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = "yuv420p"
        for number, frame in enumerate(frames):
            picture: Any = av.VideoFrame.from_ndarray(frame, format="rgb24")
            picture.pts = number + round(first * fps)
            picture.time_base = Fraction(1, fps)
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def change_video(
    root: Path, camera: str, change: Callable[[list[NDArray[np.uint8]]], Sequence[NDArray[np.uint8]]]
) -> None:
    """`change` gets all frames of a camera's one file and gives others."""
    path = video(root, camera)
    info = json.loads((root / "meta" / "info.json").read_text())
    write_video(path, change(pictures(path)), info["fps"])


def trim_front(root: Path, episodes: Sequence[int], rows: int, keep_times: bool = True) -> None:
    """Cuts rows off in front of episodes and leaves the videos as they are.

    Args:
        root: of the dataset.
        episodes: to cut.
        rows: how many.
        keep_times: whether the timestamps stay, and begin later; else they begin at 0 again.
    """
    fps = json.loads((root / "meta" / "info.json").read_text())["fps"]

    def cut(table: pd.DataFrame) -> pd.DataFrame:
        gone = table.episode_index.isin(list(episodes)) & (table.frame_index < rows)
        kept = table[~gone].reset_index(drop=True)
        kept["index"] = np.arange(len(kept))
        kept["frame_index"] = kept.groupby("episode_index").cumcount()
        if not keep_times:
            kept["timestamp"] = (kept["frame_index"] / fps).astype(np.float32)
        return kept

    edit_rows(root, cut)
    _shorten(root, episodes, rows)


def trim_back(root: Path, episode: int, rows: int) -> None:
    """Cuts rows off behind an episode and leaves the videos as they are, and where they are said to end."""

    def cut(table: pd.DataFrame) -> pd.DataFrame:
        mine = table.episode_index == episode
        kept = table[~(mine & (table.frame_index >= mine.sum() - rows))].reset_index(drop=True)
        return kept.assign(index=np.arange(len(kept)))

    edit_rows(root, cut)
    _shorten(root, [episode], rows)


def _shorten(root: Path, episodes: Sequence[int], rows: int) -> None:
    def shorten(table: pd.DataFrame) -> None:
        table["length"] = [
            length - rows * (episode in episodes)
            for episode, length in zip(table["episode_index"], table["length"], strict=True)
        ]
        ends = np.cumsum(table["length"])
        table["dataset_to_index"], table["dataset_from_index"] = ends, ends - table["length"]

    edit_episodes(root, shorten)
    edit_info(root, lambda info: info.update(total_frames=info["total_frames"] - rows * len(episodes)))
