"""The simulated arm behind so101-nexus's follower, for LeRobot's robot clients.

so101-nexus's `sim_so_follower` is a LeRobot robot that drives any gymnasium environment whose id begins with
`MuJoCo`: it speaks radians to the environment, and to LeRobot ticks of a servo turned into degrees and 0-100
by the calibration file, as the arm does. The environments here have our cameras, start states and control
rate; without them the follower shows one camera of 480 x 640 pixels.
"""

from typing import Any

import gymnasium
import numpy as np
import so101_nexus.lerobot_adapter  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the follower)
from numpy.typing import NDArray

from rabc.robot.episodes import Episodes
from rabc.sim.environment import FPS, Image
from rabc.sim.scene import Task
from rabc.system.errors import InputError

ENVIRONMENTS: dict[str, Task] = {"MuJoCoRabcPick-v0": "pick", "MuJoCoRabcPlace-v0": "place"}
"""What `--robot.env_id` may name."""


class FollowerEnvironment(gymnasium.Env[Any, Any]):
    """One simulated SO-101 as so101-nexus's follower wants it: radians, and pictures by camera name.

    LeRobot's clients never reset a robot, so with `reset_on_pause` the arm resets itself: LeRobot looks
    without acting only between two recorded episodes (`--strategy.type=episodic`, while
    `dataset.reset_time_s` runs), and the second look without an action sets up the next seed.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012  (gymnasium's own type)
    control_mode = "pd_joint_pos"
    render_mode = "rgb_array"

    def __init__(
        self,
        render_mode: str | None = "rgb_array",
        control_mode: str = "pd_joint_pos",
        *,
        reset_on_pause: bool = False,
        looks_every_tick: bool = True,
        **episodes: Any,
    ) -> None:
        """
        Args:
            render_mode: rgb_array, as the follower asks for.
            control_mode: pd_joint_pos, as the follower asks for.
            reset_on_pause: begin the next seed's episode when the client looks twice without acting.
            looks_every_tick: the client looks before it acts, as lerobot-rollout does. What it sends without
                a look, its way back to the start position, is refused, so that it cannot lift the cube of an
                episode that is over. False for LeRobot's asynchronous client, which plays chunks blindly.
            episodes: arguments of `Episodes`.

        Raises:
            InputError: another render or control mode, or contradicting arguments.
        """
        if (render_mode, control_mode) != (self.render_mode, self.control_mode):
            raise InputError(
                f"render_mode {render_mode}, control_mode {control_mode}: the simulated arm has "
                f"{self.render_mode} and {self.control_mode} only; leave both out of robot.env_kwargs"
            )
        if reset_on_pause and not looks_every_tick:
            raise InputError(
                "reset_on_pause true: LeRobot's asynchronous client pauses within an episode; "
                "leave it out where looks_every_tick is false"
            )
        self._episodes = Episodes(**episodes)
        self._reset_on_pause = reset_on_pause
        self._looks_every_tick = looks_every_tick
        self._looked = False
        nexus = self._episodes.simulator.nexus
        self._ctrl_low, self._ctrl_high = nexus._target_low, nexus._target_high
        self.action_space = gymnasium.spaces.Box(
            self._ctrl_low.astype(np.float32), self._ctrl_high.astype(np.float32)
        )
        size = self._episodes.simulator.image_size
        picture = gymnasium.spaces.Box(0, 255, (size, size, 3), np.uint8)
        self.observation_space = gymnasium.spaces.Dict({"front": picture, "wrist": picture})

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episode of `seed`, or of the one after the last; no picture is drawn yet."""
        self._episodes.begin(seed)
        self._looked = False
        return {}, {}

    def step(self, action: NDArray[np.float64]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Hold the joint targets `action` (6,), radians, for one control step; pictures wait for a look."""
        if self._looks_every_tick and not self._looked:
            raise InputError(
                "the simulated arm takes one action per observation; LeRobot's way back to the start "
                "position is left out (the next episode begins there anyway)"
            )
        self._looked = False
        self._episodes.tick(self._episodes.simulator.action_for(np.asarray(action, dtype=np.float64)))
        return {}, float(self._episodes.success), False, False, {"is_success": self._episodes.success}

    def render(self) -> Image:  # pyright: ignore[reportIncompatibleMethodOverride]
        """What the front camera sees."""
        return self._episodes.simulator.render("front")

    def close(self) -> None:
        """Keep the last outcome and free the simulator."""
        self._episodes.close()

    # What the follower reads beside gymnasium's own, by so101-nexus's names.

    def _get_current_qpos(self) -> NDArray[np.float64]:
        return self._episodes.simulator.nexus._get_current_qpos()

    def _get_obs(self) -> dict[str, Image]:
        if self._looked and self._reset_on_pause and self._episodes.ticks:
            self.reset()
        self._looked = True
        return self._episodes.images()


for _name, _task in ENVIRONMENTS.items():
    gymnasium.register(
        _name, entry_point=FollowerEnvironment, kwargs={"task": _task}, disable_env_checker=True
    )
