"""Scores every episode of a LeRobotDataset that has no scores yet."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from av.error import FFmpegError
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.datasets.video_utils import decode_video_frames
from lerobot.utils.import_utils import get_safe_default_video_backend
from numpy.typing import NDArray
from tqdm import tqdm

from rabc.errors import InputError
from rabc.scoring.base import Scorer
from rabc.scoring.store import ScoreStore
from rabc.tables import load_meta

# LeRobotDataset's own default: how far a decoded frame may be from its timestamp, seconds.
TOLERANCE_S = 1e-4
CAMERA_PREFIX = "observation.images."


def open_store(
    root: Path,
    dataset_root: Path,
    dataset_fingerprint: str,
    scorer: Scorer,
    camera: str,
    num_prefixes: int,
) -> ScoreStore:
    """The store under `root` for this dataset, scorer and camera (the part after `observation.images.`).

    Frame rate and image size come from the dataset. Raises InputError for an unknown camera.
    """
    meta = load_meta(dataset_root)
    size = _image_size(meta, _camera_key(meta, camera))
    return ScoreStore.open(
        root, dataset_fingerprint, scorer.identity, camera, float(meta.fps), size, num_prefixes
    )


def score_dataset(
    dataset_root: Path,
    scorer: Scorer,
    camera: str,
    num_prefixes: int,
    store: ScoreStore,
    repo_id: str | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> int:
    """Scores the missing episodes into `store`; returns their number.

    Each episode is decoded once, and only the frames the scorer reads are kept. on_progress: called with
    (finished, total) after each episode. Raises InputError for an unknown camera, an empty or ambiguous task,
    or a video that cannot be decoded.
    """
    meta = load_meta(dataset_root, repo_id)
    key = _camera_key(meta, camera)
    total = int(meta.total_episodes)
    missing = store.missing(range(total))
    tasks = {episode: _task(meta, episode) for episode in missing}
    if not missing:
        return 0
    # Asked once: each time LeRobot tries to load torchcodec, which reports at length where it cannot.
    backend = get_safe_default_video_backend()
    done = total - len(missing)
    with tqdm(total=total, initial=done, desc="scoring", unit="episode") as bar:
        for episode in missing:
            length = int(_record(meta, episode)["length"])
            indices = scorer.frame_indices(length, float(meta.fps))
            frames = _decode(meta, key, episode, indices, backend)
            scores = scorer.score_sampled(frames, length, tasks[episode], float(meta.fps), num_prefixes)
            store.append(episode, length, scores)
            done += 1
            bar.update()
            if on_progress is not None:
                on_progress(done, total)
    return len(missing)


def check_camera(meta: LeRobotDatasetMetadata, camera: str) -> None:
    """Raise InputError unless the dataset has video of `camera`."""
    _camera_key(meta, camera)


def _camera_key(meta: LeRobotDatasetMetadata, camera: str) -> str:
    key = camera if camera.startswith(CAMERA_PREFIX) else CAMERA_PREFIX + camera
    there = [name.removeprefix(CAMERA_PREFIX) for name in meta.video_keys]
    if key not in meta.video_keys:
        raise InputError(
            f"scorer.camera {camera}: dataset {meta.root} has no video of it; "
            f"choose one of {', '.join(there) or '(it has none)'}"
        )
    return key


def _image_size(meta: LeRobotDatasetMetadata, key: str) -> tuple[int, int]:
    feature: Any = meta.features[key]
    sizes = dict(zip(feature["names"], feature["shape"], strict=True))
    return int(sizes["height"]), int(sizes["width"])


def _record(meta: LeRobotDatasetMetadata, episode: int) -> dict[str, Any]:
    episodes: Any = meta.episodes
    return episodes[episode]


def _task(meta: LeRobotDatasetMetadata, episode: int) -> str:
    tasks = [str(task) for task in _record(meta, episode)["tasks"]]
    if len(tasks) != 1:
        raise InputError(
            f"episode {episode} of dataset {meta.root}: has {len(tasks)} tasks; "
            "split it, because a score belongs to one task"
        )
    if not tasks[0].strip():
        raise InputError(
            f"task {tasks[0]!r}: empty in episode {episode} of dataset {meta.root}; give it an instruction"
        )
    return tasks[0]


def _decode(
    meta: LeRobotDatasetMetadata, key: str, episode: int, indices: NDArray[Any], backend: str
) -> torch.Tensor:
    """Frames (S, 3, H, W) uint8 at `indices` of the episode."""
    path = Path(meta.root) / meta.get_video_file_path(episode, key)
    start = float(_record(meta, episode)[f"videos/{key}/from_timestamp"])
    times = [start + int(index) / meta.fps for index in indices]
    try:
        return decode_video_frames(path, times, TOLERANCE_S, backend, return_uint8=True)
    # What PyAV and torchcodec raise for missing and damaged files, and LeRobot for frames that are not there.
    except (FFmpegError, OSError, ValueError, RuntimeError, IndexError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"video {path}: episode {episode} cannot be decoded ({reason}); "
            "the file is missing, truncated or damaged: download or record the dataset again"
        ) from error
