"""The simulated arm and its demonstrator: units, determinism, outcomes, ground truth."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from rabc.sim import seeds
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import KINDS, Kind, minimum_jerk
from rabc.sim.environment import COLORS, JOINTS, Scene, Simulator
from rabc.sim.scorer_data import SimulatedEpisode, scorer_episodes
from rabc.system.errors import InputError
from tests.support.simulating import simulating_here


@pytest.fixture(scope="module")
def simulator():
    with Simulator(COLORS) as simulator:
        yield simulator


def test_joints_are_those_of_so101_nexus_in_its_order():
    from so101_nexus.config import SO101_JOINT_NAMES

    assert tuple(SO101_JOINT_NAMES) == JOINTS


def test_units_are_degrees_and_percent(simulator: Simulator):
    simulator.reset(0)
    action = np.array([20.0, -60.0, 50.0, 40.0, -30.0, 75.0], dtype=np.float32)
    for _ in range(30):
        simulator.tick(action)
    radians = simulator.nexus._get_current_qpos()
    # The arm sags a little under gravity; the conversion itself is exact.
    assert np.abs(simulator.state() - action).max() < 3.0
    assert simulator.state()[:5] == pytest.approx(np.degrees(radians[:5]), abs=1e-4)
    low, high = simulator.gripper_limits
    assert simulator.state()[5] == pytest.approx(100 * (radians[5] - low) / (high - low), abs=1e-4)


def test_actions_survive_the_way_to_radians_and_back(simulator: Simulator):
    simulator.reset(0)
    target = np.array([0.3, -0.5, 0.4, 0.9, 1.2, 0.65])
    simulator.tick(simulator.action_for(target))
    assert simulator.target_qpos == pytest.approx(target, abs=1e-6)


def test_a_seed_gives_the_same_episode_to_the_pixel(simulator: Simulator):
    def play() -> tuple[np.ndarray, ...]:
        demonstrator = demonstrate(simulator, 7, "drop", Scene("green", ("red",)))
        steps, pictures = [], []
        for step in demonstrator.steps():
            steps.append(step)
            if len(steps) % 10 == 1:
                pictures.append(np.concatenate([simulator.render("front"), simulator.render("wrist")]))
        states, actions = (np.stack([getattr(step, name) for step in steps]) for name in ("state", "action"))
        return states, actions, np.stack(pictures), np.array([step.truth.progress for step in steps])

    for first, second in zip(play(), play(), strict=True):
        assert np.array_equal(first, second)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_ends_as_it_says_and_makes_its_flaw(simulator: Simulator, kind: Kind):
    wrong_end = 0
    for seed in range(100, 112):
        demonstrator = demonstrate(simulator, seed, kind)
        progress = np.array([step.truth.progress for step in demonstrator.steps()])
        phases = {phase.name: phase.tick for phase in demonstrator.phases}
        if simulator.truth().success != (kind != "give_up"):
            wrong_end += 1  # at the edge of the wrist's range a finger may push the cube: 1 in 300
            continue
        assert progress.min() >= 0
        assert progress.max() <= 1
        assert progress[0] < 0.2
        if kind == "drop":
            assert progress[phases["drop"]] > 0.6
            assert progress[phases["regrasp"]] < 0.4
        if kind in ("stall", "pause"):
            stalled = progress[phases["stall"] + 2 : phases["resume"]]
            assert np.ptp(stalled) < 0.03
        if kind == "give_up":
            assert progress.max() < 0.5
        if kind == "clean":
            assert len(progress) < 60
    assert wrong_end <= 1


def test_only_the_named_cubes_are_on_the_table(simulator: Simulator):
    def colored(picture: np.ndarray) -> dict[str, int]:
        red, green, blue = (picture[..., channel].astype(int) for channel in range(3))
        return {
            "red": int(((red > 120) & (green < 60) & (blue < 60)).sum()),
            "green": int(((green > 90) & (red < 60) & (blue < 60)).sum()),
            "blue": int(((blue > 90) & (red < 60) & (green < 60)).sum()),
        }

    simulator.reset(3, Scene("green"))
    only = colored(simulator.render("front"))
    assert only["green"] > 10
    assert only["red"] == only["blue"] == 0
    simulator.reset(3, Scene("red", ("blue",)))
    both = colored(simulator.render("front"))
    assert both["red"] > 10
    assert both["blue"] > 10
    assert both["green"] == 0
    assert simulator.nexus.task_description == simulator.scene.instruction == "Pick up the red cube."


def test_a_picture_depends_on_the_state_alone():
    """MuJoCo's own depends on the camera of the picture before it."""
    rng = np.random.default_rng(0)
    with Simulator() as both, Simulator() as one:
        both.reset(0)
        one.reset(0)
        targets = both.state()
        for _ in range(60):
            targets = np.clip(
                targets + rng.normal(0, 3, 6), [-60, -95, -60, 20, -60, 5], [60, 30, 95, 100, 100, 95]
            )
            for simulator in (both, one):
                simulator.tick(targets.astype(np.float32))
            both.render("front")
            assert np.array_equal(both.render("wrist"), one.render("wrist"))


