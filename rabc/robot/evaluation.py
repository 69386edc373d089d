"""The simulated arm as an environment of lerobot-eval, in LeRobot's units.

so101-nexus's own entry for lerobot-eval speaks radians; a policy trained on a LeRobot recording of the arm
would answer in degrees, and the arm would hit its limits without any error.
"""

from dataclasses import dataclass, field
from typing import Any

import gymnasium
import numpy as np
from lerobot.configs import FeatureType, PolicyFeature
from lerobot.envs.configs import EnvConfig
from numpy.typing import NDArray

from rabc.robot.episodes import Episodes
from rabc.sim.environment import CAMERAS, FPS, JOINTS, Image
from rabc.system.errors import InputError

ENVIRONMENT = "rabc/SimulatedSO101-v0"


class EvaluationEnvironment(gymnasium.Env[Any, Any]):
    """One simulated SO-101: joints in degrees, gripper 0-100, `is_success` from the simulator.

    An episode ends with its success.
    """

    metadata = {"render_modes": ["rgb_array"], "render_fps": FPS}  # noqa: RUF012  (gymnasium's own type)
    render_mode = "rgb_array"

    def __init__(self, **episodes: Any) -> None:
        """
        Args:
            episodes: arguments of `Episodes`.
        """
        self._episodes = Episodes(**episodes)
        simulator = self._episodes.simulator
        low, high = (
            simulator.action_for(limit)
            for limit in (simulator.nexus._target_low, simulator.nexus._target_high)
        )
        picture = gymnasium.spaces.Box(0, 255, (simulator.image_size, simulator.image_size, 3), np.uint8)
        self.action_space = gymnasium.spaces.Box(low, high, dtype=np.float32)
        self.observation_space = gymnasium.spaces.Dict(
            {
                "pixels": gymnasium.spaces.Dict(dict.fromkeys(CAMERAS, picture)),
                "agent_pos": gymnasium.spaces.Box(-np.inf, np.inf, (len(JOINTS),), np.float32),
            }
        )

    @property
    def task_description(self) -> str:
        """The task as the policy reads it; lerobot-eval asks for it by this name."""
        return self._episodes.instruction

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begin the episode of `seed`, or of the one after the last."""
        self._episodes.begin(seed)
        return self._observation(), {"is_success": False}

    def step(self, action: NDArray[np.float32]) -> tuple[dict[str, Any], float, bool, bool, dict[str, Any]]:
        """Hold the joint targets `action` (6,), LeRobot units, for one tick; the reward is success."""
        self._episodes.tick(np.asarray(action, dtype=np.float32))
        success = self._episodes.success
        return self._observation(), float(success), success, False, {"is_success": success}

    def render(self) -> Image:  # pyright: ignore[reportIncompatibleMethodOverride]
        """All cameras side by side."""
        return np.concatenate(list(self._episodes.images().values()), axis=1)

    def close(self) -> None:
        """Keep the last outcome and free the simulator."""
        self._episodes.close()

    def _observation(self) -> dict[str, Any]:
        return {"pixels": self._episodes.images(), "agent_pos": self._episodes.simulator.state()}


@EnvConfig.register_subclass("so101_sim")
@dataclass
class SimulatedSO101(EnvConfig):
    """`--env.type=so101_sim`."""

    task: str | None = "pick"
    """pick or place."""
    fps: int = FPS
    """Control ticks per second; the simulated arm has no other rate."""
    episode_length: int = 100
    """Control ticks until an episode has failed."""
    image_size: int = 96
    """Height and width of the cameras, pixels."""
    outcomes: str | None = None
    """CSV file for the simulator's verdict per episode, or null."""
    seed_policy_noise: bool = True
    """Seed torch with each start state's seed: a policy that draws noise then plays the same again."""
    features_map: dict[str, str] = field(
        default_factory=lambda: {
            "action": "action",
            "agent_pos": "observation.state",
            **{f"pixels/{camera}": f"observation.images.{camera}" for camera in CAMERAS},
        }
    )

    def __post_init__(self) -> None:
        if self.fps != FPS:
            raise InputError(f"env.fps {self.fps}: the simulated arm runs at {FPS}; leave it out")
        vector = (len(JOINTS),)
        self.features = {
            "action": PolicyFeature(FeatureType.ACTION, vector),
            "agent_pos": PolicyFeature(FeatureType.STATE, vector),
        }
        for camera in CAMERAS:
            picture = (self.image_size, self.image_size, 3)
            self.features[f"pixels/{camera}"] = PolicyFeature(FeatureType.VISUAL, picture)

    @property
    def package_name(self) -> str:
        """The module whose import registers the environment."""
        return "rabc.robot.evaluation"

    @property
    def gym_id(self) -> str:
        """Gymnasium's id of the environment."""
        return ENVIRONMENT

    @property
    def gym_kwargs(self) -> dict[str, Any]:
        """Arguments of `gymnasium.make`."""
        return {
            "task": self.task,
            "image_size": self.image_size,
            "max_ticks": self.episode_length,
            "max_episode_steps": self.episode_length,
            "outcomes": self.outcomes,
            "seed_policy_noise": self.seed_policy_noise,
        }

    def create_envs(self, n_envs: int, use_async_envs: bool = False) -> Any:
        """As LeRobot's own, but several environments cannot share one file of outcomes."""
        if self.outcomes is not None and n_envs > 1:
            raise InputError(
                f"env.outcomes {self.outcomes}: one environment writes it; give --eval.batch_size=1"
            )
        return super().create_envs(n_envs, use_async_envs)


gymnasium.register(ENVIRONMENT, entry_point=EvaluationEnvironment, disable_env_checker=True)
