"""Room on the disk: what a training leaves there, from its number of parameters, and whether it fits."""

import json
import math
import os
import shutil
from collections.abc import Iterator, Sequence
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
    return _bytes(config, numbers, checkpoints=config.trainer.keep_checkpoints + 1, folders=2)


def bytes_to_come(runs: Sequence[Config], numbers: int, at_once: int) -> float:
    """Bytes that the trainings of `runs` will leave beside what they have left already.

    At the worst moment, at which `at_once` of them write; `numbers` as in `training_bytes`.
    """
    kept, more = 0.0, list[float]()
    for config in runs:
        where = paths(config)
        there = sum(file.stat().st_size for file in _written(where.outputs, where.policy))
        left = max(0.0, _bytes(config, numbers, config.trainer.keep_checkpoints, folders=1) - there)
        kept += left
        more.append(max(0.0, training_bytes(config, numbers) - there) - left)
    return kept + sum(sorted(more, reverse=True)[:at_once])


def _bytes(config: Config, numbers: int, checkpoints: int, folders: int) -> float:
    copies = 4 if config.trainer.ema_decay else 3
    return _SPARE * 4 * numbers * (copies * checkpoints + folders)


def check_room(config: Config, to_decode: float, training: float, recorded: float, runs: int = 1) -> None:
    """Raise InputError where a disk has less room than what a run, or a comparison, will write there.

    Args:
        config: of the run.
        to_decode: bytes of decoded frames to come.
        training: bytes of checkpoints and policy folders to come, as far as they are known.
        recorded: bytes of demonstrations to come.
        runs: of a comparison, that are still to be trained.
    """
    from rabc.datasets.cache import cache_folder

    root = Path(config.dataset.paths[0])
    who = f"run {config.run}" if runs == 1 else f"comparison {config.run} with {runs} trainings to do"
    fewer = "fewer trainer.keep_checkpoints" + ("" if runs == 1 else ", --seeds or --arms")
    wanted = [
        (paths(config).outputs, training, "checkpoints", fewer),
        (
            cache_folder(root),
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
                f"disk of {parts[0][0]}: {who} needs {needed / 1e9:.2f} GB ({named}), "
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
    except (
        OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, MemoryError, RecursionError,
    ):  # fmt: skip
        return 0
