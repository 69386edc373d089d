"""What a comparison leaves for later trainings: real weights of real scores, outcomes made up."""

import json
import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rabc.comparison.arms import arms_of
from rabc.comparison.plan import planned_run, prepare
from rabc.comparison.receipt import segments, write_receipts
from rabc.comparison.results import PlayedRun, summarise
from rabc.comparison.run import describe
from rabc.config.settings import (
    ComparisonConfig,
    Config,
    DatasetConfig,
    DemonstrationsConfig,
    DiagnosticsConfig,
    RolloutsConfig,
    ScorerConfig,
    WeightsConfig,
)
from rabc.datasets.metadata import load_meta
from rabc.datasets.tables import read_frames
from rabc.export.card import model_card
from rabc.pipeline import machine, state
from rabc.pipeline.main_job import describe as describe_run
from rabc.pipeline.receipt import Receipt, card_lines, find, key_of, note, receipts_folder
from rabc.rollouts.evaluation import ScoredRollout
from rabc.system.home import scores_root
from rabc.system.stages import Result
from tests.support import REPO

SUCCESS = {
    "plain": ("0001100000", "0001100000", "0001100000"),
    "weighted": ("1101101000", "1111101000", "1101001000"),
    "success-only": ("0001100001", "0001100001", "0001100001"),
    "shuffled": ("0000000000",) * 3,
}
"""Of the trainings of each arm."""


@pytest.fixture(scope="module")
def compared(
    simulated: Path, demonstrations: DemonstrationsConfig, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Config, list[PlayedRun], dict[str, Any], list[Path]]:
    """Configuration, runs, comparison.json and receipts. What they succeeded at is made up."""
    folder = tmp_path_factory.mktemp("compared")
    config = Config(
        run="small",
        device="cpu",
        dataset=DatasetConfig(str(simulated), exclude="0"),
        demonstrations=demonstrations,
        scorer=ScorerConfig(str(REPO / "checkpoints" / "so101-scorer"), num_prefixes=6),
        diagnostics=DiagnosticsConfig(episodes=4),
        weights=WeightsConfig(scheme="mask", calibration="dataset", min_delta=0.1),
        rollouts=RolloutsConfig(episodes=10),
        comparison=ComparisonConfig(jobs=2),
    )
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        arms = arms_of(config, ",".join(SUCCESS))
        prepare(config, arms, [0])
        runs: list[PlayedRun] = []
        for seed in range(3):
            for arm in arms:
                made = state.finished(planned_run(config, arm, 0, 1).config)
                made["weights"]["weights_file"] = str(folder / made["weights"]["weights_file"])
                training = {"policy_folder": "", "content": "", "steps": 1, "training_seconds": 1.0}
                rollouts = [
                    ScoredRollout(3_000_000 + number, one == "1", 50, 0.01, -1.0, (1,), (-1.0,))
                    for number, one in enumerate(SUCCESS[arm.name][seed])
                ]
                results = {**made, "training": {**training, "tensorboard": str(folder)}}
                runs.append(PlayedRun(planned_run(config, arm, seed, 1), results, tuple(rollouts), folder))
        result = json.loads(json.dumps(summarise(config, arms, runs, "rabc compare", None)))
        return config, runs, result, write_receipts(config, runs, result)


