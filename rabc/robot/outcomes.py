"""How the episodes that a LeRobot client played went: the simulator's verdict, one line per episode.

LeRobot's recordings do not say whether an episode succeeded. This file does, in the order of the recorded
episodes; `rabc compare --labels` reads it as the labels of the recording.
"""

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rabc.sim.environment import JOINTS
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError


@dataclass(frozen=True)
class Outcome:
    """One episode as the simulator saw it."""

    seed: int
    """Start state."""
    success: bool
    """Whether the task was done at any counted tick."""
    ticks: int
    """Control ticks that counted."""
    closest_m: float
    """Smallest distance from the gripper's tool point to the cube's centre, metres."""
    first_action: tuple[float, ...]
    """Joint targets of the first tick (6,) as they reached the simulator, LeRobot units."""


FIRST_ACTION = tuple(f"first_{joint}" for joint in JOINTS)
COLUMNS = ("episode_index", "success", "seed", "ticks", "closest_m", *FIRST_ACTION)


def write_outcomes(path: Path, outcomes: Sequence[Outcome]) -> None:
    """Write the CSV anew. Raises InputError where it cannot be written."""
    with whole_file(path) as partial, partial.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for episode, outcome in enumerate(outcomes):
            first = [f"{value:.6f}" for value in outcome.first_action]
            verdict = str(outcome.success).lower()
            writer.writerow(
                [episode, verdict, outcome.seed, outcome.ticks, f"{outcome.closest_m:.6f}", *first]
            )


def read_outcomes(path: Path) -> list[Outcome]:
    """The episodes of a file that `write_outcomes` wrote. Raises InputError where it is none."""
    try:
        with path.open(newline="") as file:
            return [
                Outcome(
                    seed=int(row["seed"]),
                    success={"true": True, "false": False}[row["success"]],
                    ticks=int(row["ticks"]),
                    closest_m=float(row["closest_m"]),
                    first_action=tuple(float(row[name]) for name in FIRST_ACTION),
                )
                for row in csv.DictReader(file)
            ]
    except (OSError, UnicodeDecodeError, csv.Error, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"outcomes {path}: cannot be read ({error!r}); give the file that the simulated arm wrote"
        ) from error
