"""Room on the disk: what a training leaves there, from its number of parameters, and whether it fits."""

import json
import math
import os
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from rabc.config.settings import Config
from rabc.pipeline.rates import MEASURED_POLICIES
from rabc.pipeline.state import paths
from rabc.system.errors import InputError

_SPARE = 1.02
"""What files take more than their content: names, blocks, headers."""


def parameters(config: Config, root: Path | None) -> int | None:
    """Parameters of the policy, counted without memory for them; None where only a download could tell.

    root: folder of the dataset; None: of demonstrations that are still to be simulated.
    """
    policy = config.policy
    if policy.pretrained_path:
        folder = Path(policy.pretrained_path)
        return sum(map(_numbers, folder.glob("*.safetensors"))) or None if folder.is_dir() else None
    if policy.type not in MEASURED_POLICIES:
        return None
    import torch
    from lerobot.policies.factory import get_policy_class

    from rabc.datasets.metadata import load_meta
    from rabc.pipeline.measuring import metadata_of
    from rabc.policies.settings import policy_settings

    try:
        with metadata_of(config, None if root is None else load_meta(root)) as meta, torch.device("meta"):
            settings: Any = policy_settings(replace(policy, pretrained_backbone_weights=None), meta, "cpu")
            built = get_policy_class(policy.type)(settings)
            return sum(one.numel() for one in (*built.parameters(), *built.buffers()))
    except Exception:  # that it cannot be built is told where it is built; it must not be in the way here
        return None


def training_bytes(config: Config, numbers: int) -> float:
    """Bytes of all checkpoints of a training at their most, and of the policy folder, old and new.

    A checkpoint has the parameters, both moments of AdamW and, where there is one, the average, in float32.
    numbers: parameters of the policy.
    """
    copies = 4 if config.trainer.ema_decay else 3
    return _SPARE * 4 * numbers * (copies * (config.trainer.keep_checkpoints + 1) + 2)


def check_room(config: Config, to_decode: float, training: float | None, recorded: float) -> None:
    """Raise InputError where a disk has less room than what a run will write there.

    Args:
        config: of the run.
        to_decode: bytes of decoded frames to come.
        training: bytes of checkpoints and policy folder; None: unknown.
        recorded: bytes of demonstrations to come.
    """
    from rabc.datasets.cache import cache_folder

    where, root = paths(config), Path(config.dataset.paths[0])
    there = sum(file.stat().st_size for file in _written(where.outputs, where.policy))
    wanted = [
        (where.outputs, max(0.0, (training or 0.0) - there), "checkpoints", "fewer trainer.keep_checkpoints"),
        (
            cache_folder(root, config.dataset),
            to_decode,
            "decoded frames",
            "dataset.cache_gb or dataset.cache false",
        ),
        (root, recorded, "demonstrations", "fewer demonstrations.episodes"),
    ]
    disks: dict[int, list[tuple[Path, float, str, str]]] = {}
    for folder, size, what, remedy in wanted:
        if size > 0:
            nearest = next(one for one in (folder.absolute(), *folder.absolute().parents) if one.exists())
            disks.setdefault(os.stat(nearest).st_dev, []).append((nearest, size, what, remedy))
    for parts in disks.values():
        needed, free = sum(size for _, size, _, _ in parts), shutil.disk_usage(parts[0][0]).free
        if needed > free:
            named = ", ".join(f"{what} {size / 1e9:.2f} GB" for _, size, what, _ in parts)
            raise InputError(
                f"disk of {parts[0][0]}: run {config.run} needs {needed / 1e9:.2f} GB ({named}), "
                f"{free / 1e9:.2f} GB are free; make room, or give "
                + ", or ".join(remedy for *_, remedy in parts)
            )


def _written(outputs: Path, policy: Path) -> Iterator[Path]:
    yield from outputs.glob("training-*/checkpoints/step=*.ckpt")
    yield from policy.glob("*.safetensors")


def _numbers(file: Path) -> int:
    """Numbers in a safetensors file, by its header; 0 where that cannot be read."""
    try:
        with file.open("rb") as opened:
            header = json.loads(opened.read(int.from_bytes(opened.read(8), "little")))
        return sum(math.prod(one["shape"]) for name, one in header.items() if name != "__metadata__")
    except (OSError, ValueError, KeyError, TypeError, OverflowError, MemoryError):
        return 0
