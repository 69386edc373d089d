"""Does the folder agree with itself: configuration, record of the training, processors, weights?"""

import contextlib
import io
import json
from collections.abc import Iterator
from typing import Any

import draccus
from safetensors import SafetensorError

from rabc.datasets.features import ENVIRONMENT
from rabc.export.foreign import load_folder
from rabc.policy_check.files import Json, PolicyFiles
from rabc.policy_check.findings import Finding, all_or, failed, passed
from rabc.system.errors import InputError

# What weights are made for. `n_action_steps` is the robot's to choose.
_MADE_FOR = ("type", "chunk_size", "horizon", "n_obs_steps")
_NORMALISING = ("normalizer_processor", "unnormalizer_processor")
Loaded = tuple[Any, Any, Any]
"""Policy, preprocessor and postprocessor."""


def configuration_findings(files: PolicyFiles) -> Iterator[Finding]:
    """`config.json` against `train_config.json` and the processors."""
    if files.config is None:
        return
    problems = [*_against_training(files), *_against_processors(files)]
    if not files.cameras and ENVIRONMENT not in files.features("input_features"):
        problems.append("config.json names no camera among its inputs; a policy without eyes is not checked")
    if "action" not in files.features("output_features"):
        problems.append("config.json names no `action` among its outputs")
    steps = {name: files.config[name] for name in _MADE_FOR if name in files.config}
    words = ", ".join(f"{name} {value}" for name, value in steps.items())
    yield from all_or(
        "configuration", problems, f"{words}, n_action_steps {files.config.get('n_action_steps')}"
    )


def load_findings(files: PolicyFiles, device: str) -> tuple[list[Finding], Loaded | None]:
    """Load the folder with LeRobot, strictly, where nothing is known to be missing."""
    if any(finding.check in ("files", "weights") and finding.status == "FAIL" for finding in files.findings):
        return [], None
    words = io.StringIO()
    try:
        # LeRobot prints that it loads weights; draccus prints what it cannot parse and exits.
        with contextlib.redirect_stdout(words), contextlib.redirect_stderr(words):
            loaded = load_folder(files.folder, device)
    except (
        OSError, ValueError, TypeError, KeyError, AttributeError, RuntimeError, ImportError, AssertionError,
        ArithmeticError, SafetensorError, InputError, draccus.ParsingError, SystemExit,
    ) as error:  # fmt: skip
        reason = _last_line(str(error)) or type(error).__name__
        return [failed("LeRobot", f"cannot load the folder: {reason}; export the policy again")], None
    return [passed("LeRobot", "loads the policy, every weight in its place, and both processors")], loaded


def _against_training(files: PolicyFiles) -> Iterator[str]:
    recorded: Json = (files.train_config or {}).get("policy") or {}
    for name in _MADE_FOR:
        was, now = recorded.get(name), (files.config or {}).get(name)
        if name in recorded and was != now:
            yield f"{name} {now}: train_config.json says it was trained with {was}; restore config.json"
    for which in ("input_features", "output_features"):
        was = recorded.get(which)
        if was is not None and _shapes(was) != _shapes(files.features(which)):
            yield f"{which} are not what train_config.json says: {_difference(files, which, was)}"


def _against_processors(files: PolicyFiles) -> Iterator[str]:
    """The features the processors normalise were the policy's when they were made."""
    mine = {**files.features("input_features"), **files.features("output_features")}
    for steps in (files.preprocessor, files.postprocessor):
        for step in steps or []:
            if step.name not in _NORMALISING:
                continue
            for key, feature in (step.config.get("features") or {}).items():
                if key not in mine:
                    yield f"{key}: {step.name} has it, config.json does not; restore its name in config.json"
                elif list(feature["shape"]) != list(mine[key]["shape"]):
                    yield (
                        f"{key}: {feature['shape']} in {step.name}, {mine[key]['shape']} in config.json: "
                        "restore config.json"
                    )


def _shapes(features: dict[str, Json]) -> dict[str, list[int]]:
    return {key: list(feature["shape"]) for key, feature in features.items()}


def _difference(files: PolicyFiles, which: str, was: dict[str, Json]) -> str:
    before, now = _shapes(was), _shapes(files.features(which))
    changed = {key for key in {**before, **now} if before.get(key) != now.get(key)}
    return ", ".join(
        f"{key} {json.dumps(before.get(key))} -> {json.dumps(now.get(key))}" for key in sorted(changed)
    )


def _last_line(text: str) -> str:
    lines = [line.strip() for line in text.strip().splitlines() if line.strip()]
    return lines[-1] if lines else ""
