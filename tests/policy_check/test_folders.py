"""Planted defects in real policy folders, each found; good folders, ours and lerobot-train's, that pass."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from rabc.policy_check.check import check_folder, report
from rabc.policy_check.findings import Finding
from rabc.system.errors import CheckFailed, InputError
from tests.support import REPO
from tests.support.policy_folders import JOINTS, lerobots_folder, our_folder, record_arm

pytestmark = pytest.mark.slow  # trains three policies, one of them with lerobot-train

PRE_STATE = "policy_preprocessor_step_3_normalizer_processor.safetensors"
POST_STATE = "policy_postprocessor_step_0_unnormalizer_processor.safetensors"
CAMERA = "{type: opencv, index_or_path: 0, fps: 10, width: %d, height: %d}"
GOOD = ("act", "diffusion", "lerobot-train")
Plant = Callable[[Path], None]


def arm(cameras: dict[str, tuple[int, int]], *more: str) -> list[str]:
    """Arguments of a real SO-101, which nothing connects to."""
    shown = ", ".join(f"{name}: {CAMERA % (width, height)}" for name, (height, width) in cameras.items())
    return ["--robot.type=so101_follower", "--robot.port=/dev/null", f"--robot.cameras={{{shown}}}", *more]


ROBOT = arm({"front": (32, 32), "wrist": (32, 32)})


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return record_arm(tmp_path_factory.mktemp("arm") / "arm")


@pytest.fixture(scope="module")
def folders(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """kind -> a good policy folder, made when it is first asked for; leave it as it is."""
    made: dict[str, Path] = {}

    def folder(kind: str) -> Path:
        if kind not in made:
            place = tmp_path_factory.mktemp(kind)
            made[kind] = (
                lerobots_folder(dataset, place) if kind == GOOD[2] else our_folder(kind, dataset, place)
            )
        return made[kind]

    return folder


def failures(findings: list[Finding]) -> dict[str, str]:
    return {finding.check: finding.text for finding in findings if finding.status == "FAIL"}


@pytest.mark.parametrize("kind", GOOD)
def test_a_good_folder_passes(
    kind: str, folders: Callable[[str], Path], dataset: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    findings = check_folder(str(folders(kind)), str(dataset), ROBOT)
    assert failures(findings) == {}
    assert [finding for finding in findings if finding.status == "not checked"] == []
    assert {finding.check for finding in findings} == {
        "foreign code", "files", "dataset", "weights", "configuration", "statistics",
        "cameras of the dataset", "joints of the dataset", "units", "statistics of the dataset",
        "cameras of the robot", "joints of the robot", "LeRobot", "action range", "largest step",
        "action order", "control rate",
    }  # fmt: skip
    report("folder", findings)
    assert "17 checks passed" in capsys.readouterr().out


def change_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def change_tensors(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def everywhere(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the features in all files alike, so that the folder agrees with itself."""
    change_json(folder / "config.json", lambda config: change(config["input_features"]))
    change_json(folder / "train_config.json", lambda config: change(config["policy"]["input_features"]))
    path = folder / "policy_preprocessor.json"
    change_json(path, lambda content: change(content["steps"][3]["config"]["features"]))


def no_action_statistics(folder: Path) -> None:
    change_tensors(folder / POST_STATE, lambda state: [state.pop(k) for k in list(state) if "action" in k])


def no_statistics(folder: Path) -> None:
    save_file({}, folder / PRE_STATE)


def infinite_statistics(folder: Path) -> None:
    change_tensors(folder / PRE_STATE, lambda state: state["observation.state.std"].fill_(torch.inf))


def no_postprocessor(folder: Path) -> None:
    (folder / "policy_postprocessor.json").unlink()


def no_state_of_the_preprocessor(folder: Path) -> None:
    (folder / PRE_STATE).unlink()


def of_joints(folder: Path, change: Callable[[Any], Any]) -> None:
    """Change all statistics of state and action."""
    for name in (PRE_STATE, POST_STATE):

        def changed(state: dict[str, Any]) -> None:
            for key in [k for k in state if k.startswith(("action.", "observation.state."))]:
                if not key.endswith("count"):
                    state[key] = change(state[key]).contiguous()

        change_tensors(folder / name, changed)


def swapped_statistics(folder: Path) -> None:
    of_joints(folder, lambda value: value[[1, 0, 2, 3, 4, 5]])


