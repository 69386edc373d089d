"""Says how much a scorer's progress is worth on a dataset, before anything is weighted by it.

Scores the controls (a still picture, the video backwards, a wrong instruction) where they are missing, prints
the figures, a table of all calibrations and the verdict, and leaves a page of curves over filmstrips.
"""

from collections.abc import Sequence

from rabc.config import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and diagnoses."""
    command = cli.parse(
        argv, __doc__, sections=("run", "dataset", "scorer", "diagnostics", "weights", "policy", "device")
    )
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    from rabc.pipeline.diagnose import diagnose_dataset

    diagnose_dataset(command.config)
