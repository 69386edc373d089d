"""What a run leaves, made comparable: everything bit for bit, but what a clock says.

Nothing here knows where a run keeps what: scores, caches and policies are found wherever they lie.
"""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import numpy as np

_TIMES = re.compile(r"second|_s$|duration|^skipped$|^time$|data_wait")
"""Keys of JSON files, and names of curves, whose values are times."""
CHECKED = "checked.json"
"""A run that begins with its dataset notes that it is sound; one that records it has no reason to."""
LOG = "comparison.log"
PICTURES = "pictures.jsonl"
"""Several processes append to it what each has found; the order of lines says nothing."""
_NANOSECONDS = 10**17
"""Integers beyond it are times of files."""


def outcome(folder: Path) -> dict[str, str]:
    """Relative path -> digest of everything that is left in `folder`.

    Checkpoints without their clocks, JSON and pages without durations, curves by step and without speeds.
    Locks, the note `CHECKED`, what trainings of a comparison printed and the names of TensorBoard's files are
    left out; hidden partial files are not: none may be left.
    """
    found: dict[str, str] = {}
    for path in files(folder):
        name = path.relative_to(folder).as_posix()
        if path.name.endswith(".lock") or path.name in (CHECKED, LOG) or "/tensorboard/events" in name:
            continue
        found[name] = _digest(path, folder)
    for events in {path.parent for path in files(folder) if path.name.startswith("events.out")}:
        found[events.relative_to(folder).as_posix()] = _hash(repr(_curves(events)).encode())
    return found


def differences(found: dict[str, str], expected: dict[str, str]) -> list[str]:
    """Paths that differ, and how."""
    return sorted(
        f"{name}: {'missing' if name not in found else 'too many' if name not in expected else 'differs'}"
        for name in found.keys() | expected.keys()
        if found.get(name) != expected.get(name)
    )


def torn(folder: Path) -> list[str]:
    """Files in `folder` that a reader would find half-written; hidden and partial ones are nobody's yet."""
    bad: list[str] = []
    for path in files(folder):
        relative = path.relative_to(folder)
        if any(part.startswith(".partial.") or part.endswith(".partial") for part in relative.parts):
            continue
        check = _OPENS.get(path.suffix)
        if check is not None:
            try:
                check(path)
            except Exception as error:  # whatever a reader would raise
                bad.append(f"{relative}: {type(error).__name__}: {str(error).splitlines()[:1]}")
        if path.name == "model.safetensors":
            missing = [
                name
                for name in ("config.json", "policy_preprocessor.json", "policy_postprocessor.json")
                if not (path.parent / name).exists()
            ]
            if missing and "pretrained_model" in path.parent.name:
                bad.append(f"{relative.parent}: without {missing}")
    return bad


def files(folder: Path) -> Iterator[Path]:
    """All files below `folder`, hidden ones too."""
    for parent, _, names in os.walk(folder):
        for name in names:
            yield Path(parent, name)


def _digest(path: Path, folder: Path) -> str:
    content = path.read_bytes()
    if path.suffix == ".ckpt":
        import torch

        state = torch.load(path, map_location="cpu", weights_only=True)
        state["callbacks"] = {k: v for k, v in state["callbacks"].items() if k != "Clock"}
        state.pop("loops", None)
        return _hash(repr(_plain(state)).encode())
    content = content.replace(os.fsencode(folder), b"<folder>")
    if path.name == PICTURES:
        content = b"\n".join(sorted(set(content.split(b"\n"))))
    if path.suffix == ".html":  # how long trainings took
        content = re.sub(rb"[\d.]+ (min|hours)\b", b"<time>", content)
    if path.suffix == ".json":
        return _hash(json.dumps(_timeless(json.loads(content)), sort_keys=True).encode())
    return _hash(content)


def _timeless(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: None if _TIMES.search(k) else _timeless(v) for k, v in value.items()}
    if isinstance(value, int) and value > _NANOSECONDS:
        return None
    return [_timeless(one) for one in value] if isinstance(value, list) else value


def _plain(value: Any) -> Any:
    import torch

    if isinstance(value, torch.Tensor):
        return (
            str(value.dtype),
            tuple(value.shape),
            _hash(value.contiguous().view(-1).view(torch.uint8).numpy().tobytes()),
        )
    if isinstance(value, dict):
        return [(str(k), _plain(v)) for k, v in value.items()]
    return [_plain(one) for one in value] if isinstance(value, list | tuple) else value


def _curves(folder: Path) -> dict[str, dict[int, float]]:
    """Tag -> step -> last value, of what is no speed."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder)).Reload()
    scalars = cast(list[str], events.Tags()["scalars"])
    tags = sorted(tag for tag in scalars if not _TIMES.search(tag))
    return {tag: {one.step: one.value for one in events.Scalars(tag)} for tag in tags}


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _json(path: Path) -> None:
    json.loads(path.read_bytes())


def _lines(path: Path) -> None:
    whole, _, _ = path.read_text().rpartition("\n")  # a torn last line is passed over by every reader
    for line in filter(None, whole.splitlines()):
        json.loads(line)


def _parquet(path: Path) -> None:
    import pyarrow.parquet as pq

    pq.read_table(path)


def _array(path: Path) -> None:
    np.load(path, mmap_mode="r")


def _checkpoint(path: Path) -> None:
    import torch

    torch.load(path, map_location="cpu", weights_only=True)


def _tensors(path: Path) -> None:
    from safetensors.numpy import load_file

    load_file(path)


def _page(path: Path) -> None:
    assert path.read_text().rstrip().endswith("</html>")


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def _video(path: Path) -> None:
    import av

    with av.open(str(path)) as container:
        assert sum(1 for _ in container.decode(video=0)) > 0


_OPENS: dict[str, Callable[[Path], None]] = {
    ".json": _json, ".jsonl": _lines, ".parquet": _parquet, ".npy": _array, ".ckpt": _checkpoint,
    ".safetensors": _tensors, ".html": _page, ".png": _picture, ".jpg": _picture, ".mp4": _video,
}  # fmt: skip
