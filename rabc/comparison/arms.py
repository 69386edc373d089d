"""The arms of a comparison: trainings that differ in their sample weights and in nothing else.

Imports no torch: the command line reads it.
"""

import argparse
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from rabc.config.arguments import build_parser, config_arguments, expected, nearest
from rabc.config.checks import validate
from rabc.config.names import folder_name_problem
from rabc.config.settings import Config, WeightsConfig
from rabc.system.errors import InputError
from rabc.system.hub import local_path

BASELINE = "plain"
"""The arm that every other is compared with."""
WEIGHTED = "weighted"
"""The arm with the weights that the configuration asks for."""
ORACLE = "oracle"
"""The arm with the simulator's own progress: what a perfect scorer would give the scheme."""
SHUFFLED = "shuffled"
"""The control for the shape of the weights without their meaning."""
SUCCESS_ONLY = "success-only"
"""The rival that needs no weights: failed episodes left out."""
CONTROLS = (BASELINE, ORACLE, SHUFFLED, SUCCESS_ONLY)
"""Arms that are there to compare with."""
_FILES = ("progress_file", "weights_file")
_TIED = (BASELINE, WEIGHTED, SHUFFLED, ORACLE)


@dataclass(frozen=True)
class Arm:
    """One way to weight the demonstrations."""

    name: str
    about: str
    """What it is, a sentence for the report."""
    weights: WeightsConfig
    made_from: Literal["scores", "weights", "simulator"] = "scores"
    """What its weights come from. weights: those of the arm `weighted`, permuted; simulator: its own
    progress, in place of the scorer's."""


def standard_arms(config: Config) -> dict[str, Arm]:
    """The arms that need no configuration, by name; the oracle only where a simulator can tell."""
    weights = config.weights
    accept = WeightsConfig(accept_poor_scorer=weights.accept_poor_scorer)
    arms = [
        Arm(BASELINE, "Plain behavior cloning: every frame counts the same.", replace(accept, scheme="none")),
        Arm(WEIGHTED, f"The weights of the configuration: {weights.scheme}.", weights),
        Arm(
            "topreward",
            "TOPReward's own weights: Eq. 2 and 3 with their constants, over the policy's chunks.",
            # Compared, not relied on: what the verdict says against it is for the comparison to show.
            WeightsConfig(
                scheme="topreward", calibration="episode", horizon="clamped", accept_poor_scorer=True
            ),
        ),
        Arm(
            SHUFFLED,
            f"Control: the weights of `{WEIGHTED}`, dealt out to the frames at random.",
            weights,
            "weights",
        ),
        Arm(
            SUCCESS_ONLY,
            "Control: plain behavior cloning on the episodes that the scorer takes for successes.",
            replace(
                accept,
                scheme="filter",
                length_bias=weights.length_bias,
                drop_below=0.5,
            ),
        ),
    ]
    if config.demonstrations.simulate and weights.scheme not in ("none", "static"):
        source = replace(weights, calibration="dataset", length_bias="none", progress_file=None)
        arms.append(
            Arm(
                ORACLE,
                f"What to hope for: the scheme of `{WEIGHTED}` on the simulator's own progress.",
                source,
                "simulator",
            )
        )
    return {arm.name: arm for arm in arms}


def arms_of(config: Config, chosen: str | None) -> list[Arm]:
    """The arms to compare, the baseline first.

    Args:
        config: its `comparison.arms` are added to the standard ones or take their place.
        chosen: names, comma-separated; None: all of them.

    Raises:
        InputError: a name that is no arm or cannot be one, a key or value that `weights` does not take,
            nothing to compare.
    """
    known = standard_arms(config)
    for name, changes in config.comparison.arms.items():
        if name in _TIED:
            raise InputError(
                f"comparison.arms.{name}: is a standard arm that others are made from; change `weights`, or "
                "give yours another name"
            )
        known[name] = _own_arm(name, changes, config)
    names = list(known) if chosen is None else [name.strip() for name in chosen.split(",")]
    for name in names:
        if name not in known:
            near = nearest(name, known)
            remedy = f"did you mean {near[0]}?" if near else f"give some of {', '.join(known)}"
            raise InputError(f"--arms {name}: no such arm; {remedy}")
        if names.count(name) > 1:
            raise InputError(f"--arms {name}: given twice; name it once")
    if config.weights.scheme == "none":
        for name in (WEIGHTED, SHUFFLED):
            if name in names:
                raise InputError(
                    f"weights.scheme none: the arm {name} would be {BASELINE} again; give --weights.scheme, "
                    f"or --arms without {name}"
                )
    others = [name for name in names if name != BASELINE]
    if not others:
        raise InputError(f"--arms {chosen}: nothing to compare {BASELINE} with; name another arm")
    return [known[name] for name in (BASELINE, *others)]


def _own_arm(name: str, changes: Any, config: Config) -> Arm:
    label = f"comparison.arms.{name}"
    problem = folder_name_problem(name)
    if problem is not None:
        raise InputError(f"comparison.arms {name!r}: {problem}")
    if not isinstance(changes, Mapping):
        raise InputError(f"{label} {changes!r}: not a mapping; give keys of `weights`, e.g. {{scheme: awr}}")
    arguments = config_arguments(["weights"])
    parser = build_parser("", arguments)
    types = {item.name.partition(".")[2]: item.type for group in arguments.values() for item in group}
    values: dict[str, Any] = {"accept_poor_scorer": config.weights.accept_poor_scorer}
    given = cast(Mapping[str, Any], changes)
    for key, value in given.items():
        if key not in types:
            near = nearest(key, types)
            remedy = f"did you mean {near[0]}?" if near else f"give some of {', '.join(types)}"
            raise InputError(f"{label}.{key} {value!r}: unknown key; {remedy}")
        try:
            values[key] = parser.parse_object({"weights": {key: value}})[f"weights.{key}"]  # pyright: ignore[reportArgumentType]
        except argparse.ArgumentError as error:
            raise InputError(f"{label}.{key} {value!r}: wrong type; give {expected(types[key])}") from error
        if key in _FILES and values[key]:
            values[key] = local_path(f"{label}.{key}", values[key])
    weights = WeightsConfig(**values)
    problems = validate(replace(config, weights=weights))
    if problems:
        raise InputError(f"{label}: {problems[0]}")
    shown = ", ".join(f"{key} {value}" for key, value in given.items())
    return Arm(name, f"{shown or 'the defaults of `weights`'}.", weights)
