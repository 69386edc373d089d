"""Trains the small scorer on simulated demonstrations and writes it to the folder `output`.

About forty minutes on two cores: simulates episodes with many cube colours, trains, measures on held-out
episodes and writes the model card. A killed training goes on where it stopped.
"""

from collections.abc import Sequence

from rabc.config import cli

OUTPUT = cli.Argument(
    "output",
    str,
    None,
    "Folder for the scorer: a new one, or one with a scorer to replace. Required.",
    is_path=True,
)
EPISODES = cli.Argument("episodes", int, 800, "Simulated episodes to train on.")
DATA = cli.Argument(
    "data", str, "data/so101_scorer", "Folder for simulated episodes, made when missing.", is_path=True
)
THREADS = cli.Argument("threads", int, 0, "CPU threads for torch; 0: its default.")
TEST = cli.Argument("test_episodes", int, 60, "Held-out episodes the model card reports on.")
ALIGN = cli.Argument(
    "align_steps", int, 200, "Steps in which the vision encoder alone learns to see colours."
)
GLANCES = cli.Argument("glance_steps", int, 1000, "Steps on single moments.")
CLIPS = cli.Argument("clip_steps", int, 800, "Steps on whole clips.")


def main(argv: Sequence[str]) -> None:
    """Parses `argv`, trains, measures and writes."""
    extra = [OUTPUT, EPISODES, DATA, THREADS, TEST, ALIGN, GLANCES, CLIPS]
    command = cli.parse(argv, __doc__, sections=("seed", "demonstrations.task"), extra=extra)
    from rabc.system.errors import InputError

    if not command.extra["output"]:
        raise InputError("--output: missing; name the folder for the scorer, e.g. --output outputs/my-scorer")
    for argument, least in ((EPISODES, 1), (TEST, 2), (THREADS, 0), (ALIGN, 0), (GLANCES, 0), (CLIPS, 0)):
        value = command.extra[argument.name]
        if value < least:
            raise InputError(f"--{argument.name} {value}: too small; give {least} or more")
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    from pathlib import Path

    from rabc.scoring.small.making import make_scorer
    from rabc.scoring.small.train import Curriculum

    asked = command.extra
    curriculum = Curriculum(asked["align_steps"], asked["glance_steps"], asked["clip_steps"])
    make_scorer(
        Path(asked["output"]), Path(asked["data"]), asked["episodes"], asked["test_episodes"],
        curriculum, command.config.seed, asked["threads"], command.config.demonstrations.task,
    )  # fmt: skip
