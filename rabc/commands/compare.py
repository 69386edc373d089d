"""Compares weightings: trains each arm with several seeds, plays all on the same start states, and says what
can be said. Finished trainings and rollouts are used again.

With --recorded it compares datasets of rollouts that LeRobot recorded on an arm.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

from rabc.config import cli
from rabc.config.settings import Config
from rabc.system.errors import InputError
from rabc.system.hub import local_path, place

SEEDS = cli.Argument("seeds", int, 3, "Trainings of each arm, with seeds from `seed` on.")
ROLLOUTS = cli.Argument(
    "rollouts", int | None, None, "Rollouts of each training, in place of rollouts.episodes."
)
ARMS = cli.Argument(
    "arms", str | None, None,
    "Arms, comma-separated: plain, weighted, topreward, shuffled, success-only, oracle and those of "
    "comparison.arms; by default all.",
)  # fmt: skip
STOP = cli.Argument(
    "stop", Literal["never", "sequential"], "never",
    "sequential: end the rollouts when an always-valid test has decided about every arm.",
)  # fmt: skip
RECORDED = cli.Argument(
    "recorded", list[str], [],
    "Instead: datasets of recorded rollouts, --recorded NAME=FOLDER for each, the first the baseline.",
)  # fmt: skip
LABELS = cli.Argument(
    "labels", list[str], [],
    "With --recorded: who succeeded, --labels NAME=FILE.csv, with columns episode_index and success.",
)  # fmt: skip


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and compares."""
    command = cli.parse(argv, __doc__, extra=[SEEDS, ROLLOUTS, ARMS, STOP, RECORDED, LABELS, cli.DRY_RUN])
    from rabc.comparison.arms import arms_of

    config, given = command.config, command.extra
    if given["recorded"] or given["labels"]:
        for argument in (SEEDS, ROLLOUTS, ARMS, STOP, cli.DRY_RUN):
            if given[argument.name] != argument.default:
                option = f"--{argument.name} {given[argument.name]}"
                raise InputError(f"{option}: is about trainings; leave it out with --recorded")
        recorded, labels = (named_texts(option, given[option]) for option in ("recorded", "labels"))
        return _recorded(
            config,
            {name: _dataset(name, text) for name, text in recorded.items()},
            {name: Path(local_path(f"--labels {name}", text)) for name, text in labels.items()},
        )
    episodes = config.rollouts.episodes if given["rollouts"] is None else given["rollouts"]
    for name, value in (("seeds", given["seeds"]), ("rollouts", episodes)):
        if value < 1:
            raise InputError(f"--{name} {value}: too few; give 1 or more")
    config = replace(config, rollouts=replace(config.rollouts, episodes=episodes))
    arms = arms_of(config, given["arms"])
    from rabc.comparison import run as comparison

    if given["dry_run"]:
        print(comparison.describe(config, arms, given["seeds"]))
    else:
        comparison.compare(config, arms, given["seeds"], given["stop"] == "sequential")


def named_texts(option: str, texts: Sequence[str]) -> dict[str, str]:
    """`NAME=FILE` texts as a mapping; InputError for one that is not, and for a name given twice."""
    found: dict[str, str] = {}
    for text in texts:
        name, equals, file = text.partition("=")
        if not (name and equals and file):
            raise InputError(f"--{option} {text}: not a name and a path; write --{option} NAME=PATH")
        if name in found:
            raise InputError(f"--{option} {text}: the name {name} is given twice; choose another")
        found[name] = file
    return found


def _dataset(name: str, text: str) -> Path:
    """The folder or hub id that `--recorded name=text` means."""
    found = place(f"--recorded {name}", text, "dataset")
    if found.revision is not None:
        raise InputError(
            f"--recorded {name}={text}: names a revision, which cannot be chosen here; download it with "
            f"`hf download {found.name} --repo-type dataset --revision {found.revision} --local-dir <folder>`"
        )
    return Path(found.name)


def _recorded(config: Config, datasets: dict[str, Path], labels: dict[str, Path]) -> None:
    from rabc.comparison.recorded.run import recorded_command, recorded_folder

    recorded_command(config, datasets, labels, recorded_folder(datasets))
