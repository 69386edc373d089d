"""Metadata, tables and videos that disagree, as `rabc check-dataset` says it."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tests.support import damaging as damage

FRONT = "observation.images.front"
FILE = f"videos/{FRONT}/chunk-000/file-000.mp4"


def test_a_sound_dataset(check, dataset: Path):
    checked = check(dataset)
    assert (checked.code, checked.findings) == (0, [])
    assert "nothing is wrong with it" in checked.out


def drop_inside(root: Path) -> None:
    damage.change_video(root, "front", lambda frames: frames[:50] + frames[52:])


def drop_at_the_end(root: Path) -> None:
    damage.change_video(root, "front", lambda frames: frames[:-2])


def cut_file(root: Path) -> None:
    path = damage.video(root, "front")
    path.write_bytes(path.read_bytes()[:-300])


def remove_file(root: Path) -> None:
    damage.video(root, "front").unlink()


def start_late(root: Path) -> None:
    path = damage.video(root, "front")
    damage.write_video(path, damage.pictures(path), 10, first=0.3)


def other_size(root: Path) -> None:
    damage.edit_info(root, lambda info: info["features"][FRONT].update(shape=[96, 72, 3]))


def slower_file(root: Path) -> None:
    path = damage.video(root, "front")
    damage.write_video(path, damage.pictures(path)[::2], 5)


def overlap(root: Path) -> None:
    def move(rows: pd.DataFrame) -> None:
        for end in ("from", "to"):
            rows.loc[2, f"videos/{FRONT}/{end}_timestamp"] -= 1.0

    damage.edit_episodes(root, move)


def past_the_end(root: Path) -> None:
    def move(rows: pd.DataFrame) -> None:
        for end in ("from", "to"):
            rows.loc[5, f"videos/{FRONT}/{end}_timestamp"] += 0.5

    damage.edit_episodes(root, move)


def wrong_file(root: Path) -> None:
    """A second file of two episodes, and a third episode that is said to be in it as well."""
    path = damage.video(root, "front")
    frames = damage.pictures(path)
    damage.write_video(path, frames[:139], 10)
    damage.write_video(path.with_name("file-001.mp4"), frames[139:], 10)

    def say(rows: pd.DataFrame) -> None:
        rows.loc[3:, f"videos/{FRONT}/file_index"] = 1
        for end in ("from", "to"):
            rows.loc[4:, f"videos/{FRONT}/{end}_timestamp"] -= 13.9

    damage.edit_episodes(root, say)


def renumbered(root: Path) -> None:
    damage.edit_episodes(root, lambda rows: rows.assign(episode_index=[0, 1, 4, 5, 6, 7]))


def wrong_bounds(root: Path) -> None:
    def move(rows: pd.DataFrame) -> None:
        rows.loc[2, "dataset_to_index"] -= 3

    damage.edit_episodes(root, move)


def wrong_length(root: Path) -> None:
    def change(rows: pd.DataFrame) -> None:
        rows.loc[4, "length"] += 1

    damage.edit_episodes(root, change)


def moved_bounds(root: Path) -> None:
    """Two episodes whose bounds are exchanged, though each has its own length."""

    def change(rows: pd.DataFrame) -> None:
        rows.loc[1, ["dataset_from_index", "dataset_to_index"]] = [63, 99]
        rows.loc[2, ["dataset_from_index", "dataset_to_index"]] = [30, 63]

    damage.edit_episodes(root, change)


def rows_gone(root: Path) -> None:
    def cut(rows: pd.DataFrame) -> pd.DataFrame:
        kept = rows[~((rows.episode_index == 3) & (rows.frame_index >= 35))].reset_index(drop=True)
        return kept.assign(index=np.arange(len(kept)))

    damage.edit_rows(root, cut)


def wall_clock_with_other_frames(root: Path) -> None:
    """Times that drift, and a video that has more frames than the episode has rows."""

    def drift(rows: pd.DataFrame) -> None:
        mine = rows.episode_index == 1
        rows.loc[mine, "timestamp"] = (rows.loc[mine, "frame_index"] * 0.13).astype(np.float32)

    damage.edit_rows(root, drift)

    def longer(rows: pd.DataFrame) -> None:
        rows.loc[1, f"videos/{FRONT}/to_timestamp"] += 1.0

    damage.edit_episodes(root, longer)


def stray(name: str) -> Callable[[Path], None]:
    def leave(root: Path) -> None:
        (table,) = (root / "data").glob("*/*.parquet")
        shutil.copy(table, table.with_name(name))

    return leave


def stray_episodes(root: Path) -> None:
    (table,) = (root / "meta" / "episodes").glob("*/*.parquet")
    table.with_name("._file-000.parquet").write_bytes(b"\0\5\26\7 nothing")


def byte_order_mark(root: Path) -> None:
    path = root / "meta" / "info.json"
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())


def fewer_frames_said(root: Path) -> None:
    damage.edit_info(root, lambda info: info.update(total_frames=190))


def not_finite(root: Path) -> None:
    def spoil(values: Any, rows: pd.DataFrame) -> Any:
        values[70, 2] = np.nan
        return values

    damage.set_vector(root, "action", spoil)


def statistics_of_five_joints(root: Path) -> None:
    damage.edit_statistics(
        root, lambda statistics: statistics["action"].update(mean=statistics["action"]["mean"][:5])
    )


def named_actions(root: Path) -> None:
    (table,) = (root / "data").glob("*/*.parquet")
    pd.read_parquet(table).rename(columns={"action": "actions"}).to_parquet(table)
    for edit, where in (
        (damage.edit_info, lambda content: content["features"]),
        (damage.edit_statistics, lambda content: content),
    ):
        edit(root, lambda content, where=where: where(content).update(actions=where(content).pop("action")))


ALL = [0, 1, 2, 3, 4, 5]
REFUSED: dict[str, tuple[Callable[[Path], None], tuple[str, ...], list[int]]] = {
    "frames dropped inside a video":
        (drop_inside, (FILE, "has 196 frames, its episodes 198", "remove_feature"), ALL),
    "frames dropped at its end": (drop_at_the_end, (FILE, "has 196 frames, its episodes 198"), ALL),
    "a file cut off": (cut_file, (FILE, "is truncated"), ALL),
    "a file that is missing": (remove_file, (FILE, "is missing"), ALL),
    "a stream that starts late": (start_late, (FILE, "first picture is at 0.30 s", "ffmpeg -i"), [0]),
    "pictures of another size": (other_size, ("are 48x72", "says 96x72", "[48, 72, 3]"), ALL),
    "a video of half the rate": (slower_file, ("has 99 frames, its episodes 198 (5 frames a second",), ALL),
    "stretches that overlap": (overlap, ("shown by the same 10 frames", "--dataset.exclude 1:3"), [1, 2]),
    "a stretch behind the end":
        (past_the_end, ("shows 0.00 to 19.70 s, the rows ask for 17.20 to 20.20", "exclude 5"), [5]),
    "an episode in the wrong file": (wrong_file, ("--dataset.exclude",), [3]),
    "numbers with gaps": (renumbered, ("numbers its episodes 0, 1, 4, 5", "delete_episodes"), []),
    "bounds that are not the length": (wrong_bounds, ("but a length of 33 (episode 2",), [2]),
    "rows that are gone": (rows_gone, ("meta/episodes says 40 frames, data/ has 35 (episode 3",), [3]),
    "a length that is not that of the rows":
        (wrong_length, ("says frames 139 to 167 of the dataset, but a length of 29 (episode 4",), [4]),
    "bounds of another episode":
        (moved_bounds, ("says it begins at frame 63, but those before it end at 30 (episode 1",), [1, 2]),
    "a wall clock and other frames":
        (wall_clock_with_other_frames, ("leave the grid of 10 frames a second", "--dataset.exclude 1"), [1]),
    "a file of the system": (stray("._file-000.parquet"), ("._file-000.parquet", "rm '"), []),
    "a copy of a table": (stray("file-000 (1).parquet"), ("file-000 (1).parquet", "rm '"), []),
    "a file of the system in meta": (stray_episodes, ("._file-000.parquet", "rm '"), []),
    "a byte-order mark": (byte_order_mark, ("byte-order mark", "sed -i"), []),
    "another number of frames": (fewer_frames_said, ("data/ has 198 frames, meta/info.json says 190",), []),
    "a value that is no number": (not_finite, ("not finite", "episode 2", "--dataset.exclude 2"), [2]),
    "statistics of other joints":
        (statistics_of_five_joints, ("mean is of 5 numbers", "recompute_stats"), []),
    "an action of another name":
        (named_actions, ("no column action, but actions", """.rename_map '{"actions": "action"}'"""), []),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refused(check, dataset: Path, case: str):
    change, words, episodes = REFUSED[case]
    change(dataset)
    checked = check(dataset)
    assert checked.code == 1
    finding = next(finding for finding in checked.findings if finding["severity"] == "refused")
    for word in words:
        assert word in checked.said, checked.said
    assert set(episodes) <= set(finding["episodes"]), finding
    assert "download or record the dataset again" not in finding["remedy"] or case in DAMAGED, finding


DAMAGED = {
    "a file cut off", "a file that is missing", "a length that is not that of the rows",
    "bounds of another episode", "bounds that are not the length", "rows that are gone",
    "another number of frames",
}  # fmt: skip
"""What only another copy of the dataset mends."""
