"""What a simulated episode is about: the task, the cubes on the table, and what only the simulator knows."""

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Task = Literal["pick", "place"]
TASKS: tuple[Task, ...] = get_args(Task)

COLORS = ("red", "green", "blue", "purple", "orange", "white")
"""Cube colours a scene may hold; the default scene has the first."""
# Cubes and the disc spawn around the pan axis, where the arm reaches them from above.
PAN_AXIS = np.array([0.0388353, 0.0])
SPAWN_RADIUS_M = (0.20, 0.28)
SPAWN_HALF_ANGLE_DEG = 30.0
DISC_COLOR = "black"
"""Colour of the disc to place on: no cube has it."""
INSTRUCTIONS: dict[Task, str] = {
    "pick": "Pick up the {color} cube.",
    "place": (
        f"Pick up the {{color}} cube, center it on the {DISC_COLOR} circle, and release it onto the table."
    ),
}
"""The task as the policy and the scorer read it (so101-nexus's wording)."""

DONE: dict[Task, str] = {"pick": "lifted", "place": "placed"}
"""What has been done to the cube in a successful episode."""


@dataclass(frozen=True)
class Scene:
    """What stands on the table: the cube to handle, and the colours of the other cubes."""

    color: str = COLORS[0]
    distractors: tuple[str, ...] = ()
    task: Task = "pick"

    @property
    def instruction(self) -> str:
        """The task's instruction for this scene's cube."""
        return INSTRUCTIONS[self.task].format(color=self.color)


@dataclass(frozen=True)
class Truth:
    """What only the simulator knows. Never shown to the policy, the trainer or the scorer."""

    progress: float
    """0 at the start, 1 when the task is done."""
    success: bool
    """so101-nexus's rule, now. pick: the cube is grasped and more than 5 cm above its start; place: its
    centre is over the disc, and for 0.2 s it has lain still on the table and nothing else has held it."""
    distance: float
    """From the gripper's tool point to the cube's centre, metres."""
