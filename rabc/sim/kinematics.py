"""Inverse kinematics of the SO-101 for grasps from above.

Five joints cannot reach every pose, so the solver weighs what a grasp needs: the cube's place
between the jaws first, then the direction of approach, then the jaws along the cube's sides.
"""

from dataclasses import dataclass
from typing import Any

import mujoco
import numpy as np
from numpy.typing import NDArray

from rabc.sim.scene import PAN_AXIS

Vector = NDArray[np.float64]

GRASP_POINT = np.array([0.010, 0.0, -0.098])
"""Centre of a grasped cube in the gripper body's frame, metres."""
APPROACH_WEIGHT = 0.05
YAW_WEIGHT = 0.1
# Either jaw may be on either side, but flipping it costs wrist travel.
FLIP_WEIGHT = 0.02
MAX_STEP_RAD = 0.3
MAX_ITERATIONS = 60
DAMPING = 1e-6
# A solution with the jaws the wrong way round counts as 5 mm further off.
FLIPPED_COST_MM = 5.0
TILT_COST_MM_PER_DEG = 0.02


@dataclass(frozen=True)
class Grasp:
    """A grasp from above: where the cube is, how the jaws are turned, how far the hand tilts outward."""

    position: Vector
    """Cube centre at the grasp (3,), metres."""
    yaw: float
    """Direction from jaw to jaw in the table plane, radians."""
    tilt: float
    """Outward tilt of the approach from the vertical, radians."""

    def shifted(self, offset: Vector) -> "Grasp":
        """The same grasp, `offset` (3,) metres away."""
        return Grasp(self.position + offset, self.yaw, self.tilt)


def grasp_for(position: Vector, cube_yaw: float) -> Grasp:
    """The grasp of a cube at `position` with `cube_yaw`: the jaws on the side faces nearest to lateral."""
    _, pan = polar(position)
    lateral = pan + np.pi / 2
    faces = cube_yaw + np.arange(4) * np.pi / 2
    turn = (faces - lateral + np.pi) % (2 * np.pi) - np.pi
    return Grasp(np.asarray(position, dtype=float), float(faces[np.abs(turn).argmin()]), tilt_at(position))


def tilt_at(position: Vector) -> float:
    """Outward tilt of the hand, radians: 0 degrees at 0.20 m from the pan axis, 30 at 0.28 m."""
    radius, _ = polar(position)
    return float(np.clip((radius - 0.20) / 0.08, 0, 1) * np.radians(30))


def polar(position: Vector) -> tuple[float, float]:
    """Distance, metres, and direction, radians, of a point from the pan axis."""
    offset = position[:2] - PAN_AXIS
    return float(np.linalg.norm(offset)), float(np.arctan2(offset[1], offset[0]))


class Kinematics:
    """Forward and inverse kinematics on the simulator's own model, in a state of its own."""

    def __init__(self, nexus: Any) -> None:
        self._model = nexus.model
        self._data = mujoco.MjData(nexus.model)  # pyright: ignore[reportAttributeAccessIssue]
        self._body = nexus._gripper_body_id
        self._qpos = nexus._qpos_addrs[:5]
        self._dofs = nexus._qvel_addrs[:5]
        self._low, self._high = nexus._target_low[:5] + 0.01, nexus._target_high[:5] - 0.01

    def forward(self, joints: Vector) -> tuple[Vector, Vector]:
        """Grasp point (3,), metres, and gripper rotation (3, 3) for arm joints (5,), radians."""
        self._data.qpos[self._qpos] = joints[:5]
        mujoco.mj_kinematics(self._model, self._data)  # pyright: ignore[reportAttributeAccessIssue]
        mujoco.mj_comPos(self._model, self._data)  # pyright: ignore[reportAttributeAccessIssue]
        rotation = self._data.xmat[self._body].reshape(3, 3).copy()
        return self._data.xpos[self._body] + rotation @ GRASP_POINT, rotation

    def solve(self, grasp: Grasp, start: Vector) -> Vector:
        """Arm joints (5,), radians, that reach `grasp`, by Gauss-Newton from `start`."""
        joints = np.array(start[:5], dtype=float)
        for _ in range(MAX_ITERATIONS):
            residual, jacobian = self._linearise(grasp, joints)
            step: Any = -np.linalg.solve(jacobian.T @ jacobian + DAMPING * np.eye(5), jacobian.T @ residual)
            joints = np.clip(joints + np.clip(step, -MAX_STEP_RAD, MAX_STEP_RAD), self._low, self._high)
            if np.abs(step).max() < 1e-5:
                break
        return joints

    def solve_from_anywhere(self, grasp: Grasp) -> Vector:
        """Like `solve`, from the best of several starts."""
        _, pan = polar(grasp.position)
        starts = [np.array([side * pan, -0.2, 0.4, 1.2, roll]) for side in (1, -1) for roll in (-1.57, 1.57)]
        solutions = [self.solve(grasp, start) for start in starts]
        return min(solutions, key=lambda joints: self._cost(grasp, joints))

    def _cost(self, grasp: Grasp, joints: Vector) -> float:
        point, rotation = self.forward(joints)
        jaw = np.array([np.cos(grasp.yaw), np.sin(grasp.yaw), 0])
        off_vertical = np.degrees(np.arccos(np.clip(rotation[2, 2], -1, 1)))
        flipped = FLIPPED_COST_MM if rotation[:, 0] @ jaw < 0.5 else 0.0
        return (
            float(np.linalg.norm(point - grasp.position)) * 1000
            + flipped
            + TILT_COST_MM_PER_DEG * float(off_vertical)
        )

    def _linearise(self, grasp: Grasp, joints: Vector) -> tuple[Vector, Vector]:
        point, rotation = self.forward(joints)
        jac_position, jac_rotation = np.zeros((3, self._model.nv)), np.zeros((3, self._model.nv))
        mujoco.mj_jac(self._model, self._data, jac_position, jac_rotation, point, self._body)  # pyright: ignore[reportAttributeAccessIssue]
        jac_position, jac_rotation = jac_position[:, self._dofs], jac_rotation[:, self._dofs]
        _, pan = polar(grasp.position)
        wanted = np.array(
            [np.sin(grasp.tilt) * np.cos(pan), np.sin(grasp.tilt) * np.sin(pan), -np.cos(grasp.tilt)]
        )
        approach, jaw = -rotation[:, 2], rotation[:, 0]
        along = np.array([np.cos(grasp.yaw), np.sin(grasp.yaw), 0])
        across = np.array([-np.sin(grasp.yaw), np.cos(grasp.yaw), 0])
        jac_approach: Any = np.cross(jac_rotation.T, approach).T
        jac_jaw: Any = np.cross(jac_rotation.T, jaw).T
        flipped = min(0.0, float(jaw @ along))
        residual = np.concatenate(
            [
                point - grasp.position,
                APPROACH_WEIGHT * (approach - wanted),
                np.array([YAW_WEIGHT * (jaw @ across), FLIP_WEIGHT * flipped]),
            ]
        )
        jacobian = np.vstack(
            [
                jac_position,
                APPROACH_WEIGHT * jac_approach,
                YAW_WEIGHT * (across @ jac_jaw),
                FLIP_WEIGHT * (along @ jac_jaw) * (flipped < 0),
            ]
        )
        return residual, jacobian
