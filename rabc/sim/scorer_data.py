"""Episodes for training and testing the small scorer: many colours, distractors, many kinds of flaws.

Seeds come from ranges of their own, so that no start state is shared with the demonstrations a policy
learns from or with the rollouts it is judged by.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from einops import rearrange
from numpy.typing import NDArray
from tqdm import tqdm

from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import AIM_ERROR_M, Kind
from rabc.sim.environment import Simulator
from rabc.sim.scene import COLORS, Scene, Task
from rabc.sim.workers import in_processes
from rabc.system.atomic import whole_file
from rabc.system.errors import InputError

EPISODES_PER_FILE = 20
# Drawn from by number, so not all that there are: one more would make other episodes of the same seeds.
KINDS: tuple[Kind, ...] = ("clean", "stall", "retry", "drop", "detour", "give_up")
# A policy's near misses look unlike the scripted ones; clumsy aim makes some for the scorer to see.
CLUMSY_SHARE = 0.4
CLUMSY_AIM_ERROR_M = 0.012
MAX_DISTRACTORS = 3


@dataclass(frozen=True)
class SimulatedEpisode:
    """One demonstration as the scorer may see it, with the simulator's truth beside it."""

    frames: NDArray[np.uint8]
    """Front camera (T, 3, H, W) at 10 Hz."""
    progress: NDArray[np.float32]
    """Simulator progress (T,), 0...1."""
    color: str
    """Colour of the cube the demonstrator handles."""
    present: tuple[str, ...]
    """Colours of all cubes on the table."""
    kind: Kind
    success: bool
    """Whether the task is done at the end."""
    task: Task = "pick"


@dataclass(frozen=True)
class _Job:
    """One file of episodes."""

    path: Path
    seeds: range
    task: Task


def play(simulator: Simulator, seed: int, clumsy_share: float = CLUMSY_SHARE) -> SimulatedEpisode:
    """Play the episode that `seed` stands for: kind, scene and aim are drawn from the seed alone."""
    rng = np.random.default_rng(seed)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    colors = [str(c) for c in rng.permutation(COLORS)[: 1 + int(rng.integers(MAX_DISTRACTORS + 1))]]
    aim_error = CLUMSY_AIM_ERROR_M if rng.random() < clumsy_share else AIM_ERROR_M
    scene = Scene(colors[0], tuple(colors[1:]), simulator.task)
    demonstrator = demonstrate(simulator, seed, kind, scene, aim_error)
    frames, progress = [], []
    for step in demonstrator.steps():
        frames.append(simulator.render("front"))
        progress.append(step.truth.progress)
    return SimulatedEpisode(
        frames=rearrange(frames, "t h w c -> t c h w"),
        progress=np.array(progress, dtype=np.float32),
        color=colors[0],
        present=tuple(colors),
        kind=kind,
        success=simulator.truth().success,
        task=simulator.task,
    )


def scorer_episodes(
    folder: Path, first_seed: int, count: int, processes: int, task: Task = "pick"
) -> list[SimulatedEpisode]:
    """The episodes of `count` seeds, simulated once and kept in `folder`, where each task has its own files.

    A file that is not whole, or was made for fewer episodes, is made anew. Raises InputError where the folder
    cannot be made.
    """
    starts = range(first_seed, first_seed + count, EPISODES_PER_FILE)
    jobs = [
        _Job(
            folder / (f"{start}.npz" if task == "pick" else f"{task}-{start}.npz"),
            range(start, min(start + EPISODES_PER_FILE, first_seed + count)),
            task,
        )
        for start in starts
    ]
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError, PermissionError) as error:
        raise InputError(
            f"--data {folder.parent}: cannot hold simulated episodes ({error.strerror}); name a folder"
        ) from error
    missing = [job for job in jobs if _kept(job.path) < len(job.seeds)]
    done = count - sum(len(job.seeds) for job in missing)
    with tqdm(total=count, initial=done, desc="simulating", unit="episode") as bar:
        for made in in_processes(_simulate_file, missing, processes):
            bar.update(made)
    return [episode for job in jobs for episode in _read_file(job)[: len(job.seeds)]]


def _kept(path: Path) -> int:
    """Episodes in a file; 0 where it is not there or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return len(file["lengths"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return 0


def _simulate_file(job: _Job) -> int:
    with Simulator(COLORS, task=job.task) as simulator:
        episodes = [play(simulator, seed) for seed in job.seeds]
    arrays: dict[str, NDArray[np.generic]] = {
        "lengths": np.array([len(e.progress) for e in episodes]),
        "frames": np.concatenate([e.frames for e in episodes]),
        "progress": np.concatenate([e.progress for e in episodes]),
        "present": np.array([",".join(e.present) for e in episodes]),
        "kind": np.array([e.kind for e in episodes]),
        "success": np.array([e.success for e in episodes]),
    }
    with whole_file(job.path) as partial:
        np.savez(partial, **arrays)  # pyright: ignore[reportArgumentType]
    return len(episodes)


def _read_file(job: _Job) -> list[SimulatedEpisode]:
    with np.load(job.path, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    ends = np.cumsum(data["lengths"])
    return [
        SimulatedEpisode(
            frames=data["frames"][start:end],
            progress=data["progress"][start:end],
            color=str(present).split(",")[0],
            present=tuple(str(present).split(",")),
            kind=str(kind),  # pyright: ignore[reportArgumentType]
            success=bool(success),
            task=job.task,
        )
        for start, end, present, kind, success in zip(
            ends - data["lengths"], ends, data["present"], data["kind"], data["success"], strict=True
        )
    ]
