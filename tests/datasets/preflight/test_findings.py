"""What would train something false, and what is worth knowing, as `rabc check-dataset` says it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support import damaging as damage

STATE = "observation.state"
FRONT = "observation.images.front"


def spoil(root: Path, column: str, change: Callable[[Any, Any], None]) -> None:
    """`change` gets the vectors of a column and the episode of each; statistics stay those of the rows."""

    def edit(values: Any, rows: pd.DataFrame) -> Any:
        change(values, rows.episode_index.to_numpy())
        return values

    damage.set_vector(root, column, edit)
    damage.recompute_statistics(root, column)


def frozen_telemetry(root: Path) -> None:
    def hold(values: Any, episode: Any) -> None:
        rows = np.flatnonzero(episode == 1)[10:25]
        values[rows] = values[rows[0]]

    spoil(root, STATE, hold)


def frozen_actions(root: Path) -> None:
    def hold(values: Any, episode: Any) -> None:
        rows = np.flatnonzero(episode == 3)[10:]
        values[rows] = values[rows[0]]

    spoil(root, "action", hold)


def nothing_moves(root: Path) -> None:
    def hold(values: Any, episode: Any) -> None:
        values[episode == 2] = values[episode == 2][0]

    spoil(root, STATE, hold)
    spoil(root, "action", hold)


def dead_joint(root: Path) -> None:
    def hold(values: Any, episode: Any) -> None:
        values[episode == 4, 1] = 7.5

    spoil(root, STATE, hold)


def radians(root: Path) -> None:
    def turn(values: Any, episode: Any) -> None:
        values[episode >= 3] *= np.pi / 180

    spoil(root, STATE, turn)
    spoil(root, "action", turn)


def share_of_a_gripper(root: Path) -> None:
    def divide(values: Any, episode: Any) -> None:
        values[:, 5] = (values[:, 5] - values[:, 5].min()) * 1.8
        for one in range(3):
            mine = values[episode == one, 5]
            values[episode == one, 5] = (mine - mine.min()) / np.ptp(mine)

    spoil(root, STATE, divide)


def jump(root: Path) -> None:
    def kick(values: Any, episode: Any) -> None:
        values[np.flatnonzero(episode == 5)[12], 3] += 120

    spoil(root, STATE, kick)


def copy_of_an_episode(root: Path) -> None:
    """Rows of episode 3 once more in episode 0, five ticks later, and so its pictures are others."""
    for column in (STATE, "action"):

        def take(values: Any, episode: Any) -> None:
            first, other = np.flatnonzero(episode == 0), np.flatnonzero(episode == 3)
            values[first] = values[other[5 : 5 + len(first)]]

        spoil(root, column, take)


def late_actions(root: Path) -> None:
    (table,) = (root / "data").glob("*/*.parquet")
    state = np.stack(list(pd.read_parquet(table)[STATE]))
    spoil(root, "action", lambda values, episode: values.__setitem__(slice(1, None), state[:-1]))


def stale_statistics(root: Path) -> None:
    damage.edit_statistics(
        root, lambda statistics: statistics[STATE].update(mean=[90.0] * 6, min=[80.0] * 6, max=[99.0] * 6)
    )


def statistics_of_a_narrower_range(root: Path) -> None:
    damage.edit_statistics(
        root, lambda statistics: statistics["action"].update(max=[v / 2 for v in statistics["action"]["max"]])
    )


def no_statistics_of_action(root: Path) -> None:
    damage.edit_statistics(root, lambda statistics: statistics.pop("action"))


def missing_rows(root: Path) -> None:
    """Rows gone from the middle of an episode, times and pictures kept."""

    def cut(rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[~((rows.episode_index == 2) & rows.frame_index.between(12, 18))].reset_index(drop=True)
        kept["index"] = np.arange(len(kept))
        kept["frame_index"] = kept.groupby("episode_index").cumcount()
        return kept

    damage.edit_rows(root, cut)

    def shorten(rows: pd.DataFrame) -> None:
        rows.loc[2, "length"] -= 7
        ends = np.cumsum(rows["length"])
        rows["dataset_to_index"], rows["dataset_from_index"] = ends, ends - rows["length"]

    damage.edit_episodes(root, shorten)
    damage.edit_info(root, lambda info: info.update(total_frames=191))


def other_task_in_the_episodes(root: Path) -> None:
    def rename(rows: pd.DataFrame) -> None:
        rows["tasks"] = [np.array(["Push the box."]) if e == 1 else t for e, t in enumerate(rows["tasks"])]

    damage.edit_episodes(root, rename)


def trimmed_from_zero(root: Path) -> None:
    damage.trim_front(root, [1], 8, keep_times=False)


WRONG: dict[str, tuple[Callable[[Path], None], tuple[str, ...], list[int]]] = {
    "frozen telemetry": (frozen_telemetry, ("no joint changes for 1.5 s from frame 10 of episode 1",), [1]),
    "frozen actions": (frozen_actions, ("no action changes for 3.0 s from frame 10 of episode 3",), [3]),
    "nothing moves": (nothing_moves, ("nothing moves in the whole episode",), [2]),
    "a dead joint": (dead_joint, ("shoulder_lift.pos never changes in the episode, though its action",), [4]),
    "half in radians": (radians, ("numbers are about 5", "as radians beside degrees"), [3, 4, 5]),
    "a gripper of 0 to 1": (share_of_a_gripper, ("gripper.pos goes from 0 to 1",), [0, 1, 2]),
    "a jump": (jump, ("wrist_flex.pos jumps by 1", "at frame 1", "of episode 5"), [5]),
    "a copy": (copy_of_an_episode, ("rows are those of another episode again (3 of 0)",), [3]),
    "late actions": (late_actions, ("is the state of the row before throughout",), []),
    "stale statistics": (stale_statistics, ("mean of shoulder_pan.pos is 90", "recompute_stats"), []),
    "a narrower range": (statistics_of_a_narrower_range, ("is said to be from", "recompute_stats"), []),
    "no statistics of a column": (no_statistics_of_action, ("has no mean and no std", "recompute_stats"), []),
    "missing rows": (missing_rows, ("7 rows are missing inside the episode, 7 of them behind row 11",), [2]),
    "another task": (other_task_in_the_episodes, ("'Push the box.' in meta/episodes",), [1]),
    "trimmed in front, times from 0": (trimmed_from_zero, ("8 frames more than it has rows",), [1]),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_wrong(check, dataset: Path, case: str):
    change, words, episodes = WRONG[case]
    change(dataset)
    checked = check(dataset)
    assert checked.code == 1
    assert {finding["severity"] for finding in checked.findings} == {"wrong"}, checked.said
    for word in words:
        assert word in checked.said, checked.said
    assert {tuple(finding["episodes"]) for finding in checked.findings} == {tuple(episodes)}, checked.said
    if episodes:
        assert "leave it out: --dataset.exclude" in checked.said
        listed = checked.said.partition("--dataset.exclude ")[2].split()[0]
        assert check(dataset, "--dataset.exclude", listed).code == 0


def unused_task(root: Path) -> None:
    damage.edit_tasks(
        root, lambda tasks: pd.concat([tasks, pd.DataFrame({"task_index": [1]}, index=["Fold the towel."])])
    )
    damage.edit_info(root, lambda info: info.update(total_tasks=2))


def full_stop(root: Path) -> None:
    """One episode of the same task, without its full stop and with a trailing blank."""
    other = "pick up the red cube "
    damage.edit_tasks(
        root, lambda tasks: pd.concat([tasks, pd.DataFrame({"task_index": [1]}, index=[other])])
    )
    damage.edit_info(root, lambda info: info.update(total_tasks=2))
    damage.edit_rows(root, lambda rows: rows.assign(task_index=(rows.episode_index == 2).astype(int)))

    def rename(rows: pd.DataFrame) -> None:
        rows["tasks"] = [np.array([other]) if e == 2 else t for e, t in enumerate(rows["tasks"])]

    damage.edit_episodes(root, rename)


def swapped_table(root: Path) -> None:
    """Numbers that are not the places of the rows, while the episodes say what is meant."""
    damage.edit_tasks(root, lambda tasks: pd.concat([
        pd.DataFrame({"task_index": [1]}, index=["Fold the towel."]), tasks
    ]))  # fmt: skip
    damage.edit_info(root, lambda info: info.update(total_tasks=2))


def still_gripper(root: Path) -> None:
    for column in (STATE, "action"):
        spoil(root, column, lambda values, episode: values.__setitem__((slice(None), 5), 12.0))


def no_picture_statistics(root: Path) -> None:
    damage.edit_statistics(root, lambda statistics: statistics.pop(FRONT))


def deleted_take(root: Path) -> None:
    damage.change_video(root, "front", lambda frames: [*frames, *frames[:20]])


def stray_video(root: Path) -> None:
    path = damage.video(root, "front")
    path.with_name("file-001.mp4").write_bytes(path.read_bytes())


def wall_clock(root: Path) -> None:
    damage.edit_rows(root, lambda rows: rows.assign(timestamp=(rows.frame_index * 0.105).astype(np.float32)))


def epoch(root: Path) -> None:
    """Seconds since 1970, where the video has a frame for every row."""
    damage.edit_rows(root, lambda rows: rows.assign(timestamp=rows.timestamp.astype(np.float64) + 1.7e9))


def shorter_split(root: Path) -> None:
    damage.edit_info(root, lambda info: info.update(splits={"train": "0:9"}))


def state_for_action(root: Path) -> None:
    (table,) = (root / "data").glob("*/*.parquet")
    state = np.stack(list(pd.read_parquet(table)[STATE]))
    spoil(root, "action", lambda values, episode: values.__setitem__(slice(None), state))


def unreadable_label(root: Path) -> None:
    damage.edit_episodes(root, lambda rows: rows.assign(success=["yes", "no", "maybe", None, "1", "0"]))


def stages_with_a_gap(root: Path) -> None:
    def annotate(rows: pd.DataFrame) -> None:
        rows["sparse_subtask_names"] = [np.array(["reach", "lift"])] * len(rows)
        rows["sparse_subtask_start_frames"] = [np.array([0, 10])] * len(rows)
        rows["sparse_subtask_end_frames"] = [
            np.array([5 if episode == 1 else 9, length - 1]) for episode, length in enumerate(rows["length"])
        ]

    damage.edit_episodes(root, annotate)


NOTES: dict[str, tuple[Callable[[Path], None], tuple[str, ...]]] = {
    "a task that no episode has": (unused_task, ("no episode is 'Fold the towel.'",)),
    "a full stop": (full_stop, ("'Pick up the red cube.', 'pick up the red cube ' are one task here",)),
    "a table in another order": (swapped_table, ("its rows have the numbers 1, 0", "modify_tasks")),
    "a gripper that never moves": (still_gripper, ("gripper.pos (always 12) never moves in any episode",)),
    "no statistics of pictures": (no_picture_statistics, (f"has no mean and std of {FRONT}",)),
    "frames of a deleted take": (deleted_take, ("20 of its 218 frames belong to no row",)),
    "a video of no episode": (stray_video, ("file-001.mp4", "no episode is in it")),
    "a wall clock": (wall_clock, ("the videos have a frame for each row",)),
    "seconds since 1970": (epoch, ("the videos have a frame for each row",)),
    "another split": (shorter_split, ("split train is 0:9, but there are 6 episodes",)),
    "a label that nobody can read": (unreadable_label, ("'maybe' is no label", "counts as unlabelled")),
    "stages with a gap": (stages_with_a_gap, ("episode 1, sparse_subtask", "its stages are not used")),
    "actions that are the state": (state_for_action, ("is the state of the same row throughout",)),
}  # fmt: skip


@pytest.mark.parametrize("case", NOTES)
def test_note(check, dataset: Path, case: str):
    change, words = NOTES[case]
    change(dataset)
    checked = check(dataset)
    assert checked.code == 0
    assert {finding["severity"] for finding in checked.findings} <= {"note"}, checked.said
    for word in words:
        assert word in checked.said, checked.said


def test_another_rate_than_that_of_the_rows(check, dataset: Path):
    """One finding with the cause, not one for every episode and camera whose times do not fit."""
    damage.edit_info(dataset, lambda info: info.update(fps=30))
    finding = check(dataset).one("wrong")
    assert "rows are 1/10 s apart throughout, and fps is 30" in finding["what"]
    assert (finding["file"], finding["remedy"]) == ("meta/info.json", "correct fps to 10")


def empty_task(root: Path) -> None:
    damage.edit_tasks(root, lambda tasks: tasks.set_axis([" "], axis=0))

    def rename(rows: pd.DataFrame) -> None:
        rows["tasks"] = [np.array([" "])] * len(rows)

    damage.edit_episodes(root, rename)


def two_tasks_in_an_episode(root: Path) -> None:
    unused_task(root)

    def rename(rows: pd.DataFrame) -> None:
        both = np.array(["Pick up the red cube.", "Fold the towel."])
        rows["tasks"] = [both if e == 4 else t for e, t in enumerate(rows["tasks"])]

    damage.edit_episodes(root, rename)
    damage.edit_rows(
        root,
        lambda rows: rows.assign(
            task_index=((rows.episode_index == 4) & (rows.frame_index > 12)).astype(np.int64)
        ),
    )


@pytest.mark.parametrize("change", [empty_task, two_tasks_in_an_episode])
def test_what_only_scoring_needs_stops_no_training(check, dataset: Path, change: Callable[[Path], None]):
    change(dataset)
    finding = check(dataset).one("refused")
    assert finding["concerns"] == ["scoring"]
    assert "modify_tasks" in finding["remedy"]
    json.loads(finding["remedy"].partition("episode_tasks '")[2].partition("'`")[0])
