"""The simulated arm as LeRobot's plugin: what it registers, how its episodes end, what it refuses."""

import csv
import json
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
import yaml

from rabc.datasets.resize import resize
from rabc.robot import async_client, follower
from rabc.robot.evaluation import SimulatedSO101
from rabc.robot.outcomes import Outcome, read_outcomes, write_outcomes
from rabc.sim.environment import JOINTS, Simulator
from rabc.system.errors import InputError
from tests.support import REPO, forked

CONFIGS = REPO / "configs" / "lerobot"
SEED = 3_000_000


def arm(**arguments: Any) -> Any:
    return gymnasium.make("MuJoCoRabcPick-v0", **arguments).unwrapped


def test_outcomes_are_read_back(tmp_path: Path) -> None:
    outcomes = [
        Outcome(SEED, True, 41, 0.0072, (1.5, -2.0, 3.0, 4.0, 5.0, 60.0)),
        Outcome(SEED + 1, False, 100, 0.021, (0.0,) * 6),
    ]
    write_outcomes(tmp_path / "outcomes.csv", outcomes)
    assert read_outcomes(tmp_path / "outcomes.csv") == outcomes
    (tmp_path / "labels.csv").write_text("episode_index,success\n0,true\n")
    with pytest.raises(InputError, match=r"outcomes .*labels\.csv"):
        read_outcomes(tmp_path / "labels.csv")


def test_the_follower_shows_what_our_rollouts_see() -> None:
    env = arm()
    env.reset(seed=SEED)
    with Simulator() as simulator:
        simulator.reset(SEED)
        seen = env._get_obs()
        np.testing.assert_array_equal(seen["front"], simulator.render("front"))
        np.testing.assert_array_equal(seen["wrist"], simulator.render("wrist"))
        target = env._get_current_qpos() + np.array([0.1, -0.05, 0.05, 0.0, 0.1, 0.2])
        env.step(target)
        simulator.tick(simulator.action_for(target))
        np.testing.assert_allclose(env._get_current_qpos(), simulator.nexus._get_current_qpos(), atol=1e-9)
    env.close()


def test_a_pause_between_recorded_episodes_begins_the_next_seed(tmp_path: Path) -> None:
    file = tmp_path / "outcomes.csv"
    env = arm(reset_on_pause=True, outcomes=str(file), max_ticks=2)
    env.reset(seed=SEED)
    start = env._get_current_qpos().copy()
    for _ in range(2):  # LeRobot looks twice before the first action, which is no pause
        env._get_obs()
    for _ in range(3):
        env.step(start)
        env._get_obs()
    assert not file.exists()
    env._get_obs()
    assert [(outcome.seed, outcome.ticks) for outcome in read_outcomes(file)] == [(SEED, 2)]
    env.step(start)
    env.close()
    assert [outcome.seed for outcome in read_outcomes(file)] == [SEED, SEED + 1]
    with file.open() as lines:
        assert [row["episode_index"] for row in csv.DictReader(lines)] == ["0", "1"]


def test_what_lerobot_sends_without_looking_is_refused() -> None:
    env = arm()
    env.reset(seed=SEED)
    env._get_obs()
    env.step(env._get_current_qpos())
    with pytest.raises(InputError, match="one action per observation"):
        env.step(env._get_current_qpos())
    env.close()
    blind = arm(looks_every_tick=False)
    blind.reset(seed=SEED)
    for _ in range(2):
        blind.step(blind._get_current_qpos())
    blind.close()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"reset_on_pause": True, "looks_every_tick": False}, "reset_on_pause"),
        ({"control_mode": "pd_joint_delta_pos"}, "control_mode pd_joint_delta_pos"),
        ({"task": "stack"}, "task 'stack'"),
        ({"outcomes": str(Path(__file__))}, "exists already"),
    ],
)
def test_arguments_that_cannot_work(arguments: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        arm(**arguments)


def test_an_episode_needs_a_first_seed() -> None:
    env = arm()
    with pytest.raises(InputError, match=r"robot\.seed"):
        env.reset()
    env.close()


def test_lerobot_eval_sees_degrees_and_success(tmp_path: Path) -> None:
    vector = SimulatedSO101(outcomes=str(tmp_path / "outcomes.csv"), episode_length=3).create_envs(1)
    env = vector["so101_sim"][0]
    seen, _ = env.reset(seed=[SEED])
    assert seen["agent_pos"].shape == (1, len(JOINTS))
    assert seen["pixels"]["wrist"].shape == (1, 96, 96, 3)
    with Simulator() as simulator:
        simulator.reset(SEED)
        np.testing.assert_allclose(seen["agent_pos"][0], simulator.state(), atol=1e-6)
        assert list(env.call("task_description")) == [simulator.scene.instruction]
    assert list(env.call("_max_episode_steps")) == [3]
    assert env.call("render")[0].shape == (96, 192, 3)
    for _ in range(3):
        *_, truncated, info = env.step(seen["agent_pos"])
    assert truncated.all()
    assert not info["final_info"]["is_success"].any()
    env.close()
    (outcome,) = read_outcomes(tmp_path / "outcomes.csv")
    np.testing.assert_allclose(outcome.first_action, seen["agent_pos"][0], atol=1e-4)


def test_lerobot_eval_refuses_one_file_for_two_environments(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="batch_size=1"):
        SimulatedSO101(outcomes=str(tmp_path / "o.csv")).create_envs(2)
    with pytest.raises(InputError, match=r"env\.fps 30"):
        SimulatedSO101(fps=30)


def test_shipped_files_fit_the_simulated_arm() -> None:
    from so101_nexus.lerobot_adapter.synthetic_calibration import build_synthetic_calibration

    shipped = yaml.safe_load((CONFIGS / "calibration" / "sim.json").read_text())
    assert shipped == {name: vars(motor) for name, motor in build_synthetic_calibration().items()}
    for name in ("rollout_sim", "record_sim", "async_sim"):
        config = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())
        robot = config["robot"]
        assert robot["env_id"] in follower.ENVIRONMENTS
        assert (CONFIGS / "calibration" / f"{robot['id']}.json").exists()
        assert config["fps"] == 10
        assert config.get("dataset", {"fps": 10})["fps"] == 10


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"server_address": "192.168.0.7:8080"}, "ssh -L"),
        ({"policy_type": "diffusion"}, "--policy_type=act"),
        ({"pretrained_name_or_path": "nowhere"}, "is no policy folder"),
        ({"folder_type": "diffusion"}, "cannot run diffusion"),
        ({"folder_type": "smolvla"}, "smolvla is not tried"),
    ],
)
def test_the_async_client_refuses(change: dict[str, str], said: str, tmp_path: Path) -> None:
    folder_type = change.pop("folder_type", "act")
    (tmp_path / "config.json").write_text(f'{{"type": "{folder_type}"}}')
    given = {
        "server_address": "127.0.0.1:8080",
        "policy_type": "act",
        "pretrained_name_or_path": str(tmp_path),
        **change,
    }
    with pytest.raises(InputError, match=said):
        async_client.check(SimpleNamespace(**given))  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("address", ["127.0.0.1:8080", "localhost:9000", "[::1]:8080"])
