"""The tasks of so101-nexus that are simulated here: scenes, success rules, how far an episode has got."""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from numpy.typing import NDArray
from so101_nexus.config import (
    PhysicsConfig,
    PickAndPlaceV2Config,
    PickConfig,
    RenderConfig,
)
from so101_nexus.mujoco.spawn_utils import hide_freejoint_slot
from so101_nexus.objects import CubeObject
from so101_nexus.observations import JointPositions
from so101_nexus.rendering import RenderingQuality

from rabc.sim.scene import DISC_COLOR, PAN_AXIS, SPAWN_HALF_ANGLE_DEG, SPAWN_RADIUS_M, Scene, Task

MAX_EPISODE_STEPS = 1_000_000
MIN_CUBE_SEPARATION_M = 0.06
# Between the disc's centre and the nearest corner of a cube at the start: 3 cm beyond the disc's rim.
DISC_RADIUS_M = 0.05
MIN_DISC_SEPARATION_M = 0.08
# Beside the disc there is little room left, so the cubes that only stand by may be out of the arm's reach,
# but not out of the front camera's sight.
STANDING_BY_X_M, STANDING_BY_Y_M = (0.16, 0.38), (-0.14, 0.14)
MAX_TRIES = 1_000

CARRY_HEIGHT_M = 0.05
"""Height above its start from which the cube counts as lifted, and from which lowering is measured."""
CENTRE_M = 0.01
"""From the disc's centre, closer than which the cube counts as carried there."""
ON_TABLE_M = 0.01
"""Height above its start below which the cube counts as put down."""


class SimulatedTask(ABC):
    """One of so101-nexus's environments, set up for our scenes."""

    nexus: Any
    """so101-nexus's environment, without gymnasium's wrappers."""
    env: Any
    """The same with them, if it has any."""

    @abstractmethod
    def arrange(self, scene: Scene, pool: list[int]) -> None:
        """Before a reset: the cubes of `pool`, indices into the colours, take part; the first is handled."""

    @abstractmethod
    def begin(self) -> None:
        """After a reset: remember what progress is measured against."""

    @abstractmethod
    def cube_pose(self) -> NDArray[np.float64]:
        """The cube to handle: position (3,), metres, and quaternion (4,), w first."""

    def disc_position(self) -> NDArray[np.float64]:
        """The centre of the disc to place on (3,), metres."""
        raise ValueError(f"{type(self).__name__}: has no disc; only placing has")

    @abstractmethod
    def succeeded(self, info: dict[str, Any]) -> bool:
        """The success rule: whether the task is done now, by so101-nexus's `info`."""

    @abstractmethod
    def progress(self, info: dict[str, Any], reach: float) -> float:
        """Progress 0...1 from so101-nexus's `info` and how near the hand is, 0...1 (1: the cube is held)."""


class PickLift(SimulatedTask):
    """`MuJoCoPickLift-v1`: grasp the cube and lift it."""

    def __init__(self, colors: tuple[str, ...], control_period_s: float, detailed: bool) -> None:
        import gymnasium
        import so101_nexus.mujoco  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the task)

        config = pick_config(colors, control_period_s, detailed)
        self.env = gymnasium.make(
            "MuJoCoPickLift-v1",
            config=config,
            control_mode="pd_joint_pos",
            max_episode_steps=MAX_EPISODE_STEPS,
        )
        self.nexus = self.env.unwrapped

    def arrange(self, scene: Scene, pool: list[int]) -> None:
        """So101-nexus draws which cubes take part; the scene names them, so the draw is replaced."""

        def choose(rng: Any, n_pool: int, n_slots: int) -> tuple[list[int], int]:
            return pool, pool[0]

        self.nexus._choose_slots = choose
        self.nexus.config.min_distractors = self.nexus.config.max_distractors = len(pool) - 1

    def begin(self) -> None:
        """So101-nexus remembers the cube's height itself."""

    def cube_pose(self) -> NDArray[np.float64]:
        """Read from the simulator's state."""
        return self.nexus._get_target_pose()

    def succeeded(self, info: dict[str, Any]) -> bool:
        """So101-nexus's own rule: the cube is held, and higher above its start than `lift_threshold`."""
        return bool(info["success"])

    def progress(self, info: dict[str, Any], reach: float) -> float:
        """0.3 for reaching, 0.3 for holding the cube, 0.4 for lifting it."""
        held = bool(info["is_grasped"] > 0.5)
        lift = float(np.clip(info["lift_height"] / self.nexus.config.lift_threshold, 0, 1)) if held else 0.0
        return 0.3 * reach + 0.3 * held + 0.4 * lift


