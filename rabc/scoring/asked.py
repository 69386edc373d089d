"""What a scorer is asked about each episode of a dataset: by which instruction, and whether at all."""

import json
from collections.abc import Mapping, Sequence

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.episodes import read_episodes
from rabc.scoring.base import Scorer
from rabc.scoring.loading import special_words
from rabc.scoring.store_part import say
from rabc.system.errors import InputError

MIN_SAMPLED = 3
"""Frames a scorer has to see of an episode. Two scores rise from 0 to 1 in the scale of their own episode
whatever the video shows, and of one nothing can be said; the third is the first that can contradict."""
_NAMED = 8


def instructions(meta: LeRobotDatasetMetadata, episodes: Sequence[int]) -> dict[int, str]:
    """The instruction of each of `episodes`.

    Raises InputError naming those that have none or several: a score belongs to one task.
    """
    tasks = read_episodes(meta).tasks
    several = [episode for episode in episodes if len(tasks[episode]) > 1]
    if several:
        shown = ", ".join(repr(task) for task in tasks[several[0]])
        option = ",".join(map(str, several))
        raise InputError(
            f"{named(several)} of dataset {meta.root}: several tasks in one episode ({shown}), and a score "
            f"belongs to one; leave out with --dataset.exclude {option}, split where the task changes, or "
            f"make it one task with {_edit(meta, several)}; --weights.scheme none trains it as it is"
        )
    empty = [episode for episode in episodes if not "".join(tasks[episode]).strip()]
    if empty:
        shown = repr(tasks[empty[0]][0]) if tasks[empty[0]] else "missing"
        raise InputError(
            f"{named(empty)} of dataset {meta.root}: task {shown}: empty, and a scorer needs a sentence; "
            f"give one with {_edit(meta, empty)}"
        )
    return {episode: tasks[episode][0] for episode in episodes}


def check_words(meta: LeRobotDatasetMetadata, asked: Mapping[int, str], model: str) -> None:
    """Raise InputError for an instruction with words that the scorer in folder `model` reads as commands."""
    special = special_words(model)
    for task in asked.values():
        found = next((word for word in special if word in task), None)
        if found is not None:
            same = [other for other, text in asked.items() if text == task]
            raise InputError(
                f"{named(same)} of dataset {meta.root}: task {task!r} holds {found}, which the scorer reads "
                f"as a command, not as words; give the task in plain words with {_edit(meta, same)}"
            )


def too_short(meta: LeRobotDatasetMetadata, scorer: Scorer, episodes: Sequence[int]) -> list[int]:
    """Those of `episodes` of which the scorer sees fewer than `MIN_SAMPLED` frames."""
    lengths = read_episodes(meta).length
    judged = {
        length: length > 0 and len(scorer.frame_indices(length, float(meta.fps))) >= MIN_SAMPLED
        for length in {int(lengths[episode]) for episode in episodes}
    }
    return [episode for episode in episodes if not judged[int(lengths[episode])]]


def say_what_is_unjudged(meta: LeRobotDatasetMetadata, scorer: Scorer, unjudged: Sequence[int]) -> None:
    """Names the episodes that are too short to be scored."""
    if unjudged:
        lengths = read_episodes(meta).length[list(unjudged)]
        short, long = lengths.min(), lengths.max()
        counted = f"{long} frame{'s' * (long > 1)}" if short == long else f"{short} to {long} frames"
        say(
            f"{named(unjudged)}: not judged, trained with weight 1: {counted} "
            f"at {meta.fps} Hz, of which the scorer sees fewer than {MIN_SAMPLED} at "
            f"{scorer.identity['sample_fps']} Hz (scorer.fps)"
        )


def clip_count(meta: LeRobotDatasetMetadata, scorer: Scorer) -> int:
    """Frames of the clip for which the pictures of this dataset are resized, a power of two.

    Qwen3-VL's processor shrinks the frames of a clip with its length, so that scores of short and long
    episodes would be of pictures of different sizes. Here all are as large as in the longest episode's clip,
    of all episodes, scored or not; and rounded up, so that another episode seldom changes the size.
    """
    longest = int(read_episodes(meta).length.max())
    count = len(scorer.frame_indices(max(longest, 1), float(meta.fps)))
    return max(2, 1 << (count - 1).bit_length())


def named(episodes: Sequence[int]) -> str:
    """`episode 3`, `episodes 3, 5 and 8 more`."""
    shown = ", ".join(map(str, episodes[:_NAMED]))
    more = f" and {len(episodes) - _NAMED} more" if len(episodes) > _NAMED else ""
    return f"episode{'s' if len(episodes) > 1 else ''} {shown}{more}"


def _edit(meta: LeRobotDatasetMetadata, episodes: Sequence[int]) -> str:
    """LeRobot's command that gives these episodes a task."""
    if len(episodes) == meta.total_episodes:
        tasks = "new_task='<instruction>'"
    else:
        tasks = f"episode_tasks='{json.dumps(dict.fromkeys(map(str, episodes), '<instruction>'))}'"
    return (
        f"`lerobot-edit-dataset --repo_id={meta.repo_id} --root={meta.root} --operation.type=modify_tasks "
        f"--operation.{tasks}`"
    )
