"""Makes the small scorer: simulated episodes, training, measurement, model card."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rabc.scoring.small import architecture
from rabc.scoring.small.clips import LOG_PROB_SPAN, ScorerEpisode
from rabc.scoring.small.report import ScorerReport, report
from rabc.scoring.small.train import Curriculum, check_target, save_scorer, train
from rabc.scoring.topreward import TOPReward
from rabc.sim import seeds
from rabc.sim.scene import COLORS, Task
from rabc.sim.scorer_data import SimulatedEpisode, scorer_episodes
from rabc.system.memory import memory_told
from rabc.system.terminal import duration

LESS_MEMORY = (
    "give fewer --episodes and --test_episodes, whose frames are all held in memory, or end other processes"
)


@memory_told("training a scorer", LESS_MEMORY)
def make_scorer(
    folder: Path,
    data: Path,
    episodes: int,
    test_episodes: int,
    curriculum: Curriculum,
    seed: int,
    threads: int,
    task: Task = "pick",
) -> ScorerReport:
    """Train on `episodes` simulated episodes, write the model to `folder` and report on held-out ones.

    data: where simulated episodes and the training's checkpoint of each task are kept. Raises InputError,
    before anything is done, if `folder` holds anything but a scorer; and when memory runs out.
    """
    check_target(folder)
    if threads:
        torch.set_num_threads(threads)
    training = scorer_episodes(data / "train", seeds.SCORER_TRAINING, episodes, processes=2, task=task)
    processor = architecture.build_processor(task)
    model = architecture.build_model(processor, seed)
    result = train(
        model, processor, [_training_episode(e) for e in training],
        data / ("training.ckpt" if task == "pick" else f"{task}-training.ckpt"), curriculum, seed,
    )  # fmt: skip
    test = scorer_episodes(data / "test", seeds.SCORER_TEST, test_episodes, processes=2, task=task)
    facts = ScorerFacts(
        name=folder.name,
        parameters=sum(parameter.numel() for parameter in model.parameters()),
        image_size=(training[0].frames.shape[2], training[0].frames.shape[3]),
        episodes=len(training),
        colors=tuple(color for color in COLORS if any(color in episode.present for episode in training)),
        distractors=max(len(episode.present) for episode in training) - 1,
        curriculum=curriculum,
        seconds=result.seconds,
        seed=seed,
        task=task,
    )
    measured: list[ScorerReport] = []

    def card(written: Path) -> str:
        measured.append(report(TOPReward.from_pretrained(str(written)), test))
        return model_card(facts, measured[0])

    save_scorer(model, processor, folder, card)
    print(json.dumps(asdict(measured[0]), indent=2))
    return measured[0]


@dataclass(frozen=True)
class ScorerFacts:
    """What was trained, and on what; for the model card."""

    name: str
    parameters: int
    image_size: tuple[int, int]
    """Height and width, pixels."""
    episodes: int
    colors: tuple[str, ...]
    """Colours of the cubes on the tables."""
    distractors: int
    """Largest number of other cubes on a table."""
    curriculum: Curriculum
    seconds: float
    """Wall-clock time of the training."""
    seed: int
    task: Task = "pick"


_TASKS: dict[Task, tuple[str, str]] = {
    "pick": ("lifting a cube of a named colour", "pick-and-lift"),
    "place": ("placing a cube of a named colour on a disc", "pick-and-place"),
}


def _training_episode(episode: SimulatedEpisode) -> ScorerEpisode:
    return ScorerEpisode(
        episode.frames, episode.progress, episode.color, episode.present[1:], task=episode.task
    )


def model_card(facts: ScorerFacts, measured: ScorerReport) -> str:
    """README of the scorer's folder."""
    curriculum = facts.curriculum
    doing, environment = _TASKS[facts.task]
    option = "" if facts.task == "pick" else f" --demonstrations.task {facts.task}"
    height, width = facts.image_size
    rows = "\n".join(f"| {what} | {value} | {wanted} |" for what, value, wanted, _ in measured.checks())
    more = "\n".join(f"| {what} | {value} | |" for what, value in measured.more())
    return f"""---
library_name: transformers
pipeline_tag: video-text-to-text
tags: [robotics, reward-model, so101, rabc]
license: apache-2.0
---

# {facts.name}

A Qwen3-VL of {facts.parameters / 1e6:.1f} million parameters that judges how far a *simulated* SO-101 arm
has got with {doing}. It exists so that everything in rabc runs without a download:
it goes through exactly the code that scores with Qwen3-VL-8B, and loads the same way.

## What it was trained on

{facts.episodes} episodes of so101-nexus's MuJoCo {environment}, front camera, {width}x{height} pixels,
rendered without shadows: clean and flawed scripted demonstrations, cubes of {", ".join(facts.colors)}, up to
{facts.distractors} distractors. The target of log p(True) is -{LOG_PROB_SPAN:g} (1 - simulator progress) for
the instruction that is carried out and -{LOG_PROB_SPAN:g} for any other colour; clips are warped in time
(static, paused, reversed, faster, slower, cut), so that neither the length of a clip nor its clock tells
progress. {curriculum.align} steps of seeing colours,
{curriculum.glances} on single moments, {curriculum.clips} on whole clips; {duration(facts.seconds)} on a
CPU; seed {facts.seed}. Weights are stored in bfloat16.

## What it is not for

Real video, other tasks, other cameras, another simulator or lighting: it has seen none and its figures say
nothing about them. Use `Qwen/Qwen3-VL-8B-Instruct` there. On its own simulator it was trained with the
simulator's progress, so it is a stand-in for a good scorer, not evidence that a general one is good.

## Measured on {measured.episodes} held-out demonstrations

Seeds that nothing else uses. `rabc evaluate-scorer --scorer.model <this folder>{option}`
prints these figures again.

| | measured | required |
| --- | --- | --- |
{rows}
{more}

VOC is Spearman's correlation of log p(True) with time; it has no scale, so a static clip's drift of a
hundredth of a nat may give any value: the rise is what counts.
"""