def swapped_outputs(folder: Path) -> None:
    def change(weights: dict[str, Any]) -> None:
        for name in ("model.action_head.weight", "model.action_head.bias"):
            weights[name] = weights[name][[1, 0, 2, 3, 4, 5]].contiguous()

    change_tensors(folder / "model.safetensors", change)


def radians(folder: Path) -> None:
    of_joints(folder, lambda value: value * (np.pi / 180))


def renamed_camera(folder: Path) -> None:
    def change(features: dict[str, Any]) -> None:
        features["observation.images.top"] = features.pop("observation.images.front")

    everywhere(folder, change)


def wrong_size(folder: Path) -> None:
    everywhere(folder, lambda features: features["observation.images.front"].update(shape=[3, 48, 64]))


def wrong_chunk(folder: Path) -> None:
    """Everywhere it is written; only the weights say otherwise."""
    change_json(folder / "config.json", lambda config: config.update(chunk_size=9))
    change_json(folder / "train_config.json", lambda config: config["policy"].update(chunk_size=9))


def wrong_horizon(folder: Path) -> None:
    """No weight knows the horizon of Diffusion."""
    change_json(folder / "config.json", lambda config: config.update(horizon=16))


def cut_off(folder: Path) -> None:
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-1000])


def cut_off_statistics(folder: Path) -> None:
    path = folder / POST_STATE
    path.write_bytes(path.read_bytes()[:-8])


def nan_weight(folder: Path) -> None:
    change_tensors(
        folder / "model.safetensors", lambda weights: weights["model.action_head.bias"].fill_(np.nan)
    )


def another_type(folder: Path) -> None:
    """Everywhere it is written; LeRobot then finds neither its fields nor its weights."""
    change_json(folder / "config.json", lambda config: config.update(type="diffusion"))
    change_json(folder / "train_config.json", lambda config: config["policy"].update(type="diffusion"))