class PickAndPlace(SimulatedTask):
    """`MuJoCoPickAndPlace-v2`: grasp the cube, carry it onto the disc and let go of it there."""

    def __init__(self, colors: tuple[str, ...], control_period_s: float, detailed: bool) -> None:
        import gymnasium
        import so101_nexus.mujoco  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the task)

        others = len(colors) - 1
        with warnings.catch_warnings():
            # It warns that colours repeat; `arrange` sees to it that none stands on the table twice.
            warnings.simplefilter("ignore", UserWarning)
            config = PickAndPlaceV2Config(
                objects=[CubeObject(color=color) for color in colors],  # pyright: ignore[reportArgumentType]
                # Cubes that stand by are a pool of their own there, so every colour is compiled twice.
                distractors=[CubeObject(color=color) for color in colors] if others else None,  # pyright: ignore[reportArgumentType]
                min_distractors=0,
                max_distractors=others,
                min_object_separation=MIN_CUBE_SEPARATION_M,
                target_colors=DISC_COLOR,
                target_disc_radius=DISC_RADIUS_M,
                min_object_target_separation=MIN_DISC_SEPARATION_M,
                **_common(control_period_s, detailed),
            )
        self.env = gymnasium.make(
            "MuJoCoPickAndPlace-v2",
            config=config,
            control_mode="pd_joint_pos",
            max_episode_steps=MAX_EPISODE_STEPS,
        )
        self.nexus = self.env.unwrapped
        self._standing_by = list(self.nexus._distractor_slots)
        self._sample_in_reach = self.nexus._sample_object_positions
        self._start_to_disc = 1.0

    def arrange(self, scene: Scene, pool: list[int]) -> None:
        """So101-nexus draws which cubes take part; the scene names them, so the draw is replaced."""
        chosen = [self._standing_by[index] for index in pool[1:]]

        def choose(rng: Any, n_pool: int) -> int:
            # Called within the reset, when the cubes are back at their places in the model.
            for slot in self._standing_by:
                if slot not in chosen:
                    hide_freejoint_slot(self.nexus.model, self.nexus.data, slot)
            return pool[0]

        self.nexus._choose_target_index = choose
        self.nexus._sample_object_positions = self._spread
        self.nexus._distractor_slots = chosen
        self.nexus.config.min_distractors = self.nexus.config.max_distractors = len(chosen)

    def _spread(
        self, rng: np.random.Generator, slots: list[Any], disc_xy: tuple[float, float]
    ) -> list[tuple[float, float]]:
        """Where the cubes start, as so101-nexus's own, but that the others need not be in the arm's reach."""
        placed = self._sample_in_reach(rng, slots[:1], disc_xy)
        radius = slots[0].bounding_radius  # the cubes are alike
        taken = [(*disc_xy, radius + MIN_DISC_SEPARATION_M), (*placed[0], 2 * radius + MIN_CUBE_SEPARATION_M)]
        for _ in range(MAX_TRIES):
            if len(placed) == len(slots):
                return placed
            x, y = rng.uniform(*STANDING_BY_X_M), rng.uniform(*STANDING_BY_Y_M)
            if all(np.hypot(x - other_x, y - other_y) >= clear for other_x, other_y, clear in taken):
                placed.append((x, y))
                taken.append((x, y, 2 * radius + MIN_CUBE_SEPARATION_M))
        raise RuntimeError(f"no room for {len(slots)} cubes beside the disc")

    def begin(self) -> None:
        """Carrying is measured against the way from here to the disc."""
        offset = self.cube_pose()[:2] - self.disc_position()[:2]
        self._start_to_disc = float(np.linalg.norm(offset))

    def cube_pose(self) -> NDArray[np.float64]:
        """Read from the simulator's state."""
        return self.nexus._get_object_pose()

    def disc_position(self) -> NDArray[np.float64]:
        """The disc's centre (3,), metres."""
        return self.nexus._get_target_pos()

    def succeeded(self, info: dict[str, Any]) -> bool:
        """So101-nexus's own rule: the cube lies on the disc, let go, for `placement_dwell_time`."""
        return bool(info["success"])

    def progress(self, info: dict[str, Any], reach: float) -> float:
        """0.2 each for reaching and holding the cube, 0.1 for lifting it, 0.25 for carrying it to the disc's
        centre, 0.1 for lowering it there, and the rest when it lies there on its own.

        A cube that is dropped beside the disc has to be reached and held again.
        """
        if self.succeeded(info):
            return 1.0
        above_disc = bool(info["geometric_placement_ok"])
        height = max(0.0, float(info["lift_height"]))
        if above_disc and height < ON_TABLE_M:
            return 0.85
        if info["is_grasped"] <= 0.5:
            return 0.2 * reach
        lifted = min(height / CARRY_HEIGHT_M, 1.0)
        to_go = max(0.0, info["obj_to_target_dist"] - CENTRE_M) / (self._start_to_disc - CENTRE_M)
        carried = float(np.clip(1 - to_go, 0, 1))
        # Above the disc, low is no less than high.
        return 0.4 + 0.1 * max(lifted, above_disc) + 0.25 * carried + 0.1 * above_disc * (1 - lifted)


