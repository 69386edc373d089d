"""The instructions of a dataset: in its table, by row and by number, and of every episode."""

import json
from collections.abc import Iterator
from shlex import quote
from typing import Any

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.datasets.episodes import read_episodes
from rabc.datasets.preflight.findings import Finding, exclude
from rabc.datasets.tables import FrameTable, task_names
from rabc.datasets.tasks import plain_text, task_groups
from rabc.system.terminal import shell_word

_FILE = "meta/tasks.parquet"
_SAY = "<what the arm does, a sentence>"


def task_findings(meta: LeRobotDatasetMetadata, rows: FrameTable) -> Iterator[Finding]:
    """What is odd about the instructions."""
    records = read_episodes(meta)
    given = {
        episode: tuple(dict.fromkeys(rows.task[start:end].tolist()))
        for episode, (start, end) in enumerate(zip(records.start, records.end, strict=True))
    }
    stated = {
        episode: tasks
        for episode, tasks in enumerate(records.tasks)
        if tasks and set(tasks) != set(given[episode])
    }
    yield from _order(meta, agreed=not stated and any(records.tasks))
    if stated:
        episode = next(iter(stated))
        yield Finding(
            "wrong", "task", f"is {_quoted(stated[episode])} in meta/episodes (episode {episode}), but its "
            f"rows are {_quoted(given[episode])}, which is taken",
            f"{_modify(meta, {episode: stated[episode][0]})} if that is right, or "
            + exclude(list(stated), len(records)), "meta/episodes", tuple(stated), "tasks",
        )  # fmt: skip
    empty = [episode for episode, tasks in given.items() if not all(map(plain_text, tasks))]
    if empty:
        yield Finding(
            "refused", "task", "the instruction is empty", _modify(meta, dict.fromkeys(empty, _SAY)), _FILE,
            tuple(empty), "task_index", ("scoring",),
        )  # fmt: skip
    several = [episode for episode, tasks in given.items() if len(set(task_groups(tasks).tolist())) > 1]
    if several:
        yield Finding(
            "refused", "task", f"has {len(given[several[0]])} instructions ({_quoted(given[several[0]])}), "
            "and progress is that of one",
            f"give it one: {_modify(meta, {several[0]: given[several[0]][0]})}, or split it, or "
            + exclude(several, len(records)),
            "data", tuple(several), "task_index", ("scoring",),
        )  # fmt: skip
    yield from _wordings(meta, {text for tasks in given.values() for text in tasks})


def _order(meta: LeRobotDatasetMetadata, agreed: bool) -> Iterator[Finding]:
    """LeRobot takes the row of the table for the number of a task; we take the number that the row states."""
    table: Any = meta.tasks
    numbers = np.asarray(table["task_index"]) if "task_index" in table.columns else np.arange(len(table))
    if not np.array_equal(numbers, np.arange(len(numbers))):
        shown = ", ".join(map(str, numbers[:8].tolist()))
        yield Finding(
            "note" if agreed else "wrong", "task",
            f"its rows have the numbers {shown}, and LeRobot goes by the place of a row: it gives episodes "
            f"other instructions than we do{', who agree with meta/episodes' if agreed else ''}",
            _modify(meta, {0: read_episodes(meta).tasks[0][0] if agreed else _SAY}) + " writes it anew",
            _FILE, (), "task_index",
        )  # fmt: skip


def _wordings(meta: LeRobotDatasetMetadata, used: set[str]) -> Iterator[Finding]:
    unused = [text for text in task_names(meta).values() if text not in used]
    if unused:
        yield Finding("note", "task", f"no episode is {_quoted(tuple(unused))}", "", _FILE)
    by_text: dict[str, list[str]] = {}
    for text in sorted(used):
        by_text.setdefault(plain_text(text), []).append(text)
    for texts in by_text.values():
        if len(texts) > 1:
            yield Finding("note", "task", f"{_quoted(tuple(texts))} are one task here", "", _FILE)


def _modify(meta: LeRobotDatasetMetadata, tasks: dict[int, str]) -> str:
    """LeRobot's command that gives episodes other instructions."""
    texts = json.dumps({str(episode): text for episode, text in tasks.items()}, ensure_ascii=False)
    return (
        f"`lerobot-edit-dataset --repo_id {quote('local/' + meta.root.name)} --root {quote(str(meta.root))} "
        f"--operation.type modify_tasks --operation.episode_tasks {shell_word(texts)}`"
    )


def _quoted(texts: tuple[str, ...]) -> str:
    shown = ", ".join(repr(text[:80]) for text in texts[:4])
    return shown + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")
