"""Small datasets of every shape that LeRobot trains; `SHAPES` names them, `make` makes one.

Recorded by LeRobot and then edited as people's tools leave them behind. Pictures carry their camera, episode
and frame (`tests.support.numbered`).
"""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, cast
from unittest import mock

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from tests.support.numbered import Recording, record_numbered

LENGTHS = (12, 15, 9, 14)
SIZE = (32, 48)
FRONT, WRIST = "observation.images.front", "observation.images.wrist"
TASKS = ("Pick up the red cube.", "Pick up the blue cube.")
TRIMMED = 10
"""Rows that were cut off in front of each episode: a second."""
VIDEO = Recording(LENGTHS, size=SIZE, tasks=TASKS)
PICTURES = Recording(LENGTHS, size=SIZE, tasks=TASKS, storage="image")


def make(name: str, root: Path, recorded: Path) -> Path:
    """The dataset of shape `name` in the folder `root`.

    recorded: a dataset that `record_numbered` made of `VIDEO`, which takes seconds and is copied here.
    """
    if name in _RECORDED:
        record_numbered(root, _RECORDED[name])
    else:
        shutil.copytree(recorded, root)
    if name in _EDITED:
        _EDITED[name](root)
    return root


def train_with_lerobot(root: str, folder: str) -> None:
    """What `lerobot-train` does on its command line: two steps of a small ACT, in this process."""
    import sys

    from lerobot.scripts import lerobot_train

    small = {
        "type": "act", "device": "cpu", "push_to_hub": "false", "pretrained_backbone_weights": "null",
        "chunk_size": 13, "n_action_steps": 13, "dim_model": 32, "n_heads": 4, "dim_feedforward": 64,
        "n_encoder_layers": 1, "n_vae_encoder_layers": 1, "latent_dim": 8,
    }  # fmt: skip
    sys.argv = [
        "lerobot-train", "--dataset.repo_id=local/shape", f"--dataset.root={root}",
        "--dataset.video_backend=pyav", *(f"--policy.{name}={value}" for name, value in small.items()),
        "--steps=2", "--batch_size=4", "--num_workers=0", "--save_checkpoint=false", "--env_eval_freq=0",
        f"--output_dir={folder}",
    ]  # fmt: skip
    lerobot_train.main()


