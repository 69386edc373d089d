"""Faults of a recording that its joints and actions show, as findings."""

from collections.abc import Iterator

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.features import ACTION, STATE
from rabc.datasets.preflight import motion
from rabc.datasets.preflight.findings import Finding, exclude
from rabc.datasets.preflight.names import joint, joint_names
from rabc.datasets.tables import FrameTable

_SHARE = 0.05
"""Of what a joint goes through in the dataset: that much is a motion, and not noise."""
_SECONDS = 0.5
"""For which something has to stand still to be called frozen."""


def recording_findings(meta: LeRobotDatasetMetadata, rows: FrameTable) -> Iterator[Finding]:
    """What the joints and the actions of all episodes say about how they were recorded."""
    sound = {name: values for name, values in rows.vectors.items() if np.isfinite(values).all()}
    starts = np.flatnonzero(np.r_[True, np.diff(rows.episode_index) != 0])
    bounds = np.stack([starts, np.r_[starts[1:], len(rows)]], axis=1)
    numbers = rows.episode_index[starts]  # of the episodes that have rows
    look = _Look(meta, bounds, numbers.tolist())
    held: dict[str, list[motion.Stretch]] = {}
    if STATE in sound and ACTION in sound:
        held = look.held(sound[STATE], sound[ACTION])
        yield from look.frozen(sound[STATE], sound[ACTION], held)
        yield from look.ticks(sound[STATE], sound[ACTION])
    for name, values in sound.items():
        yield from look.jumps(name, values, held.get(name, []))
    yield from look.units(sound)
    yield from look.copies(sound)


