"""What a trained policy depends on, and the folder that belongs to one training alone."""

import dataclasses
import hashlib
import json
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.config.training_settings import TrainerConfig
from rabc.policies.start import start_content
from rabc.system.atomic import write_json
from rabc.system.errors import InputError

_FREE = (
    "checkpoint_every", "keep_checkpoints", "log_every", "threads", "workers", "rollout_every",
    "rollout_episodes",
)  # fmt: skip
# With patience, validation decides when training ends.
_WATCHING = ("eval_steps", "max_eval_samples")


def learned_from(trainer: TrainerConfig) -> dict[str, Any]:
    """The settings that change what is learned."""
    free = {*_FREE, *(() if trainer.patience else _WATCHING)}
    return {name: value for name, value in dataclasses.asdict(trainer).items() if name not in free}


def identity(
    config: Config,
    dataset: str,
    episodes: list[int] | None,
    weights: NDArray[np.floating[Any]],
    device: str,
) -> dict[str, Any]:
    """Everything the trained weights depend on, as plain JSON values.

    Args:
        config: the run's configuration.
        dataset: its fingerprint.
        episodes: those that are chosen of it; None: all.
        weights: (N,) weight of every frame.
        device: the torch device, which decides what precision `auto` is.
    """
    from rabc.system.device import resolve_precision

    start = start_content(config.policy.pretrained_path)
    return {
        **({} if start is None else {"pretrained_content": start}),
        "seed": config.seed,
        "policy": dataclasses.asdict(config.policy),
        "trainer": {
            **learned_from(config.trainer),
            "precision": resolve_precision(config.trainer.precision, device),
        },
        "dataset": dataset,
        "episodes": episodes,
        "eval_split": config.dataset.eval_split,
        "image_transforms": config.dataset.image_transforms,
        "apply": config.apply,
        "weights": hashlib.sha256(np.ascontiguousarray(weights, np.float32).tobytes()).hexdigest(),
    }


def claim(folder: Path, wanted: dict[str, Any]) -> None:
    """Mark the folder as this training's; InputError for one that belongs to another or cannot be used.

    wanted: its `identity`.
    """
    path = folder / "identity.json"
    try:
        if path.is_file():
            found = _flat(json.loads(path.read_text()))
            changed = [name for name, value in _flat(wanted).items() if found.get(name) != value]
            if changed:
                raise InputError(
                    f"folder {folder}: holds a training with other {', '.join(changed)}; remove it or choose "
                    "another run name"
                )
            return
    except (OSError, ValueError) as error:
        raise InputError(
            f"folder {folder}: cannot be used ({error}); check its permissions and content"
        ) from error
    write_json(path, wanted)


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        nested = _flat(cast(dict[str, Any], value), f"{prefix}{name}.") if isinstance(value, dict) else None
        flat.update(nested if nested else {f"{prefix}{name}": value})
    return flat
