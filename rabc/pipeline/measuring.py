"""Pieces of a run's work, done on random data of its sizes, to see how long they take here."""

import contextlib
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from einops import rearrange
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from numpy.typing import NDArray

from rabc.config.settings import Config, DemonstrationsConfig, ScorerConfig
from rabc.datasets.tables import FrameTable
from rabc.system.device import resolve_precision
from rabc.training.data import Batch, ChunkDataset
from rabc.training.module import WeightedPolicy
from rabc.training.optimizers import optimization
from rabc.training.run import training_module
from rabc.training.windows import Windows

ENOUGH_S = 2.0
"""Seconds after which no further repetition is measured."""
_LONG_S = 4.0
"""A training step that would take longer is measured with few samples."""
_FEW = 2
_TICKS = 12
_UNTIMED_TICKS = 2  # the first picture makes the renderer
_FRAMES = 64
_TICKS_PER_FRAME = 2  # of the scorer's camera, as the shipped scorers see it


@dataclass(frozen=True)
class RandomFrames:
    """Pictures of noise, of the sizes that the policy sees."""

    shapes: dict[str, tuple[int, int]]
    """Camera -> height, width."""

    def read(self, index: NDArray[np.int64]) -> dict[str, NDArray[np.uint8]]:
        """camera -> (..., H, W, 3) for frames `index` (...)."""
        rng = np.random.default_rng(0)
        return {
            camera: rng.integers(0, 256, (*index.shape, *shape, 3), np.uint8)
            for camera, shape in self.shapes.items()
        }


def simulated_metadata(settings: DemonstrationsConfig, folder: Path) -> LeRobotDatasetMetadata:
    """Metadata, in `folder`, of demonstrations that have not been recorded yet."""
    from rabc.sim.environment import FPS
    from rabc.sim.recorder import dataset_features

    features = dataset_features(settings.image_size)
    meta = LeRobotDatasetMetadata.create("local/measured", FPS, features, root=folder / "measured")
    meta.stats = {
        name: {
            statistic: np.full((3, 1, 1) if feature["dtype"] == "video" else feature["shape"], value)
            for statistic, value in {"mean": 0.5, "std": 0.25, "min": 0.0, "max": 1.0}.items()
        }
        for name, feature in features.items()
    }
    return meta


def training_step(config: Config, meta: LeRobotDatasetMetadata | None, device: str) -> float:
    """Seconds of an optimizer step of one process; meta: of the dataset, None: simulated demonstrations."""
    if config.trainer.threads:
        torch.set_num_threads(config.trainer.threads)
    # Other initial weights cost the same and would be a download.
    policy = replace(config.policy, pretrained_backbone_weights=None)
    with metadata_of(config, meta) as known:
        torch.manual_seed(config.seed)
        module = training_module(replace(config, policy=policy), known, np.ones(_FRAMES, np.float32), device)
    trained = _Training(config, module, device)
    size = config.trainer.batch_size
    few = min(_FEW, size)
    trained.step(few)
    seconds = trained.step(few) * size / few
    if seconds < _LONG_S and few < size:
        trained.step(size)
        seconds = _median(lambda: trained.step(size))
    return seconds * config.trainer.accumulate_grad_batches


class _Training:
    """The steps of a training: forward, backward, clipping, optimizer."""

    def __init__(self, config: Config, module: WeightedPolicy, device: str) -> None:
        self._module = module.train()
        self._device = torch.device(device)
        self._chosen = optimization(module.policy, config.trainer)
        self._half = resolve_precision(config.trainer.precision, device) == "bf16-mixed"
        settings: Any = module.policy.config
        vectors = {
            key: tuple(feature.shape)
            for key, feature in {**settings.input_features, **settings.output_features}.items()
            if key not in settings.image_features
        }
        shapes = {key: tuple(feature.shape[1:]) for key, feature in settings.image_features.items()}
        self._data = ChunkDataset(_table(vectors), RandomFrames(shapes), Windows.of(settings))

    def step(self, samples: int) -> float:
        """Seconds of a step of a batch."""
        index = np.arange(samples, dtype=np.int64) % _FRAMES
        loaded = self._data.batch(index)
        batch: Batch = {
            key: value.to(self._device) if isinstance(value, torch.Tensor) else value
            for key, value in loaded.items()
        }
        batch.update(step=0, position=0, step_samples=samples)
        batch["step_valid_ticks"] = self._data.valid_ticks(index)
        weights = torch.ones(samples, device=self._device)
        start = self._now()
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._half):
            terms = self._module.losses(batch, 0)
            loss = self._module.weighted_loss(batch, terms, weights)
        loss.total.backward()
        torch.nn.utils.clip_grad_norm_(self._module.policy.parameters(), self._chosen.clip_norm)
        self._chosen.optimizer.step()
        self._chosen.optimizer.zero_grad()
        return self._now() - start

    def _now(self) -> float:
        if self._device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


