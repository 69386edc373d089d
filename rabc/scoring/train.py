"""Training of the small scorer on simulated progress: `train`, then `save_scorer`.

Every decision is a function of (seed, step), so a killed training that goes on from its checkpoint sees the
clips it would have seen.
"""

import math
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from rabc.errors import InputError
from rabc.scoring.branch import branch_log_probs
from rabc.scoring.clips import ScorerEpisode, TrainingClip, training_clip

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

POOL = 4
"""Batches drawn together and sorted by length, so that little of a batch is padding."""


@dataclass(frozen=True)
class TrainingResult:
    """What a finished training did."""

    steps: int
    """Optimizer steps."""
    seconds: float
    """Wall-clock time in the loop, all resumed parts together."""
    loss: float
    """Mean loss of the last steps (at most 100)."""


def train(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Qwen3VLProcessor",
    episodes: Sequence[ScorerEpisode],
    checkpoint: Path,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    batch_size: int = 8,
    num_ends: int = 8,
    lr: float = 6e-4,
    warmup_steps: int = 50,
    bfloat16: bool = True,
    checkpoint_seconds: float = 60.0,
    show_progress: bool = True,
) -> TrainingResult:
    """Trains `model` in place, for `steps` or for `minutes` of wall-clock time (one of the two).

    checkpoint: file written about every `checkpoint_seconds` and at the end, and continued from when it is
    there; with `steps` the continued training equals an uninterrupted one. batch_size: clips per step, each
    asked up to four questions after `num_ends` prefixes. bfloat16: autocast; the weights stay float32.
    Raises InputError for no episodes, fewer than two colours, or a checkpoint of another training.
    """
    if (steps is None) == (minutes is None):
        raise ValueError("give either steps or minutes")
    colors = sorted({color for episode in episodes for color in (episode.color, *episode.distractors)})
    if len(colors) < 2:
        raise InputError(f"colors {colors}: training needs wrong instructions; record at least two colours")
    plan = {
        "seed": seed, "batch_size": batch_size, "num_ends": num_ends, "lr": lr, "warmup_steps": warmup_steps,
        "steps": steps, "minutes": minutes, "episodes": len(episodes),
        "frames": sum(len(episode.frames) for episode in episodes),
    }  # fmt: skip
    optimizer = torch.optim.AdamW(model.parameters(), lr=lr, weight_decay=0.01)
    step, before, losses = _resume(checkpoint, plan, model, optimizer)
    source = _ClipSource(episodes, colors, float(_video_processor(processor).fps), num_ends, batch_size, seed)
    started = saved = time.monotonic()
    model.train()
    with tqdm(total=steps, initial=step, desc="scorer", unit="step", disable=not show_progress) as bar:
        while True:
            now = time.monotonic()
            seconds = before + now - started
            done = step / steps if steps is not None else seconds / (60.0 * (minutes or 1.0))
            if done >= 1.0:
                break
            rate = (
                lr
                * min(1.0, (step + 1) / warmup_steps)
                * (0.05 + 0.95 * 0.5 * (1 + math.cos(math.pi * done)))
            )
            for group in optimizer.param_groups:
                group["lr"] = rate
            loss = _step(model, processor, source.batch(step), optimizer, bfloat16)
            losses = [*losses[-99:], loss]
            step += 1
            bar.update()
            bar.set_postfix_str(f"loss {np.mean(losses):.4f}, {100 * done:.0f} %")
            if time.monotonic() - saved > checkpoint_seconds:
                _save(checkpoint, plan, model, optimizer, step, before + time.monotonic() - started, losses)
                saved = time.monotonic()
    seconds = before + time.monotonic() - started
    _save(checkpoint, plan, model, optimizer, step, seconds, losses)
    model.eval()
    return TrainingResult(step, seconds, float(np.mean(losses)) if losses else float("nan"))


