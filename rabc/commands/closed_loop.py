"""Demonstrations, scores, training, recording with lerobot-rollout, training on both.

Prints the success rates of both rounds with intervals. Finished parts are not done again.
"""

from collections.abc import Sequence

from rabc.config import cli
from rabc.system.errors import InputError

EPISODES = cli.Argument("episodes", int, 40, "Rollouts of the first round's policy that LeRobot records.")


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and closes the loop."""
    command = cli.parse(argv, __doc__, extra=[EPISODES])
    if command.extra["episodes"] < 1:
        raise InputError(f"--episodes {command.extra['episodes']}: too few; give 1 or more")
    from rabc.pipeline.closed_loop import close_loop  # after parsing, because it imports torch
    from rabc.system.processes import unwind_on_sigterm

    unwind_on_sigterm()

    close_loop(command.config, command.extra["episodes"])
