"""Cameras and joints of the policy against those of a dataset or a robot."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from rabc.datasets.features import ENVIRONMENT
from rabc.policy_check.files import PolicyFiles
from rabc.policy_check.findings import Finding, all_or, failed, skipped
from rabc.policy_check.joints import SO101, joint_names, order_problem
from rabc.system.terminal import shell_word

Size = tuple[int, int]
# Policies that bring pictures of any size to their own.
_RESIZING = (
    "resize_imgs_with_padding", "image_resolution", "resize_shape", "image_size", "image_resize_shape"
)  # fmt: skip
# Share by which width / height may differ from the recorded one: a camera's rounding to whole pixels.
_ASPECT = 0.02


def camera_findings(
    files: PolicyFiles,
    there: Mapping[str, Size | None],
    rename_map: Mapping[str, str],
    whose: str,
    recorded: Mapping[str, Size] | None = None,
) -> Iterator[Finding]:
    """Are all cameras there that the policy reads, in the size it was trained on?

    Args:
        files: of the policy.
        there: camera key -> height and width, pixels; None: not known before the camera is connected.
        rename_map: applied to the keys in `there`.
        whose: `the dataset` or `the robot`.
        recorded: the policy's camera key -> height and width in the dataset, pixels; None: no dataset.
    """
    if not files.cameras:
        return
    check = f"cameras of {whose}"
    known = {rename_map.get(key, key): size for key, size in there.items()}
    problems: list[str] = []
    for key, size in files.cameras.items():
        if key not in known:
            problems.append(
                f"{key}: the policy reads it, {whose} has {', '.join(known) or 'none'}; rename the camera "
                f"or give --rename_map={shell_word(json.dumps({'observation.images.<its name>': key}))}"
                + _folders_map(files, rename_map)
            )
        else:
            problems += _size_problem(files, key, size, known[key], whose)
            problems += _aspect_problem(files, key, (recorded or {}).get(key), known[key], whose)
    words = ", ".join(f"{key.rpartition('.')[2]} {_shown(size)}" for key, size in files.cameras.items())
    yield from all_or(check, problems, words)
    unknown = [key for key in files.cameras if key in known and known[key] is None]
    if unknown:
        yield skipped(
            check,
            f"size of {', '.join(unknown)}: give its width and height as lerobot-rollout would get them",
        )


def environment_findings(files: PolicyFiles) -> Iterator[Finding]:
    """Does the policy want to know what only a simulation knows?"""
    if ENVIRONMENT in files.features("input_features"):
        yield failed(
            "inputs of the robot",
            f"{ENVIRONMENT}: the policy reads it, and no robot gives it; train on cameras: "
            '--policy.extra.input_features \'["observation.images.<camera>", "observation.state"]\'',
        )


def joint_findings(
    files: PolicyFiles, names: Mapping[str, list[str]], robot_type: str | None
) -> Iterator[Finding]:
    """Has the dataset as many joints as the policy, in the order of the arm's motors?

    Args:
        files: of the policy.
        names: `observation.state` and `action` -> joints of the dataset; none where it does not name them.
        robot_type: that the dataset was recorded with.
    """
    problems: list[str] = []
    checked: list[str] = []
    features = {**files.features("input_features"), **files.features("output_features")}
    for key, joints in names.items():
        if key not in features or not joints:
            continue
        checked = joints
        size = int(features[key]["shape"][0])
        if size != len(joints):
            problems.append(
                f"{key}: the policy has {size} joints, the dataset {len(joints)}: {', '.join(joints)}"
            )
        if sorted(joints) == sorted(SO101):
            problem = order_problem(joints, SO101, f"the arm ({robot_type or 'so101_follower'})")
            problems += [f"{key}: {problem}"] if problem else []
    if not checked:
        yield skipped("joints of the dataset", "it does not name them")
        return
    yield from all_or("joints of the dataset", problems, ", ".join(checked))


def robot_joint_findings(
    files: PolicyFiles, robot_joints: list[str], dataset_joints: list[str] | None
) -> Iterator[Finding]:
    """Does the robot move the joints that the policy was trained on, in their order?

    Args:
        files: of the policy.
        robot_joints: in the robot's order.
        dataset_joints: of the dataset's actions; None: no dataset.
    """
    check = "joints of the robot"
    action: dict[str, Any] = files.features("output_features").get("action") or {"shape": [0]}
    size = int(action["shape"][0])
    # LeRobot gives the robot's first joint the first number, whatever names the policy brings.
    trained = joint_names((files.config or {}).get("action_feature_names")) or dataset_joints
    problems: list[str] = []
    if size != len(robot_joints):
        problems.append(
            f"the policy has {size} joints, the robot {len(robot_joints)}: {', '.join(robot_joints)}"
        )
    elif trained:
        problem = order_problem(trained, robot_joints, "the robot")
        problems += [problem] if problem else []
    yield from all_or(check, problems, ", ".join(robot_joints))
    if not problems and not trained:
        yield skipped(check, "their order: the folder has no names of joints; give --dataset.path")


def _folders_map(files: PolicyFiles, rename_map: Mapping[str, str]) -> str:
    """What to know about a rename map inside the folder, which does nothing on the robot."""
    if not files.rename_map or dict(files.rename_map) == dict(rename_map):
        return ""
    return f" (lerobot-rollout replaces the one of the folder, {dict(files.rename_map)}, by its own)"


def _aspect_problem(
    files: PolicyFiles, key: str, recorded: Size | None, seen: Size | None, whose: str
) -> Iterator[str]:
    """Pictures that are resized may have another size, but not another shape."""
    if files.resizes_to is None or recorded is None or seen is None:
        return
    ratio = (seen[1] / seen[0]) / (recorded[1] / recorded[0])
    if abs(ratio - 1) > _ASPECT:
        yield (
            f"{key}: {whose} has {_shown(seen)}, it was recorded with {_shown(recorded)}: the resize would "
            "distort what the policy knows; give the camera the recorded ratio of width and height"
        )


def _size_problem(files: PolicyFiles, key: str, size: Size, seen: Size | None, whose: str) -> Iterator[str]:
    resized = files.resizes_to
    if resized is not None:
        if resized != size:
            yield (
                f"{key}: the preprocessor resizes to {_shown(resized)}, the policy wants {_shown(size)}; "
                "restore config.json"
            )
        return
    if any((files.config or {}).get(name) for name in _RESIZING):
        return
    if seen is not None and seen != size:
        yield (
            f"{key}: the policy was trained on {_shown(size)}, {whose} has {_shown(seen)}: LeRobot would "
            "go on with pictures it does not know; set the camera, or train with policy.resize_shape"
        )


def _shown(size: Size) -> str:
    return f"{size[0]}x{size[1]}"
