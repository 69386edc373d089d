"""Makes a LeRobot policy folder of a checkpoint, and proves that LeRobot alone acts the same with it.

With processors, statistics and a model card. The folder appears complete and proven, or not at all.
"""

from collections.abc import Sequence
from typing import Literal

from rabc.config import cli

CHECKPOINT = cli.Argument(
    "checkpoint",
    str | None,
    None,
    "Checkpoint step=<steps>.ckpt, or a training folder for its newest. Default: of the run's only training.",
    is_path=True,
)
MODEL = cli.Argument(
    "model",
    Literal["auto", "ema", "live"],
    "auto",
    "Which weights of the checkpoint. ema: their exponential moving average; live: those in training; "
    "auto: ema where the training made one.",
)
OUTPUT = cli.Argument(
    "output",
    str | None,
    None,
    "Policy folder to write. Default: checkpoints/<run>/step=<steps>/pretrained_model.",
    is_path=True,
)
LICENSE = cli.Argument("license", str, "apache-2.0", "Licence in the model card, an identifier of the hub.")
PUSH = cli.Argument("push", str | None, None, "Repository of the hub to upload the folder to: owner/name.")


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and exports."""
    command = cli.parse(
        argv, __doc__, sections=("run", "dataset"), extra=[CHECKPOINT, MODEL, OUTPUT, LICENSE, PUSH]
    )
    from rabc.system.processes import unwind_on_sigterm
    from rabc.system.quiet import no_library_bars, quiet_libraries

    unwind_on_sigterm()
    quiet_libraries()
    no_library_bars()
    from rabc.pipeline.export import export_checkpoint

    given = command.extra
    export_checkpoint(
        command.config, given["checkpoint"], given["model"], given["output"], given["license"], given["push"]
    )
