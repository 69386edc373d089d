"""The policy in a Lightning checkpoint of ours, as stock LeRobot."""

import dataclasses
import json
import pickle
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config
from rabc.datasets.fingerprint import fingerprint
from rabc.policies.build import PolicyParts
from rabc.system.errors import InputError
from rabc.training.checkpoints import checkpoint_step, last_good_checkpoint, not_finite_weight
from rabc.training.run import training_module

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
        return Checkpoint(
            path, checkpoint_step(path), training, json.loads((training / "identity.json").read_text())
        )
    except ValueError as error:
        what = "its name" if "int()" in str(error) else "its training's identity.json"
        raise InputError(f"checkpoint {path}: {what} cannot be read ({error}); copy it again") from error
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
        given = cast(dict[str, Any], checkpoint.identity.get(name, {}))
        strange = sorted(set(given) - {field.name for field in dataclasses.fields(known)})
        if strange or not given:
            what = f"{name}.{strange[0]}" if strange else f"section {name}"
            raise InputError(
                f"checkpoint {checkpoint.path}: {what} of its training is "
                f"{'unknown here' if strange else 'missing'}; use the version of rabc that trained it"
            )
        sections[name] = dataclasses.replace(known, **given)
    return dataclasses.replace(config, **sections, seed=checkpoint.identity["seed"])


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
    module = training_module(config, meta, np.ones(1), "cpu")
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
        state = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        if not isinstance(state, dict) or "state_dict" not in state:
            raise ValueError("no `state_dict`")
        return cast(dict[str, Any], state)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise InputError(f"checkpoint {path}: cannot be read ({reason}); take another one") from error
