"""The normalisation statistics of a folder: there, finite, and those of the dataset."""

from collections.abc import Iterator
from typing import Any

import numpy as np
from lerobot.configs import NormalizationMode
from numpy.typing import NDArray
from torch import Tensor

from rabc.policies.build import NEEDED_STATISTICS
from rabc.policies.still import measurable, with_rare_moves
from rabc.policy_check.files import PolicyFiles, Step
from rabc.policy_check.findings import Finding, all_or, skipped
from rabc.policy_check.joints import (
    Ranges,
    exchange_words,
    fits_either_unit,
    is_so_arm,
    joint_names,
    permutation,
    unit_problems,
    unit_words,
)

Vector = NDArray[np.float64]
_NORMALIZER, _UNNORMALIZER = "normalizer_processor", "unnormalizer_processor"
_CENTRES = (("mean", "std"), ("min", "max"), ("q01", "q99"), ("q10", "q90"))
_RADIAN = 180 / np.pi
_OF_DATASET = "statistics of the dataset"
_MODES = [mode.value for mode in NormalizationMode]


def statistics_findings(files: PolicyFiles) -> Iterator[Finding]:
    """Is every statistic that normalisation needs there, and finite? LeRobot uses what has none as it is."""
    if files.config is None or files.preprocessor is None or files.postprocessor is None:
        return
    problems: list[str] = []
    checked = 0
    sides = (
        (files.preprocessor, _NORMALIZER, files.features("input_features")),
        (files.postprocessor, _UNNORMALIZER, files.features("output_features")),
    )
    for steps, name, features in sides:
        step = next((step for step in steps if step.name == name), None)
        for key, feature in features.items():
            stated = _mode(step, files.config, str(feature["type"]))
            if stated not in _MODES:
                problems.append(f"{key}: normalised by {stated!r:.40}, which is none of {', '.join(_MODES)}")
                continue
            mode = NormalizationMode(stated)
            if mode is NormalizationMode.IDENTITY:
                continue
            if step is None:
                problems.append(f"{key}: no step {name}, so it is used as it is; export the policy again")
                continue
            checked += 1
            problems += _feature_problems(step, name, key, feature, mode)
    yield from all_or("statistics", problems, f"of {checked} inputs and outputs, present and finite")


def dataset_findings(
    files: PolicyFiles, stats: dict[str, dict[str, Any]], features: dict[str, Any]
) -> Iterator[Finding]:
    """The statistics of state and action against the dataset's.

    Args:
        files: of the policy.
        stats: of the dataset, feature -> statistic -> value.
        features: of the dataset.
    """
    problems: list[str] = []
    same, close = [], []
    for name, step, key in _vectors(files):
        recorded = stats.get(key, {}) if key in features else {}
        # What never moves has a width of its own where it is normalised (`rabc.policies.still`).
        recorded = measurable(recorded) if name == _NORMALIZER else recorded
        mine, theirs = _flat(step, key), {k: np.ravel(v).astype(float) for k, v in recorded.items()}
        pair = next((pair for pair in _CENTRES if all(n in mine and n in theirs for n in pair)), None)
        if pair is None:
            continue
        sizes = {len(values[n]) for values in (mine, theirs) for n in pair}
        if len(sizes) > 1:
            problems.append(
                f"{key} in {name}: {sorted(sizes)} joints in folder and dataset; use its own dataset"
            )
            continue
        names = joint_names(features[key].get("names"))
        problem = _misfit(_centre(mine, pair), _centre(theirs, pair), names)
        exact = all(np.allclose(mine[n], theirs[n], rtol=1e-3, atol=1e-3) for n in pair)
        if problem is not None:
            problems.append(f"{key} in {name}: {problem}")
        else:
            (same if exact else close).append(key)
    if not problems and not same and not close:
        yield skipped(_OF_DATASET, "there are none of state and action to compare")
        return
    words = "the same" if not close else "nearly the same: the policy was trained on other episodes"
    yield from all_or(_OF_DATASET, problems, words)


