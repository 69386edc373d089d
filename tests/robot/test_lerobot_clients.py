"""LeRobot's own clients play a trained policy on the simulated arm as our own rollouts do.

The policies are those that the shipped configurations train (`scripts/train.py --config so101_pick.yaml`,
and `so101_pick_diffusion.yaml`), trained now where they are not there, or the folders in RABC_TEST_ACT and
RABC_TEST_DIFFUSION. RABC_TEST_SEEDS: how many start states, 20 if not given.
"""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from pathlib import Path

import numpy as np
import pytest

from rabc.comparison.recorded.labels import read_label_file
from rabc.robot.outcomes import Outcome, read_outcomes
from rabc.sim import seeds
from rabc.sim.environment import Simulator
from tests.support import REPO
from tests.support.servo_ticks import MAX_TICKS, TICK, ServoTicks, first_actions, own_rollouts

pytestmark = [pytest.mark.slow, pytest.mark.timeout(7200)]

COUNT = int(os.environ.get("RABC_TEST_SEEDS", "20"))
SEEDS = range(seeds.ROLLOUTS, seeds.ROLLOUTS + COUNT)
AGREEMENT = 0.9
# What reading the arm in whole servo positions changes in the first action, degrees and percent.
FROM_READING = 0.02
PLUGIN = "--robot.discover_packages_path=rabc.robot"
BIN = Path(sys.executable).parent
CONFIGS = {"act": Path("so101_pick.yaml"), "diffusion": Path("so101_pick_diffusion.yaml")}


def trained(kind: str) -> Path:
    """The policy's folder; trains it where it is not there (ACT 10 minutes, Diffusion 30)."""
    given = os.environ.get(f"RABC_TEST_{kind.upper()}")
    if given is not None:
        return Path(given)
    folder = REPO / "checkpoints" / CONFIGS[kind].stem / "pretrained_model"
    if not (folder / "config.json").exists():
        script = REPO / "scripts" / "train.py"
        run(sys.executable, script, "--config", CONFIGS[kind], "--rollouts.episodes", 0)
    return folder


def run(*command: object, timeout: int = 3600, cwd: Path = REPO) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd, capture_output=True, text=True, timeout=timeout, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout + done.stderr


def episode(outcomes: Path, **more: object) -> str:
    return json.dumps({"max_ticks": MAX_TICKS, "outcomes": str(outcomes), **more})


def agree(played: Sequence[Outcome], own: Sequence[bool]) -> None:
    same = sum(outcome.success == success for outcome, success in zip(played, own, strict=True))
    print(f"outcomes agree on {same} of {len(own)} start states; ours succeed on {sum(own)}")
    assert same >= AGREEMENT * len(own)
    # Where ours never succeed, a client whose arm does nothing would agree.
    assert sum(own) > 0.1 * len(own)


def check_on_servos(folder: Path, played: Sequence[Outcome], numbers: range = SEEDS) -> None:
    """Against our own rollouts: first actions up to a servo position; outcomes where ours round alike."""
    assert [outcome.seed for outcome in played] == list(numbers)
    with Simulator() as simulator:
        lost = first_actions(folder, numbers, simulator) - [outcome.first_action for outcome in played]
    assert (lost > -FROM_READING).all()
    assert (lost < TICK + FROM_READING).all()
    with ServoTicks() as simulator:
        agree(played, [rollout.success for rollout in own_rollouts(folder, numbers, simulator)])


@pytest.mark.parametrize("kind", ["act", "diffusion"])
def test_lerobot_eval(kind: str, tmp_path: Path) -> None:
    folder, file = trained(kind), tmp_path / "outcomes.csv"
    run(
        BIN / "lerobot-eval", "--env.discover_packages_path=rabc.robot", "--env.type=so101_sim",
        f"--policy.path={folder}", "--policy.device=cpu", f"--eval.n_episodes={COUNT}", "--eval.batch_size=1",
        f"--seed={SEEDS[0]}", f"--env.outcomes={file}", f"--output_dir={tmp_path / 'eval'}",
    )  # fmt: skip
    played = read_outcomes(file)
    assert [outcome.seed for outcome in played] == list(SEEDS)
    with Simulator() as simulator:
        expected = first_actions(folder, SEEDS, simulator)
        first = np.array([outcome.first_action for outcome in played])
        first[:, -1] = first[:, -1].clip(0, 100)
        np.testing.assert_allclose(first, expected, atol=1e-3)
        agree(played, [rollout.success for rollout in own_rollouts(folder, SEEDS, simulator)])
    (task,) = json.loads((tmp_path / "eval" / "eval_info.json").read_text())["per_task"]
    assert task["metrics"]["successes"] == [outcome.success for outcome in played]


