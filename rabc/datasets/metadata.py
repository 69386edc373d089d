"""The metadata of a local LeRobotDataset v3, as this program understands it."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from shlex import quote
from string import Formatter
from typing import Any

import pyarrow as pa
from datasets.exceptions import DatasetsError
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.files import check_files
from rabc.system.errors import InputError
from rabc.system.terminal import shell_word

CONVERT = "python -m lerobot.scripts.convert_dataset_v21_to_v30"
"""LeRobot's converter; it pushes to the hub unless told not to."""
AGAIN = "download or record the dataset again"
_NUMBER = re.compile(r"0?[0-9]?d")
_WIDTHS = {"video_key": re.compile(""), "chunk_index": _NUMBER, "file_index": _NUMBER}
"""What the templates of a dataset's paths may ask for, and in which form: text would be a path of its own."""


def load_meta(root: Path, repo_id: str | None = None) -> LeRobotDatasetMetadata:
    """Metadata of a local LeRobotDataset v3, without ever asking the hub.

    In memory every visual feature is (height, width, channels) and its names say so, however the dataset
    states it: LeRobot takes a feature without such names for one of as many channels as pixels.

    Args:
        root: dataset folder.
        repo_id: its name on the hub; the folder's name by default.

    Raises:
        InputError: no dataset there, another format version, unreadable metadata, or a visual feature that
            has no channels.
    """
    root = Path(root)
    _check_files(root)
    try:
        meta = _LocalMetadata(repo_id or f"local/{root.name}", root=root)
    # What LeRobot's own reading stumbles over where the JSON is of another form.
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, IndexError, ArithmeticError, RecursionError,
        pa.ArrowException, DatasetsError,
    ) as error:  # fmt: skip
        raise InputError(
            f"dataset {root}: its metadata cannot be read ({first_line(error)}); {AGAIN}"
        ) from error
    if meta.total_episodes == 0 or meta.episodes is None or meta.tasks is None:
        raise InputError(f"dataset {root}: has no episodes; record some")
    stats: Mapping[str, Any] = meta.stats or {}
    odd = next((key for key, stated in stats.items() if not isinstance(stated, Mapping)), None)
    if odd is not None:
        raise InputError(
            f"file {root}/meta/stats.json: {odd!r:.80} has no table of statistics; make them again with "
            f"`{recompute_statistics(root)}`"
        )
    for key, feature in meta.features.items():
        if feature["dtype"] in ("video", "image"):
            feature["shape"] = picture_shape(key, feature, root)
            feature["names"] = ["height", "width", "channels"]
    return meta


class _LocalMetadata(LeRobotDatasetMetadata):
    """LeRobot asks the hub for what it does not find, as on a share that is gone; this one does not."""

    def _load_metadata(self) -> None:
        try:
            super()._load_metadata()
        except (FileNotFoundError, NotADirectoryError) as error:
            raise OSError(str(error)) from error


def picture_shape(key: str, feature: Mapping[str, Any], root: Path) -> tuple[int, int, int]:
    """(height, width, channels) of a visual feature, whether it states them so or channels first.

    The names are no help: recorders leave them out, shorten them, or keep those of another order. A picture
    is never one or three pixels high or wide, so that side is the channels. Raises InputError where no side
    is, or which one remains open.
    """
    shape = tuple(int(side) for side in feature["shape"])
    if len(shape) == 2:  # a depth map without its channel
        return (*shape, 1)
    if len(shape) == 3 and shape[2] in (1, 3):
        return shape[0], shape[1], shape[2]
    if len(shape) == 3 and shape[0] in (1, 3):
        return shape[1], shape[2], shape[0]
    raise InputError(
        f"feature {key}, shape {list(shape)}: neither its first nor its last dimension is 1 or 3 channels; "
        f"write [height, width, 3] in {root}/meta/info.json"
    )


def first_line(error: Exception) -> str:
    """The first line of what an error says, or its type."""
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__


