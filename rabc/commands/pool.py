"""Pools the rollouts of several finished runs, such as training seeds: each rate and all together."""

from collections.abc import Sequence

from rabc.config import cli

RUNS = cli.Argument("runs", str, "so101_pick", "Names of finished runs, comma-separated.")


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and prints the table."""
    command = cli.parse(argv, __doc__, sections=(), extra=[RUNS])
    from pathlib import Path

    from rabc.comparison.pool import pooled, read_run
    from rabc.system.terminal import table

    runs = [read_run(run.strip(), Path("outputs")) for run in command.extra["runs"].split(",")]
    print(table(pooled(runs), ["run", "seed", "lifted"]))
