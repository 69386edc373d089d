"""The two doors to every command: `rabc <command>`, and `scripts/<command>.py` of a clone.

Nothing here imports what a command needs, so that `rabc --help` answers at once.
"""

import difflib
import importlib
import sys
import textwrap
from collections.abc import Sequence
from typing import NoReturn

from rabc.system.shipped import CONFIGS, SHIPPED

COMMANDS = {
    "Look at my data": {
        "record": "record simulated demonstrations, where there are none of one's own yet",
        "check-dataset": "say whether a dataset is fit to learn from, and how to mend what is not",
        "score": "score a dataset with a frozen video-language model, or one video",
        "diagnose": "say whether these scores are worth weighting by, with a page of curves",
    },
    "Train": {
        "train": "the main job: demonstrations, scores, weights, policy, rollouts",
    },
    "Compare": {
        "compare": "weights against plain behavior cloning, or rollouts recorded on an arm",
        "pool": "rollouts of several finished runs, such as training seeds, together",
    },
    "Deploy": {
        "export": "make a LeRobot policy folder of a checkpoint, and prove it",
        "check-policy": "say whether a policy folder, whoever made it, can run on a robot",
        "closed-loop": "record what the policy does with LeRobot, and train on that as well",
        "async-client": "play a policy of LeRobot's asynchronous server on the simulated arm",
    },
    "Keep house": {
        "cache": "say what lies in the user's cache, and remove what nothing needs any more",
    },
    "For developers": {
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
    elif words[0] == "--version":
        from importlib.metadata import version

        print(f"rabc {version('rabc')}")
    elif words[0] == "--shipped":
        print(SHIPPED)
    else:
        run(_named(words[0]), words[1:])
    sys.exit(0)


def run(name: str, argv: Sequence[str] | None = None) -> NoReturn:
    """Runs the command `name` on `argv` (None: the command line's own) and exits with its code."""
    _check_system()
    from rabc.config import cli

    command = importlib.import_module(f"rabc.commands.{name.replace('-', '_')}")
    cli.run(command.main, argv)


def _check_system() -> None:
    """Exit with 2 on a system whose Python cannot lock files, as on Windows."""
    try:
        importlib.import_module("fcntl")
    except ImportError:
        import platform

        print(
            f"error: rabc on {platform.system()}: runs on Linux and macOS alone; on Windows use WSL "
            "(`wsl --install`), which is a Linux",
            file=sys.stderr,
        )
        sys.exit(2)


def _named(word: str) -> str:
    """The command that `word` names; exits with 2 where it names none."""
    name = word.replace("_", "-")
    if name in _NAMES:
        return name
    near = difflib.get_close_matches(name, _NAMES, 1)
    remedy = f"did you mean {near[0]}?" if near else "rabc --help lists them"
    if word.startswith("-"):
        remedy = f"name one first, e.g. rabc train {word}"
    print(f"error: rabc {word}: no such command; {remedy}", file=sys.stderr)
    sys.exit(2)


def _overview() -> str:
    lines = [
        "usage: rabc <command> [--config NAME.yaml] [--key value ...]",
        "",
        "Reward-aligned behavior cloning for SO-100 and SO-101 arms. To begin with, all of it in simulation:",
        "",
        "  rabc train --config so101_pick.yaml --dry_run    what it would do, and how long that takes",
        "  rabc train --config so101_pick.yaml              do it",
        "",
    ]
    width = max(map(len, _NAMES))
    for purpose, commands in COMMANDS.items():
        lines += [purpose, *(f"  {name:<{width}}  {about}" for name, about in commands.items()), ""]
    shipped = ", ".join(sorted(path.name for path in CONFIGS.glob("*.yaml")))
    lines += textwrap.wrap(f"NAME.yaml is a file, or one of those that ship: {shipped}.", 100)
    return "\n".join(
        [
            *lines,
            "",
            "rabc <command> --help   every key of the command",
            "rabc --version          which release this is",
            "rabc --shipped          where the configurations and small scorers lie that come with it",
        ]
    )
