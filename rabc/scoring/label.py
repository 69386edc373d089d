"""Scores the episodes of a LeRobotDataset that have no scores yet."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from tqdm import tqdm

from rabc.datasets.cameras import recorded_shape
from rabc.datasets.episodes import read_episodes
from rabc.datasets.fingerprint import pictures_identity
from rabc.datasets.metadata import load_meta
from rabc.scoring.asked import clip_count, instructions, too_short
from rabc.scoring.base import Clip, Scorer
from rabc.scoring.episode_video import camera_keys, sampled_frames
from rabc.scoring.store import EpisodeScores, ScoreStore, Shown
from rabc.scoring.store_part import Part
from rabc.scoring.variants import Variant, instruction_of, needs_all_frames, variant_frames, wrong_sentence
from rabc.system.errors import InputError
from rabc.system.threads import beside_others

BAR = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}, {remaining} left, {rate_noinv_fmt}{postfix}]"


@dataclass(frozen=True)
class _Job:
    """One episode, and the variants of it that are missing of each camera."""

    episode: int
    length: int
    missing: Mapping[str, tuple[Variant, ...]]
    """Camera key -> variants; cameras of which nothing is missing are left out."""


def open_store(
    root: Path,
    dataset: Path | LeRobotDatasetMetadata,
    dataset_fingerprint: str,
    scorer: Scorer,
    cameras: Sequence[str],
    num_prefixes: int,
    variant: Variant = "real",
    wrong_instruction: str = "",
    episodes: Sequence[int] | None = None,
    seen_as: int | None = None,
) -> ScoreStore:
    """The scores under `root` of this dataset (its folder or its metadata) by this scorer, in one variant.

    cameras: as the user names them; frame rate, pictures and instructions come from the dataset.
    wrong_instruction: the sentence of that variant, unless it is a task of the dataset. episodes: those that
    are looked at; None: all. seen_as: frames of the clip for which pictures are resized; None: `clip_count`
    of the dataset. Raises InputError for an unknown camera, an episode without exactly one task, or a task
    that the scorer cannot be asked about.
    """
    meta = load_meta(dataset) if isinstance(dataset, Path) else dataset
    records = read_episodes(meta)
    chosen = range(len(records)) if episodes is None else episodes
    unjudged = set(too_short(meta, scorer, chosen))
    judged = [episode for episode in chosen if episode not in unjudged]
    own = instructions(meta, judged)
    wrong = wrong_sentence(sorted(set(own.values())), wrong_instruction)
    asked = {task: instruction_of(variant, task, wrong) for task in set(own.values())}
    for sentence in sorted(set(asked.values())):
        scorer.check(sentence)
    keys = camera_keys(meta, cameras)
    count = seen_as or clip_count(meta, scorer)
    shown = {
        episode: tuple(
            Shown(int(records.length[episode]), pictures_identity(meta, key, episode), asked[own[episode]])
            for key in keys
        )
        for episode in judged
    }
    sizes = [_seen_size(meta, key, scorer, count) for key in keys]
    return ScoreStore.open(
        root, dataset_fingerprint, scorer.identity, keys, float(meta.fps), sizes, num_prefixes, variant,
        shown, sorted(unjudged),
    )  # fmt: skip


def check_cameras(meta: LeRobotDatasetMetadata, cameras: Sequence[str]) -> None:
    """Raise InputError unless the dataset has pictures of all `cameras`."""
    camera_keys(meta, cameras)


def score_dataset(
    dataset: Path | LeRobotDatasetMetadata,
    scorer: Scorer,
    num_prefixes: int,
    stores: Mapping[Variant, ScoreStore],
    wanted: Mapping[Variant, Sequence[int]],
    rank: int = 0,
    world_size: int = 1,
    seen_as: int | None = None,
) -> int:
    """Scores this process's share of the `wanted` episodes where missing; returns the number it scored.

    dataset: its folder or its metadata; stores: of the same cameras; seen_as: as in `open_store`. Process
    `rank` of `world_size` takes every `world_size`-th of the wanted episodes, which all processes must be
    given alike. Each episode is decoded once per camera, and only the frames the scorer reads are kept, as
    small as it sees them. Every finished episode is on disk at once, in the part of `rank`. Raises InputError
    for an unknown episode, pictures that cannot be decoded, a part that another process is writing, or a full
    disk.
    """
    meta = load_meta(dataset) if isinstance(dataset, Path) else dataset
    episodes = sorted({episode for some in wanted.values() for episode in some})
    mine = episodes[rank::world_size]
    jobs = _jobs(meta, stores, wanted, mine)
    if not jobs:
        return 0
    count = seen_as or clip_count(meta, scorer)

    def read(job: _Job) -> dict[str, torch.Tensor]:
        return {key: _frames(meta, key, job, scorer, count) for key in job.missing}

    share = f" (process {rank + 1} of {world_size})" if world_size > 1 else ""
    with ExitStack() as held:
        parts: dict[tuple[str, Variant], Part] = {}
        for variant, store in stores.items():
            for key, camera in zip(store.meta["cameras"], store.cameras, strict=True):
                if any(variant in job.missing.get(key, ()) for job in jobs):
                    of = store.meta["dataset_fingerprint"]
                    parts[key, variant] = held.enter_context(camera.part(rank, of))
        bar: Any = held.enter_context(
            tqdm(total=len(mine), initial=len(mine) - len(jobs), desc=f"scoring{share}", unit=" episodes",
                 bar_format=BAR, disable=rank > 0)
        )  # fmt: skip
        # Of several processes each has as many threads as one alone, for the same last bits.
        adapt = held.enter_context(beside_others(adapts=world_size == 1))
        for job, videos in zip(jobs, _one_ahead(read, jobs), strict=True):
            adapt()
            for key, video in videos.items():
                for variant in job.missing[key]:
                    store = stores[variant]
                    shown = store.episodes[job.episode][store.meta["cameras"].index(key)]
                    frames = variant_frames(variant, video)
                    clip = Clip(frames, job.length, float(meta.fps), shown.instruction, count)
                    # Every clip in a call of its own: its scores must not depend on what else is missing.
                    (scores,) = scorer.score_clips([clip], num_prefixes)
                    parts[key, variant].append(
                        EpisodeScores(job.episode, job.length, scores, shown.instruction, shown.pictures)
                    )
            bar.update()
    return len(jobs)


def _jobs(
    meta: LeRobotDatasetMetadata,
    stores: Mapping[Variant, ScoreStore],
    wanted: Mapping[Variant, Sequence[int]],
    episodes: Sequence[int],
) -> list[_Job]:
    lengths = read_episodes(meta).length
    outside = [episode for episode in episodes if not 0 <= episode < len(lengths)]
    if outside:
        raise InputError(
            f"episode {outside[0]}: dataset {meta.root} has episodes 0 to {len(lengths) - 1}; "
            "choose among these"
        )
    missing: dict[int, dict[str, list[Variant]]] = {}
    for variant in wanted:
        store = stores[variant]
        asked = set(wanted[variant])
        mine = [episode for episode in episodes if episode in asked]
        for place, (key, camera) in enumerate(zip(store.meta["cameras"], store.cameras, strict=True)):
            finished = camera.read()
            for episode in mine:
                if episode in store.episodes and store.episodes[episode][place] not in finished:
                    missing.setdefault(episode, {}).setdefault(key, []).append(variant)
    return [
        _Job(episode, int(lengths[episode]), {key: tuple(some) for key, some in missing[episode].items()})
        for episode in episodes
        if episode in missing
    ]


def _frames(meta: LeRobotDatasetMetadata, key: str, job: _Job, scorer: Scorer, count: int) -> torch.Tensor:
    indices = scorer.frame_indices(job.length, float(meta.fps))
    read = indices if needs_all_frames(job.missing[key]) else indices[:1]
    frames = sampled_frames(meta, key, job.episode, read, scorer, count)
    return frames if len(read) == len(indices) else frames.expand(len(indices), -1, -1, -1)


def _seen_size(meta: LeRobotDatasetMetadata, key: str, scorer: Scorer, count: int) -> tuple[int, int]:
    """Height and width of a camera's pictures as the scorer sees them, pixels."""
    height, width = recorded_shape(meta, key)
    seen = scorer.resize(torch.zeros((1, 3, height, width), dtype=torch.uint8), count)
    return seen.shape[-2], seen.shape[-1]


def _one_ahead(
    read: Callable[[_Job], dict[str, torch.Tensor]], jobs: Iterable[_Job]
) -> Iterator[dict[str, torch.Tensor]]:
    """`read` of each job; the next video is decoded while the model looks at this one."""
    waiting: deque[Future[dict[str, torch.Tensor]]] = deque()
    with ThreadPoolExecutor(max_workers=1) as reader:
        for job in jobs:
            waiting.append(reader.submit(read, job))
            if len(waiting) > 1:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
