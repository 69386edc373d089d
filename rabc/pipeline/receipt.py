"""Whether weights like a run's were compared with plain behavior cloning on its data: receipts, their words.

`rabc compare` leaves a receipt for every arm whose weights a run can ask for (`rabc.comparison.receipt`),
beside the scores and not in the dataset: `<scores>/receipts/<content of the dataset>/<key>.json`. Format 2,
on one line:

    format, version  2, and that of this program
    date             when the comparison ended, ISO 8601, UTC
    dataset          path, content (fingerprint)
    scorer           model, content (its revision, or the SHA-256 of a file of progress or weights), question
                     (hash of all that was asked of it)
    weights          scheme and all settings of `weights`, but files and accept_poor_scorer
    policy           type, chunk (ticks)
    selected         episodes, exclude: as in the section `dataset`
    run, arm         of the comparison
    left_out         frames (of weight 0), of (frames of the selected episodes), share, weights_sha256 (see
                     `weights_hash`), segments [[episode, first frame, last frame], ...]
    found            baseline, task_done, training_seeds, start_states {first, count}, success and
                     baseline_success {successes, trials, low, high}, difference, over_seeds, always_valid,
                     p_adjusted: all as in comparison.json (`rabc.comparison.results`)

The key is a hash of `dataset.content`, `scorer` without the model's name, `weights`, `policy` and `selected`.
A receipt may be of others, as scores may: it is read as data, and what is shown of it are numbers and a word.
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.pages.html import ends, points
from rabc.system.errors import InputError
from rabc.system.hashing import file_hash, stamp
from rabc.system.home import scores_root
from rabc.system.stages import Result
from rabc.system.terminal import duration, shown

FORMAT = 2
FOLDER = "receipts"
LARGEST = 64_000_000
"""Bytes of a receipt that is read: two million segments."""
SEEDS, ROLLOUTS = 3, 100
"""Of the comparison that is proposed where there was none."""
COMMAND = f"rabc compare --arms weighted --seeds {SEEDS} --rollouts {ROLLOUTS}"
_OF_NO_WEIGHT = ("progress_file", "weights_file", "accept_poor_scorer")
"""Settings that receipts leave out: files are known by their content."""
_WIDEST = 100.0  # ends of intervals over two training seeds lie far outside of what a difference can be


@dataclass(frozen=True)
class Receipt:
    """What a comparison found of one arm."""

    key: str
    scheme: str
    """A word, whosever the file is."""
    weights_sha256: str
    difference: dict[str, float | None]
    """{value, low, high} of the success rates of arm and plain: shares, over start states."""
    over_seeds: dict[str, float | None]
    """{low, high} of it over training seeds; None with one."""
    anytime: bool
    """The interval holds at every look: a sequential test decided when to stop."""
    success: float
    """Rate of the arm."""
    baseline_success: float
    trainings: int
    """Of each of the two."""
    start_states: int

    def __str__(self) -> str:
        """`+12 points (+3 to +20 over start states, ...)`."""
        states = ends(self.difference, 0)
        kind = "always-valid, over start states" if self.anytime else "over start states"
        seeds = ends(self.over_seeds, 0)
        intervals = [f"{states} {kind}"] * bool(states) + [f"{seeds} over training seeds"] * bool(seeds)
        rates = f"{100 * self.success:.0f} % against {100 * self.baseline_success:.0f} %"
        often = f"{self.trainings} training{'s' if self.trainings > 1 else ''} of each"
        sizes = f"{often}, {self.start_states} start states: {rates}"
        return f"{points(cast(float, self.difference['value']), 0)} points ({'; '.join([*intervals, sizes])})"


@dataclass(frozen=True)
class Found:
    """The receipts on a run's data."""

    own: Receipt | None
    """Of the run's dataset, scorer, settings and policy."""
    others: tuple[Receipt, ...]
    """Of the same dataset, and something else in any other way."""
    remarks: tuple[str, ...]
    """What could not be read."""


def differences(weights: WeightsConfig) -> dict[str, Any]:
    """The settings that are not the defaults, by key."""
    default = WeightsConfig()
    return {
        item.name: getattr(weights, item.name)
        for item in fields(weights)
        if getattr(weights, item.name) != getattr(default, item.name)
    }


