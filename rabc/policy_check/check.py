"""What `rabc check-policy` does: every check of a folder, a table, and whether all passed."""

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from rabc.policy_check.findings import Finding, findings_table, passed, skipped
from rabc.system.errors import CheckFailed, InputError

if TYPE_CHECKING:
    from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

    from rabc.policy_check.files import PolicyFiles
    from rabc.policy_check.robot import Robot

_WIDTH = 90
# What is asked for whole chunks of actions; others fill their queues in ways of their own.
_KINDS = ("act", "diffusion", "smolvla", "pi0", "pi05")


def check_folder(
    folder: str,
    dataset: str | None = None,
    robot: Sequence[str] = (),
    rename_map: dict[str, str] | None = None,
    fps: float | None = None,
    device: str = "cpu",
) -> list[Finding]:
    """Look at a policy folder from every side; nothing is changed, and no robot is connected.

    Args:
        folder: a LeRobot policy folder, whoever made it.
        dataset: folder or hub id of the dataset it was trained on; None: the one it names, if that is
            here and what the policy was made with.
        robot: `--robot.*` arguments as `lerobot-rollout` takes them; none: no robot to compare with.
        rename_map: as for `lerobot-rollout`: the robot's name of an input -> the policy's.
        fps: control rate, Hz; None: the dataset's.
        device: torch device to run the policy on.

    Raises:
        InputError: no such folder or dataset, or LeRobot does not know the robot.
    """
    from rabc.policy_check.configuration import configuration_findings, load_findings
    from rabc.policy_check.dataset import find_dataset
    from rabc.policy_check.files import foreign_findings, read_folder, weights_findings
    from rabc.policy_check.statistics import statistics_findings

    path = Path(folder)
    if not path.is_dir():
        raise InputError(f"policy {folder}: no such folder; give a LeRobot policy folder")
    foreign = foreign_findings(path)
    if any(finding.status == "FAIL" for finding in foreign):
        return foreign
    files = read_folder(path)
    meta, lacking = find_dataset(files, dataset)
    built = _robot(robot)
    found = files.findings
    found[:0] = foreign
    if meta is not None:
        found.append(passed("dataset", str(meta.root)))
    found += weights_findings(path)
    found += configuration_findings(files)
    found += statistics_findings(files)
    found += _against_dataset(files, meta, rename_map or {}, built)
    if meta is None:
        found.append(skipped("dataset", lacking))
    found += _against_robot(files, meta, rename_map or {}, built)
    loads, loaded = load_findings(files, device)
    found += loads
    if loaded is not None:
        found += _in_action(files, meta, loaded, rename_map or {}, fps, device)
    return found


def report(folder: str, findings: list[Finding]) -> None:
    """Print the table. Raises CheckFailed where a check failed."""
    print(findings_table(findings, lambda text: textwrap.wrap(text, _WIDTH)))
    failures = sum(finding.status == "FAIL" for finding in findings)
    unchecked = sum(finding.status == "not checked" for finding in findings)
    if failures:
        raise CheckFailed(
            f"policy {folder}: {failures} check{'s' * (failures > 1)} failed; do not run it on an arm"
        )
    left = f"; {unchecked} not checked" if unchecked else ""
    print(f"\npolicy {folder}: {len(findings) - unchecked} checks passed{left}")


def _robot(arguments: Sequence[str]) -> "Robot | None":
    from rabc.policy_check.robot import read_robot

    return read_robot(arguments) if arguments else None


def _against_dataset(
    files: "PolicyFiles",
    meta: "LeRobotDatasetMetadata | None",
    rename_map: dict[str, str],
    robot: "Robot | None",
) -> list[Finding]:
    from rabc.datasets.cameras import colour_cameras, recorded_shape
    from rabc.datasets.features import ACTION, STATE
    from rabc.policy_check.inputs import camera_findings, joint_findings
    from rabc.policy_check.joints import SO101, joint_names
    from rabc.policy_check.statistics import dataset_findings, unit_findings

    degrees = None if robot is None else robot.degrees
    if meta is None:
        if robot is not None:
            return list(unit_findings(files, robot.joints, degrees, "the robot"))
        return list(unit_findings(files, list(SO101), None, "an SO-101"))
    cameras = {key: recorded_shape(meta, key) for key in colour_cameras(meta)}
    vectors = (STATE, ACTION)
    names = {key: joint_names(meta.features[key].get("names")) for key in vectors if key in meta.features}
    return [
        *camera_findings(
            files, cameras, {**files.rename_map, **_for_dataset(meta, rename_map)}, "the dataset"
        ),
        *joint_findings(files, names, meta.robot_type),
        *unit_findings(files, names.get("action", []), degrees, "the dataset"),
        *dataset_findings(files, dict(meta.stats or {}), meta.features),
    ]


def _for_dataset(meta: "LeRobotDatasetMetadata", rename_map: dict[str, str]) -> dict[str, str]:
    """What of the robot's rename map holds for the dataset as well: names that it has for ones it lacks."""
    return {
        theirs: mine
        for theirs, mine in rename_map.items()
        if theirs in meta.features and mine not in meta.features
    }


def _against_robot(
    files: "PolicyFiles",
    meta: "LeRobotDatasetMetadata | None",
    rename_map: dict[str, str],
    robot: "Robot | None",
) -> list[Finding]:
    from rabc.datasets.cameras import colour_cameras, recorded_shape
    from rabc.policy_check.actions import action_names
    from rabc.policy_check.inputs import camera_findings, environment_findings, robot_joint_findings

    if robot is None:
        return [skipped("robot", "give --robot.type and what else you give lerobot-rollout")]
    joints, recorded = None, None
    if meta is not None:
        names = {**files.rename_map, **_for_dataset(meta, rename_map)}
        joints = action_names(meta)
        recorded = {names.get(key, key): recorded_shape(meta, key) for key in colour_cameras(meta)}
    return [
        *environment_findings(files),
        *camera_findings(files, robot.cameras, rename_map, "the robot", recorded),
        *robot_joint_findings(files, robot.joints, joints),
    ]


def _in_action(
    files: "PolicyFiles",
    meta: "LeRobotDatasetMetadata | None",
    loaded: tuple[object, object, object],
    rename_map: dict[str, str],
    fps: float | None,
    device: str,
) -> list[Finding]:
    from rabc.policy_check import actions as acting
    from rabc.policy_check.findings import failed

    found: list[Finding] = []
    kind = str((files.config or {}).get("type"))
    if kind not in _KINDS:
        return [skipped("actions", f"of a policy of type {kind}; only those of {', '.join(_KINDS)} are")]
    try:
        if meta is None:
            seconds = acting.made_up_seconds(loaded, files)
        else:
            table = acting.dataset_table(meta)
            answers = acting.query(loaded, meta, table, _for_dataset(meta, rename_map))
            found += acting.action_findings(answers, table, acting.action_names(meta))
            seconds = answers.seconds
    # LeRobot's own words for a picture, a state or an input that does not fit.
    except (
        RuntimeError,
        ValueError,
        KeyError,
        IndexError,
        TypeError,
        AttributeError,
        AssertionError,
    ) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        return [failed("actions", f"the policy cannot act on frames as it gets them: {reason}")]
    ticks = int((files.config or {}).get("n_action_steps") or 1)
    recorded = None if meta is None else float(meta.fps)
    return [*found, acting.rate_finding(seconds, ticks, fps, recorded, device)]
