"""A scripted demonstrator on privileged state: clean demonstrations, slow ones and six kinds of flawed ones.

The one here picks the cube up; `rabc.sim.place_demonstrator` goes on to place it. It plans on where the cube
really is and moves like a person at a leader arm: minimum-jerk strokes at a pace of its own, small aiming
errors. Every program is a generator of joint targets at 10 Hz.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from rabc.sim.environment import Simulator, Vector
from rabc.sim.kinematics import Grasp, Kinematics, grasp_for, polar
from rabc.sim.scene import Truth

# A kind's place is in the seed of its episodes: new ones come last.
Kind = Literal["clean", "stall", "retry", "drop", "detour", "give_up", "slow", "pause"]
KINDS: tuple[Kind, ...] = get_args(Kind)

Targets = Iterator[NDArray[np.float64]]

OPEN, CLOSED = 0.65, -0.17  # gripper joint, radians
HOVER_M = 0.07  # above the cube before the descent
LIFT_M = 0.09
AIM_ERROR_M = 0.001
PACE_SPREAD = 0.12
SLOWNESS = 2
"""How many times as many ticks as a `clean` demonstration a `slow` one takes."""
STALLS: dict[Kind, tuple[range, range]] = {
    "stall": (range(1, 3), range(12, 30)),
    "pause": (range(1, 4), range(10, 11)),
}
"""Of the kinds that stop on the way: at how many spots, and for how many ticks at each."""


@dataclass(frozen=True)
class Phase:
    """A named moment of a demonstration."""

    tick: int
    """Control tick at which it begins."""
    name: str


@dataclass(frozen=True)
class Step:
    """One tick of a demonstration, before the action is carried out."""

    state: Vector
    """Joint positions (6,), LeRobot units."""
    action: Vector
    """Joint targets (6,), LeRobot units."""
    truth: Truth


class Demonstrator:
    """Plays one demonstration of `kind` in a simulator that has just been reset: picks the cube up."""

    stall_spots = ("halfway", "above", "around", "holding")
    """Where a `stall` and a `pause` may stop."""

    def __init__(
        self, simulator: Simulator, kind: Kind, rng: np.random.Generator, aim_error_m: float = AIM_ERROR_M
    ) -> None:
        """`aim_error_m`: standard deviation of the aim in the table plane.

        A clumsy 10 mm misses the cube about half the time.
        """
        self._sim = simulator
        self._kind: Kind = kind
        self._aim_error_m = aim_error_m
        self._rng = rng
        self._kinematics = Kinematics(simulator.nexus)
        self._pace = float(np.exp(rng.normal(0, PACE_SPREAD)))
        self._slowness = SLOWNESS if kind == "slow" else 1
        self._tick = 0
        self.phases: list[Phase] = []

    def steps(self) -> Iterator[Step]:
        """Carry the program out. The caller may render between steps: the state is then `Step.state`'s."""
        programs = {
            "clean": self._clean,
            "stall": self._stall,
            "retry": self._retry,
            "drop": self._drop,
            "detour": self._detour,
            "give_up": self._give_up,
            "slow": self._clean,
            "pause": self._stall,
        }
        for target in programs[self._kind]():
            action = self._sim.action_for(target)
            yield Step(self._sim.state(), action, self._sim.truth())
            self._sim.tick(action)
            self._tick += 1

    # Programs

    def _clean(self) -> Targets:
        grasp = self._grasp()
        yield from self._pick(grasp)
        yield from self._finish(grasp)

    def _stall(self) -> Targets:
        grasp = self._grasp()
        spots = set(self._rng.choice(self.stall_spots, self._one_of(STALLS[self._kind][0]), replace=False))
        hover = self._reach(grasp.shifted(np.array([0, 0, HOVER_M])), OPEN)
        if "halfway" in spots:
            yield from self._stroke((self._sim.target_qpos + hover) / 2, 9, "approach")
            yield from self._wait()
            yield from self._stroke(hover, 9, "approach")
        else:
            yield from self._stroke(hover, 14, "approach")
        if "above" in spots:
            yield from self._wait()
        yield from self._descend(grasp)
        if "around" in spots:
            yield from self._wait()
        yield from self._close()
        if "holding" in spots:
            yield from self._wait()
        yield from self._finish(grasp, spots)

    def _retry(self) -> Targets:
        for _ in range(int(self._rng.integers(1, 3))):
            yield from self._miss()
        yield from self._open()
        grasp = self._grasp()
        yield from self._pick(grasp, ticks=9)
        yield from self._finish(grasp)

    def _drop(self) -> Targets:
        grasp = self._grasp()
        yield from self._pick(grasp)
        yield from self._line(grasp, grasp.shifted(self._up(0.025, 0.045)), CLOSED, 6, "lift")
        yield from self._let_fall(grasp)
        again = self._grasp()
        yield from self._pick(again, ticks=8)
        yield from self._finish(again)

    def _detour(self) -> Targets:
        home = self._sim.target_qpos.copy()
        hover = self._reach(self._grasp().shifted(np.array([0, 0, HOVER_M])), OPEN)
        for _ in range(int(self._rng.integers(1, 4))):
            aside = home + (hover - home) * self._rng.uniform(0.4, 0.9)
            aside[0] += self._rng.choice([-1, 1]) * self._rng.uniform(0.25, 0.7)
            aside[5] = self._rng.uniform(0.2, 0.9)
            yield from self._stroke(aside, 10, "detour")
            if self._rng.random() < 0.6:
                yield from self._stroke(home + (hover - home) * self._rng.uniform(0.0, 0.4), 10, "retreat")
        yield from self._clean()

    def _give_up(self) -> Targets:
        home = self._sim.target_qpos.copy()
        yield from self._miss()
        if self._rng.random() < 0.5:
            yield from self._open()
            yield from self._miss()
        yield from self._stroke(home, 16, "give_up")
        yield from self._hold(int(self._rng.integers(2, 10)))

    # Parts of programs

    def _grasp(self) -> Grasp:
        position, yaw = self._sim.cube_pose()
        aim = np.append(self._rng.normal(0, self._aim_error_m, 2), 0.002)
        return grasp_for(position + aim, yaw)

    def _pick(self, grasp: Grasp, ticks: int = 14) -> Targets:
        hover = self._reach(grasp.shifted(np.array([0, 0, HOVER_M])), OPEN)
        yield from self._stroke(hover, ticks, "approach")
        yield from self._descend(grasp)
        yield from self._close()

    def _descend(self, grasp: Grasp) -> Targets:
        yield from self._line(grasp.shifted(np.array([0, 0, HOVER_M])), grasp, OPEN, 8, "descend")

    def _finish(self, grasp: Grasp, stalls: Collection[str] = ()) -> Targets:
        """What is left to do with the cube in hand; stops at those of `stalls` that are on the way."""
        yield from self._line(grasp, grasp.shifted(np.array([0, 0, LIFT_M])), CLOSED, 10, "lift")
        self._mark("hold")
        yield from self._hold(4)

    def _miss(self) -> Targets:
        grasp = self._grasp()
        _, pan = polar(grasp.position)
        outward, aside = np.array([np.cos(pan), np.sin(pan), 0]), np.array([-np.sin(pan), np.cos(pan), 0])
        error = self._rng.choice(["short", "high", "lateral"])
        if error == "short":
            offset = -outward * self._rng.uniform(0.035, 0.05)
        elif error == "high":
            offset = self._up(0.03, 0.045)
        else:
            offset = -outward * 0.025 + aside * self._rng.choice([-1, 1]) * self._rng.uniform(0.045, 0.06)
        wrong = grasp.shifted(offset)
        yield from self._pick(wrong)
        yield from self._line(wrong, wrong.shifted(self._up(0.04, 0.08)), CLOSED, 8, "miss")
        yield from self._hold(int(self._rng.integers(1, 5)))

    def _let_fall(self, grasp: Grasp) -> Targets:
        self._mark("drop")
        yield from self._open()
        yield from self._hold(int(self._rng.integers(3, 8)))
        here, _ = self._kinematics.forward(self._sim.target_qpos)
        above = Grasp(here, grasp.yaw, grasp.tilt)
        yield from self._line(above, above.shifted(np.array([0, 0, 0.06])), OPEN, 5, "regrasp")

    def _wait(self) -> Targets:
        self._mark("stall")
        yield from self._hold(self._one_of(STALLS[self._kind][1]))
        self._mark("resume")

    def _one_of(self, numbers: range) -> int:
        return int(self._rng.integers(numbers.start, numbers.stop))

    def _up(self, low: float, high: float) -> NDArray[np.float64]:
        return np.array([0, 0, self._rng.uniform(low, high)])

    # Movements

    def _reach(self, grasp: Grasp, gripper: float) -> NDArray[np.float64]:
        return np.append(self._kinematics.solve_from_anywhere(grasp), gripper)

    def _stroke(self, goal: NDArray[np.float64], ticks: int, phase: str) -> Targets:
        """Joint-space minimum-jerk move to `goal` (6,), radians, in about `ticks` ticks at full speed."""
        self._mark(phase)
        start, count = self._sim.target_qpos.copy(), self._count(ticks)
        for k in range(1, count + 1):
            yield start + (goal - start) * minimum_jerk(k / count)

    def _line(self, start: Grasp, end: Grasp, gripper: float, ticks: int, phase: str) -> Targets:
        """Straight minimum-jerk move of the grasp point."""
        self._mark(phase)
        count, joints = self._count(ticks), self._sim.target_qpos[:5]
        for k in range(1, count + 1):
            here = start.shifted((end.position - start.position) * minimum_jerk(k / count))
            joints = self._kinematics.solve(here, joints)
            yield np.append(joints, gripper)

    def _close(self) -> Targets:
        yield from self._grip(CLOSED, 4, "grasp")
        yield from self._hold(2)

    def _open(self) -> Targets:
        yield from self._grip(OPEN, 3, "open")

    def _grip(self, gripper: float, ticks: int, phase: str) -> Targets:
        yield from self._stroke(np.append(self._sim.target_qpos[:5], gripper), ticks, phase)

    def _hold(self, ticks: int) -> Targets:
        target = self._sim.target_qpos.copy()
        for _ in range(ticks * self._slowness):
            yield target

    def _count(self, ticks: int) -> int:
        # A whole multiple of the ticks at full speed: those targets are among the slow ones.
        return self._slowness * max(2, round(ticks / self._pace))

    def _mark(self, name: str) -> None:
        self.phases.append(Phase(self._tick, name))


def minimum_jerk(s: float) -> float:
    """Share of a stroke covered after a share `s` of its time (Flash & Hogan 1985)."""
    return 10 * s**3 - 15 * s**4 + 6 * s**5
