"""Nothing that a policy folder holds is run by checking it, playing it or training on from it."""

import contextlib
import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.datasets.metadata import load_meta
from rabc.policies import door
from rabc.policies.build import build_policy
from rabc.policies.door import CONFIG, POSTPROCESSOR, PREPROCESSOR, admit, foreign_parts
from rabc.policies.settings import policy_settings
from rabc.policy_check.check import check_folder
from rabc.rollouts.play import load_policy
from rabc.system.errors import InputError
from tests.policies.test_build import ACT, saved
from tests.support.damaged_json import damaged

Plant = Callable[[Path, Path], None]
"""Changes a policy folder so that loading it would make the second path, the canary."""


@pytest.fixture(scope="module")
def good(recorded_dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    parts = build_policy(ACT, load_meta(recorded_dataset))
    return saved(parts, recorded_dataset, tmp_path_factory.mktemp("door") / "policy")


@pytest.fixture
def folder(good: Path, tmp_path: Path) -> Path:
    return shutil.copytree(good, tmp_path / "policy")


def changed(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def step(entry: dict[str, Any], into: str = PREPROCESSOR) -> Plant:
    """A further step; `CANARY` in it becomes the canary's path."""

    def plant(folder: Path, canary: Path) -> None:
        own = json.loads(json.dumps(entry).replace("CANARY", str(canary)))
        changed(folder / into, lambda content: content["steps"].append(own))

    return plant


def own_module(folder: Path, canary: Path) -> None:
    """A Python file of the folder, by the name a step gives."""
    (folder / "helper_of_folder.py").write_text(f"open({str(canary)!r}, 'w')\nclass Step: pass\n")
    changed(folder / PREPROCESSOR, lambda c: c["steps"].insert(0, {"class": "helper_of_folder.Step"}))
    sys.path.insert(0, str(folder))  # as where the folder is the one worked in


def model_with_code(key: str, into: str) -> Plant:
    """A model folder beside, whose configuration names code of its own."""

    def plant(folder: Path, canary: Path) -> None:
        model = folder / "model"
        model.mkdir()
        code = {"auto_map": dict.fromkeys(("AutoConfig", "AutoTokenizer", "AutoProcessor"), "evil.Evil")}
        for name in ("config.json", "tokenizer_config.json", "processor_config.json"):
            (model / name).write_text(json.dumps({"model_type": "evil", **code}))
        (model / "evil.py").write_text(f"open({str(canary)!r}, 'w')\n")
        if into == CONFIG:
            changed(folder / CONFIG, lambda content: content.update({key: str(model)}))
        else:
            named = {"registry_name": "tokenizer_processor", "config": {key: str(model)}}
            changed(folder / into, lambda content: content["steps"].append(named))

    return plant


def linked_processor(folder: Path, canary: Path) -> None:
    """The processor is a link to one that lies elsewhere."""
    elsewhere = folder.parent / "elsewhere.json"
    shutil.move(folder / PREPROCESSOR, elsewhere)
    (folder / PREPROCESSOR).symlink_to(elsewhere)


def state_elsewhere(name: str | None) -> Plant:
    def plant(folder: Path, canary: Path) -> None:
        def point(content: dict[str, Any]) -> None:
            next(one for one in content["steps"] if "state_file" in one)["state_file"] = name

        changed(folder / PREPROCESSOR, point)

    return plant


def config(**values: Any) -> Plant:
    return lambda folder, canary: changed(folder / CONFIG, lambda content: content.update(values))


def hidden_code(folder: Path, canary: Path) -> None:
    """A file too large to be looked at, and one whose code is named further inside."""
    model_with_code("tokenizer_name", PREPROCESSOR)(folder, canary)
    model = folder / "model"
    (model / "config.json").write_text("{}")
    (model / "processor_config.json").write_text('{"image_processor": {"auto_map": {"a": "evil.Evil"}}}')
    code = json.dumps({"auto_map": {"AutoTokenizer": ["evil.Evil", None]}, "x": " " * 17 * 2**20})
    (model / "tokenizer_config.json").write_text(code)


def pipe(name: str) -> Plant:
    def plant(folder: Path, canary: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return plant


def loop(folder: Path, canary: Path) -> None:
    (folder / "loop").symlink_to("loop")


def other_letters(folder: Path, canary: Path) -> None:
    """LeRobot would not read what is read here."""
    (folder / CONFIG).write_bytes((folder / CONFIG).read_text().encode("utf-16"))


def large(folder: Path, canary: Path) -> None:
    (folder / PREPROCESSOR).write_text(" " * (door.MOST_BYTES + 1))


def deep(folder: Path, canary: Path) -> None:
    (folder / POSTPROCESSOR).write_text('{"steps":' + "[" * 200_000)


TOUCH = {"class": "subprocess.Popen", "config": {"args": ["touch", "CANARY"]}}
PLANTS: dict[str, tuple[Plant, str]] = {
    "a command": (step(TOUCH), "class 'subprocess.Popen'"),
    "a command behind the policy": (step(TOUCH, POSTPROCESSOR), "policy_postprocessor.json"),
    "a function": (step({"class": "os.mkdir", "config": {"path": "CANARY"}}), "class 'os.mkdir'"),
    "a class in a registered step's clothes": (
        step({"class": "subprocess.Popen", "registry_name": None, "config": {"args": ["touch", "CANARY"]}}),
        "registry_name None",
    ),
    "an opened file": (step({"class": "io.FileIO", "config": {"file": "CANARY", "mode": "w"}}), "io.FileIO"),
    "a module of the folder": (own_module, "helper_of_folder.Step"),
    "remote code as a default": (
        step({"registry_name": "action_tokenizer_processor", "config": {"action_tokenizer_name": "a/b"}}),
        "action_tokenizer_processor",
    ),
    "a policy inside of a step": (
        step({"registry_name": "reward_classifier_processor", "config": {"pretrained_path": "a/b"}}),
        "reward_classifier_processor",
    ),
    "a tokenizer with code": (model_with_code("tokenizer_name", PREPROCESSOR), "auto_map"),
    "a language model with code": (model_with_code("vlm_model_name", CONFIG), "auto_map"),
    "a tokenizer of the hub": (
        step({"registry_name": "tokenizer_processor", "config": {"tokenizer_name": "somebody/else"}}),
        "tokenizer_name 'somebody/else'",
    ),
    "a type that runs code": (config(type="groot"), "type 'groot'"),
    "a type that is none": (config(type="subprocess"), "type 'subprocess'"),
    "a link out of the folder": (linked_processor, "is a link out of the folder"),
    "a state elsewhere": (state_elsewhere("/etc/passwd"), "state_file '/etc/passwd'"),
    "a state above": (state_elsewhere("../x.safetensors"), "state_file '../x.safetensors'"),
    "a pickle as state": (state_elsewhere("state.pkl"), "state_file 'state.pkl'"),
    "a flat picture": (config(input_features={"x": {"type": "VISUAL", "shape": [3]}}), "three sides"),
    "a tokenizer with hidden code": (hidden_code, "or cannot be read"),
    "a name that is a list": (config(vlm_model_name=[]), "vlm_model_name []"),
    "a name without end": (config(vlm_model_name="a" * 5000), "vlm_model_name 'aaa"),
    "a pipe": (pipe(CONFIG), "is no file that can be read"),
    "a pipe as processor": (pipe(PREPROCESSOR), "is no file that can be read"),
    "a link to itself": (loop, "is no file that can be read"),
    "other letters": (other_letters, "cannot be read"),
    "layers without end": (config(n_encoder_layers=10**9), "may be no more than 1000"),
    "a chunk without end": (config(chunk_size=10**30), "may be no more than"),
    "layers without end as text": (config(n_encoder_layers="1_000_000_000"), "may be no more than 1000"),
    "cameras without end": (
        config(
            input_features={f"observation.{n}": {"type": "VISUAL", "shape": [3, 8, 8]} for n in range(2000)}
        ),
        "2000 features",
    ),
    "layers of another name": (config(type="vqbet", gpt_n_layer=10**6), "may be no more than 1000"),
    "a list of sizes": (config(down_dims=[64, 2**25]), "may be no more than"),
    "a list without end": (config(down_dims=[1] * 2000), "2000 entries"),
    "a picture wide as memory": (
        config(input_features={"observation.images.x": {"type": "VISUAL", "shape": [3, 2**16, 2**16]}}),
        "more than 33554432 numbers",
    ),
    "a state that is none": (state_elsewhere(None), "state_file None"),
    "a record of another form": (
        lambda folder, canary: changed(folder / "train_config.json", lambda c: c.update(policy=[1])),
        "policy [1] is no object",
    ),
    "a file too large": (large, "more than"),
    "nesting without end": (deep, "nested too deeply"),
}  # fmt: skip


@pytest.mark.parametrize("name", PLANTS)
def test_nothing_of_a_planted_folder_is_run(
    name: str, folder: Path, tmp_path: Path, recorded_dataset: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))  # undoes what a plant adds
    canary = tmp_path / "canary"
    plant, named = PLANTS[name]
    plant(folder, canary)
    found = check_folder(str(folder), str(recorded_dataset))
    assert {finding.check for finding in found} == {"foreign code"}
    assert any(named in finding.text for finding in found if finding.status == "FAIL")
    with pytest.raises(InputError, match="it is not loaded"):
        load_policy(folder)
    fine_tuned = replace(ACT, pretrained_path=str(folder))
    with pytest.raises(InputError, match="it is not loaded"):
        policy_settings(fine_tuned, load_meta(recorded_dataset), "cpu")
    assert not canary.exists()


def test_the_plants_would_run(folder: Path, tmp_path: Path) -> None:
    """Else the test above could not fail: LeRobot alone runs the command."""
    from rabc.export import lerobot_only

    canary = tmp_path / "canary"
    PLANTS["a function"][0](folder, canary)
    with contextlib.suppress(Exception):
        lerobot_only.load(folder)
    assert canary.exists()


def test_a_good_folder_comes_in_also_from_the_hubs_cache(good: Path, tmp_path: Path) -> None:
    admit(good)
    blobs, snapshot = tmp_path / "models--a--b" / "blobs", tmp_path / "models--a--b" / "snapshots" / "f00"
    shutil.copytree(good, blobs)
    snapshot.mkdir(parents=True)
    for path in blobs.iterdir():
        (snapshot / path.name).symlink_to(Path("../../blobs") / path.name)
    admit(snapshot)


@settings(max_examples=60, derandomize=True)  # at random: tests/commands/test_fuzz.py
@given(data=st.data())
def test_whatever_a_folder_holds_there_is_an_answer(
    data: st.DataObject, good: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """In findings or in one line, never in a traceback; LeRobot is asked only where nothing is foreign."""
    folder = shutil.copytree(good, tmp_path_factory.mktemp("fuzz") / "policy")
    name = data.draw(st.sampled_from([CONFIG, PREPROCESSOR, POSTPROCESSOR, "train_config.json"]))
    content = data.draw(damaged(json.loads((folder / name).read_text())))
    (folder / name).write_text(json.dumps(content))
    foreign = list(foreign_parts(folder))
    with contextlib.suppress(InputError):
        assert check_folder(str(folder))
    if foreign:
        with pytest.raises(InputError, match="it is not loaded"):
            admit(folder)