@pytest.mark.parametrize("kind", ["act", "diffusion"])
def test_lerobot_rollout_that_records(kind: str, tmp_path: Path) -> None:
    from lerobot.datasets import LeRobotDatasetMetadata

    folder, file, root = trained(kind), tmp_path / "outcomes.csv", tmp_path / "dataset"
    run(
        BIN / "lerobot-rollout", "--config_path=configs/lerobot/record_sim.yaml", PLUGIN,
        f"--policy.path={folder}", f"--dataset.root={root}", f"--dataset.num_episodes={COUNT}",
        f"--robot.env_kwargs={episode(file, reset_on_pause=True, seed_policy_noise=True)}",
        # The simulated arm waits for every action, so it may run faster than a real one.
        "--fps=25", "--dataset.episode_time_s=20", "--dataset.reset_time_s=0.5",
    )  # fmt: skip
    played = read_outcomes(file)
    check_on_servos(folder, played)
    meta = LeRobotDatasetMetadata("local/rollout_sim", root=root)
    assert meta.total_episodes == COUNT
    assert meta.fps == 10
    assert meta.camera_keys == ["observation.images.front", "observation.images.wrist"]
    assert read_label_file(file, COUNT) == {i: outcome.success for i, outcome in enumerate(played)}
    compare_halves(root, [outcome.success for outcome in played], tmp_path)


def compare_halves(root: Path, success: Sequence[bool], folder: Path) -> None:
    """What LeRobot recorded goes straight into the comparison of recordings, one half against the other."""
    from lerobot.datasets import LeRobotDataset
    from lerobot.datasets.dataset_tools import split_dataset

    middle = len(success) // 2
    halves = {"one": list(range(middle)), "other": list(range(middle, len(success)))}
    split_dataset(LeRobotDataset("local/rollout_sim", root=root), halves, output_dir=folder / "halves")
    words: list[object] = []
    for name, episodes in halves.items():
        labels = folder / f"{name}.csv"
        rows = [f"{place},{int(success[episode])}" for place, episode in enumerate(episodes)]
        labels.write_text("\n".join(["episode_index,success", *rows]) + "\n")
        words += ["--recorded", f"{name}={folder / 'halves' / name}", "--labels", f"{name}={labels}"]
    run(
        sys.executable, REPO / "scripts" / "compare.py", "--config", "so101_pick.yaml",
        "--scorer.model", REPO / "checkpoints" / "so101-scorer", *words, cwd=folder,
    )  # fmt: skip
    found = json.loads((folder / "outputs/one-other-recorded/recorded.json").read_text())
    for dataset, episodes in zip(found["datasets"], halves.values(), strict=True):
        assert dataset["success"]["value"] == np.mean([success[episode] for episode in episodes])
        assert len(dataset["rollouts"]) == len(episodes)


def test_lerobot_rollout_one_process_per_episode(tmp_path: Path) -> None:
    folder = trained("act")
    played: list[Outcome] = []
    for seed in SEEDS[:3]:
        file = tmp_path / f"{seed}.csv"
        run(
            BIN / "lerobot-rollout", "--config_path=configs/lerobot/rollout_sim.yaml", PLUGIN,
            f"--policy.path={folder}", f"--robot.seed={seed}", f"--robot.env_kwargs={episode(file)}",
            "--fps=25", "--duration=20",
        )  # fmt: skip
        played += read_outcomes(file)
    check_on_servos(folder, played, SEEDS[:3])


@pytest.fixture
def policy_server(tmp_path: Path) -> Generator[int]:
    """The port of LeRobot's policy server, running as its own process."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    log = (tmp_path / "server.log").open("w")
    server = subprocess.Popen(
        [sys.executable, "-m", "lerobot.async_inference.policy_server", "--host=127.0.0.1", f"--port={port}",
         "--fps=25", "--inference_latency=0"],
        cwd=tmp_path, stdout=log, stderr=log, env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    try:
        for _ in range(300):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert server.poll() is None, (tmp_path / "server.log").read_text()[-3000:]
            time.sleep(1)
        yield port
    finally:
        server.terminate()
        server.wait(timeout=30)
        log.close()


def test_async_server_and_client(policy_server: int, tmp_path: Path) -> None:
    folder = trained("act")
    steps = json.loads((folder / "config.json").read_text())["n_action_steps"]
    played: list[Outcome] = []
    for seed in SEEDS:
        file = tmp_path / f"{seed}.csv"
        run(
            sys.executable, "scripts/async_client.py", "--config_path=configs/lerobot/async_sim.yaml",
            "--policy_type=act", f"--pretrained_name_or_path={folder}", f"--actions_per_chunk={steps}",
            f"--server_address=127.0.0.1:{policy_server}", f"--robot.seed={seed}",
            f"--robot.env_kwargs={episode(file, looks_every_tick=False)}", "--fps=25", "--duration=20",
        )  # fmt: skip
        played += read_outcomes(file)
    check_on_servos(folder, played)
