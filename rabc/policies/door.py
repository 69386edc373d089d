"""The door for policy folders that others made: what one may hold, read as data before LeRobot sees it.

LeRobot builds a processor from a JSON file that may name any class of any installed module, and calls it with
arguments from the same file before it looks at what it has built: `subprocess.Popen` is such a class. Some of
its policies and steps run code that they download. So a folder is let in only where every part of it is known
here to be data. Nothing of a folder is imported or built to find that out.
"""

import json
import math
import re
import tempfile
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

from rabc.system.errors import InputError

Json = dict[str, Any]
CONFIG, TRAIN_CONFIG, WEIGHTS = "config.json", "train_config.json", "model.safetensors"
PREPROCESSOR, POSTPROCESSOR = "policy_preprocessor.json", "policy_postprocessor.json"
WEIGHTS_SUFFIX = ".safetensors"
TYPES = ("act", "diffusion", "vqbet", "tdmpc", "smolvla", "pi0", "pi05")
"""Policies of LeRobot that run no code from elsewhere; others fetch tokenizers or models with their code."""
STEPS = frozenset({
    "rename_observations_processor", "to_batch_processor", "device_processor", "observation_processor",
    "normalizer_processor", "unnormalizer_processor", "image_crop_resize_processor", "tokenizer_processor",
    "relative_actions_processor", "absolute_actions_processor", "map_tensor_to_delta_action_dict",
    "map_delta_action_to_robot_action", "robot_action_to_policy_action_processor",
    "policy_action_to_robot_action_processor", "smolvla_new_line_processor", "pi0_new_line_processor",
    "pi05_prepare_state_tokenizer_processor_step",
})  # fmt: skip
"""Steps of LeRobot's registry that compute on what they are given and start nothing.

Not `action_tokenizer_processor`, which runs code of the model it names, nor `reward_classifier_processor`,
which loads a policy of its own.
"""
MODELS = frozenset({"HuggingFaceTB/SmolVLM2-500M-Video-Instruct", "google/paligemma-3b-pt-224"})
"""What LeRobot's own configurations of `TYPES` name; of neither is any code run."""
MOST_BYTES = 16 * 2**20
"""Of a JSON file; LeRobot's have some kilobytes."""
_MOST, _MOST_OF, _MOST_ENTRIES = 2**24, {"layer": 1000, "ensemble": 1000}, 1000
"""Of the numbers of a configuration, and of its lists: a module is made for each layer, however small it is.

What the rest makes large is counted before it is built (see `rabc.policies.sizes`).
"""
_MOST_FEATURES = 100
_MOST_PIXELS = 2**25
"""Of an input, such as a picture with its channels (4K: 25 million); some are made up to build with."""
_VOCABULARIES = ("tokenizer.json", "vocab.json", "added_tokens.json", "model.safetensors.index.json")
"""Large, some of them lists, and read as tables alone."""
_MODEL_KEYS = ("vlm_model_name", "tokenizer_name")
_FEATURES = ("STATE", "VISUAL", "ENV", "ACTION", "REWARD", "LANGUAGE")
_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*\.safetensors")


@contextmanager
def admitted(folder: Path, name: str | None = None) -> Generator[Path]:
    """A folder that LeRobot may load in the place of a policy folder, until the context ends.

    Its JSON files are those that were looked at, whatever happens to the folder meanwhile; tensors are links
    to where they lie.

    name: what messages call it, a hub id for one; None: the folder.

    Raises InputError, naming the first thing, where something is not known to be data.
    """
    name = str(folder) if name is None else name
    with tempfile.TemporaryDirectory(prefix="rabc-policy-") as place:
        own = Path(place) / "policy"
        own.mkdir()
        problem = next(_links(folder), None)
        if problem is None:
            for path in sorted(folder.iterdir()):
                if path.name in _LOOKS and path.is_file():
                    with path.open("rb") as file:
                        (own / path.name).write_bytes(file.read(MOST_BYTES + 1))
                elif path.suffix == WEIGHTS_SUFFIX and path.is_file():
                    (own / path.name).symlink_to(path.resolve())
            problem = next(_contents(own), None)
        if problem is not None:
            raise InputError(
                f"policy {name}: {problem}; it is not loaded. `rabc check-policy {folder}` lists everything"
            )
        yield own


