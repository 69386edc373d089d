"""Training clips for the small scorer: simulated episodes, bent in time, asked about several colours."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from rabc.scoring.layout import Questions
from rabc.scoring.schedule import sample_frame_indices
from rabc.sim.scene import INSTRUCTIONS, Task

PRESENCE = "the {color} cube."
"""Asks in training only whether a cube is in view: colour words are learned from it, on every frame."""
LOG_PROB_SPAN = 4.0
"""log p(True) at progress 0 is minus this, nats; at progress 1 it is 0."""
MAX_TICKS, PLACE_MAX_TICKS = 160, 240
MIN_TICKS = 4


@dataclass(frozen=True)
class ScorerEpisode:
    """One simulated episode with its ground truth."""

    frames: NDArray[np.uint8]
    """uint8 (T, 3, H, W): every frame of one camera."""
    progress: NDArray[np.floating]
    """float (T,): the simulator's progress of the task, 0 to 1."""
    color: str
    """Colour of the cube that is handled."""
    distractors: tuple[str, ...] = ()
    """Colours of other cubes in view."""
    fps: float = 10.0
    """Rate of `frames`, Hz."""
    task: Task = "pick"
    """What is done with the cube."""


@dataclass(frozen=True)
class TrainingClip:
    """A clip and the log-probabilities the scorer should give it."""

    clip: Questions
    log_prob: torch.Tensor
    """float32 (M, E): target of log p(True), nats."""


def warp(num_frames: int, rng: np.random.Generator, max_ticks: int = MAX_TICKS) -> NDArray[np.int64]:
    """Source frames (L,) int64 of a clip that is played statically, backwards, in part, faster, slower or
    paused.

    Labels follow the frames, so that neither the length of a clip nor the time written into it tells
    progress. MIN_TICKS <= L <= max_ticks.
    """
    if rng.random() < 0.15:
        frame = 0 if rng.random() < 0.5 else int(rng.integers(num_frames))
        return np.full(int(rng.integers(MIN_TICKS, max_ticks)), frame, dtype=np.int64)
    source = np.arange(num_frames)
    if rng.random() < 0.08:
        source = source[::-1]
    if rng.random() < 0.25:
        source = source[int(rng.integers(0, max(1, len(source) // 2))) :]
    if rng.random() < 0.25:
        source = source[: int(rng.integers(max(1, len(source) // 4), len(source) + 1))]
    if rng.random() < 0.4:
        speed = float(rng.uniform(0.7, 1.5))
        source = source[np.arange(0, len(source) - 0.5, speed).astype(np.int64)]
    if rng.random() < 0.35:
        at, ticks = int(rng.integers(len(source))), int(rng.integers(5, 50))
        source = np.insert(source, at, np.full(ticks, source[at]))
    if len(source) < MIN_TICKS:
        source = np.pad(source, (0, MIN_TICKS - len(source)), mode="edge")
    return source[:max_ticks].astype(np.int64)


def training_clip(
    episode: ScorerEpisode, colors: Sequence[str], sample_fps: float, num_ends: int, rng: np.random.Generator
) -> TrainingClip:
    """One warped clip of `episode` with questions about M colours after at most `num_ends` prefixes."""
    source = warp(len(episode.frames), rng, MAX_TICKS if episode.task == "pick" else PLACE_MAX_TICKS)
    source = source[int(rng.integers(0, max(1, round(episode.fps / sample_fps)))) :]
    indices = sample_frame_indices(len(source), episode.fps, sample_fps)
    shown = source[indices]
    pairs = np.arange(2, len(shown), 2)
    chosen = rng.choice(pairs, min(num_ends - 1, len(pairs)), replace=False) if len(pairs) else pairs
    ends = np.append(np.sort(chosen), len(shown))
    return _ask(episode, shown, indices, ends, colors, rng)


def glance(
    episode: ScorerEpisode, colors: Sequence[str], sample_fps: float, rng: np.random.Generator
) -> TrainingClip:
    """One to three frame pairs up to a moment of `episode`, with the same questions, asked once (E = 1).

    Every level of progress is as likely as any other. Progress is a matter of what is in view, so a glance
    teaches it at a tenth of a whole clip's cost.
    """
    level = np.flatnonzero(np.abs(episode.progress - rng.random()) < 0.1)
    moment = int(rng.choice(level)) if len(level) else int(rng.integers(len(episode.frames)))
    ticks = max(1, round(episode.fps / sample_fps))
    count = 2 * int(rng.choice([1, 2, 3], p=[0.8, 0.1, 0.1]))
    shown = np.maximum(moment - ticks * np.arange(count)[::-1], 0)
    return _ask(episode, shown, ticks * np.arange(count), np.array([count]), colors, rng)


def _ask(
    episode: ScorerEpisode,
    shown: NDArray[np.int64],
    indices: NDArray[np.int64],
    ends: NDArray[np.int64],
    colors: Sequence[str],
    rng: np.random.Generator,
) -> TrainingClip:
    """The clip of frames `shown` (S,), which stand at `indices` (S,) of a raw video, with its questions.

    Asked: its own colour, log p(True) = -4 (1 - progress), linear in progress as TOPReward's min-max (Eq. 2)
    assumes; a wrong colour, -4, which is one in view half the time, if there is any; and as PRESENCE a colour
    on the table, 0, and one that is not, -4, which is the easier half of telling colours apart.
    """
    absent = [c for c in colors if c not in (episode.color, *episode.distractors)]
    in_view = [color for color in episode.distractors if color != episode.color]
    others = in_view if in_view and rng.random() < 0.5 else [c for c in colors if c != episode.color]
    wrong = others[int(rng.integers(len(others)))]
    right = -LOG_PROB_SPAN * (1.0 - np.clip(episode.progress[shown[ends - 1]], 0.0, 1.0))
    low = np.full_like(right, -LOG_PROB_SPAN)
    instruction = INSTRUCTIONS[episode.task]
    questions = [(instruction, episode.color, right), (instruction, wrong, low)]
    seen = (episode.color, *in_view)[int(rng.integers(1 + len(in_view)))]
    questions.append((PRESENCE, seen, np.zeros_like(right)))
    if absent:
        questions.append((PRESENCE, absent[int(rng.integers(len(absent)))], low))
    target = torch.from_numpy(np.stack([log_prob for _, _, log_prob in questions])).float()
    instructions = tuple(template.format(color=color) for template, color, _ in questions)
    frames = torch.from_numpy(np.ascontiguousarray(episode.frames[shown]))
    return TrainingClip(Questions(frames, indices, episode.fps, instructions, ends), target)
