"""How long the policies of the shipped configurations take to answer, and what control rate that allows.

The weights are random: what a query costs does not depend on them. A query is everything between a robot's
observation and its actions: the preprocessor, which resizes, the network, and the postprocessor.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.benchmarks.lines import Line
from rabc.benchmarks.recordings import record_cameras
from rabc.config import cli
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.export.folder import write_policy
from rabc.policies.build import build_policy
from rabc.policy_check.actions import reached_rate
from rabc.rollouts.play import ChunkPolicy, load_policy

REAL_CAMERAS = (480, 640)
"""Height and width of the cameras of a dataset that is not simulated, pixels."""
REAL_FPS, SIMULATED_FPS = 30, 10
"""Control rates, Hz."""
_FRAMES = 12


@dataclass(frozen=True)
class Asked:
    """A shipped configuration and what its robot is like."""

    name: str
    policy: PolicyConfig
    cameras: tuple[int, int]
    fps: int


def asked(names: Sequence[str]) -> list[Asked]:
    """The configurations `so101_<name>.yaml`."""
    found: list[Asked] = []
    for name in names:
        config = cli.parse(["--config", f"so101_{name}.yaml"], "").config
        size = config.demonstrations.image_size
        simulated = config.demonstrations.simulate
        # The download would only be overwritten by random weights of the same shape.
        policy = replace(config.policy, pretrained_backbone_weights=None, pretrained_path=None)
        found.append(
            Asked(
                name,
                policy,
                (size, size) if simulated else REAL_CAMERAS,
                SIMULATED_FPS if simulated else REAL_FPS,
            )
        )
    return found


def measure(configurations: Sequence[Asked], folder: Path, repeats: int) -> tuple[list[Line], dict[str, Any]]:
    """Times `repeats` queries of each policy, in turn; without bounds.

    folder: for the policies and what they are built for.
    """
    policies = {one.name: _policy(one, folder) for one in configurations}
    seconds: dict[str, list[float]] = {one.name: [] for one in configurations}
    for repeat in range(repeats + 1):
        for one in configurations:
            elapsed = _query(policies[one.name], one.cameras)
            if repeat:  # the first query of a policy takes longer
                seconds[one.name].append(elapsed)
    lines = [_line(one, np.array(seconds[one.name])) for one in configurations]
    return lines, {"seconds": seconds}


def _policy(one: Asked, folder: Path) -> ChunkPolicy:
    root = folder / f"cameras-{one.cameras[0]}x{one.cameras[1]}"
    if not root.exists():
        record_cameras(root, episodes=1, frames=_FRAMES, size=one.cameras)
    torch.manual_seed(0)
    parts = build_policy(one.policy, load_meta(root)).for_robot()
    return load_policy(write_policy(parts, folder / one.name / "pretrained_model", {}))


def _query(policy: ChunkPolicy, size: tuple[int, int]) -> float:
    generator = torch.Generator().manual_seed(0)
    cameras = {
        f"observation.images.{name}": torch.rand((3, *size), generator=generator)
        for name in ("front", "wrist")
    }
    seen = {"observation.state": torch.zeros(6), "task": "Pick up the red cube.", **cameras}
    begun = time.perf_counter()
    policy.actions([seen] * policy.history)
    return time.perf_counter() - begun


def _line(one: Asked, seconds: NDArray[np.float64]) -> Line:
    low, median, high = np.percentile(seconds, [5, 50, 95])
    actions = one.policy.n_action_steps
    return Line(
        f"`so101_{one.name}.yaml`: {one.policy.type}, cameras {one.cameras[0]}×{one.cameras[1]}",
        1000 * float(median),
        "ms a query",
        detail=(
            f"90 % of {len(seconds)} within {1000 * low:.0f} to {1000 * high:.0f} ms; {actions} actions a "
            f"query; every tick on time up to {1 / high:.3g} Hz; at the recorded {one.fps} Hz the arm gets "
            f"{reached_rate(median, actions, one.fps):.3g} actions a second"
        ),
    )
