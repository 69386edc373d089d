"""`rabc benchmark rollouts`: rollouts a minute of ours, and of so101-nexus's own visual environment.

`rabc.benchmarks.nexus` says what is the same in both. Both play the same policy with the same seeds in one
process, one after the other, and draw two cameras of the same size: so101-nexus at every tick, ours when the
policy is asked and, of one camera, where the scorer samples.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from rabc.benchmarks.lines import Line, at_least, at_most
from rabc.benchmarks.nexus import Pictures, VisualEnvironment
from rabc.config.settings import RolloutsConfig
from rabc.policies.door import CONFIG, admitted, read_json
from rabc.rollouts.play import ChunkPolicy, Rollout, RolloutJob, load_policy, roll_out, ticks_per_frame
from rabc.sim import seeds
from rabc.sim.environment import CAMERAS, Simulator
from rabc.system.errors import InputError

SPEED_UP = 5.0
SCORER_FPS = 5.0
"""Of the small scorer that is shipped."""
SLOW_SHARE = 4
"""One start state in so many is also played with so101-nexus's default pictures, a minute a rollout."""

Player = Callable[[RolloutJob], Rollout]


@dataclass(frozen=True)
class Played:
    """One rollout, and what it took."""

    seed: int
    success: bool
    ticks: int
    closest_m: float
    seconds: float
    cpu_seconds: float
    """Of all threads of the process, MuJoCo's renderer among them."""

    @property
    def outcome(self) -> tuple[bool, int, float]:
        """What two rollouts of a seed have in common where the arm moved alike."""
        return self.success, self.ticks, self.closest_m


@dataclass(frozen=True)
class Bench:
    """What is played."""

    policy_folder: Path
    """A LeRobot policy folder of the pick task, for the cameras of `rabc.sim`."""
    starts: int
    """Start states."""
    max_ticks: int = RolloutsConfig().max_ticks

    def jobs(self, count: int, image_size: int) -> list[RolloutJob]:
        """The first `count` start states; frames are kept as a scored rollout keeps them."""
        wanted = seeds.seed_range(seeds.ROLLOUTS, 0, count)
        rate = ticks_per_frame(SCORER_FPS)
        return [
            RolloutJob(self.policy_folder, seed, self.max_ticks, "front", rate, image_size) for seed in wanted
        ]