def subject(config: Config, results: Mapping[str, Result]) -> dict[str, Any]:
    """What a receipt is about, as it says it: `dataset` to `selected`.

    results: of the stages up to the scores. Raises OSError where a file from elsewhere is gone.
    """
    data, settings = results["demonstrations"], {**asdict(config.weights), "apply": config.apply}
    return {
        "dataset": {"path": data["root"], "content": data["content"]},
        "scorer": _source(config, results["scores"]),
        "weights": {name: value for name, value in settings.items() if name not in _OF_NO_WEIGHT},
        "policy": {"type": config.policy.type, "chunk": config.policy.chunk},
        "selected": {"episodes": config.dataset.episodes, "exclude": config.dataset.exclude},
    }


def _source(config: Config, scores: Result) -> dict[str, str]:
    foreign = config.weights.foreign_file
    if foreign:
        return {"model": Path(foreign).name, "content": file_hash(Path(foreign)).hex(), "question": ""}
    asked = {name: value for name, value in scores["scorer"].items() if name != "scorer"}
    return {
        "model": scores["scorer"]["scorer"],
        "content": scores["scorer"]["revision"],
        "question": hashlib.sha256(json.dumps(asked, sort_keys=True).encode()).hexdigest()[:16],
    }


def key_of(about: Mapping[str, Any]) -> str:
    """Key of a receipt, 16 hex digits, from its `subject`: the same wherever dataset and scorer lie."""
    dataset = about["dataset"]["content"]
    scorer = [about["scorer"]["content"], about["scorer"]["question"]]
    text = json.dumps(
        [dataset, scorer, *(about[name] for name in ("weights", "policy", "selected"))], sort_keys=True
    )
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def receipts_folder(config: Config, content: str) -> Path:
    """Folder of the receipts on a dataset of this fingerprint. Raises InputError as `scores_root`."""
    return scores_root(config.scorer.scores_folder) / FOLDER / content


def weights_hash(weights: NDArray[np.float64]) -> str:
    """SHA-256 (hex) of weights (N,) as `weights.parquet` has them: float32, little endian."""
    return hashlib.sha256(weights.astype("<f4").tobytes()).hexdigest()


def find(config: Config, results: Mapping[str, Result]) -> Found:
    """The receipts on the data of a run, and which of them is about it; results: as far as they are there."""
    own, others, remarks = None, list[Receipt](), list[str]()
    try:
        folder = receipts_folder(config, results["demonstrations"]["content"])
        paths = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    except (InputError, OSError):  # no home, no rights: then nobody left a receipt there, either
        paths = []
    key = key_of(subject(config, results)) if paths and "scores" in results else ""
    for path in paths:
        try:
            receipt = _read(path)
        # Whatever JSON of another form makes Python stumble over.
        except (
            OSError, ValueError, KeyError, TypeError, IndexError, AttributeError, ArithmeticError,
            RecursionError,
        ):  # fmt: skip
            name = " ".join(shown(str(path)).split())
            remarks.append(f"receipt {name}: is damaged or of something else, and does not count; remove it")
            continue
        if receipt.key == key:
            own = receipt
        else:
            others.append(receipt)
    return Found(own, tuple(others), tuple(remarks))


def _read(path: Path) -> Receipt:
    if stamp(path).size > LARGEST:  # which also raises for a pipe or a device
        raise ValueError("too large")
    content = json.loads(path.read_text(encoding="utf-8"))
    found, key = content["found"], key_of(content)
    if content["format"] != FORMAT or (key, content["dataset"]["content"]) != (path.stem, path.parent.name):
        raise ValueError("of something else")
    anytime = found["always_valid"]
    difference = {**found["difference"], **(anytime or {})}
    trainings, states = len(found["training_seeds"]), int(found["start_states"]["count"])
    if trainings < 1 or not 1 <= states < 10**9:
        raise ValueError("of no rollouts")
    scheme = content["weights"]["scheme"]
    if not scheme.isidentifier() or len(scheme) > 40:
        raise ValueError("no name of a scheme")
    return Receipt(
        key=key,
        scheme=scheme,
        weights_sha256=str(content["left_out"]["weights_sha256"]),
        difference={"value": _share(difference["value"]), **_limits(difference)},
        over_seeds=_limits(found["over_seeds"]),
        anytime=anytime is not None,
        success=_rate(found["success"]),
        baseline_success=_rate(found["baseline_success"]),
        trainings=trainings,
        start_states=states,
    )