def admit(folder: Path) -> None:
    """Raises InputError as `admitted` does, for a folder that something else than this process loads."""
    with admitted(folder):
        pass


def foreign_parts(folder: Path) -> Iterator[str]:
    """What a policy folder holds that is not known to be data: sentences that name file, thing and remedy.

    What is missing is not looked for here.
    """
    yield from _links(folder)
    yield from _contents(folder)


def _contents(folder: Path) -> Iterator[str]:
    for name, look in _LOOKS.items():
        if not (folder / name).is_file():
            continue
        try:
            content = read_json(folder / name)
        except (OSError, ValueError) as error:
            yield f"{name} cannot be read ({error}); copy it again"
            continue
        yield from (f"{name}: {problem}" for problem in look(content))


def read_json(path: Path) -> Json:
    """A JSON object. Raises ValueError for other content or too much of it, and OSError."""
    size = path.stat().st_size
    if size > MOST_BYTES:
        raise ValueError(f"has {size} bytes, more than {MOST_BYTES}")
    try:
        content = json.loads(path.read_bytes().decode("utf-8"))  # as LeRobot reads it, and nothing else
    except RecursionError:
        raise ValueError("is nested too deeply") from None
    if not isinstance(content, dict):
        raise ValueError("not a JSON object")
    return cast(Json, content)


def _links(folder: Path) -> Iterator[str]:
    """Links out of the folder, but for those of the hub's cache, whose files all lie beside its snapshots."""
    home = folder.resolve()
    blobs = home.parent.parent / "blobs" if home.parent.name == "snapshots" else home
    for path in sorted(folder.iterdir()):
        if not (path.is_file() or path.is_dir()):
            yield f"{path.name}: is no file that can be read (a pipe, a device, a link to nothing); remove it"
            continue
        target = path.resolve()
        if path.is_symlink() and not (target.is_relative_to(home) or target.is_relative_to(blobs)):
            yield f"{path.name}: is a link out of the folder, to {target}; put the file itself there"
        elif path.is_dir() and path.name in (*_LOOKS, WEIGHTS):
            yield f"{path.name}: is a folder; copy the file there"


def _in_config(content: Json) -> Iterator[str]:
    kind = content.get("type")
    if kind not in TYPES:
        yield (
            f"type {kind!r} is none of {', '.join(TYPES)}, which are known to run no code from elsewhere; "
            "run it with LeRobot if you trust it"
        )
    for name in ("input_features", "output_features"):
        yield from _in_features(name, content.get(name))
    yield from _in_models(content)
    for key, value in content.items():
        most = next((most for word, most in _MOST_OF.items() if word in key), _MOST)
        numbers: list[Any] = value if isinstance(value, list) else [value]
        if len(numbers) > _MOST_ENTRIES:
            yield f"{key[:60]} has {len(numbers)} entries, more than {_MOST_ENTRIES}; export it again"
        if any(abs(_as_number(number)) > most for number in numbers):
            yield f"{key[:60]} {value!r:.60} may be no more than {most}; export it again"
    if content.get("use_peft"):
        yield "use_peft: adapters are not loaded; merge them into the policy"


def _as_number(value: Any) -> int:
    """What LeRobot makes of it where it wants a whole number, of text as well; 0 for what is none."""
    try:
        return int(value) if isinstance(value, int | str) else 0
    except ValueError:
        return 0


def _in_record(content: Json) -> Iterator[str]:
    """It is never built; `check-policy` compares with it, and opens the dataset it names if that is here."""
    for name in ("policy", "dataset"):
        part = content.get(name)
        if part is not None and not isinstance(part, dict):
            yield f"{name} {part!r:.60} is no object; copy the file again"
            continue
        settings = cast(Json, part or {})
        for key in ("input_features", "output_features"):
            yield from _in_features(f"{name}.{key}", settings.get(key))
        for key in ("root", "repo_id"):
            value = settings.get(key)
            if value is not None and not (isinstance(value, str) and len(value) < 1000):
                yield f"{name}.{key} {value!r:.60} is no path; copy the file again"


def _in_processor(content: Json) -> Iterator[str]:
    steps = content.get("steps")
    if not isinstance(steps, list):
        yield "`steps` is no list; export the policy again"
        return
    for number, step in enumerate(cast(list[Any], steps)):
        if not isinstance(step, dict):
            yield f"step {number} is {step!r:.60}, no object; export the policy again"
            continue
        yield from (f"step {number}: {problem}" for problem in _in_step(cast(Json, step)))


