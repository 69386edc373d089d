"""The files of a policy folder, read without building anything from them."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from rabc.policies.door import (
    CONFIG,
    POSTPROCESSOR,
    PREPROCESSOR,
    TRAIN_CONFIG,
    WEIGHTS,
    Json,
    foreign_parts,
    read_json,
)
from rabc.policy_check.findings import Finding, all_or, failed, passed

# lerobot-rollout sets something in each and stops where the preprocessor has no such step.
_SET_BY_ROLLOUT = ("device_processor", "rename_observations_processor")
_RESIZE, _RENAME = "image_crop_resize_processor", "rename_observations_processor"


@dataclass(frozen=True)
class Step:
    """One step of a processor."""

    name: str
    """Its name in LeRobot's registry, or the class for one that is not in there."""
    config: Json
    state: dict[str, Tensor] | None
    """Its tensors; None for a step that has none, or where they cannot be read."""


@dataclass(frozen=True)
class PolicyFiles:
    """What can be read of a folder; the findings say what cannot."""

    folder: Path
    config: Json | None
    train_config: Json | None
    preprocessor: list[Step] | None
    postprocessor: list[Step] | None
    findings: list[Finding] = field(default_factory=list)

    def features(self, which: str) -> dict[str, Json]:
        """`input_features` or `output_features` of the configuration: name -> type and shape."""
        return cast(dict[str, Json], (self.config or {}).get(which) or {})

    @property
    def cameras(self) -> dict[str, tuple[int, int]]:
        """Cameras that the policy reads: key -> height and width, pixels.

        Without LeRobot's `empty_camera_<i>`, which a policy with more cameras than the robot fills itself.
        """
        return {
            key: (int(feature["shape"][1]), int(feature["shape"][2]))
            for key, feature in self.features("input_features").items()
            if feature.get("type") == "VISUAL" and "empty_camera" not in key
        }

    @property
    def rename_map(self) -> dict[str, str]:
        """What the preprocessor renames: the robot's or the dataset's name -> the policy's."""
        steps = [step for step in self.preprocessor or [] if step.name == _RENAME]
        return {old: new for step in steps for old, new in (step.config.get("rename_map") or {}).items()}

    @property
    def resizes_to(self) -> tuple[int, int] | None:
        """Height and width that the preprocessor gives every picture."""
        sizes = [step.config.get("resize_size") for step in self.preprocessor or [] if step.name == _RESIZE]
        return (int(sizes[-1][0]), int(sizes[-1][1])) if sizes and sizes[-1] else None


def foreign_findings(folder: Path) -> list[Finding]:
    """Is everything in the folder data? Nothing else may be done with one of which this fails."""
    return list(all_or("foreign code", list(foreign_parts(folder)), "none: every part is known to be data"))


def read_folder(folder: Path) -> PolicyFiles:
    """Read everything but the weights, of a folder that is all data."""
    found: list[Finding] = []
    names = (CONFIG, WEIGHTS, PREPROCESSOR, POSTPROCESSOR)
    missing = [
        f"{name} is missing; export the policy again" for name in names if not (folder / name).is_file()
    ]
    files = PolicyFiles(
        folder,
        _json(folder, CONFIG, found),
        _json(folder, TRAIN_CONFIG, found),
        _steps(folder, PREPROCESSOR, found),
        _steps(folder, POSTPROCESSOR, found),
        found,
    )
    found[:0] = all_or("files", missing, ", ".join(names))
    if files.train_config is None and not (folder / TRAIN_CONFIG).is_file():
        found.append(passed("files", "no train_config.json: it runs, but no tool can say how it was trained"))
    found += _rollout_steps(files.preprocessor)
    return files


def weights_findings(folder: Path) -> Iterator[Finding]:
    """Is `model.safetensors` whole, and every number in it finite?"""
    path = folder / WEIGHTS
    if not path.is_file():
        return
    bad: list[str] = []
    count = 0
    try:
        with safe_open(path, framework="pt") as file:
            for name in file.keys():  # noqa: SIM118  (not a dictionary)
                value = file.get_tensor(name)
                count += value.numel()
                if value.is_floating_point() and not bool(torch.isfinite(value).all()):
                    bad.append(name)
    except (SafetensorError, OSError) as error:
        yield failed("weights", f"{WEIGHTS} cannot be read ({error}): cut off or damaged; copy it again")
        return
    named = ", ".join(bad[:3]) + (f" and {len(bad) - 3} more" if len(bad) > 3 else "")
    problems = [f"{named}: not finite; take an earlier checkpoint"] if bad else []
    yield from all_or("weights", problems, f"{count:,} numbers, all finite")


def _json(folder: Path, name: str, found: list[Finding]) -> Json | None:
    path = folder / name
    if not path.is_file():
        return None
    try:
        return read_json(path)
    except (OSError, ValueError) as error:
        found.append(failed("files", f"{name} cannot be read ({error}); copy it again"))
        return None


def _steps(folder: Path, name: str, found: list[Finding]) -> list[Step] | None:
    content = _json(folder, name, found)
    if content is None:
        return None
    steps: list[Step] = []
    for entry in content.get("steps", []):
        title = str(entry.get("registry_name") or entry.get("class"))
        state_file = entry.get("state_file")
        state = None if state_file is None else _tensors(folder, name, str(state_file), found)
        steps.append(Step(title, entry.get("config") or {}, state))
    return steps


def _tensors(folder: Path, owner: str, name: str, found: list[Finding]) -> dict[str, Tensor] | None:
    path = folder / name
    if not path.is_file():
        found.append(failed("files", f"{name} is missing, which {owner} names; export the policy again"))
        return None
    try:
        with safe_open(path, framework="pt") as file:
            return {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    except (SafetensorError, OSError) as error:
        found.append(failed("files", f"{name} cannot be read ({error}): cut off or damaged; copy it again"))
        return None


def _rollout_steps(preprocessor: list[Step] | None) -> list[Finding]:
    if preprocessor is None:
        return []
    there = {step.name for step in preprocessor}
    return [
        failed("files", f"{PREPROCESSOR} has no step {name}, which lerobot-rollout sets; export it again")
        for name in _SET_BY_ROLLOUT
        if name not in there
    ]