def test_the_async_client_takes_this_machine(address: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"type": "act"}')
    given = {"server_address": address, "policy_type": "act", "pretrained_name_or_path": str(tmp_path)}
    async_client.check(SimpleNamespace(**given))  # pyright: ignore[reportArgumentType]


def test_the_async_client_says_which_pictures_the_server_resizes(tmp_path: Path) -> None:
    """Before the policy's own preprocessor, and otherwise; of a camera that it does not read, nothing."""
    seen = {
        f"observation.images.{name}": {"type": "VISUAL", "shape": [3, 240, 320]} for name in ("up", "side")
    }
    (tmp_path / "config.json").write_text(json.dumps({"type": "act", "input_features": seen}))
    sizes = {"up": (480, 640), "side": (240, 320), "beside": (96, 96)}
    cameras = {name: SimpleNamespace(height=height, width=width) for name, (height, width) in sizes.items()}
    config: Any = SimpleNamespace(
        pretrained_name_or_path=str(tmp_path), robot=SimpleNamespace(cameras=cameras)
    )
    (said,) = async_client.resized_by_server(config)
    assert said.startswith("camera up: gives 640x480, which LeRobot's policy server resizes otherwise")
    assert "set its width 320 and height 240" in said
    from lerobot.async_inference.helpers import resize_robot_observation_image

    # So it does: the same picture, by the server and by the step that the policy has been trained with.
    picture = np.random.default_rng(0).integers(0, 256, (480, 640, 3), np.uint8)
    theirs = resize_robot_observation_image(torch.from_numpy(picture), (3, 240, 320)).permute(1, 2, 0).numpy()
    ours = resize(picture[None], (240, 320))[0]
    assert np.abs(theirs.astype(float) - ours).max() > 60


def client_alone(*arguments: str) -> None:
    script = str(REPO / "scripts" / "async_client.py")
    theirs = ("lerobot.robots.so", "lerobot.cameras.opencv")
    assert not [name for name in sys.modules if name.startswith(theirs)]
    sys.argv = [script, *arguments]
    runpy.run_path(script, run_name="__main__")


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ("--server_address=192.168.0.7:8080", "ssh -L"),  # a real arm's arguments are read so far
        ("--robot.colour=red", "LeRobot's client cannot read it"),
    ],
)
def test_the_async_client_knows_lerobots_own_robots(more: str, said: str, tmp_path: Path) -> None:
    """In a process of its own, in which nothing else has imported them."""
    (tmp_path / "config.json").write_text('{"type": "act"}')
    done = forked.run(
        client_alone, "--robot.type=so101_follower", "--robot.port=/dev/null",
        "--robot.cameras={front: {type: opencv, index_or_path: 0, fps: 30, width: 640, height: 480}}",
        "--policy_type=act", f"--pretrained_name_or_path={tmp_path}", "--actions_per_chunk=10", more,
        cwd=REPO,
    )  # fmt: skip
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert "Traceback" not in done.stderr


def test_async_client_help_is_quick_and_bad_time_is_told() -> None:
    command = [sys.executable, "scripts/async_client.py"]
    shown = subprocess.run([*command, "--help"], cwd=REPO, capture_output=True, text=True, timeout=60)
    assert shown.returncode == 0
    assert "--duration SECONDS" in shown.stdout
    wrong = subprocess.run(
        [*command, "--duration=soon"], cwd=REPO, capture_output=True, text=True, timeout=60
    )
    assert wrong.returncode == 2
    assert "--duration 'soon'" in wrong.stderr