class _Look:
    """The looks at one dataset: what is pure finds, and this says it."""

    def __init__(self, meta: LeRobotDatasetMetadata, bounds: motion.Bounds, numbers: list[int]) -> None:
        """`numbers` are those of the episodes in `bounds`."""
        self._meta, self._bounds, self._numbers = meta, bounds, numbers

    def _wrong(self, kind: str, what: str, places: list[int], column: str) -> Finding:
        episodes = sorted({self._numbers[place] for place in places})
        return Finding(
            "wrong", kind, what, exclude(episodes, self._meta.total_episodes), "data", tuple(episodes),
            column, ("training",),
        )  # fmt: skip

    def held(self, state: motion.Array, action: motion.Array) -> dict[str, list[motion.Stretch]]:
        """Stretches in which one stands still while the other moves."""
        least = self._least
        still = motion.standing(state, self._bounds, least)
        silent = motion.standing(action, self._bounds, 2 * least)
        return {
            # An arm that rests is told to move some time before it does.
            STATE: motion.moved_meanwhile(still, action, self._bounds, _SHARE, last=least),
            # A motion that was told before comes to its end; an arm that is pushed goes further.
            ACTION: motion.moved_meanwhile(silent, state, self._bounds, 2 * _SHARE, skip=least),
        }

    @property
    def _least(self) -> int:
        return max(5, round(_SECONDS * float(self._meta.fps)))

    def jumps(self, name: str, values: motion.Array, held: list[motion.Stretch]) -> Iterator[Finding]:
        """Steps out of a stretch that stood still are that fault's, which is named already."""
        known = {(one.episode, one.first + one.rows) for one in held}
        found = [one for one in motion.jumps(values, self._bounds) if (one.episode, one.frame) not in known]
        if found:
            worst = max(found, key=lambda jump: jump.size / max(jump.usual, 1e-9))
            yield self._wrong(
                "jump",
                f"{joint(self._meta, name, worst.joint)} jumps by {worst.size:.4g} at frame {worst.frame} of "
                f"episode {self._numbers[worst.episode]}, where the largest step of a usual episode is "
                f"{worst.usual:.4g}",
                [jump.episode for jump in found], name,
            )  # fmt: skip

    def frozen(
        self, state: motion.Array, action: motion.Array, held: dict[str, list[motion.Stretch]]
    ) -> Iterator[Finding]:
        yield from self._stands(held[STATE], STATE, "no joint changes", "actions")
        yield from self._stands(held[ACTION], ACTION, "no action changes", "joints")
        length = self._bounds[:, 1] - self._bounds[:, 0]
        nothing = [
            one.episode
            for one in motion.standing(np.concatenate([state, action], axis=1), self._bounds, self._least)
            if one.rows == length[one.episode]
        ]
        if nothing:
            yield self._wrong("frozen", "nothing moves in the whole episode", nothing, STATE)
        if state.shape[1] == action.shape[1]:
            dead = motion.dead_joints(state, action, self._bounds)
            frozen = {one.episode for one in motion.standing(state, self._bounds, self._least)}
            for place in sorted({at for episode, at in dead if episode not in frozen}):
                yield self._wrong(
                    "frozen", f"{joint(self._meta, STATE, place)} never changes in the episode, though its "
                    "action does", [episode for episode, at in dead if at == place], STATE,
                )  # fmt: skip

    def _stands(self, found: list[motion.Stretch], name: str, what: str, others: str) -> Iterator[Finding]:
        if found:
            worst = max(found, key=lambda one: one.rows)
            yield self._wrong(
                "frozen", f"{what} for {worst.rows / float(self._meta.fps):.1f} s from frame {worst.first} "
                f"of episode {self._numbers[worst.episode]} on, while {others} move",
                [one.episode for one in found], name,
            )  # fmt: skip

    def ticks(self, state: motion.Array, action: motion.Array) -> Iterator[Finding]:
        if state.shape != action.shape:
            return
        tick = motion.action_of_state(state, action, self._bounds)
        if tick == 0:
            yield Finding(
                "note", "action", "is the state of the same row throughout: the first action of a chunk is "
                "to stay where the arm is", "", "data", (), ACTION, ("training",),
            )  # fmt: skip
        elif tick == -1:
            yield Finding(
                "wrong", "action", "is the state of the row before throughout: actions come late",
                "record what the arm was told, or move the column two rows up", "data", (), ACTION,
                ("training",),
            )  # fmt: skip

    def units(self, sound: dict[str, motion.Array]) -> Iterator[Finding]:
        for name, values in sound.items():
            mixed = motion.mixed_units(values, self._bounds)
            if mixed is not None:
                places, factor = mixed
                about = ", as radians beside degrees" if 30 < factor < 110 else ""
                yield self._wrong(
                    "units", f"numbers are about {factor:.0f} times smaller than those of other episodes"
                    f"{about}", places, name,
                )  # fmt: skip
                continue
            for place, places in motion.unit_interval(values, self._bounds):
                yield self._wrong(
                    "units", f"{joint(self._meta, name, place)} goes from 0 to 1, and far beyond in the "
                    "other episodes", places, name,
                )  # fmt: skip
        if {STATE, ACTION} <= sound.keys() and joint_names(self._meta, STATE) == joint_names(
            self._meta, ACTION
        ):
            yield from self._two_units(sound[STATE], sound[ACTION])

    def _two_units(self, state: motion.Array, action: motion.Array) -> Iterator[Finding]:
        sizes = [np.abs(values).max(axis=0) for values in (state, action)]
        used = (sizes[0] > 0) & (sizes[1] > 0)
        if used.sum() < 2:
            return
        ratio = np.log(sizes[1][used] / sizes[0][used])
        middle = abs(float(np.median(ratio)))
        if 30 < np.exp(middle) < 110 and np.mean(np.abs(ratio - np.median(ratio)) < np.log(2)) >= 0.8:
            yield Finding(
                "note", "units", f"numbers are {np.exp(middle):.3g} times "
                f"{'larger' if np.median(ratio) > 0 else 'smaller'} than those of {STATE}, though the joints "
                "are the same (degrees and radians)", "", "data", (), ACTION, ("training",),
            )  # fmt: skip

    def copies(self, sound: dict[str, motion.Array]) -> Iterator[Finding]:
        if not sound:
            return
        found = motion.copies(np.concatenate(list(sound.values()), axis=1), self._bounds)
        if found:
            pairs = ", ".join(f"{self._numbers[a]} of {self._numbers[b]}" for a, b in found[:4])
            more = f" and {len(found) - 4} more" if len(found) > 4 else ""
            later = sorted({a for a, _ in found})
            text = f"the rows are those of another episode again ({pairs}{more})"
            yield self._wrong("copy", text, later, "")
