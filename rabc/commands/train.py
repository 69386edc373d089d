"""From demonstrations to a scored policy: records, scores, weights, trains, rolls out and sums up.

Finished stages are skipped, and a killed run goes on where it stopped.
"""

from collections.abc import Sequence

from rabc.config import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and runs the pipeline."""
    command = cli.parse(argv, __doc__, extra=[cli.DRY_RUN])
    from rabc.pipeline import main_job

    main_job.run(command.config, dry_run=command.extra["dry_run"])
