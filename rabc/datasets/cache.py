"""What is kept of datasets in the cache, and the room that frames take: said without importing torch."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.fingerprint import derived_folder, read_json
from rabc.datasets.selection import selected_episodes
from rabc.system.errors import InputError
from rabc.system.home import CACHE, user_cache

SUFFIX = ".rgb"
"""Of a file with the frames of one episode: bytes (T, height, width, 3), nothing else."""
VIEWS = "views"
"""Folder of all views of several datasets (see `rabc.datasets.view`) in the user's cache."""
PARTS = "parts.json"
"""File in a view: the folders of the datasets that it was made of."""


def made_of(root: Path) -> list[Path]:
    """Folders of the datasets that a view was made of; none for any other, which others may have made."""
    path = root / PARTS
    if root.absolute().parent != user_cache() / VIEWS or not path.is_file():
        return []
    try:
        return [Path(part) for part in json.loads(path.read_text())]
    except (OSError, ValueError, TypeError):  # damaged; what is asked here is for tidying alone
        return []


def cache_folder(root: Path) -> Path:
    """Where decoded frames of the dataset in folder `root` are kept (see `derived_folder`)."""
    return derived_folder(root) / "frames"


def camera_folder(folder: Path, camera: str, shape: tuple[int, int]) -> Path:
    """The files of a camera's frames at the size `shape`, height and width in pixels, in cache `folder`."""
    return folder / f"{camera}.{shape[0]}x{shape[1]}"


def budget(config: DatasetConfig) -> float:
    """The most bytes that `dataset.cache_gb` lets the frames of a dataset take."""
    return math.inf if config.cache_gb is None else config.cache_gb * 1e9


@dataclass(frozen=True)
class CacheCost:
    """What the decoded frames of a dataset take, as the policy sees them."""

    folder: Path
    needed: int
    """Bytes of all cameras' frames of the selected episodes, no more than `dataset.cache_gb`."""
    there: int
    """Bytes of these that are on disk."""
    free: int
    """Bytes of room on that disk."""

    @property
    def to_decode(self) -> int:
        """Bytes that a training will add, at most: an episode that is never drawn is not decoded."""
        return max(0, self.needed - self.there)

    def __str__(self) -> str:
        gigabytes = f"{self.needed / 1e9:.2f} GB, of which {self.there / 1e9:.2f} GB are there"
        return f"frame cache {self.folder}: {gigabytes}; {self.free / 1e9:.1f} GB are free"


def cache_cost(config: Config, root: Path) -> CacheCost | None:
    """The cost of the frame cache of the dataset in folder `root`; None where nothing is cached.

    Raises InputError for metadata that cannot be read, and for a folder that cannot be written.
    """
    if not config.dataset.cache:
        return None
    folder = cache_folder(root)
    frames, shapes = _frames(root, config.dataset), _shapes(root, config)
    needed = sum(frames * math.prod(shape) * 3 for shape in shapes.values())
    nearest = next(place for place in (folder, *folder.parents) if os.path.exists(place))
    if not nearest.is_dir() or not os.access(nearest, os.W_OK):
        raise InputError(
            f"frame cache {folder}: cannot be written ({nearest} is not a writable folder); set the "
            f"environment variable {CACHE} to a folder that can, or dataset.cache false"
        )
    there = cached_bytes(config, root)
    bounded = int(min(needed, budget(config.dataset)))
    return CacheCost(folder, bounded, min(there, bounded), shutil.disk_usage(nearest).free)


def cached_bytes(config: Config, root: Path) -> int:
    """Bytes of decoded frames of the dataset in folder `root`, as the policy sees them, that are on disk."""
    folder = cache_folder(root)
    shapes = _shapes(root, config).items()
    return sum(_stored(camera_folder(folder, camera, shape)) for camera, shape in shapes)


def _frames(root: Path, config: DatasetConfig) -> int:
    """Frames of the selected episodes."""
    try:
        paths = sorted((root / "meta" / "episodes").glob("*/*.parquet"))
        tables = [pq.read_table(path, columns=["length"]).column("length").to_numpy() for path in paths]
        lengths = np.concatenate(tables) if tables else np.zeros(0)
        if not len(lengths) or np.isnan(lengths).any():
            raise ValueError("an episode without a length" if len(lengths) else "there is none")
        frames = lengths[selected_episodes(config, len(lengths))].sum()
    except (OSError, ValueError, KeyError, TypeError, pa.ArrowException) as error:
        raise InputError(
            f"dataset {root}: meta/episodes cannot be read ({error}); download or record the dataset again"
        ) from error
    return int(frames)


def _shapes(root: Path, config: Config) -> dict[str, tuple[int, int]]:
    """Colour camera -> height and width of its pictures as the policy sees them."""
    path = root / "meta" / "info.json"
    try:
        features: dict[str, Any] = read_json(path)["features"]
        found = dict(_colour(features))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        reason = f"{type(error).__name__} {error}"
        raise InputError(
            f"file {path}: its features cannot be read ({reason}); download or record the dataset again"
        ) from error
    if config.policy.resize_shape is None:
        return found
    height, width = config.policy.resize_shape
    return dict.fromkeys(found, (height, width))


def _colour(features: dict[str, Any]) -> Iterator[tuple[str, tuple[int, int]]]:
    for name, feature in features.items():
        shape = [int(side) for side in feature["shape"]]
        depth = bool((feature.get("info") or {}).get("is_depth_map"))
        if feature["dtype"] not in ("video", "image") or depth or len(shape) != 3:
            continue
        if shape[2] == 3:
            yield name, (shape[0], shape[1])
        elif shape[0] == 3:  # channels first
            yield name, (shape[1], shape[2])


def _stored(folder: Path) -> int:
    if not folder.is_dir():
        return 0
    return sum(entry.stat().st_size for entry in os.scandir(folder) if entry.name.endswith(SUFFIX))
