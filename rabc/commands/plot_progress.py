"""Draws progress curves over filmstrips of simulated demonstrations, the simulator's progress beside them."""

from collections.abc import Sequence

from rabc.config import cli

KINDS = cli.Argument("kinds", str, "clean,stall,drop,give_up", "Kinds of demonstrations, comma-separated.")
OFFSET = cli.Argument(
    "offset", int, 0, "Offset of the start state within the seeds held out for testing the scorer."
)
OUTPUT = cli.Argument("output", str, "outputs/progress.png", "PNG file to write.", is_path=True)


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and draws."""
    sections = ("scorer", "demonstrations.task", "device")
    command = cli.parse(argv, __doc__, sections, extra=[KINDS, OFFSET, OUTPUT])
    from pathlib import Path
    from typing import cast

    from rabc.diagnosis import demonstrations
    from rabc.scoring.configured import load_scorer
    from rabc.sim.demonstrator import KINDS as ALL
    from rabc.sim.demonstrator import Kind
    from rabc.system.errors import InputError
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    wanted = [kind.strip() for kind in command.extra["kinds"].split(",")]
    unknown = [kind for kind in wanted if kind not in ALL]
    if unknown:
        raise InputError(f"kinds {', '.join(unknown)}: unknown; choose among {', '.join(ALL)}")
    if command.extra["offset"] < 0:
        raise InputError(
            f"--offset {command.extra['offset']}: before the first held-out seed; give 0 or more"
        )
    scorer = load_scorer(command.config.scorer, command.config.device)
    path = Path(command.extra["output"])
    task = command.config.demonstrations.task
    demonstrations.draw(scorer, cast("list[Kind]", wanted), command.extra["offset"], path, task)
    print(path)