def make_task(
    task: Task, colors: tuple[str, ...], control_period_s: float, detailed: bool = False
) -> SimulatedTask:
    """The environment of `task`, with one cube of each of `colors`.

    detailed: with shadows and antialiasing, as so101-nexus draws by default.
    """
    kinds: dict[Task, Any] = {"pick": PickLift, "place": PickAndPlace}
    return kinds[task](colors, control_period_s, detailed)


def pick_config(
    colors: tuple[str, ...], control_period_s: float, detailed: bool, **changes: Any
) -> PickConfig:
    """So101-nexus's configuration of the pick task, with `changes` to it."""
    return PickConfig(
        objects=[CubeObject(color=color) for color in colors],  # pyright: ignore[reportArgumentType]
        min_distractors=0,
        max_distractors=len(colors) - 1,
        min_object_separation=MIN_CUBE_SEPARATION_M,
        **_common(control_period_s, detailed) | changes,
    )


def _common(control_period_s: float, detailed: bool) -> dict[str, Any]:
    """Settings of every task."""
    # Without shadows and antialiasing a frame costs a twelfth, and renders alike everywhere.
    plain = RenderingQuality(msaa_samples=0, shadows=False)
    common: dict[str, Any] = {
        "spawn_center": (float(PAN_AXIS[0]), float(PAN_AXIS[1])),
        "spawn_min_radius": SPAWN_RADIUS_M[0],
        "spawn_max_radius": SPAWN_RADIUS_M[1],
        "spawn_angle_half_range_deg": SPAWN_HALF_ANGLE_DEG,
        "terminate_on_success": False,
        "physics": PhysicsConfig(control_period_s=control_period_s),
        "render": RenderConfig(quality=RenderingQuality() if detailed else plain),
        # Nobody reads its observations; those it has by default cost a fifth of a step.
        "observations": [JointPositions()],
    }
    return common
