"""The policy in a Lightning checkpoint of ours, as stock LeRobot."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.checks import MAX_SEED
from rabc.config.settings import Config
from rabc.config.typed import mistyped
from rabc.datasets.fingerprint import fingerprint
from rabc.policies.build import PolicyParts
from rabc.system.errors import InputError
from rabc.training.checkpoints import (
    checkpoint_step,
    last_good_checkpoint,
    not_finite_weight,
    read_checkpoint,
)
from rabc.training.run import training_module

Json = dict[str, Any]
Which = Literal["auto", "ema", "live"]
"""Weights of a checkpoint: their exponential moving average, those in training; auto: the first if there."""


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint and the training it belongs to."""

    path: Path
    step: int
    """Optimizer steps."""
    training: Path
    """Folder of the training, `training-<key>` in a run."""
    identity: dict[str, Any]
    """What the trained weights depend on (see `rabc.training.identity`)."""


def find_checkpoint(given: Path) -> Checkpoint:
    """The checkpoint that a path stands for: a file, or the newest of a training's folder.

    Raises InputError where there is none, or the training's `identity.json` is not with it.
    """
    if given.is_dir():
        folder = given / "checkpoints" if (given / "checkpoints").is_dir() else given
        path = last_good_checkpoint(folder)
        if path is None:
            raise InputError(f"checkpoint {given}: no step=<steps>.ckpt in there; give a file or its folder")
    elif given.is_file():
        path = given
    else:
        raise InputError(f"checkpoint {given}: no such file or folder; give step=<steps>.ckpt or its folder")
    training = path.absolute().parent.parent
    try:
        step = checkpoint_step(path)
    except ValueError as error:
        raise InputError(f"checkpoint {path}: its name is not step=<steps>.ckpt; copy it again") from error
    try:
        if (training / "identity.json").exists() and not (training / "identity.json").is_file():
            raise ValueError("it is no file")  # a pipe would be waited for
        identity = json.loads((training / "identity.json").read_text())
        if not isinstance(identity, dict):
            raise ValueError("not a JSON object")
        return Checkpoint(path, step, training, cast(dict[str, Any], identity))
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"checkpoint {path}: its training's identity.json cannot be read ({error}); copy it again"
        ) from error
    except OSError as error:
        raise InputError(
            f"checkpoint {path}: {training / 'identity.json'} says what it is of, and cannot be read "
            f"({error.strerror}); keep checkpoints in their training's folder"
        ) from error


def trained_config(config: Config, checkpoint: Checkpoint) -> Config:
    """`config` with the policy, the trainer and the seed of the checkpoint's training.

    Raises InputError for a training with settings that are unknown here.
    """
    sections: dict[str, Any] = {}
    for name in ("policy", "trainer"):
        known = getattr(config, name)
        found = checkpoint.identity.get(name)
        given = cast(dict[str, Any], found if isinstance(found, dict) else {})
        strange = sorted(set(given) - {field.name for field in dataclasses.fields(known)})
        if strange or not given:
            what = f"{name}.{strange[0]}" if strange else f"section {name}"
            raise InputError(
                f"checkpoint {checkpoint.path}: {what} of its training is "
                f"{'unknown here' if strange else 'missing'}; use the version of rabc that trained it"
            )
        sections[name] = dataclasses.replace(known, **given)
        wrong = mistyped(sections[name])
        if wrong is not None:
            raise _of_another_form(checkpoint, f"{name}.{wrong}")
    seed = checkpoint.identity.get("seed")
    if not (type(seed) is int and 0 <= seed <= MAX_SEED):
        raise _of_another_form(checkpoint, f"seed {seed!r:.60}")
    return dataclasses.replace(config, **sections, seed=seed)


def _of_another_form(checkpoint: Checkpoint, what: str) -> InputError:
    return InputError(
        f"checkpoint {checkpoint.path}: its training's identity.json says {what}, which no training has; "
        "copy it again"
    )


def check_trained_on(checkpoint: Checkpoint, root: Path) -> None:
    """Raise InputError unless the dataset in `root` is the one the checkpoint was trained on."""
    if checkpoint.identity.get("dataset") != fingerprint(root):
        raise InputError(
            f"dataset {root}: is not the one that {checkpoint.path} was trained on, or has changed since; "
            "set dataset.path to that one"
        )


def checkpoint_parts(
    config: Config, meta: LeRobotDatasetMetadata, checkpoint: Checkpoint, which: Which = "auto"
) -> tuple[PolicyParts, str]:
    """The policy as for the robot, on the CPU, and which of its weights these are, in words.

    Args:
        config: of the checkpoint's training (see `trained_config`).
        meta: of the dataset it was trained on.
        checkpoint: to read.
        which: of its weights.

    Raises:
        InputError: it cannot be read, holds no average, or its weights are another policy's or not finite.
    """
    state = _read(checkpoint.path)
    averaged = "current_model_state" in state
    if which == "ema" and not averaged:
        raise InputError(
            f"checkpoint {checkpoint.path}: holds no average of the weights (trainer.ema_decay was 0); "
            "take --model live"
        )
    weights = state["current_model_state"] if averaged and which == "live" else state["state_dict"]
    name = not_finite_weight(weights)
    if name is not None:
        raise InputError(f"checkpoint {checkpoint.path}: weight {name} is not finite; take an earlier one")
    try:
        module = training_module(config, meta, np.ones(1), "cpu")
    except (TypeError, ValueError, KeyError, AttributeError, ArithmeticError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise _of_another_form(checkpoint, f"settings that do not fit together ({reason})") from error
    try:
        module.load_state_dict(weights)
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].strip()
        raise InputError(
            f"checkpoint {checkpoint.path}: does not hold the policy of its training ({reason}); copy it "
            "again"
        ) from error
    words = (
        "" if not averaged else "the weights in training" if which == "live" else "the average of its weights"
    )
    return module.stock_parts(), words


def _read(path: Path) -> dict[str, Any]:
    try:
        state = read_checkpoint(path)
        if not isinstance(state, dict) or "state_dict" not in state:
            raise ValueError("no `state_dict`")
        for name in ("state_dict", "current_model_state"):
            if name in state and not _is_weights(state[name]):
                raise ValueError(f"`{name}` holds no weights")
        return cast(dict[str, Any], state)
    except ValueError as error:
        raise InputError(f"checkpoint {path}: cannot be read ({error}); take another one") from error


def _is_weights(value: Any) -> bool:
    return (
        isinstance(value, dict)
        and bool(value)
        and all(
            isinstance(k, str) and isinstance(v, torch.Tensor) for k, v in cast(dict[Any, Any], value).items()
        )
    )
