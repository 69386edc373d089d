"""The scripted demonstrator of the place task: picks the cube up, carries it onto the disc, lets go of it.

Its flaws are those of the pick task, with three of their own: a `stall` and a `pause` may also stop with the
cube in the air, a `drop` happens on the way to the disc, and a `give_up` may also put the cube down short of
the disc.
"""

from collections.abc import Collection

import numpy as np
from numpy.typing import NDArray

from rabc.sim.demonstrator import CLOSED, OPEN, Demonstrator, Targets
from rabc.sim.kinematics import Grasp, polar, tilt_at

CARRY_M = 0.07  # height of the cube on its way
RETREAT_M, RETREAT_ASIDE_M = 0.06, 0.01
# A short put-down ends so far from the disc's centre, along the way from where the cube was: beside its rim.
SHORT_M = (0.075, 0.095)


class PlaceDemonstrator(Demonstrator):
    """Plays one demonstration of `kind` in a simulator of the place task that has just been reset."""

    stall_spots = (*Demonstrator.stall_spots, "carrying")

    # Programs

    def _drop(self) -> Targets:
        grasp = self._grasp()
        yield from self._pick(grasp)
        yield from self._raise_cube(grasp)
        share = self._rng.uniform(0.2, 0.5)
        way = self._over_disc(grasp).position - grasp.position
        yield from self._carry(_moved(grasp, grasp.position + share * way))
        yield from self._let_fall(grasp)
        again = self._grasp()
        yield from self._pick(again, ticks=8)
        yield from self._finish(again)

    def _give_up(self) -> Targets:
        if self._rng.random() < 0.5:
            yield from super()._give_up()
            return
        home = self._sim.target_qpos.copy()
        grasp = self._grasp()
        yield from self._pick(grasp)
        yield from self._raise_cube(grasp)
        disc = self._over_disc(grasp)
        back = grasp.position - disc.position
        short = disc.position + back / np.linalg.norm(back) * self._rng.uniform(*SHORT_M)
        yield from self._put_down(_moved(grasp, short))
        yield from self._stroke(home, 16, "give_up")
        yield from self._hold(int(self._rng.integers(2, 10)))

    # Parts of programs

    def _finish(self, grasp: Grasp, stalls: Collection[str] = ()) -> Targets:
        yield from self._raise_cube(grasp)
        goal = self._over_disc(grasp)
        if "carrying" in stalls:
            yield from self._carry(_moved(grasp, (grasp.position + goal.position) / 2))
            yield from self._wait()
        yield from self._put_down(goal)
        yield from self._hold(4)

    def _raise_cube(self, grasp: Grasp) -> Targets:
        yield from self._line(grasp, _raised(grasp, CARRY_M), CLOSED, 8, "lift")

    def _carry(self, goal: Grasp) -> Targets:
        """To CARRY_M above `goal`."""
        # From the joints as they are: another way to hold the hand there would swing the cube round.
        joints = self._kinematics.solve(_raised(goal, CARRY_M), self._sim.target_qpos)
        yield from self._stroke(np.append(joints, CLOSED), 12, "carry")

    def _put_down(self, goal: Grasp) -> Targets:
        yield from self._carry(goal)
        yield from self._line(_raised(goal, CARRY_M), goal, CLOSED, 8, "lower")
        yield from self._grip(OPEN, 4, "release")
        yield from self._hold(1)
        # Back along the fingers, which rising straight up would drag over the cube where the hand is tilted,
        # and aside from the jaw that did not move.
        here, rotation = self._kinematics.forward(self._sim.target_qpos)
        away = RETREAT_M * rotation[:, 2] - RETREAT_ASIDE_M * rotation[:, 0]
        open_hand = Grasp(here, goal.yaw, goal.tilt)
        yield from self._line(open_hand, open_hand.shifted(away), OPEN, 7, "retreat")

    def _over_disc(self, grasp: Grasp) -> Grasp:
        """The hand where it puts the cube onto the disc, with an aiming error of its own."""
        aim = np.append(self._rng.normal(0, self._aim_error_m, 2), 0)
        disc = self._sim.disc_position() + aim
        return _moved(grasp, np.append(disc[:2], grasp.position[2]))


def _raised(grasp: Grasp, height: float) -> Grasp:
    return grasp.shifted(np.array([0, 0, height]))


def _moved(grasp: Grasp, position: NDArray[np.float64]) -> Grasp:
    """The hand at another place (3,), metres, turned with the arm about its pan axis.

    Its tilt changes half as much as a new grasp's there would: not at all is out of the arm's reach, and all
    of it would put the cube down on an edge.
    """
    turn = polar(position)[1] - polar(grasp.position)[1]
    return Grasp(position, grasp.yaw + turn, (grasp.tilt + tilt_at(position)) / 2)
