"""Our own rollouts at the resolution of the arm's servos, as LeRobot's robot clients see the arm.

A servo has 4096 positions a turn, 0.088 degrees each. LeRobot reads whole positions and, on the way out,
drops what is left of one. A policy that misses the cube by millimetres now and then lifts it because of that,
so outcomes are compared with rollouts that are rounded alike.
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.motors import MotorCalibration
from so101_nexus.lerobot_adapter import normalization

from rabc.rollouts.play import ChunkPolicy, Rollout, RolloutJob, load_policy, roll_out, simulator_observation
from rabc.sim.environment import JOINTS, Simulator, Vector
from tests.support import REPO

CALIBRATION = REPO / "configs" / "lerobot" / "calibration" / "sim.json"
TICK = np.array([360 / 4095] * 5 + [100 / 4095])
"""One position of each servo, LeRobot units."""
MAX_TICKS = 100


class ServoTicks(Simulator):
    """The simulated arm, read and driven in whole servo positions."""

    def __init__(self) -> None:
        super().__init__()
        motors = json.loads(CALIBRATION.read_text())
        self._servo: dict[str, Any] = {
            "motors": normalization.build_so101_motors(use_degrees=True),
            "calibration": {name: MotorCalibration(**fields) for name, fields in motors.items()},
        }
        self._limits: dict[str, Any] = {
            "calibration": self._servo["calibration"],
            "gripper_limits_rad": self.gripper_limits,
        }

    def state(self) -> Vector:
        ticks = normalization.sim_rad_to_motor_ticks(self.nexus._get_current_qpos(), **self._limits)
        values = normalization.normalize_ticks(ticks, **self._servo)
        return np.array([values[joint] for joint in JOINTS], np.float32)

    def tick(self, action: Vector) -> None:
        values = dict(zip(JOINTS, map(float, action), strict=True))
        ticks = normalization.unnormalize_values(values, **self._servo)
        super().tick(self.action_for(normalization.motor_ticks_to_sim_rad(ticks, **self._limits)))


def own_rollouts(folder: Path, seeds: range, simulator: Simulator) -> list[Rollout]:
    """Our own rollouts of the policy in `folder`, as `rabc.rollouts.play.roll_outs` plays them."""
    policy = load_policy(folder)
    played: list[Rollout] = []
    for seed in seeds:
        torch.manual_seed(seed)  # of a diffusion policy's noise
        played.append(roll_out(simulator, policy, RolloutJob(folder, seed, MAX_TICKS, "front", 50)))
    return played


def first_actions(folder: Path, seeds: range, simulator: Simulator) -> np.ndarray:
    """The first action of each of our own rollouts (seeds, 6), LeRobot units, within the gripper's range."""
    policy = load_policy(folder)
    return np.stack([_first_action(policy, seed, simulator) for seed in seeds])


def _first_action(policy: ChunkPolicy, seed: int, simulator: Simulator) -> np.ndarray:
    simulator.reset(seed)
    torch.manual_seed(seed)
    action = policy.actions([simulator_observation(simulator)])[0].astype(np.float64)
    action[-1] = np.clip(action[-1], 0, 100)
    return action
