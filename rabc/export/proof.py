"""Proof that a policy folder holds the policy: LeRobot alone, in another process, acts the same."""

import dataclasses
import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lerobot.processor import DeviceProcessorStep
from safetensors import SafetensorError
from safetensors.torch import load as from_bytes
from safetensors.torch import save as to_bytes
from torch import Tensor

from rabc.datasets.robot_frames import DatasetFrames, read_dataset_frames, spread
from rabc.export import lerobot_only
from rabc.policies.build import PolicyParts
from rabc.system.errors import CheckFailed

TOLERANCE = 1e-6
"""Largest difference of an action, in dataset units; relative where the action is larger than 1, since
float32 has no more digits."""
_FRAMES = 4


@dataclass(frozen=True)
class Proof:
    """What was compared."""

    frames: int
    """Dataset frames, each with a query of its own."""
    actions: int
    """Actions of one joint each."""
    largest_difference: float
    """Dataset units."""

    def __str__(self) -> str:
        return (
            f"LeRobot alone gives the same {self.actions} joint targets on {self.frames} dataset frames "
            f"(largest difference {self.largest_difference:.1g})"
        )


def proof_frames(meta: LeRobotDatasetMetadata, parts: PolicyParts) -> DatasetFrames:
    """Frames to compare on, spread over the dataset. Raises InputError for a dataset that cannot be read."""
    inputs = list(parts.policy.config.input_features or {})
    return read_dataset_frames(meta, spread(meta.total_frames, _FRAMES), inputs)


def prove(folder: Path, parts: PolicyParts, frames: DatasetFrames) -> Proof:
    """Compare the actions of the folder, loaded by LeRobot in a process of its own, with those of `parts`.

    Both compute on the CPU; a Diffusion policy begins with the same given noise.

    Args:
        folder: a policy folder.
        parts: what was saved in it, as for the robot (`PolicyParts.for_robot`); left as it is.
        frames: to act on.

    Raises:
        CheckFailed: LeRobot cannot load the folder, or acts otherwise.
    """
    noise = _noise(parts.policy.config, len(frames.tasks))
    expected = lerobot_only.play(*_on_cpu(parts), frames.values, frames.tasks, noise)
    found = _in_another_process(folder, frames, noise)
    if found.shape != expected.shape:
        raise CheckFailed(
            f"export of a policy of type {parts.policy.config.type}: LeRobot alone gives actions "
            f"{tuple(found.shape)}, not {tuple(expected.shape)}; nothing was left behind"
        )
    difference = (found - expected).abs()
    # Written so that a NaN fails.
    if not bool((difference <= TOLERANCE * expected.abs().clamp(min=1)).all()):
        raise CheckFailed(
            f"export of a policy of type {parts.policy.config.type}: LeRobot alone acts otherwise than the "
            f"policy in memory, by up to {float(difference.max()):.3g} where {TOLERANCE:g} is allowed; "
            "nothing was left behind"
        )
    return Proof(len(frames.tasks), expected.numel(), float(difference.max()))


def _noise(config: Any, frames: int) -> Tensor | None:
    if config.type != "diffusion":
        return None
    shape = (frames, config.horizon, config.action_feature.shape[0])
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def _on_cpu(parts: PolicyParts) -> tuple[Any, Any, Any]:
    """A copy of the policy and its processors that stays on the CPU."""
    policy, preprocessor = deepcopy(parts.policy).to("cpu").eval(), deepcopy(parts.preprocessor)
    steps: list[Any] = [
        DeviceProcessorStep(device="cpu") if isinstance(step, DeviceProcessorStep) else step
        for step in preprocessor.steps
    ]
    return policy, dataclasses.replace(preprocessor, steps=steps), deepcopy(parts.postprocessor)


def _in_another_process(folder: Path, frames: DatasetFrames, noise: Tensor | None) -> Tensor:
    facts = json.dumps({"tasks": frames.tasks, "threads": torch.get_num_threads()}).encode()
    tensors = frames.values if noise is None else {**frames.values, "noise": noise}
    done = subprocess.run(
        [sys.executable, "-P", lerobot_only.__file__, str(folder.absolute())],
        input=len(facts).to_bytes(8, "little") + facts + to_bytes(tensors),
        capture_output=True,
        check=False,
    )
    try:
        if done.returncode == 0:
            return from_bytes(done.stdout)["actions"]
        lines = done.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"exit code {done.returncode}"
    except (SafetensorError, KeyError) as error:
        reason = f"its answer cannot be read: {error}"
    raise CheckFailed(f"export: LeRobot alone cannot run the policy ({reason}); nothing was left behind")