def other_statistics(files: PolicyFiles, stats: dict[str, dict[str, Any]]) -> Iterator[str]:
    """What says that a dataset is not the one whose statistics the policy has; nothing where all are its own.

    Stricter than `dataset_findings`: recordings of the same motion on the same arm are much alike.

    Args:
        files: of the policy.
        stats: of the dataset, feature -> statistic -> value.
    """
    compared = False
    for name, step, key in _vectors(files):
        raw, mine = stats.get(key, {}), _flat(step, key)
        # As the dataset has them, or as an export of ours normalises by them (`rabc.policies.still`).
        made = [raw, with_rare_moves(raw)]
        made += [measurable(one) for one in made] if name == _NORMALIZER else []
        common = [statistic for statistic in mine if statistic in raw]
        compared |= bool(common)
        if not any(all(_equal(mine[one], values[one]) for one in common) for values in made):
            yield f"other statistics of {key} than in {name}"
    if not compared:
        yield "the policy has no statistics of state or action that could tell"


def _equal(mine: Vector, theirs: Any) -> bool:
    """Whether two statistics are the same but for the rounding of float32."""
    flat = np.ravel(theirs).astype(float)
    return mine.size == flat.size and np.allclose(
        mine, flat, rtol=1e-4, atol=1e-5 * np.abs(flat).max(initial=0)
    )


def unit_findings(
    files: PolicyFiles, names: list[str], degrees: bool | None, whose: str
) -> Iterator[Finding]:
    """The unit that the statistics of state and action are in.

    Args:
        files: of the policy.
        names: of the joints, as the dataset or the robot has them.
        degrees: whether the robot speaks degrees; None: not known.
        whose: names these are.
    """
    problems: list[str] = []
    ranges: Ranges | None = None
    for name, step, key in _vectors(files):
        found = _ranges(_flat(step, key), names)
        if found is not None and is_so_arm(names):
            ranges = found
            problems += [f"{key} in {name}: {problem}" for problem in unit_problems(ranges, degrees)]
    if names and not is_so_arm(names):
        yield skipped("units", f"the joints of {whose} are not those of an SO arm, whose units are known")
        return
    if ranges is None:
        yield skipped("units", f"no statistics of {len(names)} joints, as {whose} has them")
        return
    if not problems and degrees is not None and fits_either_unit(ranges):
        spoken = "degrees" if degrees else "-100...100"
        yield skipped(
            "units",
            f"arm joints {unit_words(ranges)}; the robot is set to {spoken}: make sure that "
            "--robot.use_degrees is what it was when the dataset was recorded",
        )
        return
    yield from all_or("units", problems, f"arm joints {unit_words(ranges)}; joints of {whose}")


def _vectors(files: PolicyFiles) -> Iterator[tuple[str, Step, str]]:
    """(processor step, its content, feature) of state and action where there are statistics."""
    for steps in (files.preprocessor, files.postprocessor):
        for step in steps or []:
            if step.name in (_NORMALIZER, _UNNORMALIZER) and step.state:
                for key in ("observation.state", "action"):
                    if any(name.rpartition(".")[0] == key for name in step.state):
                        yield step.name, step, key


def _mode(step: Step | None, config: dict[str, Any], kind: str) -> Any:
    """What the folder says: one of `_MODES`, or anything else that somebody wrote."""
    modes = (step.config.get("norm_map") if step else None) or config.get("normalization_mapping") or {}
    return modes.get(kind, "IDENTITY") if isinstance(modes, dict) else modes


