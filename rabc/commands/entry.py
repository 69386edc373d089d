"""The two doors to every command: `rabc <command>`, and `scripts/<command>.py` of a clone.

Nothing here imports what a command needs, so that `rabc --help` answers at once.
"""

import difflib
import importlib
import sys
from collections.abc import Sequence
from typing import NoReturn

COMMANDS = {
    "Look at my data": {
        "score": "score a dataset with a frozen video-language model, or one video",
        "diagnose": "say whether these scores are worth weighting by, with a page of curves",
    },
    "Train": {
        "train": "the main job: demonstrations, scores, weights, policy, rollouts",
    },
    "Compare": {
        "compare": "weights against plain behavior cloning, or rollouts recorded on an arm",
        "pool": "pool the rollouts of several finished runs",
    },
    "Deploy": {
        "export": "make a LeRobot policy folder of a checkpoint, and prove it",
        "check-policy": "say whether a policy folder, whoever made it, can run on a robot",
        "closed-loop": "record what the policy does with LeRobot, and train on that as well",
        "async-client": "play a policy of LeRobot's asynchronous server on the simulated arm",
    },
    "For developers": {
        "record": "record simulated demonstrations",
        "results": "run the experiments of docs/results.md and write their tables",
        "benchmark": "measure what docs/benchmarks.md claims",
        "paper": "measure a table of TOPReward's paper",
        "train-scorer": "train the small scorer",
        "evaluate-scorer": "measure the small scorer on held-out demonstrations",
        "plot-progress": "draw scored demonstrations as curves over filmstrips",
    },
}
"""What a user wants to do -> command -> what it does."""
_NAMES = [name for commands in COMMANDS.values() for name in commands]


def main() -> NoReturn:
    """`rabc <command> ...`: runs the command, or prints the list of them."""
    words = sys.argv[1:]
    if not words or words[0] in ("--help", "-h", "help"):
        print(_overview())
        sys.exit(0)
    if words[0] == "--version":
        from importlib.metadata import version

        print(f"rabc {version('rabc')}")
        sys.exit(0)
    name = words[0].replace("_", "-")
    if name not in _NAMES:
        near = difflib.get_close_matches(name, _NAMES, 1)
        remedy = f"did you mean {near[0]}?" if near else "rabc --help lists them"
        print(f"error: rabc {words[0]}: no such command; {remedy}", file=sys.stderr)
        sys.exit(2)
    run(name, words[1:])


def run(name: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command `name` on `argv` (None: the command line's own) and exits with its code."""
    from rabc.config import cli

    command = importlib.import_module(f"rabc.commands.{name.replace('-', '_')}")
    cli.run(command.main, argv)


def _overview() -> str:
    lines = ["rabc <command> [--config NAME.yaml] [--key value ...]", ""]
    width = max(map(len, _NAMES))
    for purpose, commands in COMMANDS.items():
        lines += [purpose, *(f"  {name:<{width}}  {about}" for name, about in commands.items()), ""]
    return "\n".join([*lines, "rabc <command> --help says the rest; rabc --version which release this is."])