def _check_files(root: Path) -> None:
    """LeRobot asks the hub for whatever is missing in a folder; a local dataset must be whole."""
    info = root / "meta" / "info.json"
    if not info.is_file():
        raise InputError(
            f"dataset {root}: no LeRobotDataset there (meta/info.json is missing); check the path"
        )
    check_marks(root)
    check_files(root)
    try:
        facts = json.loads(info.read_text())
        version = str(facts["codebase_version"])
        foreign = next(_foreign(facts), None)
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"file {info}: cannot be read ({first_line(error)}); {AGAIN}") from error
    if not version.startswith("v3."):
        remedy = (
            f"convert it with `{CONVERT} --repo-id={quote('local/' + root.name)} --root={quote(str(root))} "
            "--push-to-hub=false`"
            if version == "v2.1"
            else "convert it to v2.1 with an older LeRobot first, or update lerobot if it is newer"
        )
        raise InputError(f"dataset {root}: has format {version}, not v3.0; {remedy}")
    if foreign is not None:
        raise InputError(f"file {info}: {foreign}; {AGAIN}, or look at who made it")
    for name in ("meta/tasks.parquet", "meta/stats.json", "meta/episodes"):
        if not (root / name).exists():
            remedy = f"make it with `{recompute_statistics(root)}`" if name.endswith("stats.json") else AGAIN
            raise InputError(f"dataset {root}: {name} is missing; {remedy}")
    check_strays(sorted((root / "meta" / "episodes").glob("*/*.parquet")))


def _foreign(facts: Mapping[str, Any]) -> Iterator[str]:
    """What in info.json no recorder of LeRobot writes, in words.

    That is, what would have files read or written outside of the folder: a camera's name is part of the paths
    of its videos and of what is made from them; templates of paths are formatted, and a format may ask for
    more than a number. And features and rates of another form, over which LeRobot stumbles.
    """
    for name in ("total_episodes", "total_frames"):
        if not (type(facts[name]) is int and 0 <= facts[name] < 2**40):
            yield f"{name} {facts[name]!r:.40} is no number of them"
    if not isinstance(facts.get("splits") or {}, dict):
        yield f"splits {facts['splits']!r:.40} is no table of them"
    fps = facts["fps"]
    if not (isinstance(fps, int | float) and 0 < fps < 1e6):
        yield f"fps {fps!r:.40} is no rate in Hz"
    for key, feature in facts["features"].items():
        if not _is_inside(key):
            yield f"feature {key!r:.80} is a path out of the dataset"
        sides = feature["shape"]
        if not all(type(side) is int and 0 <= side < 2**31 for side in sides) or isinstance(sides, str):
            yield f"feature {key!r:.80} has shape {sides!r:.60}, which is none"
        if not isinstance(feature["dtype"], str):
            yield f"feature {key!r:.80} has dtype {feature['dtype']!r:.60}, which is none"
    for name in ("data_path", "video_path"):
        template = facts.get(name)
        if template is None and name == "video_path":
            continue  # no videos
        if not isinstance(template, str):
            yield f"{name} {template!r:.80} is no template of paths"
            continue
        asked = [(field, form) for _, field, form, _ in Formatter().parse(template) if field is not None]
        if any(field not in _WIDTHS or not _WIDTHS[field].fullmatch(form or "") for field, form in asked):
            yield f"{name} {template!r:.80} asks for more than {', '.join(_WIDTHS)} as numbers"
        elif not _is_inside(template.format(video_key="camera", chunk_index=0, file_index=0)):
            yield f"{name} {template!r:.80} leads out of the dataset"


def _is_inside(path: str) -> bool:
    return path.isprintable() and not path.startswith(("/", "~")) and ".." not in re.split(r"[/\\]", path)


def check_strays(paths: Sequence[Path]) -> None:
    """Raise InputError for a table that LeRobot would read, since it reads all there are, but never wrote."""
    for path in paths:
        if path.name.startswith(".") or not path.stem.rpartition("-")[2].isdecimal():
            raise InputError(
                f"file {path}: is no table of the dataset, and LeRobot would read it as one (a copy, or left "
                f"there by the system); remove it: `rm {shell_word(str(path))}`"
            )


def check_marks(root: Path) -> None:
    """Raise InputError for an editor's byte-order mark, which LeRobot takes for a letter of the JSON."""
    for name in ("info.json", "stats.json"):
        path = root / "meta" / name
        if path.is_file() and path.open("rb").read(3) == b"\xef\xbb\xbf":
            raise InputError(
                f"file {path}: begins with a byte-order mark, which LeRobot cannot read; remove it with "
                f"`sed -i '1s/^\\xEF\\xBB\\xBF//' {quote(str(path))}`"
            )


def recompute_statistics(root: Path) -> str:
    """LeRobot's command that computes `meta/stats.json` of a local dataset anew, in its place."""
    name, place = quote(f"local/{root.name}"), quote(str(root))
    return (
        f"lerobot-edit-dataset --repo_id {name} --root {place} --new_repo_id {name} --new_root {place} "
        "--operation.type recompute_stats --operation.skip_image_video false --operation.overwrite true"
    )