def edit_info(root: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Changes `meta/info.json` in place."""
    path = root / "meta" / "info.json"
    info = json.loads(path.read_text())
    change(info)
    path.write_text(json.dumps(info))


def edit_tables(folder: Path, change: Callable[[Any], Any]) -> None:
    """Replaces every parquet file below `folder` by what `change` makes of its pyarrow table."""
    for path in sorted(folder.rglob("*.parquet")):
        table = change(pq.read_table(path))
        pq.write_table(table.replace_schema_metadata(None), path)


def set_column(table: Any, name: str, values: Any) -> Any:
    """The table with another column `name`, or with one more."""
    there = name in table.column_names
    return (
        table.set_column(table.column_names.index(name), name, values)
        if there
        else table.append_column(name, values)
    )


def rename_feature(root: Path, old: str, new: str) -> None:
    """As a conversion script does it: in the metadata, in the tables and in the folders of the videos."""
    edit_info(
        root,
        lambda info: info.update(features={new if k == old else k: v for k, v in info["features"].items()}),
    )
    stats = json.loads((root / "meta" / "stats.json").read_text())
    (root / "meta" / "stats.json").write_text(
        json.dumps({new if k == old else k: v for k, v in stats.items()})
    )
    for folder in (root / "data", root / "meta" / "episodes"):
        edit_tables(
            folder,
            lambda table: table.rename_columns([_renamed(name, old, new) for name in table.column_names]),
        )
    if (root / "videos" / old).is_dir():
        (root / "videos" / old).rename(root / "videos" / new)


def vectors(table: Any, name: str) -> NDArray[np.float32]:
    """A vector column, (N, D)."""
    return np.stack(table.column(name).to_pylist()).astype(np.float32)


def as_column(values: NDArray[np.float32]) -> Any:
    """(N, D) as LeRobot keeps it."""
    return pa.FixedSizeListArray.from_arrays(pa.array(values.reshape(-1)), values.shape[1])


def _renamed(name: str, old: str, new: str) -> str:
    parts = name.split("/")
    return "/".join(new if part == old else part for part in parts)


def _stale_file_index(root: Path) -> None:
    """What `delete_episodes` left behind: all rows in one file, said to be in others."""
    stale = pa.array([0, 1, 1, 2], pa.int64())
    edit_tables(root / "meta" / "episodes", lambda table: set_column(table, "data/file_index", stale))


def _environment_state(root: Path) -> None:
    rename_feature(root, "observation.state", "observation.environment_state")
    _copy_vector(root, "observation.environment_state", "observation.state")


def _environment_state_alone(root: Path) -> None:
    """No camera: what a simulation says of the objects, and the joints."""
    _environment_state(root)
    for camera in (FRONT, WRIST):
        edit_info(root, lambda info, camera=camera: info["features"].pop(camera))
    shutil.rmtree(root / "videos")


def _copy_vector(root: Path, old: str, new: str) -> None:
    edit_info(root, lambda info: info["features"].update({new: info["features"][old]}))
    edit_tables(root / "data", lambda table: table.append_column(new, table.column(old)))
    stats = json.loads((root / "meta" / "stats.json").read_text())
    (root / "meta" / "stats.json").write_text(json.dumps({**stats, new: stats[old]}))


def _extra() -> dict[str, Any]:
    """Columns that no policy here reads, and none of LeRobot's ACT and Diffusion."""

    def number(value: float) -> NDArray[np.float32]:
        return np.array([value], np.float32)

    def effort(episode: int, frame: int) -> Any:
        return number(frame / 9)

    def tactile(episode: int, frame: int) -> Any:
        return np.full((16, 16), frame, np.float32)

    def phase(episode: int, frame: int) -> Any:
        return f"phase {frame // 5}"

    def reward(episode: int, frame: int) -> Any:
        return number(0)

    one = {"dtype": "float32", "shape": (1,), "names": None}
    return {
        "observation.effort": (one, effort),
        "observation.tactile": ({**one, "shape": (16, 16)}, tactile),
        "observation.phase": ({**one, "dtype": "string"}, phase),
        "next.reward": (one, reward),
    }


def _depth(storage: str) -> dict[str, Any]:
    feature = {
        "dtype": storage,
        "shape": (*SIZE, 1),
        "names": ["height", "width", "channels"],
        "info": {"is_depth_map": True},
    }

    def depth(episode: int, frame: int) -> Any:
        return np.full((*SIZE, 1), 500 + 10 * frame, np.uint16)

    return {"observation.images.depth": (feature, depth)}


def _named(names: Any, shape: Callable[[list[int]], list[int]] = list) -> Callable[[Path], None]:
    def made(root: Path) -> None:
        def change(info: dict[str, Any]) -> None:
            for camera in (FRONT, WRIST):
                feature = info["features"][camera]
                feature.update(names=names, shape=shape(feature["shape"]))

        edit_info(root, change)

    return made


def _nested_names(root: Path) -> None:
    def change(info: dict[str, Any]) -> None:
        for name in ("observation.state", "action"):
            info["features"][name]["names"] = {"motors": [f"joint_{i}" for i in range(6)]}
        info["features"]["action"]["names"] = [[f"joint_{i}" for i in range(6)]]

    edit_info(root, change)


def _two_tasks_in_one_episode(root: Path) -> None:
    def change(table: Any) -> Any:
        half = (np.asarray(table.column("frame_index").to_numpy()) > 4).astype(np.int64)
        return set_column(table, "task_index", pa.array(half))

    edit_tables(root / "data", change)
    both = pa.array([list(TASKS)] * len(LENGTHS))
    edit_tables(root / "meta" / "episodes", lambda table: set_column(table, "tasks", both))


def _empty_task_text(root: Path) -> None:
    import pandas

    path = root / "meta" / "tasks.parquet"
    tasks: Any = pandas.read_parquet(path)
    tasks.rename(index={TASKS[0]: ""}).to_parquet(path)


def _trimmed_in_front(root: Path) -> None:
    """The rows of the first second are gone, the videos and their ranges are as they were."""
    ends = np.cumsum(LENGTHS)

    def rows(table: Any) -> Any:
        table = table.filter(pa.array(np.asarray(table.column("frame_index").to_numpy()) >= TRIMMED))
        table = set_column(table, "index", pa.array(np.arange(ends[-1])))
        return set_column(table, "frame_index", pa.array(np.concatenate([np.arange(n) for n in LENGTHS])))

    def episodes(table: Any) -> Any:
        for name, values in (
            ("length", LENGTHS),
            ("dataset_from_index", ends - LENGTHS),
            ("dataset_to_index", ends),
        ):
            table = set_column(table, name, pa.array(np.asarray(values, np.int64)))
        return table

    edit_tables(root / "data", rows)
    edit_tables(root / "meta" / "episodes", episodes)
    edit_info(root, lambda info: info.update(total_frames=int(ends[-1])))


def _several_files(root: Path) -> None:
    """A file for every episode, as LeRobot begins one when the last is full."""
    from lerobot.datasets.lerobot_dataset import LeRobotDataset

    shutil.rmtree(root)
    create: Any = LeRobotDataset.create
    full = partial(create, video_files_size_in_mb=0.001, data_files_size_in_mb=0.001)
    with mock.patch.object(LeRobotDataset, "create", full):
        record_numbered(root, VIDEO)


def shift_videos(root: Path, seconds: float) -> None:
    """Every episode but the first is said to begin that much later in its videos."""

    def change(table: Any) -> Any:
        for camera in (FRONT, WRIST):
            name = f"videos/{camera}/from_timestamp"
            starts = np.array(table.column(name).to_numpy(), np.float64)
            starts[1:] += seconds
            table = set_column(table, name, pa.array(starts))
        return table

    edit_tables(root / "meta" / "episodes", change)


def _bimanual(root: Path) -> None:
    names = [f"{side}_{joint}.pos" for side in ("left", "right") for joint in range(7)]

    def change(table: Any) -> Any:
        for name in ("observation.state", "action"):
            arm = vectors(table, name)
            table = set_column(table, name, as_column(np.concatenate([arm, arm, arm[:, :2]], axis=1)))
        return table

    edit_tables(root / "data", change)
    stats = json.loads((root / "meta" / "stats.json").read_text())
    for name in ("observation.state", "action"):
        stats[name] = {k: [*v, *v, *v[:2]] if k != "count" else v for k, v in stats[name].items()}
        edit_info(root, lambda info, name=name: info["features"][name].update(shape=[14], names=names))
    (root / "meta" / "stats.json").write_text(json.dumps(stats))


def without_feature(root: Path, name: str) -> None:
    """Takes a column out of the metadata and the tables."""
    edit_info(root, lambda info: info["features"].pop(name))
    edit_tables(root / "data", lambda table: table.drop_columns([name]))


_RECORDED = {
    "image": PICTURES,
    "image with a stale file index": PICTURES,
    "extra columns": replace(VIDEO, extra=_extra()),
    "depth video": replace(VIDEO, extra=_depth("video")),
    # 16-bit TIFF files inside the tables.
    "depth pictures": replace(PICTURES, extra=_depth("image")),
    "trimmed in front": replace(VIDEO, lengths=[length + TRIMMED for length in LENGTHS]),
    # LeRobot takes such a rate, but its video encoder does not.
    "29.97 Hz": replace(PICTURES, fps=cast(int, 29.97)),
}
_EDITED: dict[str, Callable[[Path], Any]] = {
    "image with a stale file index": _stale_file_index,
    "environment state": _environment_state,
    "environment state alone": _environment_state_alone,
    "names null": _named(None),
    "names shortened": _named(["h", "w", "c"]),
    "channels first": _named(["channels", "height", "width"], lambda shape: [shape[2], *shape[:2]]),
    "camera of another key": lambda root: rename_feature(root, FRONT, "observation.image"),
    "nested names": _nested_names,
    "two tasks in one episode": _two_tasks_in_one_episode,
    "empty task text": _empty_task_text,
    "trimmed in front": _trimmed_in_front,
    "several files": _several_files,
    "videos 0.2 ms off": lambda root: shift_videos(root, 2e-4),
    "bimanual": _bimanual,
    "no state": lambda root: without_feature(root, "observation.state"),
}
SHAPES = ["video", *dict.fromkeys([*_RECORDED, *_EDITED])]
"""Names of the shapes. That an episode is shorter than a chunk is a matter of the policy."""