def test_closing_one_simulator_leaves_the_pictures_of_another_alone():
    with Simulator() as staying:
        staying.reset(0)
        first = staying.render("front")
        with Simulator() as other:
            other.reset(0)
            other.render("front")
            staying.reset(0)
            staying.render("front")  # its OpenGL context is now the current one
        staying.reset(0)
        assert np.array_equal(staying.render("front"), first)


def test_a_camera_draws_once_in_a_tick(simulator: Simulator):
    simulator.reset(0)
    first = simulator.render("front")
    assert simulator.render("front") is first
    simulator.tick(np.array([20.0, -60.0, 50.0, 40.0, -30.0, 75.0], dtype=np.float32))
    assert not np.array_equal(simulator.render("front"), first)
    simulator.reset(0)
    assert np.array_equal(simulator.render("front"), first)


def test_an_unknown_color_or_camera_is_named():
    with Simulator() as simulator:
        with pytest.raises(InputError, match="'green'"):
            simulator.reset(0, Scene("green"))
        simulator.reset(0)
        with pytest.raises(InputError, match="'overhead'"):
            simulator.render("overhead")


def test_simplified_meshes_leave_the_physics_alone():
    import gymnasium

    from rabc.sim.meshes import simplify_visual_meshes

    env = gymnasium.make("MuJoCoPickLift-v1", control_mode="pd_joint_pos")
    model = env.unwrapped.model  # pyright: ignore[reportAttributeAccessIssue]
    colliding = [
        int(model.geom_dataid[g])
        for g in range(model.ngeom)
        if (model.geom_contype[g] or model.geom_conaffinity[g]) and model.geom_dataid[g] >= 0
    ]
    faces, inertia, mass = model.mesh_facenum.copy(), model.body_inertia.copy(), model.body_mass.copy()
    before, after = simplify_visual_meshes(model)
    assert after < before / 5
    assert np.array_equal(model.mesh_facenum[colliding], faces[colliding])
    assert np.array_equal(model.body_inertia, inertia)
    assert np.array_equal(model.body_mass, mass)
    env.close()


def test_episodes_for_the_scorer_are_kept_and_a_file_of_fewer_is_not_taken_for_them(tmp_path: Path):
    def episodes(count: int) -> list[SimulatedEpisode]:
        return scorer_episodes(tmp_path, seeds.SCORER_TEST, count, processes=1)

    with simulating_here():
        first, again = episodes(1), episodes(1)
        made = (tmp_path / f"{seeds.SCORER_TEST}.npz").stat().st_mtime_ns
        assert np.array_equal(first[0].frames, again[0].frames)
        more = episodes(3)
        assert len(more) == 3
        assert np.array_equal(more[0].frames, first[0].frames)
        assert (tmp_path / f"{seeds.SCORER_TEST}.npz").stat().st_mtime_ns != made
        assert len(episodes(2)) == 2
        (path,) = tmp_path.iterdir()
        path.write_bytes(path.read_bytes()[:1000])
        assert len(episodes(1)) == 1


def test_seed_ranges_do_not_overlap():
    uses = (seeds.DEMONSTRATIONS, seeds.SCORER_TRAINING, seeds.SCORER_TEST, seeds.ROLLOUTS)
    ranges = [seeds.seed_range(first, seeds.RANGE - 10, 10) for first in uses]
    assert len({seed for seeds_of_use in ranges for seed in seeds_of_use}) == 40
    for first, following in zip(ranges, uses[1:], strict=False):
        assert first[-1] < following
    with pytest.raises(InputError, match="first_seed 999995"):
        seeds.seed_range(seeds.ROLLOUTS, 999_995, 10)


def test_minimum_jerk_starts_and_ends_at_rest():
    s = np.linspace(0, 1, 1001)
    position = np.array([minimum_jerk(x) for x in s])
    assert position[0] == 0
    assert position[-1] == pytest.approx(1)
    velocity = np.gradient(position, s)
    assert velocity[0] == pytest.approx(0, abs=1e-4)
    assert velocity[-1] == pytest.approx(0, abs=1e-4)
    assert np.all(np.diff(position) > 0)


def test_a_simulator_that_nobody_closed_ends_without_a_word() -> None:
    """A process that plays rollouts keeps one; MuJoCo complains of a renderer that outlives OpenGL."""
    script = (
        "import numpy\n"
        "from rabc.sim.environment import Simulator\n"
        "numpy.kept = Simulator(image_size=48)\n"  # NumPy was imported before OpenGL and goes after it
        "numpy.kept.reset(0)\n"
        "print(numpy.kept.render('front').shape)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "(48, 48, 3)\n"
    assert done.stderr == ""
