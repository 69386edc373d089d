"""so101-nexus's own visual environment, stepped and rendered each step: what our rollouts are compared with.

`MuJoCoPickLift-v1` with `obs_mode="visual"` draws its cameras at every step. What is made the same as in
`rabc.sim.environment`, and how:

- Start states: its configuration is ours (one cube, the same spawn area), so a seed puts cube and arm alike.
- Control rate: `PhysicsConfig(control_period_s=0.1)`, in its `pd_joint_pos` mode.
- Units: it speaks radians; states and actions are converted by its own functions, as ours are.
- Wrist camera: its component draws another pose at every reset; ranges of no width give it the pose that the
  robot's model has.
- Front camera: it has an overhead view only, which cannot be aimed by its configuration. The camera that it
  draws this view with is aimed anew after it is built; its size, number and cost stay.
- Pictures: whole meshes, shadows and eight antialiasing samples by default. Shadows and antialiasing can be
  configured. Coarse meshes cannot: they are put into its model before its renderers are made anew. The grey
  level that a picture can owe to the one drawn before is taken away as in ours (`Simulator.render`).

Its time limit of 1024 steps and its end at success are off: the loop here ends as ours does.
"""

import math
from collections import deque
from typing import Any, Literal

import gymnasium
import numpy as np
import torch
from einops import rearrange
from numpy.typing import NDArray
from so101_nexus.lerobot_dataset import dataset_row_to_sim_qpos, sim_qpos_to_dataset_row
from so101_nexus.observations import JointPositions, OverheadCamera, WristCamera

from rabc.rollouts.play import TICKS_AFTER_SUCCESS, ChunkPolicy, Rollout, RolloutJob
from rabc.sim.environment import COLORS, FPS, close_renderer, front_view
from rabc.sim.meshes import simplify_visual_meshes
from rabc.sim.scene import Scene
from rabc.sim.tasks import pick_config

Pictures = Literal["default", "plain", "ours"]
"""How so101-nexus draws: as by default; without shadows and antialiasing; with our coarse meshes as well."""

# The wrist camera of the robot's model (SO101_menagerie/so101.xml); a test compares the pictures.
WRIST_PITCH_RAD = -0.57
WRIST_Y_M, WRIST_Z_M = 0.055, -0.045
WRIST_FOV_DEG = 48.5


CAMERAS = {"front": "overhead_camera", "wrist": "wrist_camera"}
"""Our names, and its names in the observation."""


class VisualEnvironment:
    """so101-nexus's pick task whose every step renders both cameras."""

    def __init__(self, pictures: Pictures, image_size: int) -> None:
        """`image_size`: height and width of both cameras, pixels."""
        import so101_nexus.mujoco  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the task)

        pitch = math.degrees(WRIST_PITCH_RAD)
        wrist = WristCamera(
            image_size, image_size, fov_deg_range=(WRIST_FOV_DEG, WRIST_FOV_DEG),
            pitch_deg_range=(pitch, pitch), pos_x_noise=0.0, pos_y_center=WRIST_Y_M, pos_y_noise=0.0,
            pos_z_center=WRIST_Z_M, pos_z_noise=0.0,
        )  # fmt: skip
        cameras = [wrist, OverheadCamera(image_size, image_size)]
        config = pick_config(
            COLORS[:1], 1 / FPS, pictures == "default",
            observations=[JointPositions(), *cameras], obs_mode="visual",
        )  # fmt: skip
        self._env: Any = gymnasium.make(
            "MuJoCoPickLift-v1", config=config, control_mode="pd_joint_pos", max_episode_steps=-1
        )
        self.nexus: Any = self._env.unwrapped
        if pictures == "ours":
            self._close_renderers()  # which hold the whole meshes
            simplify_visual_meshes(self.nexus.model)
            self.nexus._setup_camera_renderers()
        self.nexus._overhead_obs_cam = front_view()
        _steady(self.nexus._wrist_renderer)
        self._low, self._high = self.nexus._target_low, self.nexus._target_high
        self._gripper = float(self._low[-1]), float(self._high[-1])

    def play(self, policy: ChunkPolicy, job: RolloutJob) -> Rollout:
        """One rollout, as `rabc.rollouts.play.roll_out` ends it; every tick is observed and rendered."""
        observation, info = self._env.reset(seed=job.seed)
        seen: deque[dict[str, Any]] = deque(maxlen=policy.history)
        frames: list[NDArray[np.uint8]] = []
        actions: list[NDArray[np.float32]] = []
        closest, success_at, tick = np.inf, None, 0
        while tick < job.max_ticks and (success_at is None or tick < success_at + TICKS_AFTER_SUCCESS):
            if tick % job.ticks_per_frame == 0:
                frames.append(observation[CAMERAS[job.camera]])
            seen.append(self._for_policy(observation))
            if not actions:
                actions = list(policy.actions(seen))
            observation, _, _, _, info = self._env.step(self._for_arm(actions.pop(0)))
            tick += 1
            closest = min(closest, info["tcp_to_obj_dist"])
            if info["success"] and success_at is None:
                success_at = tick
        return Rollout(
            job.policy_folder, job.seed, success_at is not None, tick, closest,
            rearrange(frames, "t h w c -> t c h w"),
        )  # fmt: skip

    def close(self) -> None:
        """Free its renderers."""
        self._close_renderers()
        self._env.close()

    def _close_renderers(self) -> None:
        for renderer in (self.nexus._wrist_renderer, self.nexus._overhead_obs_renderer):
            close_renderer(renderer)

    def _for_policy(self, observation: dict[str, NDArray[Any]]) -> dict[str, Any]:
        """As a LeRobot robot hands it over: degrees and 0-100, pictures float (3, H, W) in 0...1."""
        state = sim_qpos_to_dataset_row(
            self.nexus._get_current_qpos().astype(np.float64), gripper_limits_rad=self._gripper
        )
        images = {
            f"observation.images.{ours}": rearrange(
                torch.from_numpy(observation[theirs]), "h w c -> c h w"
            ).float()
            / 255
            for ours, theirs in CAMERAS.items()
        }
        return {
            "observation.state": torch.from_numpy(np.asarray(state, dtype=np.float32)),
            "task": Scene().instruction,
            **images,
        }

    def _for_arm(self, action: NDArray[np.float32]) -> NDArray[np.float32]:
        """LeRobot units to radians within the arm's limits."""
        qpos = dataset_row_to_sim_qpos(action.astype(np.float64), gripper_limits_rad=self._gripper)
        return np.clip(qpos, self._low, self._high).astype(np.float32)


def _steady(renderer: Any) -> None:
    """Makes its pictures depend on the state alone."""
    update = renderer.update_scene

    def from_the_front(data: Any, camera: Any) -> None:
        update(data, camera=front_view())
        update(data, camera=camera)

    renderer.update_scene = from_the_front
