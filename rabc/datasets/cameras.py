"""The cameras of a dataset: their names, their sizes, and which of them are pictures of light."""

from collections.abc import Sequence

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.system.errors import InputError

PREFIX = "observation.images."


def colour_cameras(meta: LeRobotDatasetMetadata) -> list[str]:
    """Keys of the cameras that give red, green and blue: what policies and scorers see."""
    depth = set(depth_cameras(meta))
    return [key for key in meta.camera_keys if key not in depth]


def depth_cameras(meta: LeRobotDatasetMetadata) -> list[str]:
    """Keys of the cameras that give one number a pixel: marked as depth maps, or of one channel."""
    marked = set(meta.depth_keys)
    return [key for key in meta.camera_keys if key in marked or meta.features[key]["shape"][2] == 1]


def camera_key(meta: LeRobotDatasetMetadata, name: str, setting: str = "camera") -> str:
    """The dataset's key of camera `name`.

    That is the key itself, `observation.images.<name>`, or the one key that ends in `.<name>`.

    Args:
        meta: of the dataset.
        name: as the user gives it.
        setting: what the user gave it for, in errors.

    Raises:
        InputError: there is no such camera, several, or it is a depth camera.
    """
    keys = meta.camera_keys
    exact = [key for key in (name, PREFIX + name) if key in keys]
    found = exact[:1] or [key for key in keys if key.endswith(f".{name}")]
    there = ", ".join(short_name(key) for key in colour_cameras(meta)) or "none"
    if len(found) != 1:
        what = f"is {' or '.join(found)}" if found else "not there"
        raise InputError(f"{setting} {name}: {what} in dataset {meta.root}; its cameras: {there}")
    if found[0] in depth_cameras(meta):
        raise InputError(
            f"{setting} {name}: is a depth camera of dataset {meta.root}, which gives no picture; choose one "
            f"of {there}"
        )
    return found[0]


def short_name(key: str) -> str:
    """The part of a camera's key that users give."""
    return key.removeprefix(PREFIX)


def check_cameras(meta: LeRobotDatasetMetadata, cameras: Sequence[str]) -> None:
    """Raise InputError for a camera key that the dataset does not have."""
    for camera in cameras:
        if camera not in meta.camera_keys:
            there = ", ".join(meta.camera_keys) or "none"
            raise InputError(f"camera {camera}: not in dataset {meta.root}; its cameras: {there}")


def recorded_shape(meta: LeRobotDatasetMetadata, camera: str) -> tuple[int, int]:
    """Height and width of a camera's frames in the dataset, pixels."""
    height, width, _ = meta.features[camera]["shape"]
    return int(height), int(width)
