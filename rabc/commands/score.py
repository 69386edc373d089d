"""Scores every episode of a dataset with TOPReward and writes progress in LeRobot's columns; or one video.

A killed scoring goes on where it stopped; finished episodes are not scored again.
"""

from collections.abc import Sequence

from rabc.config import cli
from rabc.system.errors import InputError
from rabc.system.threads import sleep_when_idle

EPISODES = cli.Argument(
    "episodes",
    str | None,
    None,
    "Episodes to score, e.g. 0:50,60; the end of a range is left out. Default: all.",
)
DEVICES = cli.Argument("devices", int, 1, "Processes on each machine, one per GPU.")
NUM_NODES = cli.Argument("num_nodes", int, 1, "Machines, under torchrun or SLURM.")
VIDEO = cli.Argument("video", str | None, None, "Video file to score instead of a dataset.", is_path=True)
INSTRUCTION = cli.Argument("instruction", str | None, None, "The task of --video, a sentence.")
OUTPUT = cli.Argument(
    "output", str | None, None, "PNG of the curve of --video. Default: outputs/<name>.png.", is_path=True
)


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and scores."""
    command = cli.parse(
        argv, __doc__, sections=("dataset", "scorer", "diagnostics", "weights", "device"),
        extra=[EPISODES, DEVICES, NUM_NODES, VIDEO, INSTRUCTION, OUTPUT],
    )  # fmt: skip
    given = command.extra
    _check_together(given)
    if given["devices"] * given["num_nodes"] > 1:
        sleep_when_idle()
    from rabc.pipeline import score
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    if given["video"] is not None:
        score.score_video(command.config, given["video"], given["instruction"], given["output"])
    else:
        score.score_dataset(command.config, given["episodes"], given["devices"], given["num_nodes"])


def _check_together(given: dict[str, object]) -> None:
    if given["video"] is None:
        lone = [name for name in ("instruction", "output") if given[name] is not None]
        if lone:
            raise InputError(
                f"--{lone[0]} {given[lone[0]]}: belongs to --video; give a video, or leave it out"
            )
    elif given["instruction"] is None:
        raise InputError(f"--video {given['video']}: needs --instruction, the task as a sentence")
    elif given["episodes"] is not None or given["devices"] != 1 or given["num_nodes"] != 1:
        raise InputError(
            f"--video {given['video']}: is one clip; leave out --episodes, --devices and --num_nodes"
        )
