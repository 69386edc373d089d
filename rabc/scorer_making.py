"""Makes the small scorer: simulated episodes, training, measurement, model card."""

import json
from dataclasses import asdict
from pathlib import Path

import torch

from rabc.scorer_report import ScorerReport, report
from rabc.scoring import small
from rabc.scoring.clips import ScorerEpisode
from rabc.scoring.topreward import TOPReward
from rabc.scoring.train import Curriculum, TrainingResult, save_scorer, train
from rabc.sim import seeds
from rabc.sim.environment import COLORS
from rabc.sim.scorer_data import SimulatedEpisode, scorer_episodes
from rabc.stages import duration


def make_scorer(
    folder: Path,
    data: Path,
    episodes: int,
    test_episodes: int,
    curriculum: Curriculum,
    seed: int,
    threads: int,
) -> ScorerReport:
    """Train on `episodes` simulated episodes, write the model to `folder` and report on held-out ones.

    data: where simulated episodes and the training's checkpoint are kept.
    """
    if threads:
        torch.set_num_threads(threads)
    training = scorer_episodes(data / "train", seeds.SCORER_TRAINING, episodes, processes=2)
    processor = small.build_processor()
    model = small.build_model(processor, seed)
    result = train(
        model, processor, [_training_episode(e) for e in training], data / "training.ckpt", curriculum, seed
    )
    save_scorer(model, processor, folder)
    measured = report(
        TOPReward.from_pretrained(str(folder)),
        scorer_episodes(data / "test", seeds.SCORER_TEST, test_episodes, processes=2),
    )
    (folder / "README.md").write_text(model_card(measured, result, episodes, curriculum, seed))
    print(json.dumps(asdict(measured), indent=2))
    return measured


def _training_episode(episode: SimulatedEpisode) -> ScorerEpisode:
    return ScorerEpisode(episode.frames, episode.progress, episode.color, episode.present[1:])


def model_card(
    measured: ScorerReport, result: TrainingResult, episodes: int, curriculum: Curriculum, seed: int
) -> str:
    """README of the scorer's folder."""
    rows = "\n".join(f"| {what} | {value} | {wanted} |" for what, value, wanted, _ in measured.checks())
    return f"""---
library_name: transformers
pipeline_tag: video-text-to-text
tags: [robotics, reward-model, so101, rabc]
license: apache-2.0
---

# so101-scorer

A Qwen3-VL of 3.5 million parameters that judges how far a *simulated* SO-101 arm has got with lifting a cube
of a named colour. It exists so that everything in rabc runs without a download: it goes through exactly the
code that scores with Qwen3-VL-8B, and loads the same way.

## What it was trained on

{episodes} episodes of so101-nexus's MuJoCo pick-and-lift, front camera, 96x96 pixels, rendered without
shadows: clean and flawed scripted demonstrations, cubes of {", ".join(COLORS)}, up to three distractors. The
target of log p(True) is -4 (1 - simulator progress) for the instruction that is carried out and -4 for any
other colour; clips are warped in time (static, paused, reversed, faster, slower, cut), so that neither the
length of a clip nor its clock tells progress. {curriculum.align} steps of seeing colours,
{curriculum.glances} on single moments, {curriculum.clips} on whole clips; {duration(result.seconds)} on a
CPU; seed {seed}. Weights are stored in bfloat16.

## What it is not for

Real video, other tasks, other cameras, another simulator or lighting: it has seen none and its figures say
nothing about them. Use `Qwen/Qwen3-VL-8B-Instruct` there. On its own simulator it was trained with the
simulator's progress, so it is a stand-in for a good scorer, not evidence that a general one is good.

## Measured on {measured.episodes} held-out demonstrations

Seeds that nothing else uses. `python scripts/evaluate_scorer.py` prints these figures again.

| | measured | required |
| --- | --- | --- |
{rows}
| VOC, all demonstrations | {measured.voc_all:.3f} | |
| VOC, static video | {measured.static_voc:.3f} | |
| mean error of progress | {measured.progress_error:.3f} | |

VOC is Spearman's correlation of log p(True) with time; it has no scale, so a static clip's drift of a
hundredth of a nat may give any value: the rise is what counts.
"""
