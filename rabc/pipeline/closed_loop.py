"""The loop closed: train, deploy with LeRobot, record what the policy does, train again on both.

    demonstrations -> score -> train -> lerobot-rollout records -> score -> train on both

The first round is the run that `rabc train` makes. Some recordings fail: the weights decide what of them
is learnt.
"""

import contextlib
import io
import json
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from rabc.config.settings import Config
from rabc.config.simulated import GROUND_TRUTH, RECORDING
from rabc.pipeline import main_job, state
from rabc.robot.follower import ENVIRONMENTS
from rabc.robot.outcomes import read_outcomes
from rabc.rollouts.evaluation import read_rollouts
from rabc.sim import seeds
from rabc.sim.environment import CAMERAS, FPS
from rabc.sim.recorder import ROBOT_TYPE
from rabc.sim.scene import Scene
from rabc.statistics import intervals, significance
from rabc.system.atomic import whole_folder, write_json
from rabc.system.errors import CheckFailed, InputError
from rabc.system.lock import held
from rabc.system.shipped import CONFIGS
from rabc.system.stages import key

LEROBOT = CONFIGS / "lerobot"
SLACK = 1.2
"""LeRobot ends an episode by the clock; so much longer, a tick that takes longer does not cut it short."""
FIRST_RECORDED = 500_000
"""Offset of the recorded start states within those of rollouts, far from the ones that judge."""


def close_loop(config: Config, episodes: int) -> dict[str, Any]:
    """Both rounds; prints the success rates and what the second round gains, and returns them.

    What is finished is not done again.

    Args:
        config: of both rounds; `rollouts` says how they are judged.
        episodes: that the first round's policy plays and LeRobot records.

    Raises:
        CheckFailed: `lerobot-rollout` failed.
        InputError: nothing would be recorded or judged, or another process is at work on the loop.
    """
    if not config.demonstrations.simulate:
        raise InputError(
            "demonstrations.simulate false: this loop records on the simulated arm; with a real one, record "
            "with lerobot-rollout as docs/robot.md says"
        )
    if not config.rollouts.episodes:
        raise InputError("rollouts.episodes 0: nothing would judge the two rounds; give e.g. 100")
    if config.rollouts.first_seed + config.rollouts.episodes > FIRST_RECORDED:
        raise InputError(
            f"rollouts.first_seed {config.rollouts.first_seed}: start states from {FIRST_RECORDED} on are "
            "recorded and trained on; give a smaller one"
        )
    first = main_job.run(config)
    if not first:  # a further process of a training on several devices
        return {}
    folder = Path("outputs") / f"{config.run}-loop"
    # Another policy or another number of episodes: another recording.
    made_from = {
        "policy": first["training"]["content"], "episodes": episodes, "max_ticks": config.rollouts.max_ticks
    }  # fmt: skip
    recorded = folder / key(made_from) / "recorded"
    joined = recorded.with_name("dataset")
    with held(folder / ".lock", f"loop {config.run}", "wait for it, end it, or give another --run"):
        if not recorded.exists():
            record_rollouts(config, state.paths(config).policy, episodes, recorded)
        outcomes = read_outcomes(recorded / "outcomes.csv")
        succeeded = sum(outcome.success for outcome in outcomes)
        print(f"recorded: {succeeded} of {len(outcomes)} succeed ({recorded})")
        if not joined.exists():
            join(Path(first["demonstrations"]["root"]), recorded / "dataset", joined)
        mark_simulated(joined)
    second_config = replace(
        config,
        run=f"{config.run}-round2",
        dataset=replace(config.dataset, path=str(joined)),
        demonstrations=replace(config.demonstrations, simulate=False),
    )
    second = main_job.run(second_config)
    return _report(config, [first, second], folder)


def record_rollouts(config: Config, policy: Path, episodes: int, folder: Path) -> None:
    """Let `lerobot-rollout` play and record `episodes` on the simulated arm.

    Fills `folder`, whole or not at all, with `dataset`, a LeRobotDataset, `outcomes.csv`, the
    simulator's verdict, and `log.txt`. Raises CheckFailed where it fails.
    """
    first = seeds.seed_range(seeds.ROLLOUTS, FIRST_RECORDED, episodes)[0]
    size, max_ticks = config.demonstrations.image_size, config.rollouts.max_ticks
    task = config.demonstrations.task
    environment = next(name for name, its_task in ENVIRONMENTS.items() if its_task == task)
    camera = {"type": "sim", "width": size, "height": size, "fps": FPS}
    cameras = {name: {**camera, "source": name} for name in CAMERAS}
    with whole_folder(folder) as partial:
        settings = {
            "max_ticks": max_ticks, "reset_on_pause": True, "seed_policy_noise": True, "image_size": size,
            "outcomes": str(partial / "outcomes.csv"),
        }  # fmt: skip
        words = [
            str(Path(sys.executable).with_name("lerobot-rollout")),
            f"--config_path={LEROBOT / 'record_sim.yaml'}",
            "--robot.discover_packages_path=rabc.robot",
            f"--robot.calibration_dir={LEROBOT / 'calibration'}",
            f"--robot.env_id={environment}",
            f"--robot.seed={first}",
            f"--robot.env_kwargs={json.dumps(settings)}",
            f"--robot.cameras={json.dumps(cameras)}",
            f"--policy.path={policy}",
            "--policy.device=cpu",
            f"--dataset.root={partial / 'dataset'}",
            f"--dataset.num_episodes={episodes}",
            f"--dataset.single_task={Scene(task=task).instruction}",
            f"--dataset.episode_time_s={SLACK * max_ticks / FPS}",
        ]
        log = partial / "log.txt"
        with log.open("w") as output:
            process = subprocess.Popen(words, stdout=output, stderr=subprocess.STDOUT)
            try:
                _watch(process, partial / "outcomes.csv", episodes)
            finally:
                if process.poll() is None:
                    process.terminate()
                    process.wait()
        if process.returncode:
            lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()]
            raise CheckFailed(f"lerobot-rollout: failed ({lines[-1] if lines else 'it printed nothing'})")
        _check_recording(partial, episodes, max_ticks)


