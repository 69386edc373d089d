"""Runs the experiments of docs/results.md and writes their tables.

Finished trainings and rollouts are used again.
"""

from collections.abc import Sequence

from rabc.config import cli

EXPERIMENTS = cli.Argument(
    "experiments", str | None, None, "Names of experiments, comma-separated; by default all."
)


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and runs the experiments."""
    command = cli.parse(argv, __doc__, sections=(), extra=[EXPERIMENTS, cli.DRY_RUN])
    from rabc.comparison.publish import PAGE, publish
    from rabc.system.errors import InputError
    from rabc.system.processes import unwind_on_sigterm

    if not PAGE.is_file() and not command.extra["dry_run"]:
        raise InputError(f"{PAGE}: not in this folder; start this in a clone, whose page it writes")
    unwind_on_sigterm()
    names = command.extra["experiments"]
    publish([] if names is None else names.split(","), command.extra["dry_run"])
