"""Scores the episodes of a LeRobotDataset that have no scores yet."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from tqdm import tqdm

from rabc.datasets.tables import load_meta
from rabc.scoring.base import Clip, PrefixScores, Scorer
from rabc.scoring.episode_video import camera_keys, check_lengths, episode_length, image_size, sampled_frames
from rabc.scoring.store import EpisodeScores, ScoreStore
from rabc.scoring.variants import Variant, instruction_of, needs_all_frames, variant_frames, wrong_sentence
from rabc.system.errors import InputError

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_noinv_fmt}{postfix}]"


@dataclass(frozen=True)
class _Job:
    """One episode and the variants of it that are missing."""

    episode: int
    length: int
    task: str
    variants: tuple[Variant, ...]


def open_store(
    root: Path,
    dataset: Path | LeRobotDatasetMetadata,
    dataset_fingerprint: str,
    scorer: Scorer,
    cameras: Sequence[str],
    num_prefixes: int,
    variant: Variant = "real",
    wrong_instruction: str = "",
) -> ScoreStore:
    """The store under `root` for this dataset (its folder or its metadata), scorer, cameras and variant.

    cameras: the parts after `observation.images.`; frame rate and image sizes come from the dataset.
    wrong_instruction: the sentence of that variant for a dataset of one task. Raises InputError for an
    unknown camera.
    """
    meta = load_meta(dataset) if isinstance(dataset, Path) else dataset
    sizes = [image_size(meta, key) for key in camera_keys(meta, cameras)]
    sentence = wrong_sentence(_tasks(meta), wrong_instruction) if variant == "wrong_instruction" else None
    return ScoreStore.open(
        root, dataset_fingerprint, scorer.identity, cameras, float(meta.fps), sizes, num_prefixes, variant,
        sentence,
    )  # fmt: skip


def check_cameras(meta: LeRobotDatasetMetadata, cameras: Sequence[str]) -> None:
    """Raise InputError unless the dataset has video of all `cameras`."""
    camera_keys(meta, cameras)


def score_dataset(
    dataset_root: Path,
    scorer: Scorer,
    cameras: Sequence[str],
    num_prefixes: int,
    stores: Mapping[Variant, ScoreStore],
    wanted: Mapping[Variant, Sequence[int]],
    rank: int = 0,
    world_size: int = 1,
    repo_id: str | None = None,
) -> int:
    """Scores this process's share of the `wanted` episodes where missing; returns the number it scored.

    Process `rank` of `world_size` takes every `world_size`-th of the wanted episodes, which all processes
    must be given alike. Each episode is decoded once per camera, and only the frames the scorer reads are
    kept, as small as it sees them; the log-probabilities of several cameras are averaged. Every finished
    episode is on disk at once, in the part of `rank`. Raises InputError for an unknown camera or episode, an
    empty or ambiguous task, an episode that is too short, cameras of different length, a video that cannot be
    decoded, a part that another process is writing, or a full disk.
    """
    meta = load_meta(dataset_root, repo_id)
    keys = camera_keys(meta, cameras)
    episodes = sorted({episode for some in wanted.values() for episode in some})
    mine = episodes[rank::world_size]
    jobs = _jobs(meta, stores, wanted, mine)
    check_lengths(meta, keys, [job.episode for job in jobs])
    if not jobs:
        return 0

    def read(job: _Job) -> list[torch.Tensor]:
        return [_frames(meta, key, job, scorer) for key in keys]

    share = f" (process {rank + 1} of {world_size})" if world_size > 1 else ""
    with ExitStack() as held:
        parts = {
            variant: held.enter_context(stores[variant].part(rank))
            for variant in stores
            if any(variant in job.variants for job in jobs)
        }
        bar: Any = held.enter_context(
            tqdm(total=len(mine), initial=len(mine) - len(jobs), desc=f"scoring{share}", unit=" episodes",
                 bar_format=BAR, disable=rank > 0)
        )  # fmt: skip
        for job, videos in zip(jobs, _one_ahead(read, jobs), strict=True):
            for variant in job.variants:
                sentence = stores[variant].meta.get("wrong_instruction")
                instruction = instruction_of(variant, job.task, _tasks(meta), sentence)
                # Every clip in a call of its own: its scores must not depend on what else is missing.
                scores = [
                    scorer.score_clips(
                        [Clip(variant_frames(variant, video), job.length, float(meta.fps), instruction)],
                        num_prefixes,
                    )[0]
                    for video in videos
                ]
                parts[variant].append(EpisodeScores(job.episode, job.length, _mean(scores), instruction))
            bar.update()
    return len(jobs)


def _jobs(
    meta: LeRobotDatasetMetadata,
    stores: Mapping[Variant, ScoreStore],
    wanted: Mapping[Variant, Sequence[int]],
    episodes: Sequence[int],
) -> list[_Job]:
    total = int(meta.total_episodes)
    outside = [episode for episode in episodes if not 0 <= episode < total]
    if outside:
        raise InputError(
            f"episode {outside[0]}: dataset {meta.root} has episodes 0 to {total - 1}; choose among these"
        )
    missing = {variant: set(stores[variant].missing(wanted[variant])) for variant in wanted}
    jobs: list[_Job] = []
    for episode in episodes:
        variants: tuple[Variant, ...] = tuple(v for v in wanted if episode in missing[v])
        if variants:
            jobs.append(_Job(episode, episode_length(meta, episode), episode_task(meta, episode), variants))
    return jobs


def _frames(meta: LeRobotDatasetMetadata, key: str, job: _Job, scorer: Scorer) -> torch.Tensor:
    indices = scorer.frame_indices(job.length, float(meta.fps))
    read = indices if needs_all_frames(job.variants) else indices[:1]
    frames = sampled_frames(meta, key, job.episode, read, scorer, len(indices))
    return frames if len(read) == len(indices) else frames.expand(len(indices), -1, -1, -1)


def _one_ahead(
    read: Callable[[_Job], list[torch.Tensor]], jobs: Iterable[_Job]
) -> Iterator[list[torch.Tensor]]:
    """`read` of each job; the next video is decoded while the model looks at this one."""
    waiting: deque[Future[list[torch.Tensor]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as reader:
        for job in jobs:
            waiting.append(reader.submit(read, job))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()


def _mean(scores: Sequence[PrefixScores]) -> PrefixScores:
    """Log-probabilities of the same prefixes, averaged over the cameras."""
    return PrefixScores(
        scores[0].prefix_lengths,
        np.mean([one.log_prob_true for one in scores], axis=0),
        np.mean([one.log_prob_false for one in scores], axis=0),
    )


def _tasks(meta: LeRobotDatasetMetadata) -> list[str]:
    tasks: Any = meta.tasks
    return [str(task) for task in tasks.index]


def episode_task(meta: LeRobotDatasetMetadata, episode: int) -> str:
    """The instruction of an episode. Raises InputError for an empty one, or more than one."""
    episodes: Any = meta.episodes
    tasks = [str(task) for task in episodes[episode]["tasks"]]
    if len(tasks) != 1:
        raise InputError(
            f"episode {episode} of dataset {meta.root}: has {len(tasks)} tasks; "
            "split it, because a score belongs to one task"
        )
    if not tasks[0].strip():
        raise InputError(
            f"task {tasks[0]!r}: empty in episode {episode} of dataset {meta.root}; give it an instruction"
        )
    return tasks[0]