def _table(vectors: dict[str, tuple[int, ...]]) -> FrameTable:
    """One episode of random vectors."""
    rng = np.random.default_rng(0)
    zeros = np.zeros(_FRAMES, np.int64)
    return FrameTable(
        episode_index=zeros,
        frame_index=np.arange(_FRAMES),
        episode_start=zeros,
        episode_end=zeros + _FRAMES,
        task=np.array(["measure"] * _FRAMES, object),
        vectors={name: rng.random((_FRAMES, *shape), np.float32) for name, shape in vectors.items()},
        fps=1.0,  # nothing here looks at the time
    )


def scored_clip(config: ScorerConfig, shape: tuple[int, int], frames: int, fps: float, device: str) -> float:
    """Seconds of scoring all prefixes of an episode.

    Args:
        config: of the scorer.
        shape: height and width of the camera's pictures, pixels.
        frames: of the episode.
        fps: of the camera.
        device: a torch device.
    """
    from rabc.scoring.base import Clip
    from rabc.scoring.configured import load_scorer

    with contextlib.redirect_stdout(io.StringIO()):  # how it scores is said when it does
        scorer = load_scorer(config, device)
    indices = scorer.frame_indices(frames, fps)
    pictures = RandomFrames({"": shape}).read(indices)[""]
    seen = torch.from_numpy(rearrange(pictures, "t h w c -> t c h w"))
    clip = Clip(seen, frames, fps, "Pick up the cube and lift it.")

    def score() -> float:
        start = time.perf_counter()
        scorer.score_clips([clip], config.num_prefixes)
        return time.perf_counter() - start

    first = score()
    return first if first > ENOUGH_S else _median(score)


def simulated_tick(settings: DemonstrationsConfig) -> float:
    """Seconds of a control tick of a demonstration with the pictures of both cameras, in one process."""
    from rabc.sim.demonstrate import demonstrate
    from rabc.sim.environment import CAMERAS, Simulator
    from rabc.sim.scene import Scene

    taken: list[float] = []
    with Simulator(image_size=settings.image_size, task=settings.task) as simulator:
        steps = demonstrate(simulator, 0, "clean", Scene(task=settings.task)).steps()
        for _ in range(_TICKS):
            start = time.perf_counter()
            next(steps)
            for camera in CAMERAS:
                simulator.render(camera)
            taken.append(time.perf_counter() - start)
    return statistics.median(taken[_UNTIMED_TICKS:])


def rollout_tick(config: Config, meta: LeRobotDatasetMetadata | None) -> float:
    """Seconds of a control tick of a rollout, the policy's part among them, in one process of one thread."""
    from rabc.rollouts.play import RolloutJob, chunk_policy, roll_out
    from rabc.sim.environment import CAMERAS, Simulator

    settings, most = config.demonstrations, torch.get_num_threads()
    policy = replace(config.policy, pretrained_backbone_weights=None)
    with metadata_of(config, meta) as known:
        module = training_module(replace(config, policy=policy), known, np.ones(1, np.float32), "cpu")
    parts = module.stock_parts()
    playing = chunk_policy(parts.policy, parts.preprocessor, parts.postprocessor)
    ticks = max(_TICKS, 2 * config.policy.n_action_steps)
    job = RolloutJob(
        Path("measured"), 0, _UNTIMED_TICKS, CAMERAS[0], _TICKS_PER_FRAME, settings.image_size, settings.task
    )
    torch.set_num_threads(1)
    try:
        with Simulator(image_size=settings.image_size, task=settings.task) as simulator:
            roll_out(simulator, playing, job)
            start = time.perf_counter()
            played = roll_out(simulator, playing, replace(job, max_ticks=ticks))
            return (time.perf_counter() - start) / played.ticks
    finally:
        torch.set_num_threads(most)


@contextlib.contextmanager
def metadata_of(config: Config, meta: LeRobotDatasetMetadata | None) -> Any:
    """The metadata that is there, or that of demonstrations to be recorded."""
    if meta is not None:
        yield meta
        return
    with tempfile.TemporaryDirectory() as folder:
        yield simulated_metadata(config.demonstrations, Path(folder))


def _median(work: Callable[[], float]) -> float:
    """Median seconds of a few repetitions, as many as there is time for."""
    taken = [work()]
    while len(taken) < 3 or (sum(taken) < ENOUGH_S and len(taken) < 15):
        taken.append(work())
    return statistics.median(taken)
