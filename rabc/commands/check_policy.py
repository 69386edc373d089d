"""Says whether a LeRobot policy folder, whoever made it, can run on a robot: a table, and exit code 1 if not.

    rabc check-policy FOLDER --dataset.path data/so101_pick \\
        --robot.type=so101_follower --robot.port=/dev/ttyACM0 --robot.cameras='{front: {...}, wrist: {...}}'

Looks at files, weights, statistics, cameras, joints and units, at what the policy does on frames of its
dataset, and at how long that takes here. Connects nothing. `--robot.*` are lerobot-rollout's own arguments.
"""

import argparse
import json
from collections.abc import Sequence

from rabc.config.arguments import program
from rabc.system.errors import InputError
from rabc.system.hub import place


def main(argv: Sequence[str]) -> None:
    """Parses `argv` and checks."""
    ours, robot = _split(argv)
    given = _parse(ours)
    if robot and not any(word.startswith("--robot.type") for word in robot):
        raise InputError(f"{' '.join(robot)}: of which robot? Give --robot.type as well")
    rename_map = _rename_map(given.rename_map)
    folder = place("folder", given.folder, "model").name
    from rabc.system.quiet import no_library_bars, quiet_libraries

    quiet_libraries()
    no_library_bars()
    from rabc.policy_check.check import check_folder, report
    from rabc.system.device import resolve_device

    findings = check_folder(folder, given.dataset, robot, rename_map, given.fps, resolve_device(given.device))
    report(folder, findings)


def _split(argv: Sequence[str]) -> tuple[list[str], list[str]]:
    """Our own arguments, and those of the robot, each as one word `--robot.key=value`."""
    ours: list[str] = []
    robot: list[str] = []
    words = iter(argv)
    for word in words:
        if not word.startswith("--robot."):
            ours.append(word)
        elif "=" in word:
            robot.append(word)
        else:
            robot.append(f"{word}={next(words, '')}")
    return ours, robot


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program(), description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter,
        exit_on_error=False, allow_abbrev=False,
    )  # fmt: skip
    # Optional to argparse, which would print its usage before the error.
    parser.add_argument(
        "folder", nargs="?", help="Policy folder: config.json, model.safetensors and the processors."
    )
    parser.add_argument(
        "--dataset.path", dest="dataset", metavar="PATH",
        help="Dataset it was trained on, a folder or a hub id. Default: the one in train_config.json.",
    )  # fmt: skip
    parser.add_argument("--rename_map", help='As for lerobot-rollout: JSON, {"observation.images.top": ...}.')
    parser.add_argument("--fps", type=float, help="Control rate, Hz. Default: the dataset's.")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda", "mps"], default="auto", help="Where the policy runs."
    )
    try:
        given, unknown = parser.parse_known_args(argv)
    except argparse.ArgumentError as error:
        raise InputError(f"{' '.join(argv)}: {error}; see --help") from error
    if unknown:
        raise InputError(f"{unknown[0]}: belongs to no option; see --help")
    if given.folder is None:
        raise InputError(f"{' '.join(argv) or 'no arguments'}: name one policy folder; see --help")
    if given.fps is not None and not 0 < given.fps < float("inf"):
        raise InputError(f"--fps {given.fps}: is no control rate; give Hz")
    return given


def _rename_map(text: str | None) -> dict[str, str]:
    if text is None:
        return {}
    try:
        names = json.loads(text)
        if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
            raise ValueError("not names")
        return names
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"--rename_map {text:.200}: is no JSON of names ({error}); give "
            '\'{"observation.images.<robot>": "observation.images.<policy>"}\''
        ) from error