def _in_step(step: Json) -> Iterator[str]:
    name = step.get("registry_name")
    if not (isinstance(name, str) and name in STEPS):
        key = "registry_name" if "registry_name" in step else "class"
        yield f"{key} {step.get(key)!r:.80} is no step of LeRobot known to start nothing; remove it"
    file = step.get("state_file")
    if "state_file" in step and not (isinstance(file, str) and _NAME.fullmatch(file)):
        yield f"state_file {file!r:.80} is no .safetensors file of the folder; export the policy again"
    config = step.get("config")
    if config is not None and not isinstance(config, dict):
        yield f"config {config!r:.60} is no object; export the policy again"
        return
    settings = cast(Json, config or {})
    yield from _in_features("features", settings.get("features"))
    yield from _in_models(settings)
    names = settings.get("rename_map")
    if names is not None and not _is_names(names):
        yield f"rename_map {names!r:.60} is no object of names; export the policy again"
    size = settings.get("resize_size")
    if size is not None and not (_is_counts(size) and len(size) == 2):
        yield f"resize_size {size!r:.60} is no height and width; export the policy again"


def _in_features(name: str, features: Any) -> Iterator[str]:
    if features is None:
        return
    if not isinstance(features, dict):
        yield f"{name} {features!r:.60} is no object; export the policy again"
        return
    if len(cast(Json, features)) > _MOST_FEATURES:  # an encoder of its own may be made for each
        yield f"{name} has {len(cast(Json, features))} features, more than {_MOST_FEATURES}; export it again"
        return
    for key, feature in cast(Json, features).items():
        known = isinstance(feature, dict) and cast(Json, feature).get("type") in _FEATURES
        if not (known and _is_counts(cast(Json, feature).get("shape"))):
            yield f"{name} {key[:60]!r} is {feature!r:.60}: no type of LeRobot's and a shape; export it again"
        elif math.prod(feature["shape"]) > _MOST_PIXELS:
            yield f"{name} {key[:60]!r} has shape {feature['shape']}, more than {_MOST_PIXELS} numbers"
        elif feature["type"] == "VISUAL" and len(feature["shape"]) != 3:
            shape = feature["shape"]
            yield f"{name} {key[:60]!r} has shape {shape}: pictures have three sides; export it again"


def _in_models(settings: Mapping[str, Any]) -> Iterator[str]:
    """Other models that are loaded by name: LeRobot's own, or a folder here without code."""
    for key in _MODEL_KEYS:
        name = settings.get(key)
        if name is None or (isinstance(name, str) and name in MODELS):
            continue
        if not (isinstance(name, str) and _is_folder(name)):
            yield f"{key} {name!r:.80} is none of LeRobot's own models; download it and give its folder"
        elif coded := [path.name for path in sorted(Path(name).rglob("*.json")) if _names_code(path)]:
            yield f"{key} {name}: its {coded[0]} names code (auto_map), or cannot be read; remove that"


def _is_folder(name: str) -> bool:
    try:
        return Path(name).is_dir()
    except (OSError, ValueError):  # too long for a path
        return False


def _names_code(path: Path) -> bool:
    """Whether a model's JSON file names modules anywhere in it; also where nobody can say."""
    if path.name in _VOCABULARIES:
        return False
    try:
        return _holds("auto_map", read_json(path))
    except (OSError, ValueError, RecursionError):
        return True


def _holds(key: str, content: Any) -> bool:
    if isinstance(content, dict):
        return key in content or any(_holds(key, value) for value in cast(Json, content).values())
    return isinstance(content, list) and any(_holds(key, value) for value in cast(list[Any], content))


def _is_counts(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 1 <= len(cast(list[Any], value)) <= 4
        and all(type(side) is int and 0 < side <= 2**16 for side in cast(list[Any], value))
    )


def _is_names(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(name, str) for name in cast(Json, value).values())


_LOOKS = {
    CONFIG: _in_config,
    TRAIN_CONFIG: _in_record,
    PREPROCESSOR: _in_processor,
    POSTPROCESSOR: _in_processor,
}
"""What LeRobot reads of a folder besides tensors, and who looks at it before."""
