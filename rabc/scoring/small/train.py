"""Training of the small scorer on simulated progress: `train`, then `save_scorer`.

Every decision is a function of (seed, step), so a killed training that goes on from its checkpoint sees the
clips it would have seen.
"""

import json
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from tqdm import tqdm

from rabc.scoring.qwen3_vl import answer, video_features
from rabc.scoring.small.alignment import ColorAlignment
from rabc.scoring.small.clips import ScorerEpisode, TrainingClip, glance, training_clip
from rabc.system.atomic import whole_file, whole_folder
from rabc.system.errors import InputError

if TYPE_CHECKING:
    from transformers import Qwen3VLForConditionalGeneration
    from transformers.models.qwen3_vl import Qwen3VLProcessor

POOL = 4
"""Batches drawn together and sorted by length, so that little of a batch is padding."""
GLANCES_PER_CLIP = 8
"""A glance costs about an eighth of a clip."""


@dataclass(frozen=True)
class Curriculum:
    """Steps of each part of the training: from what is cheap to learn to what it is for."""

    align: int = 200
    """Seeing colours: the vision encoder alone, on glances."""
    glances: int = 1000
    """Judging glances."""
    clips: int = 800
    """Judging prefixes of whole warped clips."""

    @property
    def steps(self) -> int:
        """All steps together."""
        return self.align + self.glances + self.clips


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
    curriculum: Curriculum = Curriculum(),
    seed: int = 0,
    batch_size: int = 5,
    num_ends: int = 8,
    lr: float = 1e-3,
    warmup_steps: int = 50,
    bfloat16: bool = True,
    checkpoint_seconds: float = 60.0,
    show_progress: bool = True,
) -> TrainingResult:
    """Trains `model` in place.

    checkpoint: file written about every `checkpoint_seconds` and at the end, and continued from when it is
    there; the continued training equals an uninterrupted one. batch_size: clips per step, each asked up to
    four questions after `num_ends` prefixes, or eight times as many glances. bfloat16: autocast; the weights
    stay float32. Raises InputError for no episodes, fewer than two colours, or a checkpoint of another
    training.
    """
    colors = sorted({color for episode in episodes for color in (episode.color, *episode.distractors)})
    if len(colors) < 2:
        raise InputError(f"colors {colors}: training needs wrong instructions; record at least two colours")
    plan = {
        "seed": seed, "batch_size": batch_size, "num_ends": num_ends, "lr": lr, "warmup_steps": warmup_steps,
        **asdict(curriculum), "episodes": len(episodes),
        "frames": sum(len(episode.frames) for episode in episodes),
    }  # fmt: skip
    learner = _Learner(model, processor, ColorAlignment(processor, colors), curriculum, lr, bfloat16)
    step, before, losses = _resume(checkpoint, plan, learner)
    source = _ClipSource(
        episodes, colors, float(_video_processor(processor).fps), num_ends, batch_size, seed, curriculum
    )
    started = saved = time.monotonic()
    model.train()
    with tqdm(
        total=curriculum.steps, initial=step, desc="scorer", unit="step", disable=not show_progress
    ) as bar:
        while step < curriculum.steps:
            rate = _schedule(step, curriculum.steps, warmup_steps)
            loss = learner.step(step, source.batch(step), rate)
            losses = [*losses[-99:], loss]
            step += 1
            bar.update()
            bar.set_postfix_str(f"loss {np.mean(losses):.4f}")
            if time.monotonic() - saved > checkpoint_seconds:
                _save(checkpoint, plan, learner, step, before + time.monotonic() - started, losses)
                saved = time.monotonic()
    seconds = before + time.monotonic() - started
    _save(checkpoint, plan, learner, step, seconds, losses)
    model.eval()
    return TrainingResult(step, seconds, float(np.mean(losses)) if losses else float("nan"))


def _schedule(step: int, steps: int, warmup_steps: int) -> float:
    """Share of the peak learning rate: linear warm-up, then a cosine down to 5 %."""
    cosine = 0.5 * (1 + math.cos(math.pi * step / steps))
    return min(1.0, (step + 1) / warmup_steps) * (0.05 + 0.95 * cosine)


