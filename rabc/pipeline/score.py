"""What `rabc score` does: a dataset in one process or several, or one video."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from einops import rearrange

from rabc.config.settings import Config
from rabc.datasets.episodes import read_episodes
from rabc.datasets.selection import parse_episodes
from rabc.diagnosis.dataset import diagnose_scores
from rabc.diagnosis.figures import Demonstration, plot_progress
from rabc.scoring.base import Clip, PrefixScores, Scorer
from rabc.scoring.configured import load_scorer
from rabc.scoring.episode_video import resized
from rabc.scoring.plan import ScoringPlan, carry_out, plan_scoring
from rabc.scoring.processes import launch
from rabc.scoring.video import decode_at, read_facts
from rabc.system.errors import InputError
from rabc.system.terminal import table
from rabc.weighting.assign import calibrated, leave_progress

PICTURES = 10


def score_dataset(config: Config, episodes: str | None, devices: int, num_nodes: int) -> None:
    """Scores the dataset, or some `episodes` of it, and prints what came out; once for all processes.

    When all episodes have scores, their progress is written too. Raises InputError for what cannot be scored.
    """
    from rabc.datasets.source import find_dataset
    from rabc.pipeline.checks import check_beforehand, check_dataset

    if devices < 1 or num_nodes < 1:
        raise InputError(f"--devices {devices} --num_nodes {num_nodes}: give 1 or more")
    chosen = None if episodes is None else parse_episodes(episodes)
    # Scoring never records: a folder that is not there is a mistake, or on the hub.
    check_beforehand(
        replace(
            config,
            demonstrations=replace(config.demonstrations, simulate=False),
            rollouts=replace(config.rollouts, episodes=0),
        )
    )
    process = launch(devices, num_nodes, config.device)
    roots: list[Path] = []
    process.first_then_others(lambda: roots.append(find_dataset(config)))
    process.together(lambda: check_dataset(config, roots[0], trains=False))
    plans: list[tuple[ScoringPlan, Scorer]] = []
    process.together(lambda: plans.append(_prepare(config, roots[0], chosen, process.device)))
    plan, scorer = plans[0]
    carry_out(config, plan, scorer, process)
    if process.rank > 0:
        return
    store = plan.stores["real"]
    print("raw scores: " + ", ".join(str(camera.folder) for camera in store.cameras))
    missing = store.missing(plan.episodes)
    if missing:
        total = len(plan.episodes)
        print(f"{total - len(missing)} of {total} episodes have scores; progress needs all of them")
        return
    print(f"\n{diagnose_scores(config, plan.root, plan.stores)}\n")
    by_episode = calibrated(config.weights, store, plan.stores["static"])
    lengths = read_episodes(plan.meta).length
    print(f"progress:   {leave_progress(config.weights, store, by_episode, lengths)}")


def _prepare(
    config: Config, root: Path, episodes: list[int] | None, device: str
) -> tuple[ScoringPlan, Scorer]:
    scorer = load_scorer(config.scorer, device)
    return plan_scoring(config, root, scorer, episodes), scorer


@dataclass(frozen=True)
class ScoredVideo:
    """One video with its scores."""

    fps: float
    """Rate of the video, Hz."""
    num_frames: int
    scores: PrefixScores
    pictures: Any
    """uint8 (P, 3, H, W): some frames, evenly spread."""


def score_video(config: Config, video: str, instruction: str, output: str | None) -> None:
    """Scores one video file, prints its prefixes and draws their curve over a filmstrip."""
    path = Path(video)
    image = Path(output) if output is not None else Path("outputs") / f"{path.stem}.png"
    scorer = load_scorer(config.scorer, config.device)
    scored = read_and_score(path, instruction, scorer, config.scorer.num_prefixes)
    scores = scored.scores
    rows = [
        [int(frames), f"{(frames - 1) / scored.fps:.2f}", f"{true:.3f}", f"{false:.3f}"]
        for frames, true, false in zip(
            scores.prefix_lengths, scores.log_prob_true, scores.log_prob_false, strict=True
        )
    ]
    print(table(rows, ["frames", "seconds", "log p(True)", "log p(False)"]))
    shown = Demonstration(
        f"{path.name}: {instruction}", scored.pictures, scored.fps, scores, None, num_frames=scored.num_frames
    )
    plot_progress([shown], image, pictures=len(scored.pictures))
    print(image)


def read_and_score(path: Path, instruction: str, scorer: Scorer, num_prefixes: int) -> ScoredVideo:
    """Decodes the frames that `scorer` reads of a video, and some pictures of it, and scores it.

    Raises InputError for a video that cannot be decoded or has one frame.
    """
    if not path.is_file():
        raise InputError(f"--video {path}: no such file; check the path")
    facts = read_facts(path)
    count = len(facts.times)
    if count < 2:
        raise InputError(f"--video {path}: has one frame: progress needs at least two; give a longer video")
    indices = scorer.frame_indices(count, facts.fps)
    frames = decode_at(path, [facts.times[i] for i in indices], 0.5 / facts.fps)
    clip = Clip(resized(frames, scorer, len(indices)), count, facts.fps, instruction)
    at = np.linspace(0, count - 1, min(PICTURES, count)).round().astype(int)
    pictures = np.stack(list(decode_at(path, [facts.times[i] for i in at], 0.5 / facts.fps)))
    scores = scorer.score_clips([clip], num_prefixes)[0]
    return ScoredVideo(facts.fps, count, scores, rearrange(pictures, "t h w c -> t c h w"))