def _limits(of: Mapping[str, Any] | None) -> dict[str, float | None]:
    if of is None or of["low"] is None:
        return {"low": None, "high": None}
    return {name: _number(of[name]) for name in ("low", "high")}


def _rate(of: Mapping[str, Any]) -> float:
    return _share(of["successes"] / of["trials"])


def _share(value: Any) -> float:
    if abs(_number(value)) > 1:
        raise ValueError(f"{value!r}: no share")
    return float(value)


def _number(value: Any) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < _WIDEST:
        raise ValueError(f"{value!r}: no number")
    return float(value)


def note(config: Config, results: Mapping[str, Result]) -> list[str]:
    """Lines for a run that is to be trained: whether its weights were compared, and else what that takes.

    results: of the stages that are done. Measures nothing: where this machine's rates are not known, there
    is no time.
    """
    if config.weights.scheme == "none" or ("weights" in results and not weighed(results["weights"])):
        return []
    found = find(config, results) if "demonstrations" in results else Found(None, (), ())
    lines = [f"weights: {remark}" for remark in found.remarks]
    if found.own is not None:
        return [*lines, f"weights: compared on this data{_as_made(found.own, results)}: {found.own}"]
    if found.others and "scores" not in results:
        return lines  # which of them is about this run shows when the scorer has been asked
    said = "not compared on this data"
    if found.others:
        some = [f"{one.scheme} {points(cast(float, one.difference['value']), 0)}" for one in found.others[:4]]
        more = ", ..." if len(found.others) > len(some) else ""
        said = (
            "compared on this data with another scorer, policy or other settings alone (points more than "
            f"plain: {', '.join(some)}{more}), not with these"
        )
    if not config.demonstrations.simulate:
        return [
            *lines,
            f"weights: {said}; what they do shows on the arm: `rabc compare --recorded` compares rollouts",
        ]
    seconds = _comparison_s(config)
    takes = "tells" if seconds is None else f"takes at most about {_about(seconds)}"
    return [*lines, f"weights: {said}; `{COMMAND}` {takes}"]


def weighed(weights: Result) -> bool:
    """Whether any frame counts more than another: nothing is to be known of a run that is plain."""
    return bool(weights.get("progress_file")) and not weights["equal"]


def _as_made(receipt: Receipt, results: Mapping[str, Result]) -> str:
    """Says where the same settings made other weights, as another version of this program may."""
    if "weights" not in results:
        return ""
    same = receipt.weights_sha256 == _hash_of(results["weights"])
    return "" if same else " by the same settings, which made other weights then"


def _hash_of(weights: Result) -> str:
    return weights_hash(np.load(weights["weights_file"], allow_pickle=False))


def _comparison_s(config: Config) -> float | None:
    """Seconds of `COMMAND`, as its `--dry_run` reckons; None where they are not known."""
    from rabc.pipeline.costs import jobs_at_once, measured, rollouts_s, training_s

    trainings = 2 * SEEDS
    known = measured(config, ["training", "rollouts"], anew=False)
    one = training_s(config, known)
    at_once = max(jobs_at_once(config), config.rollouts.processes)
    played = rollouts_s(config, trainings * ROLLOUTS, at_once, known)
    return None if one is None or played is None else trainings * one + played


def _about(seconds: float) -> str:
    return f"{seconds / 3600:.1f} h" if seconds >= 3600 else duration(seconds)


def card_lines(config: Config, results: Mapping[str, Result]) -> list[str]:
    """The part "Weighting" of a model card, Markdown; empty where nothing was weighted.

    results: of the stages of the policy's run, as far as they are known.
    """
    if config.weights.scheme == "none" or "weights" not in results or not weighed(results["weights"]):
        return []
    weights, own = results["weights"], find(config, results).own
    left = round(weights["share_zero"] * weights["frames"])
    plain = "plain behavior cloning on these demonstrations"
    return [
        "## Weighting",
        "",
        f"- Left out: {100 * weights['share_zero']:.0f} % of the frames ({left} of {weights['frames']}); "
        f"SHA-256 of the weights (float32): `{_hash_of(weights)}`",
        f"- Not compared with {plain}"
        if own is None
        else f"- Compared with {plain}{_as_made(own, results)}: {own}",
        "",
    ]
