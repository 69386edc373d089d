"""Trains in processes that are killed at random steps; prints the outcome as JSON.

    python killed_training.py POLICY DATASET FOLDER KILLS SEED

Each training is a process of its own, forked from this one, which has imported everything: importing anew
would take most of a minute for each. It notes the steps it begins, and is told nothing before it is killed.
"""

import json
import os
import random
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

STEPS = 24
CHECKPOINT_EVERY = 3
LONGEST_WAIT_S = 0.2  # about a step


def train_in_fork(config: Any, dataset: Path, folder: Path) -> int:
    """Starts a training; its process id."""
    pid = os.fork()
    if pid:
        return pid
    with folder.with_suffix(".log").open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    code = 1
    try:
        from rabc.training.module import WeightedPolicy
        from rabc.training.run import train
        from tests.support.training_runs import WEIGHTS

        step_of = WeightedPolicy.losses

        def noted(self: WeightedPolicy, batch: dict[str, Any], step: int) -> Any:
            with folder.with_suffix(".steps").open("a") as steps:
                steps.write(f"{step}\n")
            return step_of(self, batch, step)

        WeightedPolicy.losses = noted
        train(config, dataset, WEIGHTS, folder)
        code = 0
    finally:
        os._exit(code)
    raise AssertionError


def finish(config: Any, dataset: Path, folder: Path) -> None:
    _, status = os.waitpid(train_in_fork(config, dataset, folder), 0)
    assert status == 0, folder.with_suffix(".log").read_text()


def begun(folder: Path) -> list[int]:
    """Steps that were begun, in order; those after a checkpoint come again after a kill."""
    path = folder.with_suffix(".steps")
    return [int(line) for line in path.read_text().splitlines()] if path.exists() else []


def main(policy: str, dataset: Path, folder: Path, wanted: int, seed: int) -> None:
    from tests.support.training_runs import checkpoint, differing, tiny

    config = tiny(
        policy, max_steps=STEPS, checkpoint_every=CHECKPOINT_EVERY, deterministic=True, ema_decay=0.9
    )
    rng = random.Random(seed)
    finish(config, dataset, folder / "whole")
    expected = checkpoint(folder / "whole", STEPS)
    kills: list[int] = []  # steps in which they came
    different: list[str] = []
    round_ = folder / "killed"
    while len(kills) < wanted:
        shutil.rmtree(round_, ignore_errors=True)
        round_.with_suffix(".steps").unlink(missing_ok=True)
        moments = sorted(rng.sample(range(STEPS), min(4, wanted - len(kills))))
        for moment in moments:
            earlier = len(begun(round_))
            pid = train_in_fork(config, dataset, round_)
            ended = 0
            while not ended and not any(step >= moment for step in begun(round_)[earlier:]):
                ended = os.waitpid(pid, os.WNOHANG)[0]
                time.sleep(0.002)
            if ended:
                break  # the one before was killed when it had saved its last step
            time.sleep(rng.uniform(0, LONGEST_WAIT_S))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills.append(begun(round_)[-1])
        finish(config, dataset, round_)
        different += differing(checkpoint(round_, STEPS), expected)
    print(json.dumps({"kills": kills, "different": different}))


if __name__ == "__main__":
    from rabc.system.quiet import quiet_libraries

    quiet_libraries()
    import torch

    import rabc.training.run  # noqa: F401

    torch.set_num_threads(1)  # threads do not survive a fork
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), int(sys.argv[4]), int(sys.argv[5]))
