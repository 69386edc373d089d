"""LeRobot's asynchronous client with the simulated arm registered, and what it leaves open refused.

LeRobot's own client (`python -m lerobot.async_inference.robot_client`) discovers no packages, so it knows no
robot from outside LeRobot; it waits for ever where the server has failed; and client and server unpickle
whatever comes over the network, which runs any code the other side sends.
"""

import contextlib
import io
import ipaddress
import json
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rabc.policies.door import admit
from rabc.system.errors import CheckFailed, InputError
from rabc.system.shipped import here_or_shipped

if TYPE_CHECKING:
    from lerobot.async_inference.configs import RobotClientConfig

POLICY_TYPE = "act"
"""What LeRobot's server can serve of ours: it hands a policy one observation, Diffusion needs a history."""


def play(arguments: Sequence[str], duration: float) -> int:
    """Run LeRobot's client until `duration` seconds have passed or Ctrl-C; 0: until Ctrl-C.

    Args:
        arguments: what LeRobot's client takes (`RobotClientConfig`).
        duration: seconds.

    Returns:
        Number of the last action that was executed, counted from 0.

    Raises:
        InputError: arguments that cannot work, or no policy server that answers.
        CheckFailed: the server sent no action at all.
    """
    import draccus
    import lerobot.async_inference.robot_client  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers LeRobot's own)
    from lerobot.async_inference.configs import RobotClientConfig

    import rabc.robot.follower  # noqa: F401  # pyright: ignore[reportUnusedImport]  (registers the simulated arm)

    words = io.StringIO()
    try:
        with contextlib.redirect_stderr(words):
            config: RobotClientConfig = draccus.parse(
                config_class=RobotClientConfig, args=[_found(word) for word in arguments]
            )
    except (draccus.ParsingError, SystemExit) as error:  # argparse prints why and exits
        reason = (words.getvalue().strip() or str(error).strip()).splitlines()[-1]
        raise InputError(f"{' '.join(arguments)}: LeRobot's client cannot read it ({reason})") from error
    if config.robot.calibration_dir is not None:
        config.robot.calibration_dir = Path(here_or_shipped(str(config.robot.calibration_dir)))
    check(config)
    for line in resized_by_server(config):
        print(line, file=sys.stderr)
    client = _client(config)
    try:
        if not client.start():
            raise InputError(
                f"server_address {config.server_address}: no policy server answers, or it cannot load the "
                "policy (its log says why); start it with "
                "`python -m lerobot.async_inference.policy_server --host=127.0.0.1`"
            )
        receiver = threading.Thread(target=client.receive_actions, daemon=True)
        receiver.start()
        if duration > 0:
            timer = threading.Timer(duration, client.shutdown_event.set)
            timer.daemon = True
            timer.start()
        with contextlib.suppress(KeyboardInterrupt):
            client.control_loop(task=config.task)
    finally:
        client.shutdown_event.set()
        client.robot.disconnect()
    # The channel stays open until the receiver's last call has returned; LeRobot closes it under the call.
    receiver.join(timeout=10)
    client.channel.close()
    if client.latest_action < 0:
        raise CheckFailed("no action came from the policy server; its log says what went wrong")
    return client.latest_action


def _found(word: str) -> str:
    """`--config_path=FILE` with the shipped FILE where there is none here; any other word as it is."""
    option, equals, name = word.partition("=")
    return f"{option}={here_or_shipped(name)}" if equals and option == "--config_path" else word


def _client(config: "RobotClientConfig") -> Any:
    """LeRobot's client, connected to the robot, but that it executes whole chunks.

    LeRobot numbers an observation like the action executed last and then drops the action of that number
    from the answer: of every chunk but the first, the first action is never executed, and the others are
    executed a tick early.
    """
    from lerobot.async_inference.helpers import TimedObservation
    from lerobot.async_inference.robot_client import RobotClient

    class Client(RobotClient):
        def send_observation(self, obs: TimedObservation) -> bool:
            with self.latest_action_lock:
                obs.timestep = self.latest_action + 1
            return super().send_observation(obs)

    return Client(config)


def check(config: "RobotClientConfig") -> None:
    """Raise InputError for what the client would start with and never move the arm, or expose the machine."""
    host = config.server_address.rpartition(":")[0]
    if not _is_loopback(host):
        raise InputError(
            f"server_address {config.server_address}: client and server run what the other sends (pickle), "
            "so only this machine may be it; reach another one through a tunnel, e.g. "
            "`ssh -L 8080:127.0.0.1:8080 <machine>`"
        )
    folder = Path(config.pretrained_name_or_path)
    if folder.is_dir():
        admit(folder)
    try:
        policy_type = json.loads((folder / "config.json").read_text())["type"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            f"pretrained_name_or_path {folder}: is no policy folder; give one that holds config.json"
        ) from error
    if policy_type != POLICY_TYPE:
        raise InputError(
            f"pretrained_name_or_path {folder}: LeRobot's policy server cannot run {policy_type}, which "
            "needs more than one observation; use lerobot-rollout, or an ACT policy"
            if policy_type == "diffusion"
            else f"pretrained_name_or_path {folder}: {policy_type} is not tried with LeRobot's policy "
            f"server; give a policy of type {POLICY_TYPE}"
        )
    if config.policy_type != policy_type:
        raise InputError(
            f"policy_type {config.policy_type}: {folder} holds {policy_type}; give "
            f"--policy_type={policy_type}"
        )


def resized_by_server(config: "RobotClientConfig") -> list[str]:
    """What to know of each camera whose pictures have another size than the policy's.

    LeRobot's server resizes them before the policy's own preprocessor does, and without antialiasing: edges
    differ by half of all grey levels from what training saw.
    """
    content = json.loads((Path(config.pretrained_name_or_path) / "config.json").read_text())
    features: dict[str, Any] = content.get("input_features") or {}
    said: list[str] = []
    for name, camera in (getattr(config.robot, "cameras", None) or {}).items():
        shape = features.get(f"observation.images.{name}", {}).get("shape")
        given = [camera.height, camera.width]
        if shape is not None and list(shape[1:]) != given:
            height, width = shape[1:]
            said.append(
                f"camera {name}: gives {given[1]}x{given[0]}, which LeRobot's policy server resizes "
                f"otherwise than the training did; set its width {width} and height {height}, or use "
                "lerobot-rollout"
            )
    return said


def _is_loopback(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False
