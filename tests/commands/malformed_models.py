"""Malformed policy folders, checkpoints and scorers."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.commands.malformed_datasets import archived, folder, gone, holds, pipe, torn, zipped
from tests.support.damaging import edit_json
from tests.support.refusing import CHECKPOINT, Case, Damage

POLICY, SCORER = Path("policy"), Path("scorer")
PREPROCESSOR = POLICY / "policy_preprocessor.json"
IDENTITY = CHECKPOINT.parents[1] / "identity.json"
FINE_TUNE = (
    "train", "--config", "small.yaml", "--weights.scheme", "none", "--policy.batch_norm", "frozen",
    "--policy.pretrained_path", "policy",
)  # fmt: skip
EXPORT = ("export", "--config", "small.yaml", "--checkpoint", str(CHECKPOINT))
SCORE = ("score", "--config", "small.yaml", "--scorer.model", "scorer")
COMPLETE = "copy the complete model folder"


def policy(name: str, damaging: Damage, *says: str) -> Case:
    return Case(name, FINE_TUNE, ("policy", *says), damaging, ("arm", "policy"))


def given(name: str, option: str, text: str, *says: str) -> Case:
    """An option of `check-policy`."""
    return Case(name, ("check-policy", "policy", option, text), says, takes=("policy",))


def checkpoint(name: str, damaging: Damage, *says: str) -> Case:
    return Case(name, EXPORT, ("checkpoint", *says), damaging, ("arm", "outputs"))


def scorer(name: str, damaging: Damage, *says: str, command: tuple[str, ...] = SCORE) -> Case:
    return Case(name, command, ("scorer", *says), damaging, ("arm", "scorer"))


def setting(path: Path, **values: Any) -> Damage:
    return lambda: edit_json(path, lambda content: content.update(values))


def step(**entry: Any) -> Damage:
    return lambda: edit_json(PREPROCESSOR, lambda content: content["steps"].append(entry))


def linked_out() -> None:
    """The weights lie outside of the folder."""
    shutil.move(POLICY / "model.safetensors", "elsewhere.safetensors")
    (POLICY / "model.safetensors").symlink_to("../elsewhere.safetensors")


def pickled(path: Path, content: Any) -> Damage:
    def write() -> None:
        import torch

        torch.save(content, path)

    return write


def weights(change: Callable[[dict[str, Any]], None]) -> Damage:
    """Changes the weights in the checkpoint."""

    def write() -> None:
        import torch

        state = torch.load(CHECKPOINT, weights_only=True)
        change(state["state_dict"])
        torch.save(state, CHECKPOINT)

    return write


def without_number(state: dict[str, Any]) -> None:
    name = next(name for name, value in state.items() if value.is_floating_point())
    state[name] = state[name] * float("nan")


POLICIES = (
    policy(
        "an empty configuration", holds(POLICY / "config.json", b""), "config.json cannot be read", "copy"
    ),
    policy(
        "a configuration nested without end",
        holds(POLICY / "config.json", b'{"a":' + b"[" * 100_000),
        "config.json cannot be read (is nested too deeply)",
        "copy it again",
    ),
    policy("a type of policy that runs code", setting(POLICY / "config.json", type="groot"), "type 'groot'"),
    policy(
        "a step that would start a program",
        step(**{"class": "subprocess.Popen", "config": {"args": ["touch", "started"]}}),
        "class 'subprocess.Popen' is no step of LeRobot",
        "remove it",
    ),
    policy(
        "a model of somebody on the hub",
        setting(POLICY / "config.json", vlm_model_name="somebody/else"),
        "vlm_model_name 'somebody/else'",
        "download it and give its folder",
    ),
    policy(
        "a setting that LeRobot does not know",
        setting(POLICY / "config.json", no_such=1),
        "cannot be read",
        "no_such",
        "give a LeRobot policy folder",
    ),
    policy(
        "a chunk in words",
        setting(POLICY / "config.json", chunk_size="many"),
        "cannot be read",
        "'many'",
        "give a LeRobot policy folder",
    ),
    policy("weights by a link out of the folder", linked_out, "is a link out of the folder", "put the file"),
    policy("a folder for the weights", folder(POLICY / "model.safetensors"), "is a folder"),
    policy("a pipe for the weights", pipe(POLICY / "model.safetensors"), "can be read", "pipe"),
    Case("no folder at all", ("check-policy",), ("name one policy folder", "--help")),
    Case(
        "a file for a folder",
        ("check-policy", "small.yaml"),
        ("policy small.yaml: no such folder", "give a LeRobot policy folder"),
    ),
    given(
        "names that are numbers", "--rename_map", '{"a": 3}', "--rename_map", "is no JSON of names", "give"
    ),
    given(
        "names nested without end", "--rename_map", "[" * 9999, "--rename_map", "is no JSON of names", "give"
    ),
    given("a control rate without end", "--fps", "inf", "--fps inf: is no control rate", "give Hz"),
    given("a device that there is not", "--device", "tpu", "--device", "'tpu'", "'cpu'", "--help"),
    given("a robot without its type", "--robot.port", "x", "--robot.port=x: of which robot?", "--robot.type"),
    Case(
        "a robot's cameras without the end",
        ("check-policy", "policy", "--robot.type=so101_follower", "--robot.cameras={front"),
        ("LeRobot cannot build this robot", "give what you would give lerobot-rollout"),
        takes=("policy",),
    ),
    Case(
        "a robot's option that there is not",
        ("check-policy", "policy", "--robot.type=so101_follower", "--robot.prt=x"),
        ("LeRobot cannot build this robot (unrecognized arguments: --robot.prt=x)", "give what you would"),
        takes=("policy",),
    ),
)
CHECKPOINTS = (
    checkpoint("no checkpoint", gone(CHECKPOINT), "no such file or folder", "give step=<steps>.ckpt"),
    checkpoint("a checkpoint of no bytes", holds(CHECKPOINT, b""), "cannot be read", "take another one"),
    checkpoint("half a checkpoint", torn(CHECKPOINT, 99_999), "cannot be read", "take another one"),
    checkpoint("a text called .ckpt", holds(CHECKPOINT, b"no weights"), "cannot be read", "take another"),
    checkpoint("a gzip archive called .ckpt", zipped(CHECKPOINT), "cannot be read", "take another one"),
    checkpoint("a zip archive called .ckpt", archived(CHECKPOINT), "cannot be read", "take another one"),
    checkpoint(
        "what torch saved of something else",
        pickled(CHECKPOINT, [1, 2]),
        "cannot be read",
        "take another one",
    ),
    checkpoint(
        "a checkpoint that would run a command",
        pickled(CHECKPOINT, shutil.rmtree),
        "cannot be read",
        "take another",
    ),
    checkpoint(
        "weights that are no numbers", weights(without_number), "is not finite", "take an earlier one"
    ),
    checkpoint("a checkpoint without its training", gone(IDENTITY), "identity.json", "keep checkpoints in"),
    checkpoint(
        "an empty identity.json", holds(IDENTITY, b""), "identity.json cannot be read", "copy it again"
    ),
    checkpoint(
        "settings of a release to come",
        lambda: edit_json(IDENTITY, lambda content: content["policy"].update(no_such=1)),
        "policy.no_such of its training is unknown here",
        "use the version of rabc that trained it",
    ),
    Case(
        "another run's checkpoint: of another dataset",
        EXPORT,
        ("dataset arm: is not the one", "set dataset.path to that one"),
        setting(IDENTITY, dataset="0123456789abcdef"),
        ("arm", "outputs"),
    ),
    Case(
        "an average where none was made",
        (*EXPORT, "--model", "ema"),
        ("checkpoint", "holds no average of the weights", "take --model live"),
        takes=("arm", "outputs"),
    ),
    Case(
        "an output folder that holds something else",
        (*EXPORT, "--output", "arm"),
        ("--output arm: is there and is no policy folder", "choose another place"),
        takes=("arm", "outputs"),
    ),
    Case(
        "a repository without its owner",
        (*EXPORT, "--push", "mine"),
        ("--push mine: is no repository of the hub", "give owner/name"),
        takes=("arm", "outputs"),
    ),
)
SCORERS = (
    scorer("no tokenizer", gone(SCORER / "tokenizer.json"), "has no tokenizer", COMPLETE),
    scorer("no weights", gone(SCORER / "model.safetensors"), "has no *.safetensors weights", COMPLETE),
    scorer("a pipe for its configuration", pipe(SCORER / "config.json"), "has no config.json", COMPLETE),
    scorer("half of its weights", torn(SCORER / "model.safetensors"), "cannot be loaded", "check the folder"),
    scorer(
        "a pickle called .safetensors",
        pickled(SCORER / "model.safetensors", {"weight": 1}),
        "cannot be loaded",
        "check the folder",
    ),
    scorer(
        "a configuration nested without end",
        holds(SCORER / "config.json", b'{"a":' + b"[" * 100_000),
        "cannot be loaded",
        "check the folder",
    ),
    scorer(
        "a model that reads text alone",
        setting(SCORER / "config.json", model_type="bert"),
        "is a bert, not a video-language model",
        "use e.g. a Qwen3-VL",
    ),
    scorer(
        "a model with code of its own",
        setting(SCORER / "config.json", model_type="own", auto_map={"AutoConfig": "own.Own"}),
        "cannot be loaded",
        "check the folder",
    ),
    scorer(
        "weights of another shape",
        lambda: edit_json(
            SCORER / "config.json", lambda content: content["text_config"].update(vocab_size=9)
        ),
        "of its weights are missing or misshapen",
        "copy it again",
    ),
    scorer(
        "a processor of a foreign class",
        setting(SCORER / "processor_config.json", processor_class="OwnProcessor"),
        "has no video processor",
        "use e.g. a Qwen3-VL",
    ),
    Case(
        "a scorer that is not there",
        ("plot-progress", "--scorer.model", "scorer"),
        ("scorer scorer: no such folder", "check the path"),
    ),
    Case(
        "a scorer to be written over a dataset",
        ("train-scorer", "--output", "arm"),
        ("folder arm: is there and holds no Qwen3-VL", "choose another"),
        takes=("arm",),
    ),
)
