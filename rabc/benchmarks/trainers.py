"""`lerobot-train` and `rabc train` as a user runs them, on the same work."""

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rabc.benchmarks.recordings import weights_of_one
from rabc.config import yaml_file
from rabc.config.checks import TYPES_WITH
from rabc.config.settings import Config, DatasetConfig, DemonstrationsConfig, RolloutsConfig, WeightsConfig

_SECONDS_BETWEEN_LOOKS = 0.2
POINTS = 10
"""Of a training's log; what comes before the first is left out of steady figures."""
# Settings that are named or placed differently, and mean the same or nothing for training.
_NOT_COMPARED = {"input_features", "resize_shape", "repo_id", "pretrained_path"}


@dataclass(frozen=True)
class Memory:
    """Resident memory of a process, MB."""

    peak: float
    """Largest, which may lie in its start, a checkpoint or the export."""
    median: float
    """Over time: what it has while it trains, if that takes most of its time."""


@dataclass(frozen=True)
class Trained:
    """A training that ended."""

    seconds: float
    """Wall-clock of the whole command."""
    step_seconds: float
    """Of a step, by the command's own log, once it runs."""
    data_wait: float
    """Share of a step in which it waited for data, by the command's own log."""
    policy: dict[str, Any]
    """`config.json` of the policy it leaves."""
    memory: Memory
    """Of the process that trains, without loading processes."""


def fair(config: Config, root: Path) -> Config:
    """`config` on the dataset `root`, doing what `lerobot-train` does: same optimizer, precision and work.

    All frames have weight 1; nothing is recorded, scored or rolled out.
    """
    steps = config.trainer.max_steps
    trainer = replace(
        config.trainer, lerobot_preset=True, precision="32-true", state_noise=0.0, checkpoint_every=steps,
        log_every=log_every(steps),
    )  # fmt: skip
    return replace(unscored(config, root), trainer=trainer)


def unscored(config: Config, root: Path) -> Config:
    """`config` on the dataset `root` with weights of 1, from the dataset to the policy and no further."""
    return replace(
        config,
        run="benchmark",
        dataset=DatasetConfig(path=str(root.resolve())),
        demonstrations=DemonstrationsConfig(simulate=False),
        weights=WeightsConfig(scheme="static", weights_file=str(weights_of_one(root.resolve()))),
        rollouts=RolloutsConfig(episodes=0),
    )


def log_every(steps: int) -> int:
    """Steps between two points of the log."""
    return max(1, steps // POINTS)


def train_ours(config: Config, folder: Path) -> Trained:
    """`rabc train` started in the empty `folder`."""
    folder.mkdir(parents=True)
    file = folder / "benchmark.yaml"
    file.write_text(yaml_file.dump(config))
    seconds, memory = measure_command([sys.executable, "-m", "rabc", "train", "--config", str(file)], folder)
    [board] = folder.glob("outputs/benchmark/training-*")
    rate, waited = (_points(board, name) for name in ("samples_per_second", "data_wait"))
    written = folder / "checkpoints" / "benchmark" / "pretrained_model" / "config.json"
    return Trained(
        seconds, float(np.median(config.trainer.samples_per_step / rate)), float(waited.mean()),
        json.loads(written.read_text()), memory,
    )  # fmt: skip


def train_theirs(config: Config, folder: Path) -> Trained:
    """`lerobot-train` with the same policy, dataset, batch size and number of steps."""
    folder.mkdir(parents=True)
    output = folder / "output"
    program = Path(sys.executable).with_name("lerobot-train")
    seconds, memory = measure_command([str(program), *lerobot_arguments(config, output)], folder)
    update, data = steady((folder / "log.txt").read_text())
    written = output / "checkpoints" / "last" / "pretrained_model" / "config.json"
    return Trained(seconds, update + data, data / (update + data), json.loads(written.read_text()), memory)


def lerobot_arguments(config: Config, output: Path) -> list[str]:
    """Command line of `lerobot-train` for what `config` describes.

    Its loading processes: its default of 4, but no more than there are cores.
    """
    policy, trainer = config.policy, config.trainer
    names = {name for name, types in TYPES_WITH.items() if policy.type in types} - {"batch_norm"}
    settings = {name: getattr(policy, name) for name in sorted(names)}
    settings |= {"n_action_steps": policy.n_action_steps, **policy.extra}
    if policy.resize_shape is not None:
        settings["resize_shape"] = policy.resize_shape
    return [
        f"--policy.type={policy.type}",
        *(f"--policy.{name}={json.dumps(value)}" for name, value in settings.items()),
        f"--policy.device={config.device}",
        "--policy.push_to_hub=false",
        "--dataset.repo_id=local/benchmark",
        f"--dataset.root={config.dataset.paths[0]}",
        "--dataset.use_imagenet_stats=false",
        f"--batch_size={trainer.batch_size}",
        f"--steps={trainer.max_steps}",
        f"--num_workers={min(4, os.cpu_count() or 1)}",
        f"--log_freq={trainer.log_every}",
        "--env_eval_freq=0",
        f"--output_dir={output}",
    ]


def steady(log: str) -> tuple[float, float]:
    """Seconds of an update and of its data, by a log of `lerobot-train` without its first point."""
    found = re.findall(r"updt_s:([0-9.]+) data_s:([0-9.]+)", log)
    if not found:
        raise ValueError("lerobot-train: its log has no updt_s and data_s")
    update, data = np.median(np.array(found[1:] or found, float), axis=0)
    return float(update), float(data)


def differing(ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """Settings of two policies' `config.json` that differ, apart from how the pictures get their size."""
    keys = (ours.keys() | theirs.keys()) - _NOT_COMPARED
    return {key: (ours.get(key), theirs.get(key)) for key in keys if ours.get(key) != theirs.get(key)}


def _points(folder: Path, name: str) -> Any:
    """Values in TensorBoard (N,), without the first where there are more."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard")).Reload().Scalars(name)
    return np.array([event.value for event in events[1:] or events])


def measure_command(command: Sequence[str], folder: Path) -> tuple[float, Memory]:
    """Seconds and memory of a command, which writes `log.txt`. Both trainers get the same threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}
    looks: list[tuple[float, float]] = []
    start = time.perf_counter()
    with (folder / "log.txt").open("w") as log:
        running = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            while running.poll() is None:
                found = resident(running.pid)
                looks += [found] if found else []
                time.sleep(_SECONDS_BETWEEN_LOOKS)
        finally:
            running.kill()  # if this was interrupted
            running.wait()
    seconds = time.perf_counter() - start
    if running.returncode != 0:
        last = (folder / "log.txt").read_text()[-2000:]
        raise RuntimeError(f"{' '.join(command[:3])} ... ended with {running.returncode}: {last}")
    peaks, now = zip(*looks, strict=True)
    return seconds, Memory(max(peaks), float(np.median(now)))


def resident(process: int) -> tuple[float, float] | None:
    """Largest resident memory so far of a process and that of now, MB; None once it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return None
    found = re.findall(r"^Vm(?:HWM|RSS):\s+(\d+) kB", status, re.MULTILINE)
    return (int(found[0]) / 1024, int(found[1]) / 1024) if found else None