def clip_loss(log_probs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over (M, E) of KL(Bernoulli(target) || scorer) + 0.1 (log p(True) - target)^2.

    log_probs: (M, E, 2) of True and False, nats; target: (M, E) of log p(True). The KL alone hardly tells
    small probabilities apart, where log p moves most; the squared term does.
    """
    true, false = log_probs.unbind(dim=-1)
    p = target.exp()
    kl = p * (target - true) + torch.special.xlogy(1 - p, 1 - p) - (1 - p) * false
    return (kl + 0.1 * (true - target).square()).mean()


def save_scorer(
    model: "Qwen3VLForConditionalGeneration", processor: "Qwen3VLProcessor", folder: Path
) -> None:
    """Writes bfloat16 safetensors and processor files to `folder`, replacing it; `model` is unchanged."""
    temporary = folder.with_name(folder.name + ".part")
    shutil.rmtree(temporary, ignore_errors=True)
    temporary.mkdir(parents=True)
    half: Any = type(model)(model.config)
    half.to(torch.bfloat16)
    half.load_state_dict(model.state_dict())
    half.save_pretrained(temporary)
    processor.save_pretrained(temporary)
    if folder.exists():
        shutil.rmtree(folder)
    os.replace(temporary, folder)


@dataclass
class _ClipSource:
    episodes: Sequence[ScorerEpisode]
    colors: Sequence[str]
    sample_fps: float
    num_ends: int
    batch_size: int
    seed: int
    _group: int = -1
    _batches: tuple[tuple[TrainingClip, ...], ...] = ()

    def batch(self, step: int) -> tuple[TrainingClip, ...]:
        group = step // POOL
        if group != self._group:
            rng = np.random.default_rng((self.seed, group))
            picks = rng.integers(len(self.episodes), size=POOL * self.batch_size)
            clips = [
                training_clip(self.episodes[i], self.colors, self.sample_fps, self.num_ends, rng)
                for i in picks
            ]
            clips.sort(key=lambda item: len(item.clip.frames))
            order = rng.permutation(POOL) * self.batch_size
            self._batches = tuple(tuple(clips[at : at + self.batch_size]) for at in order)
            self._group = group
        return self._batches[step % POOL]


def _step(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Qwen3VLProcessor",
    batch: Sequence[TrainingClip],
    optimizer: torch.optim.Optimizer,
    bfloat16: bool,
) -> float:
    with torch.autocast(model.device.type, torch.bfloat16, enabled=bfloat16):
        outputs = branch_log_probs(model, processor, [item.clip for item in batch])
    targets = [item.log_prob.to(model.device) for item in batch]
    losses = [clip_loss(output, target) for output, target in zip(outputs, targets, strict=True)]
    loss = torch.stack(losses).mean()
    optimizer.zero_grad()
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    optimizer.step()
    return float(loss.detach())


def _save(
    path: Path,
    plan: dict[str, Any],
    model: torch.nn.Module,
    optimizer: torch.optim.Optimizer,
    step: int,
    seconds: float,
    losses: list[float],
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    state = {
        "plan": plan, "model": model.state_dict(), "optimizer": optimizer.state_dict(), "step": step,
        "seconds": seconds, "losses": losses,
    }  # fmt: skip
    temporary = path.with_name(path.name + ".part")
    torch.save(state, temporary)
    os.replace(temporary, path)


def _resume(
    path: Path, plan: dict[str, Any], model: torch.nn.Module, optimizer: torch.optim.Optimizer
) -> tuple[int, float, list[float]]:
    if not path.exists():
        return 0, 0.0, []
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["plan"] != plan:
        changed = ", ".join(key for key in plan if state["plan"].get(key) != plan[key])
        raise InputError(f"scorer checkpoint {path}: is of another training ({changed} differ); delete it")
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    return state["step"], state["seconds"], state["losses"]


def _video_processor(processor: "Qwen3VLProcessor") -> Any:
    return processor.video_processor  # pyright: ignore[reportAttributeAccessIssue]