@pytest.fixture
def mine(
    compared: tuple[Config, list[PlayedRun], dict[str, Any], list[Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> tuple[Config, dict[str, Result], Path]:
    """A training as the arm `weighted`: configuration, results of its stages, and receipts to damage."""
    config, runs, _, _ = compared
    results = next(run.results for run in runs if run.plan.arm.name == "weighted")
    scores = tmp_path / "scores"
    shutil.copytree(scores_root(None) / "receipts", scores / "receipts")
    monkeypatch.chdir(tmp_path)
    config = replace(config, scorer=replace(config.scorer, scores_folder=str(scores)))
    return config, results, receipts_folder(config, results["demonstrations"]["content"])


def test_it_says_what_was_left_out_and_what_that_showed(
    compared: tuple[Config, list[PlayedRun], dict[str, Any], list[Path]], simulated: Path
) -> None:
    config, runs, result, written = compared
    contents = [json.loads(path.read_text()) for path in written]
    assert [content["arm"] for content in contents] == ["weighted", "success-only"]  # not plain, not shuffled
    content, (weighted, *_) = contents[0], [run for run in runs if run.plan.arm.name == "weighted"]
    data = weighted.results["demonstrations"]
    folder = scores_root(None) / "receipts" / data["content"]
    assert {path.parent for path in written} == {folder}
    assert not list(simulated.rglob("*receipt*"))
    assert content["dataset"] == {"path": str(simulated), "content": data["content"]}
    assert content["scorer"]["model"] == "so101-scorer"
    assert content["scorer"]["content"] == state.scorer_content(config) == result["scorer"]["revision"]
    said = {"scheme": "mask", "min_delta": 0.1, "calibration": "dataset", "apply": "loss"}
    assert content["weights"].items() >= said.items()
    assert content["selected"] == {"episodes": None, "exclude": "0"}

    # The list, read back, is the zeros of the selected episodes' weights.
    weights = np.load(weighted.results["weights"]["weights_file"])
    table, left = read_frames(load_meta(simulated), []), content["left_out"]
    frames = pd.DataFrame({"episode": table.episode_index, "zero": weights == 0})
    frames["frame"] = frames.groupby("episode").cumcount()
    listed = {
        (episode, frame) for episode, first, last in left["segments"] for frame in range(first, last + 1)
    }
    zeros = frames[frames.zero & (frames.episode != 0)]
    assert listed == set(zip(zeros.episode, zeros.frame, strict=True))
    assert left["frames"] == len(listed) > 0
    assert left["share"] == pytest.approx(len(listed) / left["of"])
    shared = pd.read_parquet(Path(weighted.results["weights"]["weights_file"]).parent / "weights.parquet")
    assert left["weights_sha256"] == sha256(shared["weight"].to_numpy("<f4").tobytes()).hexdigest()

    # The numbers are those of comparison.json.
    (pair,) = (pair for pair in result["pairs"] if pair["arm"] == "weighted")
    found = content["found"]
    assert {name: found[name] for name in ("difference", "over_seeds", "p_adjusted", "always_valid")} == {
        name: pair[name] for name in ("difference", "over_seeds", "p_adjusted", "always_valid")
    }
    assert found["success"] == next(arm["success"] for arm in result["arms"] if arm["name"] == "weighted")
    assert found["training_seeds"] == [0, 1, 2]
    assert found["start_states"] == {"first": 3_000_000, "count": 10}


@pytest.mark.parametrize(
    ("zero", "expected"),
    [
        ("000 0000", [[4, 0, 2], [7, 0, 3]]),
        ("110 0110", [[4, 2, 2], [7, 0, 0], [7, 3, 3]]),
        ("111 1111", []),
        ("011 1110", [[4, 0, 0], [7, 3, 3]]),
    ],
)
def test_segments_end_with_their_episode(zero: str, expected: list[list[int]]) -> None:
    left_out = np.array([one == "0" for one in zero.replace(" ", "")])
    assert segments(left_out, np.array([4] * 3 + [7] * 4)) == expected


def test_a_training_is_told_what_the_comparison_showed(mine: tuple[Config, dict[str, Result], Path]) -> None:
    config, results, _ = mine
    (line,) = note(config, results)
    own = find(config, results).own
    assert own is not None
    low, high = own.difference["low"], own.difference["high"]
    assert low is not None
    assert high is not None
    assert line.startswith(
        "weights: compared on this data: +30 points ("
        f"{100 * low:+.0f} to {100 * high:+.0f} over start states; "
    )
    assert line.endswith("over training seeds; 3 trainings of each, 10 start states: 50 % against 20 %)")
    assert note(replace(config, run="another", seed=5, rollouts=RolloutsConfig(episodes=3)), results) == [
        line
    ]
    # Before anything is weighted, nothing is claimed of the weights.
    assert note(config, {name: results[name] for name in ("demonstrations", "scores")}) == [line]
    assert note(config, {"demonstrations": results["demonstrations"]}) == []


def test_other_settings_are_not_taken_for_these(mine: tuple[Config, dict[str, Result], Path]) -> None:
    config, results, folder = mine
    weights, policy = config.weights, config.policy
    asked = dict(results["scores"]["scorer"])
    scored = {**results, "scores": {**results["scores"], "scorer": {**asked, "revision": "other"}}}
    prefixes = {**results, "scores": {**results["scores"], "scorer": {**asked, "num_prefixes": 30}}}
    for other, found in (
        (replace(config, weights=replace(weights, min_delta=0.2)), results),
        (replace(config, weights=replace(weights, apply="sampler")), results),
        (replace(config, policy=replace(policy, chunk_size=policy.chunk + 1)), results),
        (replace(config, dataset=replace(config.dataset, exclude=None)), results),
        (config, scored),
        (config, prefixes),
    ):
        (line,) = note(other, found)
        assert line.startswith(
            "weights: compared on this data with another scorer, policy or other settings alone (points more "
            "than plain: "
        )
        assert "mask +30" in line
        assert "filter +10" in line
        assert ", not with these; `rabc compare --arms weighted --seeds 3 --rollouts 100` t" in line
    # The same settings may make other weights, by another version of the rule.
    altered = folder.parent / "weights.npy"
    np.save(altered, np.load(results["weights"]["weights_file"]) * 1.5)
    made = {**results, "weights": {**results["weights"], "weights_file": str(altered)}}
    (line,) = note(config, made)
    assert "on this data by the same settings, which made other weights then: +30 points" in line


def test_where_nothing_is_weighted_nothing_is_said(mine: tuple[Config, dict[str, Result], Path]) -> None:
    config, results, _ = mine
    plain = {**results, "weights": {**results["weights"], "progress_file": None}}
    equal = {**results, "weights": {**results["weights"], "equal": True}}
    none = replace(config, weights=WeightsConfig(scheme="none"))
    for silent, found in ((none, results), (config, plain), (config, equal)):
        assert note(silent, found) == card_lines(silent, found) == []


def test_without_a_receipt_the_time_of_a_comparison_is_said(
    mine: tuple[Config, dict[str, Result], Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config, results, folder = mine
    shutil.rmtree(folder)
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))  # of a machine on which nothing was measured
    (line,) = note(config, results)
    assert (
        line
        == "weights: not compared on this data; `rabc compare --arms weighted --seeds 3 --rollouts 100` tells"
    )
    assert not machine.memory_file().exists()
    # Rates that are known are used: the line says what the dry run of that comparison does.
    rates = {"training step": 0.5, "rollout tick": 0.01, "scored episode": 0.2}
    monkeypatch.setattr(
        "rabc.pipeline.rates.remembered", lambda facts: machine.Measured(rates[facts["piece"]], 0.0, 1e9)
    )
    (line,) = note(config, results)
    asked = replace(config, rollouts=replace(config.rollouts, episodes=100))
    said = describe(asked, arms_of(config, "weighted"), 3)
    assert "6 of 6 trainings to do, at most about 126 min 12 s; 600 rollouts to play, about" in said
    rollouts_s = 12 + 600 * (100 * 0.01 / min(2, len(os.sched_getaffinity(0))) + 0.2)
    assert line.endswith(f"` takes at most about {(7572 + rollouts_s) / 3600:.1f} h")
    # And in the table of what a run will do.
    assert describe_run(replace(config, run="new", dataset=DatasetConfig(config.dataset.path))).endswith(line)
    # Nothing plays data of an arm.
    real = replace(config, demonstrations=replace(config.demonstrations, simulate=False))
    (line,) = note(real, results)
    assert line.endswith("data; what they do shows on the arm: `rabc compare --recorded` compares rollouts")


def test_a_model_card_says_how_it_was_weighted(mine: tuple[Config, dict[str, Result], Path]) -> None:
    config, results, folder = mine
    known = {**results, "training": {"steps": 8}}
    card = model_card(config, known, weighting=card_lines(config, known))
    weights = results["weights"]
    content = json.loads((folder / f"{_own(config, results).key}.json").read_text())
    left = content["left_out"]
    for words in (
        "\n## Weighting\n",
        f"- Left out: {100 * weights['share_zero']:.0f} % of the frames ({left['frames']} of {left['of']}); "
        f"SHA-256 of the weights (float32): `{left['weights_sha256']}`",
        f"- Compared with plain behavior cloning on these demonstrations: {_own(config, results)}",
    ):
        assert words in card, card
    shutil.rmtree(folder)
    assert "- Not compared with plain behavior cloning on these demonstrations" in card_lines(config, known)
    assert card_lines(config, {}) == []


def _own(config: Config, results: dict[str, Result]) -> Receipt:
    own = find(config, results).own
    assert own is not None
    return own


def _changed(**changes: Any) -> Callable[[Path], object]:
    """Changes what a receipt found."""

    def change(path: Path) -> None:
        content = json.loads(path.read_text())
        content["found"] |= changes
        path.write_text(json.dumps(content))

    return change


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _of_another_dataset(path: Path) -> None:
    path.write_text(path.read_text().replace(path.parent.name, "0" * len(path.parent.name)))


def _spoken(path: Path) -> None:
    """A name of a scheme that writes lines and obeys its author, under the key that it has."""
    content = json.loads(path.read_text())
    content["weights"]["scheme"] = "mask\x1b[2J\nweights: compared on this data: +99 points"
    path.unlink()
    (path.parent / f"{key_of(content)}.json").write_text(json.dumps(content))


@pytest.mark.parametrize(
    "damage",
    [
        lambda path: path.write_text(path.read_text()[:-20]),
        lambda path: path.write_bytes(b"\xff\xfe\x00"),
        lambda path: path.write_text("[]"),
        lambda path: path.write_text("[" * 100_000),
        lambda path: path.write_text(path.read_text().replace('"format": 2', '"format": 3')),
        lambda path: path.write_text(path.read_text().replace('"min_delta": 0.1', '"min_delta": 0.3')),
        lambda path: os.truncate(path, 70_000_000),
        _changed(difference={"value": "+99", "low": 0.1, "high": 0.2}),
        _changed(difference={"value": 7, "low": 0.1, "high": 0.2}),
        _changed(difference={"value": 0.1, "low": float("nan"), "high": 0.2}),
        _changed(over_seeds={"low": 10**400, "high": 0.2}),
        _changed(success={"successes": 1, "trials": 0}),
        _changed(training_seeds=[]),
        _changed(start_states={"first": 0, "count": 10**30}),
        _pipe,
        _of_another_dataset,
        _spoken,
    ],
)  # fmt: skip
def test_what_is_damaged_or_foreign_does_not_count(
    mine: tuple[Config, dict[str, Result], Path], damage: Callable[[Path], object]
) -> None:
    config, results, folder = mine
    damage(folder / f"{_own(config, results).key}.json")
    first, second = note(config, results)
    assert first.startswith(f"weights: receipt {folder}/")
    assert first.endswith(".json: is damaged or of something else, and does not count; remove it")
    assert (
        "with another scorer, policy or other settings alone (points more than plain: filter +10), not"
        in second
    )
    assert (first + second).isprintable()
    assert "Not compared" in "".join(card_lines(config, results))


def test_what_a_kill_left_is_not_read(mine: tuple[Config, dict[str, Result], Path]) -> None:
    config, results, folder = mine
    (folder / ".partial.123456-1-1-0.0123456789abcdef.json").write_text('{"format"')
    assert len(note(config, results)) == 1


def test_without_a_home_there_are_none(
    mine: tuple[Config, dict[str, Result], Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, results, _ = mine
    config = replace(config, scorer=replace(config.scorer, scores_folder=None))
    monkeypatch.setenv("XDG_DATA_HOME", "~nobody-of-that-name/data")
    assert find(config, results).others == ()
    assert note(config, results)[0].startswith("weights: not compared on this data; ")
