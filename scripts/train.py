"""From demonstrations to a scored policy: records, scores, weights, trains, rolls out and sums up.

Finished stages are skipped, and a killed run goes on where it stopped.
"""

from collections.abc import Sequence

from rabc import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and runs the pipeline."""
    command = cli.parse(argv, __doc__, extra=[cli.DRY_RUN])
    from rabc import pipeline  # after parsing, because it imports torch

    pipeline.run(command.config, dry_run=command.extra["dry_run"])


if __name__ == "__main__":
    cli.run(main)