def clip_loss(log_probs: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """Mean over (M, E) of KL(Bernoulli(target) || scorer) + 0.1 (log p(True) - target)^2.

    log_probs: (M, E, 2) of True and False, nats; target: (M, E) of log p(True). The KL alone hardly tells
    small probabilities apart, where log p moves most; the squared term does.
    """
    true, false = log_probs.unbind(dim=-1)
    p = target.exp()
    kl = p * (target - true) + torch.special.xlogy(1 - p, 1 - p) - (1 - p) * false
    return (kl + 0.1 * (true - target).square()).mean()


def check_target(folder: Path) -> None:
    """Raise InputError unless a scorer may be written to `folder`: nothing is there, or a Qwen3-VL is."""
    if not folder.exists():
        return
    try:
        kind = str(json.loads((folder / "config.json").read_text())["model_type"])
    except (OSError, ValueError, KeyError, TypeError):
        kind = ""
    if not kind.startswith("qwen3_vl"):
        raise InputError(
            f"folder {folder}: is there and holds no Qwen3-VL to replace; choose another or remove it"
        )


def save_scorer(
    model: "Qwen3VLForConditionalGeneration",
    processor: "Qwen3VLProcessor",
    folder: Path,
    card: Callable[[Path], str] | None = None,
) -> None:
    """Writes bfloat16 safetensors and processor files to `folder`, in place of a scorer that was there.

    card: makes the text of README.md from the folder of the files so far. `model` is unchanged. Raises
    InputError if `folder` holds anything but a scorer, or cannot be written.
    """
    check_target(folder)
    with whole_folder(folder) as temporary:
        half: Any = type(model)(model.config)
        half.to(torch.bfloat16)
        half.load_state_dict(model.state_dict())
        half.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        if card is not None:
            (temporary / "README.md").write_text(card(temporary))


@dataclass
class _ClipSource:
    episodes: Sequence[ScorerEpisode]
    colors: Sequence[str]
    sample_fps: float
    num_ends: int
    batch_size: int
    seed: int
    curriculum: Curriculum
    _group: int = -1
    _batches: tuple[tuple[TrainingClip, ...], ...] = ()

    def batch(self, step: int) -> tuple[TrainingClip, ...]:
        if step < self.curriculum.align + self.curriculum.glances:
            rng = np.random.default_rng((self.seed, 0, step))
            picks = rng.integers(len(self.episodes), size=GLANCES_PER_CLIP * self.batch_size)
            return tuple(glance(self.episodes[i], self.colors, self.sample_fps, rng) for i in picks)
        group = step // POOL
        if group != self._group:
            rng = np.random.default_rng((self.seed, 1, group))
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


class _Learner:
    """The model with all that changes while it learns."""

    def __init__(
        self,
        model: "Qwen3VLForConditionalGeneration",
        processor: "Qwen3VLProcessor",
        alignment: ColorAlignment,
        curriculum: Curriculum,
        lr: float,
        bfloat16: bool,
    ) -> None:
        self.model, self.processor, self.curriculum = model, processor, curriculum
        self.alignment = alignment.to(model.device)
        self.parameters = [*model.parameters(), *alignment.parameters()]
        self.optimizer = torch.optim.AdamW(self.parameters, lr=lr, weight_decay=0.01)
        self._lr, self._bfloat16 = lr, bfloat16

    def step(self, step: int, batch: Sequence[TrainingClip], rate: float) -> float:
        """One optimizer step at `rate` times the peak learning rate; the loss that counts in this part."""
        for group in self.optimizer.param_groups:
            group["lr"] = self._lr * rate
        clips = [item.clip for item in batch]
        # The last frame of each pair; an odd last frame is a pair with itself.
        shown = torch.cat(
            [
                clip.frames[np.minimum(np.arange(1, len(clip.frames) + 1, 2), len(clip.frames) - 1)]
                for clip in clips
            ]
        )
        with torch.autocast(self.model.device.type, torch.bfloat16, enabled=self._bfloat16):
            if step < self.curriculum.align:
                features, answers = video_features(self.model, self.processor, clips), None
            else:
                answered = answer(self.model, self.processor, clips)
                features, answers = answered.video_features, answered.log_probs
        loss = total = self.alignment(self.model, features, shown)
        if answers is not None:
            targets = [item.log_prob.to(self.model.device) for item in batch]
            loss = torch.stack([clip_loss(a, t) for a, t in zip(answers, targets, strict=True)]).mean()
            total = loss + total
        self.optimizer.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimizer.step()
        return float(loss.detach())

    def state_dict(self) -> dict[str, Any]:
        """Everything a checkpoint needs."""
        parts = {"model": self.model, "alignment": self.alignment, "optimizer": self.optimizer}
        return {name: part.state_dict() for name, part in parts.items()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a checkpoint."""
        self.model.load_state_dict(state["model"])
        self.alignment.load_state_dict(state["alignment"])
        self.optimizer.load_state_dict(state["optimizer"])


def _save(
    path: Path, plan: dict[str, Any], learner: _Learner, step: int, seconds: float, losses: list[float]
) -> None:
    state = {**learner.state_dict(), "plan": plan, "step": step, "seconds": seconds, "losses": losses}
    with whole_file(path) as temporary:
        torch.save(state, temporary)


def _resume(path: Path, plan: dict[str, Any], learner: _Learner) -> tuple[int, float, list[float]]:
    if not path.exists():
        return 0, 0.0, []
    state = torch.load(path, map_location="cpu", weights_only=True)
    if state["plan"] != plan:
        changed = ", ".join(key for key in plan if state["plan"].get(key) != plan[key])
        raise InputError(f"scorer checkpoint {path}: is of another training ({changed} differ); delete it")
    learner.load_state_dict(state)
    return state["step"], state["seconds"], state["losses"]


def _video_processor(processor: "Qwen3VLProcessor") -> Any:
    return processor.video_processor  # pyright: ignore[reportAttributeAccessIssue]
