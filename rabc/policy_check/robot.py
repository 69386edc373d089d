"""What a LeRobot robot gives and takes, from its configuration alone; nothing is connected."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from rabc.policy_check.joints import joint_names
from rabc.system.errors import InputError


@dataclass(frozen=True)
class Robot:
    """A robot as `lerobot-rollout` would build it from the same arguments."""

    joints: list[str]
    """Of its actions, in their order, without `.pos`."""
    cameras: dict[str, tuple[int, int] | None]
    """`observation.images.<name>` -> height and width, pixels; None: whatever the camera has."""
    degrees: bool | None
    """Whether arm joints are in degrees; None: its configuration does not say."""


def read_robot(arguments: Sequence[str]) -> Robot:
    """The robot of `--robot.*` arguments, as `lerobot-rollout` takes them.

    Imports the package that `--robot.discover_packages_path` names, as LeRobot does. LeRobot makes the folder
    of the robot's calibration file.

    Raises:
        InputError: LeRobot does not know the robot or rejects an argument.
    """
    import importlib

    from lerobot.configs.parser import (
        PLUGIN_DISCOVERY_SUFFIX,
        PluginLoadError,
        load_plugin,
        parse_plugin_args,
    )
    from lerobot.robots import make_robot_from_config
    from lerobot.utils.import_utils import register_third_party_plugins

    shown = " ".join(arguments)
    importlib.import_module("lerobot.scripts.lerobot_rollout")  # registers LeRobot's own robots and cameras
    try:
        register_third_party_plugins()
        plugins = parse_plugin_args(PLUGIN_DISCOVERY_SUFFIX, arguments)
        for package in plugins.values():
            load_plugin(package)
        config = _config([word for word in arguments if PLUGIN_DISCOVERY_SUFFIX not in word])
        robot = make_robot_from_config(config)
    except (PluginLoadError, ImportError, OSError, ValueError, TypeError, NotImplementedError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[-1]
        raise InputError(
            f"{shown}: LeRobot cannot build this robot ({reason}); give what you would give lerobot-rollout"
        ) from error
    observed: dict[str, Any] = dict(robot.observation_features)
    moved = [name for name in robot.action_features if name.endswith((".pos", ".vel"))]
    return Robot(
        joint_names(moved),
        {f"observation.images.{k}": _size(v) for k, v in observed.items() if isinstance(v, tuple)},
        getattr(config, "use_degrees", None),
    )


def _config(arguments: Sequence[str]) -> Any:
    import contextlib
    import io
    from dataclasses import make_dataclass

    import draccus
    from lerobot.robots import RobotConfig
    from yaml import YAMLError

    words = io.StringIO()
    owner = make_dataclass("owner", [("robot", RobotConfig)])
    try:
        with contextlib.redirect_stderr(words):
            return draccus.parse(owner, args=list(arguments)).robot
    except SystemExit as error:  # argparse has printed why
        raise ValueError(words.getvalue().rpartition(": error: ")[2]) from error  # without our name
    except (draccus.ParsingError, YAMLError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())) from error


def _size(shape: tuple[Any, ...]) -> tuple[int, int] | None:
    return None if None in shape[:2] else (int(shape[0]), int(shape[1]))