DEFECTS: list[tuple[str, str, Plant, str, str]] = [
    ("empty statistics", "act", no_action_statistics, "statistics", "mean of action: missing .* blind"),
    ("no statistics at all", "diffusion", no_statistics, "statistics", "min of observation.state: missing"),
    ("infinite statistics", "act", infinite_statistics, "statistics", "std of observation.state: .inf.* not"),
    ("no processor", "act", no_postprocessor, "files", "policy_postprocessor.json is missing"),
    ("no state", "diffusion", no_state_of_the_preprocessor, "files", f"{PRE_STATE} is missing"),
    ("swapped joints", "act", swapped_statistics, "statistics of the dataset",
     "exchanged: shoulder_pan is shoulder_lift, shoulder_lift is shoulder_pan"),
    ("swapped outputs", "act", swapped_outputs, "action order", "shoulder_pan is shoulder_lift"),
    ("radians", "act", radians, "units", "no arm joint goes beyond .* radians"),
    ("radians of diffusion", "diffusion", radians, "statistics of the dataset", "radians where the dataset"),
    ("renamed camera", "act", renamed_camera, "cameras of the robot", "top: the policy reads it, the robot"),
    ("wrong image size", "diffusion", wrong_size, "cameras of the dataset", "48x64, the dataset has 32x32"),
    ("wrong chunk", "act", wrong_chunk, "LeRobot", "cannot load the folder: .*size mismatch"),
    ("wrong horizon", "diffusion", wrong_horizon, "configuration", "horizon 16: .* trained with 8"),
    ("truncated weights", "act", cut_off, "weights", "cut off"),
    ("truncated statistics", "act", cut_off_statistics, "files", f"{POST_STATE} cannot be read"),
    ("NaN weights", "act", nan_weight, "weights", "model.action_head.bias: not finite"),
    ("another type", "act", another_type, "LeRobot", "cannot load the folder"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("kind", "plant", "check", "words"), [row[1:] for row in DEFECTS], ids=[r[0] for r in DEFECTS]
)
def test_a_planted_defect_is_found(
    kind: str,
    plant: Plant,
    check: str,
    words: str,
    folders: Callable[[str], Path],
    dataset: Path,
    tmp_path: Path,
) -> None:
    folder = shutil.copytree(folders(kind), tmp_path / "policy")
    plant(folder)
    findings = check_folder(str(folder), str(dataset), ROBOT)
    found = [f.text for f in findings if f.status == "FAIL" and f.check == check]
    assert any(re.search(words, text) for text in found), failures(findings)
    with pytest.raises(CheckFailed, match="do not run it on an arm"):
        report(str(folder), findings)


@pytest.mark.parametrize(
    ("robot", "rename_map", "check", "words"),
    [
        (arm({"top": (32, 32), "wrist": (32, 32)}), {}, "cameras of the robot", "front: the policy reads it"),
        (arm({"front": (480, 640), "wrist": (32, 32)}), {}, "cameras of the robot", "the robot has 480x640"),
        ([*ROBOT, "--robot.use_degrees=false"], {}, "units", "the robot is set to -100...100"),
    ],
)  # fmt: skip
def test_a_robot_that_the_policy_does_not_fit(
    robot: list[str], rename_map: dict[str, str], check: str, words: str,
    folders: Callable[[str], Path], dataset: Path,
) -> None:  # fmt: skip
    found = failures(check_folder(str(folders("act")), str(dataset), robot, rename_map))
    assert set(found) == {check}
    assert words in found[check]


def test_another_control_rate_than_the_dataset_s(folders: Callable[[str], Path], dataset: Path) -> None:
    found = failures(check_folder(str(folders("act")), str(dataset), ROBOT, fps=30))
    assert set(found) == {"control rate"}
    assert "3 times as fast; give --fps=10" in found["control rate"]


def test_a_renamed_camera_of_the_robot(folders: Callable[[str], Path], dataset: Path) -> None:
    names = {"observation.images.top": "observation.images.front"}
    robot = arm({"top": (32, 32), "wrist": (32, 32)})
    assert failures(check_folder(str(folders("act")), str(dataset), robot, names)) == {}


def test_a_dataset_with_its_joints_in_another_order(folders: Callable[[str], Path], tmp_path: Path) -> None:
    other = record_arm(tmp_path / "other", [JOINTS[1], JOINTS[0], *JOINTS[2:]])
    found = failures(check_folder(str(folders("act")), str(other), ROBOT))
    assert set(found) == {"joints of the dataset", "joints of the robot"}
    assert "place 1 is shoulder_lift, not shoulder_pan" in found["joints of the robot"]


def test_without_dataset_and_robot_it_says_what_it_did_not_check(
    folders: Callable[[str], Path], tmp_path: Path
) -> None:
    folder = shutil.copytree(folders("act"), tmp_path / "policy")
    change_json(
        folder / "train_config.json", lambda config: config["dataset"].update(repo_id="nobody/nothing")
    )
    findings = check_folder(str(folder))
    assert failures(findings) == {}
    assert {f.check for f in findings if f.status == "not checked"} == {"dataset", "robot", "control rate"}
    radians(folder)
    assert set(failures(check_folder(str(folder)))) == {"units"}


def test_a_folder_of_lerobot_train_names_its_dataset(
    folders: Callable[[str], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    found = {one.check: one for one in check_folder(str(folders(GOOD[2])))}
    assert (found["dataset"].status, found["statistics of the dataset"].status) == ("pass", "pass")


@pytest.mark.parametrize(
    ("robot", "words"),
    [
        (["--robot.type=so102"], "so102"),
        (["--robot.type=so101_follower"], "port"),
        (["--robot.type=so101_follower", "--robot.port=x", "--robot.colour=red"], "colour"),
        (["--robot.discover_packages_path=no_such_package", "--robot.type=x"], "no_such_package"),
    ],
)
def test_a_robot_that_lerobot_does_not_know(
    robot: list[str], words: str, folders: Callable[[str], Path], dataset: Path
) -> None:
    with pytest.raises(InputError, match=f"LeRobot cannot build this robot .*{words}"):
        check_folder(str(folders("act")), str(dataset), robot)


def test_the_command(folders: Callable[[str], Path], dataset: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(folders("act"), tmp_path / "policy")
    nan_weight(folder)
    command = [
        sys.executable,
        str(REPO / "scripts" / "check_policy.py"),
        str(folder),
        "--robot.type",
        "so101_follower",
    ]
    done = subprocess.run(
        [*command, *ROBOT[1:], "--dataset.path", str(dataset), "--device", "cpu"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert "error: policy " in done.stderr
    assert "1 check failed" in done.stderr
    assert "Traceback" not in done.stderr
    cells = [re.split(r"\s{2,}", line) for line in done.stdout.splitlines()]
    rows = {first: second for first, second, *_ in cells[2:]}
    assert rows["weights"] == "FAIL"
    assert rows["cameras of the robot"] == "pass"
