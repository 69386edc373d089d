"""Cameras and joints of a policy folder against those of a robot, from the files' contents alone."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from rabc.policy_check.files import PolicyFiles, Step
from rabc.policy_check.findings import Finding
from rabc.policy_check.inputs import camera_findings, robot_joint_findings
from rabc.policy_check.joints import SO101
from rabc.policy_check.statistics import statistics_findings, unit_findings

Size = tuple[int, int]
FRONT, WRIST = "observation.images.front", "observation.images.wrist"
RENAMED = {"observation.images.top": FRONT}


def folder(
    resize: tuple[int, int] | None = None, rename_map: dict[str, str] | None = None, **config: Any
) -> PolicyFiles:
    """With cameras of 96x96."""
    inputs = {key: {"type": "VISUAL", "shape": [3, 96, 96]} for key in (FRONT, WRIST)}
    steps = [Step("rename_observations_processor", {"rename_map": rename_map or {}}, None)]
    if resize:
        steps.append(Step("image_crop_resize_processor", {"resize_size": list(resize)}, None))
    outputs = {"action": {"type": "ACTION", "shape": [6]}}
    whole = {"input_features": inputs, "output_features": outputs, **config}
    return PolicyFiles(Path("policy"), whole, None, steps, [])


def failed(findings: Iterator[Finding]) -> str:
    return "; ".join(finding.text for finding in findings if finding.status == "FAIL")


def sizes(
    front: tuple[int, int], wrist: tuple[int, int], name: str = FRONT
) -> dict[str, tuple[int, int] | None]:
    return {name: front, WRIST: wrist}


@pytest.mark.parametrize("stated", ["Z_SCORE", {"mode": "MEAN_STD"}, 3, None, ["MEAN_STD"]])
@pytest.mark.parametrize("place", ["configuration", "step"])
def test_a_normalisation_that_there_is_not(stated: object, place: str) -> None:
    of = {"normalization_mapping": {"VISUAL": stated}} if place == "configuration" else {}
    found = folder(**of)
    norm = {"norm_map": {"VISUAL": stated}} if place == "step" else {}
    found.preprocessor.append(Step("normalizer_processor", norm, None))
    said = failed(statistics_findings(found))
    assert f"{FRONT}: normalised by {stated!r}, which is none of MIN_MAX" in said.replace("MEAN_STD, ", "")


def test_a_normalisation_that_is_no_table() -> None:
    said = failed(statistics_findings(folder(normalization_mapping="MEAN_STD of all")))
    assert f"{FRONT}: normalised by 'MEAN_STD of all', which is none of" in said


def test_a_resize_may_not_distort() -> None:
    recorded = {FRONT: (480, 640), WRIST: (480, 640)}
    resized = folder(resize=(96, 96))

    def check(size: tuple[int, int]) -> str:
        return failed(camera_findings(resized, sizes(size, (480, 640)), {}, "the robot", recorded))

    assert check((480, 640)) == check((240, 320)) == check((1080, 1440)) == ""
    assert "front: the robot has 720x1280, it was recorded with 480x640" in check((720, 1280))
    # Without a resize it is the size itself that has to be the same.
    assert "was trained on 96x96" in failed(
        camera_findings(folder(), sizes((96, 128), (96, 96)), {}, "the robot", recorded)
    )


@pytest.mark.parametrize(
    ("name", "given", "words"),
    [
        (FRONT, {}, ""),  # the robot's camera has the policy's name already
        ("observation.images.side", {"observation.images.side": FRONT}, ""),
        ("observation.images.top", RENAMED, ""),
        ("observation.images.top", {}, "replaces the one of the folder"),
    ],
)
def test_a_rename_map_of_the_folder_matters_only_where_a_camera_is_missing(
    name: str, given: dict[str, str], words: str
) -> None:
    there = sizes((96, 96), (96, 96), name)
    found = failed(camera_findings(folder(rename_map=RENAMED), there, given, "the robot"))
    assert words in found if words else found == ""


def test_a_camera_that_the_policy_fills_itself_need_not_be_there() -> None:
    more = folder()
    more.features("input_features")["observation.images.empty_camera_0"] = {
        "type": "VISUAL",
        "shape": [3, 8, 8],
    }
    assert failed(camera_findings(more, sizes((96, 96), (96, 96)), {}, "the robot")) == ""


def test_joints_that_the_policy_names_are_compared_by_place() -> None:
    """LeRobot gives the robot's first joint the first number, whatever the policy calls it."""
    other = [SO101[1], SO101[0], *SO101[2:]]
    own = folder(action_feature_names=[f"{name}.pos" for name in other])
    assert "place 1 is shoulder_lift" in failed(robot_joint_findings(own, list(SO101), list(SO101)))
    assert failed(robot_joint_findings(own, other, list(SO101))) == ""


@pytest.mark.parametrize(
    ("reach", "degrees", "status"),
    [(87.0, True, "not checked"), (87.0, False, "not checked"), (87.0, None, "pass"), (120.0, True, "pass")],
)
def test_values_that_fit_both_units_are_not_taken_for_the_robot_s(
    reach: float, degrees: bool | None, status: str
) -> None:
    low, high = torch.tensor([-20.0] * 5 + [1.0]), torch.tensor([reach] * 5 + [80.0])
    step = Step("unnormalizer_processor", {}, {"action.min": low, "action.max": high})
    files = PolicyFiles(Path("policy"), {}, None, [], [step])
    (finding,) = unit_findings(files, list(SO101), degrees, "the robot")
    assert finding.status == status
    assert ("use_degrees" in finding.text) == (status == "not checked")
