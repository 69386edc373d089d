"""The simulated SO-101 at 10 Hz in LeRobot's units, with lazily rendered cameras.

Tasks, physics and success rules are so101-nexus's (`rabc.sim.tasks`). Joint positions
cross this boundary as a LeRobot recording has them: five joints in degrees, the gripper in
0-100 (so101-nexus's own conversion).
"""

import atexit
import os
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.sim.scene import COLORS, Scene, Task, Truth
from rabc.system.errors import InputError

Vector = NDArray[np.float32]
Image = NDArray[np.uint8]

FPS = 10
"""Control ticks, and recorded frames, per second."""
CAMERAS = ("front", "wrist")
JOINTS = ("shoulder_pan", "shoulder_lift", "elbow_flex", "wrist_flex", "wrist_roll", "gripper")
# A cube that happens to start under the hand must not make progress jump.
MIN_START_DISTANCE_M = 0.05
FRONT_CAMERA: dict[str, Any] = {
    "lookat": (0.21, 0.0, 0.05),
    "distance": 0.5,
    "elevation": -35.0,
    "azimuth": 180.0,
}


class Simulator:
    """One SO-101 with a set of cubes; `reset`, then one `tick` per control step."""

    def __init__(
        self,
        colors: tuple[str, ...] = COLORS[:1],
        image_size: int = 96,
        task: Task = "pick",
        detailed: bool = False,
    ) -> None:
        """`detailed`: draw as so101-nexus does by default, with whole meshes, shadows and antialiasing.

        A picture then costs about seventy times as much, and is not what demonstrations are recorded with.
        """
        from rabc.sim.meshes import simplify_visual_meshes
        from rabc.sim.tasks import make_task

        self.colors = colors
        self.image_size = image_size
        self.task: Task = task
        self.detailed = detailed
        self._task = make_task(task, colors, 1 / FPS, detailed)
        self._env = self._task.env
        self.nexus: Any = self._task.nexus
        if not detailed:
            simplify_visual_meshes(self.nexus.model)
        self._renderer: Any = None
        self._pictures: dict[str, Image] = {}
        self._info: dict[str, Any] = {}
        self._start = np.ones(2)
        self.scene = Scene(task=task)
        self.target_qpos = np.zeros(6)

    def reset(self, seed: int, scene: Scene | None = None) -> None:
        """Put the cubes and the arm where `seed` says; the same seed gives the same scene."""
        scene = scene or Scene(self.colors[0], task=self.task)
        if scene.task != self.task:
            raise InputError(
                f"task {scene.task!r}: this simulator plays {self.task!r}; build it for that task"
            )
        for color in (scene.color, *scene.distractors):
            if color not in self.colors:
                raise InputError(
                    f"cube colour {color!r} is not in this simulator's {self.colors}; "
                    "build it with that colour"
                )
        self.scene = scene
        pool = [self.colors.index(color) for color in (scene.color, *scene.distractors)]
        self._task.arrange(scene, pool)
        self._pictures = {}
        _, self._info = self._env.reset(seed=seed)
        self.target_qpos = np.asarray(self.nexus._get_current_qpos(), dtype=np.float64).copy()
        self._start = np.maximum(self._distances(), MIN_START_DISTANCE_M)
        self._task.begin()

    def state(self) -> Vector:
        """Joint positions (6,), LeRobot units."""
        from so101_nexus.lerobot_dataset import sim_qpos_to_dataset_row

        row = sim_qpos_to_dataset_row(
            np.asarray(self.nexus._get_current_qpos(), dtype=np.float64),
            gripper_limits_rad=self.gripper_limits,
        )
        return np.asarray(row, dtype=np.float32)

    def tick(self, action: Vector) -> None:
        """Hold the joint targets `action` (6,), LeRobot units, for one control step of 0.1 s."""
        from so101_nexus.lerobot_dataset import dataset_row_to_sim_qpos

        qpos = dataset_row_to_sim_qpos(
            np.asarray(action, dtype=np.float64), gripper_limits_rad=self.gripper_limits
        )
        self.target_qpos = np.clip(qpos, self.nexus._target_low, self.nexus._target_high)
        self._pictures = {}
        _, _, _, _, self._info = self._env.step(self.target_qpos.astype(np.float32))

    def action_for(self, qpos: NDArray[np.float64]) -> Vector:
        """Joint targets (6,) in radians, clipped to the arm's limits, as LeRobot units."""
        from so101_nexus.lerobot_dataset import sim_qpos_to_dataset_row

        clipped = np.clip(qpos, self.nexus._target_low, self.nexus._target_high)
        return np.asarray(
            sim_qpos_to_dataset_row(clipped, gripper_limits_rad=self.gripper_limits), dtype=np.float32
        )

    @property
    def gripper_limits(self) -> tuple[float, float]:
        """Gripper joint range, radians, that 0 and 100 stand for."""
        return float(self.nexus._target_low[-1]), float(self.nexus._target_high[-1])

    def cube_pose(self) -> tuple[NDArray[np.float64], float]:
        """Privileged: the centre of the cube to handle (3,), metres, and its yaw, radians."""
        pose = self._task.cube_pose()
        return pose[:3].copy(), float(2 * np.arctan2(pose[6], pose[3]))

    def disc_position(self) -> NDArray[np.float64]:
        """Privileged, of the place task only: the disc's centre (3,), metres."""
        return self._task.disc_position()

    def truth(self) -> Truth:
        """Progress and success of the task as it is now.

        Half of reaching is being above the cube, half is being at it, each relative to the start.
        """
        held = bool(self._info["is_grasped"] > 0.5)
        distances = self._distances()
        reach = 1.0 if held else float(np.clip(1 - distances / self._start, 0, 1).mean())
        progress = self._task.progress(self._info, reach)
        return Truth(progress, self._task.succeeded(self._info), float(distances[1]))

    def _distances(self) -> NDArray[np.float64]:
        """From the gripper's tool point to the cube: in the table plane, and in space, metres."""
        offset = self._task.cube_pose()[:3] - self.nexus._get_tcp_pose()[:3]
        return np.array([np.linalg.norm(offset[:2]), np.linalg.norm(offset)], dtype=np.float64)

    def render(self, camera: str) -> Image:
        """The camera's current image, (H, W, 3) uint8; leave it as it is.

        Only what is asked for is drawn, and once in a tick.
        """
        if camera not in self._pictures:
            self._pictures[camera] = self._draw(camera)
        return self._pictures[camera]

    def _draw(self, camera: str) -> Image:
        import mujoco

        if self._renderer is None:
            self._renderer = mujoco.Renderer(self.nexus.model, height=self.image_size, width=self.image_size)
            self._renderer.scene.flags[mujoco.mjtRndFlag.mjRND_SHADOW] = self.detailed  # pyright: ignore[reportAttributeAccessIssue]
            # Before EGL's own clean-up at exit, which leaves a renderer nothing to free itself with.
            atexit.register(self.close)
        if camera == "wrist":
            view: Any = self.nexus._wrist_cam_id
        elif camera == "front":
            view = front_view()
        else:
            raise InputError(
                f"camera {camera!r} does not exist in the simulation; it has {', '.join(CAMERAS)}"
            )
        # MuJoCo lays an endless floor out around the camera of the picture before, and its rounding moves a
        # pixel of one picture in thirty by a grey level. From the front camera always: a picture then depends
        # on the state alone.
        self._renderer.update_scene(self.nexus.data, camera=front_view())
        self._renderer.update_scene(self.nexus.data, camera=view)
        return self._renderer.render()

    def __enter__(self) -> "Simulator":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Free the renderer and the environment."""
        atexit.unregister(self.close)
        if self._renderer is not None:
            close_renderer(self._renderer)
            self._renderer = None
        self._env.close()


def close_renderer(renderer: Any) -> None:
    """Free a `mujoco.Renderer` without harm to others.

    Its own `close` deletes what has its numbers in the OpenGL context that is current, which may be another
    renderer's: that one's pictures are wrong from then on.
    """
    if renderer._gl_context is not None:
        renderer._gl_context.make_current()
    renderer.close()


def front_view() -> Any:
    """The front camera as MuJoCo's free camera, `mujoco.MjvCamera`."""
    import mujoco

    view: Any = mujoco.MjvCamera()  # pyright: ignore[reportAttributeAccessIssue]
    view.type = mujoco.mjtCamera.mjCAMERA_FREE  # pyright: ignore[reportAttributeAccessIssue]
    view.lookat[:] = FRONT_CAMERA["lookat"]
    view.distance, view.elevation = FRONT_CAMERA["distance"], FRONT_CAMERA["elevation"]
    view.azimuth = FRONT_CAMERA["azimuth"]
    return view


def check_rendering() -> None:
    """Raise InputError unless MuJoCo can draw on this machine; takes about a second."""
    library = os.environ.get("MUJOCO_GL", "its default")
    try:
        import mujoco

        mujoco.Renderer(mujoco.MjModel.from_xml_string("<mujoco/>"), 16, 16).close()  # pyright: ignore[reportAttributeAccessIssue]
    except Exception as error:  # every OpenGL library fails in a way of its own
        reason = (str(error).strip() or type(error).__name__).splitlines()[0].split(". ")[0]
        raise InputError(
            f"MUJOCO_GL {library}: MuJoCo cannot draw here ({reason}); install the GPU's driver or Mesa "
            "(Debian: apt install libegl1 libgl1-mesa-dri), or set MUJOCO_GL to osmesa or glfw"
        ) from error
