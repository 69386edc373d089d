"""The place task: scenes, outcomes and flaws of its demonstrations, progress, rollouts, scorer episodes."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from rabc.rollouts.play import ChunkPolicy, RolloutJob, roll_out
from rabc.scoring.small.alignment import color_pixels
from rabc.sim import seeds
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import KINDS, Demonstrator, Kind
from rabc.sim.environment import Simulator
from rabc.sim.scene import COLORS, Scene
from rabc.sim.scorer_data import scorer_episodes
from rabc.system.errors import InputError
from tests.support.simulating import simulating_here

INSTRUCTION = "Pick up the red cube, center it on the black circle, and release it onto the table."


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with Simulator(COLORS, task="place") as simulator:
        yield simulator


def cube_to_disc(simulator: Simulator) -> float:
    offset = simulator.cube_pose()[0] - simulator.disc_position()
    return float(np.linalg.norm(offset[:2]))


def test_the_instruction_is_that_of_so101_nexus(simulator: Simulator) -> None:
    simulator.reset(0)
    assert simulator.scene.instruction == simulator.nexus.task_description == INSTRUCTION
    simulator.reset(0, Scene("green", ("red",), "place"))
    assert (
        simulator.scene.instruction == simulator.nexus.task_description == INSTRUCTION.replace("red", "green")
    )


def test_a_scene_of_another_task_is_refused(simulator: Simulator) -> None:
    with pytest.raises(InputError, match="task 'pick'"):
        simulator.reset(0, Scene("red"))
    with Simulator() as pick, pytest.raises(InputError, match="task 'place'"):
        pick.reset(0, Scene(task="place"))


def test_only_the_named_cubes_are_on_the_table_in_sight_and_beside_the_disc(simulator: Simulator) -> None:
    for seed in range(24):
        present = COLORS[seed % 3 : seed % 3 + 1 + seed % 4]
        simulator.reset(seed, Scene(present[0], present[1:], "place"))
        frame = torch.from_numpy(simulator.render("front").transpose(2, 0, 1).copy())[None]
        counts = color_pixels(frame, COLORS).sum(0).tolist()
        assert {c for c, n in zip(COLORS, counts, strict=True) if n >= 3} == set(present)
        slots = simulator.nexus._distractor_slots
        places = [simulator.cube_pose()[0][:2]]
        places += [simulator.nexus.data.qpos[slot.qpos_addr :][:2] for slot in slots]
        assert len(places) == len(present)
        from_disc = [np.linalg.norm(place - simulator.disc_position()[:2]) for place in places]
        assert min(from_disc) > 0.09
        apart = [np.linalg.norm(a - b) for i, a in enumerate(places) for b in places[:i]]
        assert min(apart, default=1.0) > 0.09


def test_a_seed_gives_the_same_episode_to_the_pixel(simulator: Simulator) -> None:
    def play() -> tuple[np.ndarray, ...]:
        demonstrator = demonstrate(simulator, 7, "drop", Scene("green", ("red",), "place"))
        steps, pictures = [], []
        for step in demonstrator.steps():
            steps.append(step)
            if len(steps) % 10 == 1:
                pictures.append(np.concatenate([simulator.render("front"), simulator.render("wrist")]))
        states, actions = (np.stack([getattr(step, name) for step in steps]) for name in ("state", "action"))
        return states, actions, np.stack(pictures), np.array([step.truth.progress for step in steps])

    first = play()
    simulator.reset(8, Scene("red", ("blue", "white"), "place"))  # leaves nothing behind
    for before, after in zip(first, play(), strict=True):
        assert np.array_equal(before, after)


def played(simulator: Simulator, seed: int, kind: Kind) -> tuple[Demonstrator, np.ndarray, np.ndarray]:
    """The demonstrator, progress (T,) and height of the cube (T,) of one demonstration."""
    demonstrator = demonstrate(simulator, seed, kind)
    progress, height = [], []
    for step in demonstrator.steps():
        progress.append(step.truth.progress)
        height.append(simulator.cube_pose()[0][2])
    return demonstrator, np.array(progress), np.array(height)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ends_as_it_says_and_makes_its_flaw(simulator: Simulator, kind: Kind) -> None:
    wrong_end, put_down = 0, []
    for seed in range(300, 312):
        demonstrator, progress, height = played(simulator, seed, kind)
        phases = {phase.name: phase.tick for phase in demonstrator.phases}
        if simulator.truth().success != (kind != "give_up"):
            wrong_end += 1
            continue
        assert progress.min() >= 0
        assert progress.max() <= 1
        assert progress[0] < 0.2
        if kind == "give_up":
            assert progress.max() < 0.8
            assert cube_to_disc(simulator) > 0.06
            put_down.append("release" in phases)
            continue
        assert progress[-1] == 1
        assert cube_to_disc(simulator) < 0.03
        assert simulator.truth().distance > 0.03  # the hand has gone
        assert height[phases["carry"] : phases["lower"]].min() > 0.04
        if kind == "clean":
            assert len(progress) < 100
            assert np.diff(progress).min() > -0.05
            assert 0.45 < progress[phases["carry"]] < 0.65
            assert 0.7 < progress[phases["lower"]] < 0.85
            assert progress[phases["release"]] == 0.85  # in place, but still held
        if kind == "drop":
            assert progress[phases["drop"]] > 0.5
            assert progress[phases["regrasp"]] < 0.3
            assert height[phases["drop"]] > 0.04
            assert height[phases["regrasp"]] < 0.02
        if kind in ("stall", "pause"):
            assert np.ptp(progress[phases["stall"] + 2 : phases["resume"]]) < 0.03
        if kind == "retry":
            assert progress[: phases["open"]].max() < 0.5
        if kind == "detour":
            assert progress[: phases["approach"]].max() < 0.35
    assert wrong_end <= 1
    if kind == "give_up":
        assert 0 < sum(put_down) < len(put_down)  # misses of the disc, and misses of the cube


@pytest.mark.slow
def test_clean_demonstrations_succeed(simulator: Simulator) -> None:
    successes = 0
    for seed in range(100):
        for _ in demonstrate(simulator, seed, "clean").steps():
            pass
        successes += simulator.truth().success
    assert successes >= 95


def test_holding_the_cube_on_the_disc_is_not_yet_success(simulator: Simulator) -> None:
    demonstrator = demonstrate(simulator, 300, "clean")
    for _ in demonstrator.steps():
        if demonstrator.phases[-1].name == "release":
            break
    for _ in range(10):
        simulator.tick(simulator.action_for(simulator.target_qpos))
    assert simulator.truth().progress == 0.85
    assert not simulator.truth().success
    assert cube_to_disc(simulator) < 0.02


def test_a_rollout_plays_the_task_and_ends_with_its_success(simulator: Simulator) -> None:
    actions = np.stack([step.action for step in demonstrate(simulator, 300, "clean").steps()])
    seen: list[str] = []

    def replay(observations: object) -> np.ndarray:
        seen.append(simulator.scene.instruction)
        return actions

    job = RolloutJob(Path("unused"), 300, len(actions), "front", 5, 96, "place")
    rollout = roll_out(simulator, ChunkPolicy(1, replay), job)
    assert rollout.success
    assert rollout.ticks < len(actions)
    assert seen == [INSTRUCTION]
    short = roll_out(
        simulator, ChunkPolicy(1, replay), RolloutJob(Path("unused"), 300, 40, "front", 5, 96, "place")
    )
    assert not short.success  # the cube is in the air: that would be success in picking


def test_episodes_for_a_scorer_of_this_task_do_not_mix_with_those_of_another(tmp_path: Path) -> None:
    with simulating_here():
        place = scorer_episodes(tmp_path, seeds.SCORER_TEST, 1, processes=1, task="place")
        pick = scorer_episodes(tmp_path, seeds.SCORER_TEST, 1, processes=1)
        again = scorer_episodes(tmp_path, seeds.SCORER_TEST, 1, processes=1, task="place")
    assert (place[0].task, pick[0].task, again[0].task) == ("place", "pick", "place")
    assert np.array_equal(place[0].frames, again[0].frames)
    assert not np.array_equal(place[0].frames[0], pick[0].frames[0])