def measure(parts: Sequence[str], bench: Bench) -> tuple[list[Line], dict[str, Any]]:
    """The chosen parts, one after the other: `default`, `plain` and `same` pictures."""
    size = image_size(bench.policy_folder)
    policy = load_policy(bench.policy_folder)
    few, all_jobs = bench.jobs(max(1, bench.starts // SLOW_SHARE), size), bench.jobs(bench.starts, size)
    lines: list[Line] = []
    facts: dict[str, Any] = {}
    with closing(Simulator(image_size=size)) as simulator:

        def ours(job: RolloutJob) -> Rollout:
            return roll_out(simulator, policy, job)

        if "default" in parts:
            facts["default"] = played = _default_pictures(policy, few, ours)
            lines += [
                speed_up("so101-nexus as by default / ours", played["so101-nexus"], played["ours"]),
                speed_up("the same, ours with its pictures", played["so101-nexus"], played["its pictures"]),
                otherwise(played["so101-nexus"], played["its pictures"]),
            ]
        if "plain" in parts:
            facts["plain"] = played = _turns("plain", policy, all_jobs, ours)
            what = "so101-nexus without shadows and antialiasing / ours"
            lines.append(speed_up(what, played["so101-nexus"], played["ours"]))
        if "same" in parts:
            facts["same"] = played = _turns("ours", policy, all_jobs, ours)
            line = speed_up("so101-nexus with our pictures / ours", played["so101-nexus"], played["ours"])
            lines += [
                replace(line, required="", holds=None),
                otherwise(played["so101-nexus"], played["ours"]),
            ]
    return lines, {
        "policy": str(Path(*bench.policy_folder.parts[-2:])), "image_size": size,
        **{part: _as_dicts(played) for part, played in facts.items()},
    }  # fmt: skip


def side_by_side(players: Mapping[str, Player], jobs: Sequence[RolloutJob]) -> dict[str, list[Played]]:
    """Every player's rollout of every job, in turn, so that all meet the same state of the machine."""
    played: dict[str, list[Played]] = {name: [] for name in players}
    for player in players.values():  # what is made at the first use is not counted
        player(replace(jobs[0], max_ticks=1))
    for number, job in enumerate(jobs, start=1):
        for name, player in players.items():
            torch.manual_seed(job.seed)  # of a diffusion policy's noise
            wall, cpu = time.perf_counter(), time.process_time()
            rollout = player(job)
            wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
            played[name].append(
                Played(job.seed, rollout.success, rollout.ticks, rollout.closest_m, wall, cpu)
            )
            print(f"  {name}: {wall:.2f} s, {rollout.ticks} ticks ({number}/{len(jobs)})", flush=True)
    return played


def speed_up(what: str, theirs: Sequence[Played], ours: Sequence[Played]) -> Line:
    """Rollouts a minute of ours relative to theirs, over the same start states."""
    wall, cpu = (
        tuple(sum(getattr(each, name) for each in some) for some in (theirs, ours))
        for name in ("seconds", "cpu_seconds")
    )
    count = len(ours)
    lifted = " / ".join(str(sum(each.success for each in some)) for some in (theirs, ours))
    detail = (
        f"{60 * count / wall[1]:.1f} / {60 * count / wall[0]:.1f} rollouts a minute, {count} start states, "
        f"lifted {lifted}; in CPU time {cpu[0] / cpu[1]:.1f} x"
    )
    return at_least(what, wall[0] / wall[1], SPEED_UP, "x", detail)


def otherwise(theirs: Sequence[Played], ours: Sequence[Played]) -> Line:
    """Rollouts whose success, length or closest approach is not the same in both, to the last bit."""
    count = sum(a.outcome != b.outcome for a, b in zip(theirs, ours, strict=True))
    return at_most("of these, rollouts that end otherwise", count, 0, "rollouts", f"of {len(ours)}")


def image_size(policy_folder: Path) -> int:
    """Height and width that the policy's cameras have.

    Raises InputError for a folder without a policy that sees the simulator's two cameras.
    """
    try:
        with admitted(policy_folder) as folder:
            features = read_json(folder / CONFIG)["input_features"]
        shapes = {tuple(features[f"observation.images.{camera}"]["shape"][1:]) for camera in CAMERAS}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"--policy {policy_folder}: is no policy for the simulator's cameras {', '.join(CAMERAS)} "
            f"({type(error).__name__}: {error}); train one with rabc train --config so101_pick.yaml"
        ) from error
    sides = {side for shape in shapes for side in shape}
    if len(sides) != 1:
        raise InputError(
            f"--policy {policy_folder}: its cameras have the sizes {sorted(shapes)}; "
            "the simulator's are square and alike: give a policy that was trained on its demonstrations"
        )
    return int(sides.pop())


def _turns(
    pictures: Pictures, policy: ChunkPolicy, jobs: Sequence[RolloutJob], ours: Player
) -> dict[str, list[Played]]:
    """so101-nexus with these pictures, and ours, in turn."""
    print(f"{pictures}:", flush=True)
    with closing(VisualEnvironment(pictures, jobs[0].image_size)) as environment:
        return side_by_side({"so101-nexus": lambda job: environment.play(policy, job), "ours": ours}, jobs)


def _default_pictures(
    policy: ChunkPolicy, jobs: Sequence[RolloutJob], ours: Player
) -> dict[str, list[Played]]:
    """So101-nexus as by default, ours, and ours with its pictures, which nobody but the policy sees."""
    print("default:", flush=True)
    size = jobs[0].image_size
    with ExitStack() as stack:
        environment = stack.enter_context(closing(VisualEnvironment("default", size)))
        detailed = stack.enter_context(closing(Simulator(image_size=size, detailed=True)))

        def its_pictures(job: RolloutJob) -> Rollout:
            return roll_out(detailed, policy, replace(job, ticks_per_frame=job.max_ticks))

        return side_by_side(
            {
                "so101-nexus": lambda job: environment.play(policy, job),
                "ours": ours,
                "its pictures": its_pictures,
            },
            jobs,
        )


def _as_dicts(played: Mapping[str, Sequence[Played]]) -> dict[str, list[dict[str, Any]]]:
    return {name: [asdict(each) for each in some] for name, some in played.items()}
