"""LeRobot's asynchronous client on the simulated arm: the policy is in a server on this machine.

    python -m lerobot.async_inference.policy_server --host=127.0.0.1 --port=8080 --fps=10
    rabc async-client --config_path=configs/lerobot/async_sim.yaml --duration=12 \\
        --policy_type=act --pretrained_name_or_path=checkpoints/so101_pick/pretrained_model

--duration SECONDS: stop after that; without it, at Ctrl-C. Everything else is LeRobot's
(`python -m lerobot.async_inference.robot_client --help`). ACT only, and only on the loopback address: see
docs/robot.md.
"""

import sys
from collections.abc import Sequence

from rabc.system.errors import InputError


def main(argv: Sequence[str]) -> None:
    """Parses --duration, hands the rest to LeRobot, and plays."""
    if "--help" in argv or "-h" in argv:
        sys.stdout.write(__doc__ or "")
        return
    duration, rest = _duration(argv)
    from rabc.robot import async_client

    last = async_client.play(rest, duration)
    print(f"{last + 1} actions executed")


def _duration(argv: Sequence[str]) -> tuple[float, list[str]]:
    """Seconds after `--duration` (0 where it is not there), and the other arguments."""
    rest, text, words = [], "0", iter(argv)
    for word in words:
        name, equals, value = word.partition("=")
        if name == "--duration":
            text = value if equals else next(words, "")
        else:
            rest.append(word)
    try:
        duration = float(text)
    except ValueError:
        duration = -1.0
    if not 0 <= duration < float("inf"):
        raise InputError(f"--duration {text!r}: is no time; give seconds, or leave it out")
    return duration, rest
