"""Records simulated SO-101 demonstrations of mixed quality as a LeRobotDataset v3.

A killed recording goes on where it stopped.
"""

from collections.abc import Sequence

from rabc.config import cli


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and records."""
    command = cli.parse(argv, __doc__, sections=("dataset", "demonstrations"))
    from pathlib import Path

    from rabc.sim.environment import check_rendering
    from rabc.sim.recorder import record

    check_rendering()
    root = Path(command.config.dataset.paths[0])
    record(command.config.demonstrations, root)
    print(f"recorded {command.config.demonstrations.episodes} episodes: {root}")
