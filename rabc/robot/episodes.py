"""Episodes of the simulated arm under a client that is not ours."""

from pathlib import Path

import numpy as np

from rabc.robot.outcomes import Outcome, write_outcomes
from rabc.sim.environment import CAMERAS, Image, Simulator, Vector
from rabc.sim.scene import TASKS, Scene, Task
from rabc.system.errors import InputError


class Episodes:
    """Plays one episode after another and keeps how they went.

    An episode counts until `max_ticks`; the arm moves on after that, as LeRobot's clients keep their own
    time, but the verdict stands.
    """

    def __init__(
        self,
        task: Task = "pick",
        image_size: int = 96,
        max_ticks: int = 100,
        outcomes: str | None = None,
        seed_policy_noise: bool = False,
    ) -> None:
        """
        Args:
            task: what the policy has to do.
            image_size: height and width of the cameras, pixels.
            max_ticks: control ticks until an episode has failed.
            outcomes: CSV file that the outcomes go to (`rabc.robot.outcomes`), or None.
            seed_policy_noise: seed torch with the start state's seed, so that a policy that draws noise in
                this process plays the same episode again, whichever client runs it.

        Raises:
            InputError: an unknown task, or `outcomes` is there already.
        """
        if task not in TASKS:
            raise InputError(f"task {task!r}: is not simulated; choose one of {', '.join(TASKS)}")
        self.file = None if outcomes is None else Path(outcomes)
        if self.file is not None and self.file.exists():
            raise InputError(f"outcomes {self.file}: exists already; remove it or name another file")
        self.simulator = Simulator(image_size=image_size, task=task)
        self.max_ticks = max_ticks
        self.outcomes: list[Outcome] = []
        self._seed_policy_noise = seed_policy_noise
        self._seed: int | None = None
        self._first_action: Vector | None = None
        self._closest = np.inf
        self.ticks = 0
        self.success = False

    @property
    def instruction(self) -> str:
        """The task as the policy reads it."""
        return Scene(task=self.simulator.task).instruction

    def begin(self, seed: int | None) -> None:
        """Keep the episode that was played, if any, and set up the next one; None: the next seed."""
        self._keep()
        if seed is None:
            if self._seed is None:
                raise InputError(
                    "seed None: the first episode needs a start state; give --robot.seed, e.g. 3000000"
                )
            seed = self._seed + 1
        self._seed = seed
        self._first_action, self._closest = None, np.inf
        self.ticks, self.success = 0, False
        self.simulator.reset(seed, Scene(task=self.simulator.task))
        if self._seed_policy_noise:
            import torch

            torch.manual_seed(seed)

    def tick(self, action: Vector) -> None:
        """Hold the joint targets `action` (6,), LeRobot units, for one control step."""
        self.simulator.tick(action)
        if self.ticks >= self.max_ticks:
            return
        if self._first_action is None:
            self._first_action = np.asarray(action, dtype=np.float32).copy()
        self.ticks += 1
        truth = self.simulator.truth()
        self._closest = min(self._closest, truth.distance)
        self.success = self.success or truth.success

    def images(self) -> dict[str, Image]:
        """What every camera sees now, (H, W, 3) uint8."""
        return {camera: self.simulator.render(camera).copy() for camera in CAMERAS}

    def close(self) -> None:
        """Keep the last episode and free the simulator."""
        self._keep()
        self._first_action = None
        self.simulator.close()

    def _keep(self) -> None:
        if self._seed is None or self._first_action is None:
            return
        first = tuple(float(value) for value in self._first_action)
        self.outcomes.append(Outcome(self._seed, self.success, self.ticks, float(self._closest), first))
        if self.file is not None:
            write_outcomes(self.file, self.outcomes)
