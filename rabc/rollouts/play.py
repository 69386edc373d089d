"""The trained policy in the simulator, on start states that no demonstration used.

A rollout draws only the pictures somebody reads: both cameras when the policy is queried, the scorer's
camera at the scorer's sampling times. The judge is the simulator; the scorer looks at the same frames.
"""

import contextlib
import functools
import io
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange
from numpy.typing import NDArray

from rabc.sim.environment import FPS, Simulator
from rabc.sim.scene import Scene, Task
from rabc.sim.workers import in_processes

# After its success a rollout goes on this long, so that its last frames show the success.
TICKS_AFTER_SUCCESS = 5


@dataclass(frozen=True)
class RolloutJob:
    """One rollout to play."""

    policy_folder: Path
    """A LeRobot policy folder."""
    seed: int
    """Start state."""
    max_ticks: int
    """Control ticks until the rollout has failed."""
    camera: str
    """Camera whose frames are kept for the scorer."""
    ticks_per_frame: int
    """Control ticks between kept frames."""
    image_size: int = 96
    """Height and width of the cameras, pixels, as the demonstrations have them."""
    task: Task = "pick"
    """What the policy has to do."""


@dataclass(frozen=True)
class Rollout:
    """What happened in one rollout."""

    policy_folder: Path
    """Of the job."""
    seed: int
    success: bool
    """The simulator's verdict on the task: `Truth.success` at any tick."""
    ticks: int
    """Control ticks played."""
    closest_m: float
    """Smallest distance from the gripper's tool point to the cube's centre, metres."""
    frames: NDArray[np.uint8]
    """Kept frames (F, 3, H, W), one every `ticks_per_frame` ticks."""


@dataclass(frozen=True)
class ChunkPolicy:
    """A policy as rollouts use it."""

    history: int
    """Observations it wants: the current one and those of the ticks before."""
    actions: Callable[[Sequence[dict[str, Any]]], NDArray[np.float32]]
    """Observations as `simulator_observation` gives them, oldest first, `history` at most -> actions to
    execute (n, 6), LeRobot units."""


def roll_out(simulator: Simulator, policy: ChunkPolicy, job: RolloutJob) -> Rollout:
    """Play one rollout: query, execute the chunk, query again, until success or `max_ticks`."""
    simulator.reset(job.seed, Scene(task=job.task))
    frames: list[NDArray[np.uint8]] = []
    actions: list[NDArray[np.float32]] = []
    observations: deque[dict[str, Any]] = deque(maxlen=policy.history)
    closest, success_at, tick = np.inf, None, 0
    while tick < job.max_ticks and (success_at is None or tick < success_at + TICKS_AFTER_SUCCESS):
        if tick % job.ticks_per_frame == 0:
            frames.append(simulator.render(job.camera))
        if len(actions) < policy.history:  # the next query will see this tick
            observations.append(simulator_observation(simulator))
        if not actions:
            actions = list(policy.actions(observations))
        simulator.tick(actions.pop(0))
        tick += 1
        truth = simulator.truth()
        closest = min(closest, truth.distance)
        if truth.success and success_at is None:
            success_at = tick
    return Rollout(
        job.policy_folder,
        job.seed,
        success_at is not None,
        tick,
        float(closest),
        rearrange(frames, "t h w c -> t c h w"),
    )


def simulator_observation(simulator: Simulator) -> dict[str, Any]:
    """What a LeRobot robot would hand the policy now: unbatched, images float (3, H, W) in 0...1."""
    import torch

    from rabc.sim.environment import CAMERAS

    images = {
        f"observation.images.{camera}": rearrange(
            torch.from_numpy(simulator.render(camera)), "h w c -> c h w"
        ).float()
        / 255
        for camera in CAMERAS
    }
    return {
        "observation.state": torch.from_numpy(simulator.state()),
        "task": simulator.scene.instruction,
        **images,
    }


def load_policy(policy_folder: Path) -> ChunkPolicy:
    """The policy of a LeRobot folder, loaded by LeRobot alone.

    On the CPU: small policies answer faster there than a GPU shared with other processes.
    """
    from rabc.export.foreign import load_folder
    from rabc.system.errors import InputError

    try:
        with contextlib.redirect_stdout(io.StringIO()):  # LeRobot prints that it loads weights
            return chunk_policy(*load_folder(policy_folder))
    except (MemoryError, InputError):
        raise
    except Exception as error:  # whatever LeRobot stumbles over in a folder that is all data
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise InputError(
            f"policy {policy_folder}: LeRobot cannot load it ({reason}); `rabc check-policy {policy_folder}`"
        ) from error


def chunk_policy(policy: Any, preprocess: Any, postprocess: Any) -> ChunkPolicy:
    """A loaded LeRobot policy, in eval mode, as rollouts use it."""
    import torch

    config = policy.config
    to_execute = int(config.n_action_steps)  # every chunking policy has it
    offsets: Sequence[int] | None = config.observation_delta_indices
    history = 1 if offsets is None else len(offsets)

    def actions(observations: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
        # As LeRobot fills its queue: before there is a history, the first observation stands for it.
        missing = history - len(observations)
        seen = [preprocess(observation) for observation in [observations[0]] * missing + list(observations)]
        batch = dict(seen[-1])
        if offsets is not None:
            for key in (name for name in batch if name in (config.input_features or {})):
                batch[key] = torch.stack([observation[key] for observation in seen], dim=1)
        with torch.inference_mode():
            predicted = policy.predict_action_chunk(batch)[0, :to_execute]
            return postprocess(predicted).numpy().astype(np.float32)

    return ChunkPolicy(history, actions)


def roll_outs(jobs: Iterable[RolloutJob], processes: int) -> Iterable[Rollout]:
    """Play the jobs in several processes; results come in the order of completion."""
    return in_processes(_play, jobs, processes)


def _play(job: RolloutJob) -> Rollout:
    import torch

    simulator, policy = _simulator(job.image_size, job.task), _policy(job.policy_folder)
    torch.manual_seed(job.seed)  # of a diffusion policy's noise
    return roll_out(simulator, policy, job)


@functools.lru_cache(maxsize=1)
def _simulator(image_size: int, task: Task) -> Simulator:
    """One simulator a process."""
    return Simulator(image_size=image_size, task=task)


# More than a comparison has arms, which take turns.
@functools.lru_cache(maxsize=32)
def _policy(policy_folder: Path) -> ChunkPolicy:
    import torch

    from rabc.system.quiet import quiet_libraries

    quiet_libraries()
    torch.set_num_threads(1)
    return load_policy(policy_folder)


def ticks_per_frame(sample_fps: float) -> int:
    """Control ticks between the frames a scorer with this sampling rate wants."""
    return max(1, round(FPS / sample_fps))
