"""Pools the rollouts of several finished runs, such as training seeds: each rate and all together."""

from collections.abc import Sequence

from rabc.config import cli
from rabc.config.names import folder_name_problem
from rabc.system.errors import InputError

RUNS = cli.Argument("runs", str, "so101_pick", "Names of finished runs, comma-separated.")


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and prints the table."""
    command = cli.parse(argv, __doc__, sections=(), extra=[RUNS])
    names = [name.strip() for name in command.extra["runs"].split(",")]
    for name in names:
        problem = folder_name_problem(name)
        if problem is not None:
            raise InputError(f"--runs {name!r}: {problem}")
    from pathlib import Path

    from rabc.comparison.pool import pooled, read_run
    from rabc.system.terminal import table

    runs = [read_run(name, Path("outputs")) for name in names]
    print(table(pooled(runs), ["run", "seed", "lifted"]))