def _check_recording(folder: Path, episodes: int, max_ticks: int) -> None:
    """Raise CheckFailed where LeRobot was stopped or an episode thrown away; say what was cut short."""
    outcomes = read_outcomes(folder / "outcomes.csv")
    recorded = json.loads((folder / "dataset" / "meta" / "info.json").read_text())["total_episodes"]
    if not len(outcomes) == recorded == episodes:
        raise CheckFailed(
            f"lerobot-rollout: recorded {recorded} episodes and played {len(outcomes)} of {episodes}; it was "
            "stopped, or keys were pressed: run it again"
        )
    short = sum(not outcome.success and outcome.ticks < max_ticks for outcome in outcomes)
    if short:
        print(
            f"lerobot-rollout: {short} of {episodes} episodes ended before {max_ticks} ticks, because this "
            f"machine does not keep up {FPS} of them a second; they count as failures"
        )


def join(demonstrations: Path, recorded: Path, root: Path) -> None:
    """One dataset of two, demonstrations first, without the simulator's knowledge; whole or not at all.

    The recordings are of the simulated arm's robot type; they become the demonstrations' own.
    """
    from lerobot.datasets.aggregate import aggregate_datasets

    with whole_folder(root) as partial:
        copy = partial / "recorded"
        shutil.copytree(recorded, copy)
        info = copy / "meta" / "info.json"
        write_json(info, {**json.loads(info.read_text()), "robot_type": ROBOT_TYPE})
        with contextlib.redirect_stderr(io.StringIO()):
            aggregate_datasets(
                repo_ids=["local/demonstrations", "local/recorded"],
                aggr_repo_id=f"local/{root.name}",
                roots=[demonstrations, copy],
                aggr_root=partial / "joined",
            )
        shutil.rmtree(copy)
        for item in (partial / "joined").iterdir():
            item.rename(partial / item.name)
        (partial / "joined").rmdir()


def mark_simulated(root: Path) -> None:
    """Note in a joined dataset that both of its parts were recorded in the simulator, so rollouts fit it."""
    path = root / GROUND_TRUTH / RECORDING
    if not path.exists():
        write_json(path, {"fingerprint": "joined"})


def _watch(process: "subprocess.Popen[bytes]", outcomes: Path, episodes: int) -> None:
    with tqdm(total=episodes, desc="lerobot-rollout", unit="episode") as bar:
        while process.poll() is None:
            time.sleep(1)
            bar.n = len(read_outcomes(outcomes)) if outcomes.exists() else 0
            bar.refresh()


def _report(config: Config, rounds: list[dict[str, Any]], folder: Path) -> dict[str, Any]:
    wanted = seeds.seed_range(seeds.ROLLOUTS, config.rollouts.first_seed, config.rollouts.episodes)
    outcomes: list[Any] = []
    for results in rounds:
        played = read_rollouts(Path(results["rollouts"]["rollouts_file"]))
        outcomes.append(np.array([[played[seed].success for seed in wanted]]))
    before, after = outcomes
    gain = intervals.paired_difference(after, before)
    p = significance.mcnemar(int((after & ~before).sum()), int((before & ~after).sum()))
    found: dict[str, Any] = {
        "first_round": rounds[0]["rollouts"]["success"],
        "second_round": rounds[1]["rollouts"]["success"],
        "gain": {"value": gain.value, **gain.limits, "p": p},
    }
    print()
    for name in ("first_round", "second_round"):
        print(f"{name.replace('_', ' ')}:  {intervals.Proportion(**found[name])}")
    interval = (
        "no interval: a single start state" if found["gain"]["low"] is None
        else f"95 % interval {100 * gain.low:+.0f} to {100 * gain.high:+.0f}, McNemar p = {p:.2g}"
    )  # fmt: skip
    print(f"gain: {100 * gain.value:+.0f} points ({interval}; of these two trainings, on other start states)")
    write_json(folder / "loop.json", found)
    return found