def _feature_problems(
    step: Step, name: str, key: str, feature: dict[str, Any], mode: NormalizationMode
) -> Iterator[str]:
    if key not in (step.config.get("features") or {}):
        yield f"{key}: {name} does not know it, so it is used as it is; export the policy again"
        return
    values = {n: (step.state or {}).get(f"{key}.{n}") for n in NEEDED_STATISTICS[mode]}
    size = feature["shape"][0]
    for statistic, value in values.items():
        if value is None or value.numel() == 0:
            yield (
                f"{statistic} of {key}: missing in {name}, so it is used as it is: a blind policy; export it "
                "again from a dataset with statistics"
            )
        elif not bool(value.isfinite().all()):
            yield f"{statistic} of {key}: {_numbers(value)} in {name}: not finite; repair meta/stats.json"
        elif value.numel() not in (1, size):
            yield f"{statistic} of {key}: {value.numel()} numbers in {name} for {size}; export it again"
        elif statistic == "std" and name == _NORMALIZER and bool((value <= 0).any()):
            yield f"std of {key}: {_numbers(value)} in {name}: 0 makes every reading enormous; leave it out"
    numbers = [value for value in values.values() if value is not None]
    if mode is not NormalizationMode.MEAN_STD and len(numbers) == 2 and name == _NORMALIZER:
        low, high = numbers
        if low.shape == high.shape and bool((high <= low).any()):
            yield f"{'/'.join(values)} of {key}: a range without width in {name}; leave the input out"


def _flat(step: Step, key: str) -> dict[str, Vector]:
    state: dict[str, Tensor] = step.state or {}
    return {
        name.rpartition(".")[2]: value.double().numpy().ravel()
        for name, value in state.items()
        if name.rpartition(".")[0] == key
    }


def _centre(values: dict[str, Vector], pair: tuple[str, str]) -> tuple[Vector, Vector]:
    """Middle and scale of each joint."""
    first, second = (values[name] for name in pair)
    return (first, second) if pair == ("mean", "std") else ((first + second) / 2, (second - first) / 2)


def _misfit(mine: tuple[Vector, Vector], theirs: tuple[Vector, Vector], names: list[str]) -> str | None:
    cost = _cost(mine, theirs)
    if not np.isfinite(cost).all():
        return None  # reported where statistics have to be finite
    places = permutation(cost)
    if len(names) != len(cost):
        names = [f"joint {i}" for i in range(len(cost))]
    if places is not None:
        return f"joints are exchanged: {exchange_words(places, names)}; put them in the dataset's order"
    own = np.diagonal(cost)
    if own.max() <= 1:
        return None
    units = {"radians where the dataset has degrees": _RADIAN, "degrees where it has radians": 1 / _RADIAN}
    for words, factor in units.items():
        if np.diagonal(_cost((mine[0] * factor, mine[1] * factor), theirs)).max() <= 1:
            return f"{words}; convert and train again"
    worst = int(own.argmax())
    return (
        f"{names[worst]} lies about {mine[0][worst]:.4g} ± {mine[1][worst]:.3g}, in the dataset about "
        f"{theirs[0][worst]:.4g} ± {theirs[1][worst]:.3g}; give the dataset it was trained on"
    )


def _cost(mine: tuple[Vector, Vector], theirs: tuple[Vector, Vector]) -> NDArray[np.float64]:
    """(D, D) misfit of joint i of the folder and j of the dataset: 0 the same, 1 one scale or a factor 2."""
    floor = 1e-3 * max(float(np.max(theirs[1])), 1e-6)
    scales, others = np.maximum(mine[1], floor)[:, None], np.maximum(theirs[1], floor)[None, :]
    shift = np.abs(mine[0][:, None] - theirs[0][None, :]) / others
    return shift + np.abs(np.log2(scales / others))


def _ranges(values: dict[str, Vector], names: list[str]) -> Ranges | None:
    if "min" in values and "max" in values:
        low, high = values["min"], values["max"]
    elif "mean" in values and "std" in values:
        low, high = values["mean"] - 3 * values["std"], values["mean"] + 3 * values["std"]
    else:
        return None
    return Ranges(names, low, high) if len(low) == len(names) == len(high) else None


def _numbers(value: Tensor) -> str:
    shown = ", ".join(f"{number:.4g}" for number in value.flatten().tolist()[:6])
    return f"[{shown}{', ...' if value.numel() > 6 else ''}]"
