"""Episodes for training and testing the small scorer: many colours, distractors, every kind of flaw.

Seeds come from ranges of their own, so that no start state is shared with the demonstrations a policy
learns from or with the rollouts it is judged by.
"""

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from rabc.atomic import whole_file
from rabc.sim.demonstrator import AIM_ERROR_M, KINDS, Kind, demonstrate
from rabc.sim.environment import COLORS, Scene, Simulator
from rabc.sim.workers import in_processes

EPISODES_PER_FILE = 20
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
    """Colour of the cube the demonstrator picks."""
    present: tuple[str, ...]
    """Colours of all cubes on the table."""
    kind: Kind
    success: bool
    """Whether the cube is lifted at the end."""


def play(simulator: Simulator, seed: int, clumsy_share: float = CLUMSY_SHARE) -> SimulatedEpisode:
    """Play the episode that `seed` stands for: kind, scene and aim are drawn from the seed alone."""
    rng = np.random.default_rng(seed)
    kind = KINDS[int(rng.integers(len(KINDS)))]
    colors = [str(c) for c in rng.permutation(COLORS)[: 1 + int(rng.integers(MAX_DISTRACTORS + 1))]]
    aim_error = CLUMSY_AIM_ERROR_M if rng.random() < clumsy_share else AIM_ERROR_M
    demonstrator = demonstrate(simulator, seed, kind, Scene(colors[0], tuple(colors[1:])), aim_error)
    frames, progress = [], []
    for step in demonstrator.steps():
        frames.append(simulator.render("front"))
        progress.append(step.truth.progress)
    return SimulatedEpisode(
        frames=np.stack(frames).transpose(0, 3, 1, 2),
        progress=np.array(progress, dtype=np.float32),
        color=colors[0],
        present=tuple(colors),
        kind=kind,
        success=simulator.truth().success,
    )


def scorer_episodes(folder: Path, first_seed: int, count: int, processes: int) -> list[SimulatedEpisode]:
    """The episodes of `count` seeds, simulated once and kept in `folder`.

    A file that is not whole, or was made for fewer episodes, is made anew.
    """
    starts = range(first_seed, first_seed + count, EPISODES_PER_FILE)
    jobs = [
        (folder / f"{start}.npz", start, min(EPISODES_PER_FILE, first_seed + count - start))
        for start in starts
    ]
    folder.mkdir(parents=True, exist_ok=True)
    missing = [(path, start, wanted) for path, start, wanted in jobs if _kept(path) < wanted]
    with tqdm(
        total=count, initial=count - sum(job[2] for job in missing), desc="simulating", unit="episode"
    ) as bar:
        for made in in_processes(_simulate_file, missing, processes):
            bar.update(made)
    return [episode for path, _, wanted in jobs for episode in _read_file(path)[:wanted]]


def _kept(path: Path) -> int:
    """Episodes in a file; 0 where it is not there or damaged."""
    try:
        with np.load(path, allow_pickle=False) as file:
            return len(file["lengths"])
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return 0


def _simulate_file(job: tuple[Path, int, int]) -> int:
    path, start, count = job
    with Simulator(COLORS) as simulator:
        episodes = [play(simulator, seed) for seed in range(start, start + count)]
    arrays: dict[str, NDArray[np.generic]] = {
        "lengths": np.array([len(e.progress) for e in episodes]),
        "frames": np.concatenate([e.frames for e in episodes]),
        "progress": np.concatenate([e.progress for e in episodes]),
        "present": np.array([",".join(e.present) for e in episodes]),
        "kind": np.array([e.kind for e in episodes]),
        "success": np.array([e.success for e in episodes]),
    }
    with whole_file(path) as partial:
        np.savez(partial, **arrays)  # pyright: ignore[reportArgumentType]
    return count


def _read_file(path: Path) -> list[SimulatedEpisode]:
    with np.load(path, allow_pickle=False) as file:
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
        )
        for start, end, present, kind, success in zip(
            ends - data["lengths"], ends, data["present"], data["kind"], data["success"], strict=True
        )
    ]
