"""The diagnosis on simulated data tells the shipped scorer from spoilt ones, and one of those stops a run."""

import json
import re
import runpy
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rabc.config.settings import Config, DatasetConfig, DiagnosticsConfig, ScorerConfig, WeightsConfig
from rabc.datasets.metadata import load_meta
from rabc.datasets.success_labels import success_labels
from rabc.diagnosis.dataset import DatasetDiagnosis, diagnose_scores
from rabc.export.proof import Proof
from rabc.scoring.base import Clip, PrefixScores
from rabc.scoring.plan import carry_out, plan_scoring
from rabc.scoring.topreward import TOPReward
from rabc.sim.recorder import read_ground_truth
from tests.support import REPO

SCORER = REPO / "checkpoints" / "so101-scorer"
SETTINGS = ScorerConfig(model=str(SCORER), num_prefixes=8)


@dataclass
class Spoilt:
    """The shipped scorer, fed something else than what it is asked about."""

    scorer: TOPReward
    fed: Literal["video", "static", "wrong instruction", "noise"]

    def __post_init__(self) -> None:
        self.identity = {**self.scorer.identity, "scorer": self.fed}
        self.frame_indices = self.scorer.frame_indices
        self.resize, self.check, self.score = self.scorer.resize, self.scorer.check, self.scorer.score
        self.rng = np.random.default_rng(0)

    def score_clips(self, clips: Sequence[Clip], num_prefixes: int) -> list[PrefixScores]:
        if self.fed == "static":
            clips = [replace(clip, frames=clip.frames[:1].expand_as(clip.frames)) for clip in clips]
        elif self.fed == "wrong instruction":
            clips = [replace(clip, instruction="Pick up the blue cube.") for clip in clips]
        scored = self.scorer.score_clips(clips, num_prefixes)
        if self.fed == "noise":
            draw = lambda one: self.rng.normal(-2, 1, len(one.prefix_lengths))  # noqa: E731
            scored = [PrefixScores(one.prefix_lengths, draw(one), draw(one)) for one in scored]
        return scored


@pytest.fixture(scope="module")
def shipped() -> TOPReward:
    return TOPReward.from_pretrained(str(SCORER))


def configured(root: Path, **weights: object) -> Config:
    return Config(
        dataset=DatasetConfig(path=str(root)),
        scorer=SETTINGS,
        diagnostics=DiagnosticsConfig(episodes=0),
        weights=WeightsConfig(kappa=0.2, **weights),  # pyright: ignore[reportArgumentType]
    )


def scored(root: Path, scorer: Spoilt) -> DatasetDiagnosis:
    config = configured(root)
    plan = plan_scoring(config, root, scorer)
    carry_out(config, plan, scorer)
    return diagnose_scores(config, root, plan.stores)


@pytest.fixture(scope="module")
def good(simulated: Path, shipped: TOPReward) -> DatasetDiagnosis:
    return scored(simulated, Spoilt(shipped, "video"))


def without_labels(found: DatasetDiagnosis) -> str:
    from rabc.diagnosis.controls import diagnose
    from rabc.diagnosis.verdict import judge

    return judge(diagnose([replace(episode, success=None) for episode in found.curves])).grade


def test_the_shipped_scorer_is_fit_for_use(good: DatasetDiagnosis) -> None:
    assert good.verdict.grade == "use", good.verdict
    # Unlabelled failures dilute what a wrong instruction takes away, and half of these episodes fail.
    assert without_labels(good) in ("use", "use with care")
    assert good.diagnosis.success_auc.value == 1
    assert good.diagnosis.static_share.value < 0.1


@pytest.mark.parametrize("fed", ["static", "wrong instruction", "noise"])
def test_a_spoilt_scorer_is_refused(
    simulated: Path, shipped: TOPReward, fed: Literal["static", "wrong instruction", "noise"]
) -> None:
    found = scored(simulated, Spoilt(shipped, fed))
    assert found.verdict.grade == "do not weight", found.verdict
    assert without_labels(found) == "do not weight"  # a real dataset mostly has none


def test_failed_episodes_end_below_the_successful_ones(good: DatasetDiagnosis) -> None:
    """At least 95 % of them below the 10th percentile, by the last frame's progress itself."""
    shares = {(row.calibration, row.length_bias): row.failed_below for row in good.calibrations}
    assert len(shares) == 6
    for calibration in ("dataset", "logodds"):
        for length_bias in ("none", "subtract"):
            share = shares[calibration, length_bias]
            assert share is not None
            assert share >= 0.95


def test_labels_come_from_the_simulator_or_the_dataset(simulated: Path, tmp_path: Path) -> None:
    expected = {episode: record.success for episode, record in enumerate(read_ground_truth(simulated))}
    assert success_labels(load_meta(simulated)) == expected
    assert sum(expected.values()) == 6
    copy = shutil.copytree(simulated, tmp_path / "copy", ignore=shutil.ignore_patterns("ground_truth"))
    assert success_labels(load_meta(copy)) == {}
    path = next((copy / "meta" / "episodes").rglob("*.parquet"))
    table = pd.read_parquet(path)
    table["is_success"] = [expected[episode] for episode in table["episode_index"]]
    table.to_parquet(path)
    assert success_labels(load_meta(copy)) == expected


def test_labels_of_frames(simulated: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(simulated, tmp_path / "copy", ignore=shutil.ignore_patterns("ground_truth"))
    for path in (copy / "data").rglob("*.parquet"):
        table = pd.read_parquet(path)
        table["next.success"] = (table["episode_index"] % 3 == 0) & (table["frame_index"] == 4)
        table.to_parquet(path)
    info = copy / "meta" / "info.json"
    facts = json.loads(info.read_text())
    facts["features"]["next.success"] = {"dtype": "bool", "shape": [1], "names": None}
    info.write_text(json.dumps(facts))
    assert success_labels(load_meta(copy)) == {episode: episode % 3 == 0 for episode in range(12)}


def in_process(script: str, *argv: str) -> int:
    """Exit code of a script that runs here, which saves importing everything anew."""
    before, sys.argv = sys.argv, [script, *argv]
    try:
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPO / "scripts" / script), run_name="__main__")
    finally:
        sys.argv = before
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def folder(simulated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder, made the current one, with the settings of these tests in `small.yaml`."""
    content = {
        "run": "small",
        "device": "cpu",
        "dataset": {"path": str(simulated)},
        "demonstrations": {"simulate": False},
        "scorer": {"model": str(SCORER), "num_prefixes": 8},
        "diagnostics": {"episodes": 0},
        "policy": {
            "dim_model": 32,
            "n_heads": 2,
            "dim_feedforward": 64,
            "n_encoder_layers": 1,
            "use_vae": False,
        },
        "trainer": {"max_steps": 2, "batch_size": 2, "warmup_steps": 1},
        "rollouts": {"episodes": 0},
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(content))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_diagnose_leaves_figures_a_page_and_scalars(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert in_process("diagnose.py", "--config", "small.yaml") == 0
    printed = capsys.readouterr().out
    assert "verdict: use" in printed
    assert printed.count("subtract") == 3
    made = folder / "outputs" / "small" / "diagnosis"
    figures = json.loads((made / "diagnosis.json").read_text())
    assert figures["verdict"] == "use"
    assert figures["figures"]["success_auc"]["value"] == 1
    assert len(figures["calibrations"]) == 6
    page = (made / "index.html").read_text()
    assert page.count("<article") == 12
    assert len(page) < 12 * 50_000
    events = EventAccumulator(str(made / "tensorboard"))
    events.Reload()
    assert {"diagnosis/voc", "diagnosis/static_share", "diagnosis/verdict"} <= set(events.Tags()["scalars"])


def diagnosed(folder: Path, root: Path) -> tuple[dict[str, Any], str]:
    """Content of diagnosis.json and of the page that `rabc diagnose` leaves of a dataset."""
    settings = yaml.safe_load((folder / "small.yaml").read_text())
    (folder / "other.yaml").write_text(yaml.safe_dump({**settings, "dataset": {"path": str(root)}}))
    assert in_process("diagnose.py", "--config", "other.yaml") == 0
    made = folder / "outputs" / "small" / "diagnosis"
    return json.loads((made / "diagnosis.json").read_text()), (made / "index.html").read_text()


def retold(root: Path, instructions: Sequence[str], unused: Sequence[str] = ()) -> None:
    """Gives the episodes these instructions, and the dataset tasks that no episode uses."""
    (path,) = (root / "meta" / "episodes").rglob("*.parquet")
    table = pd.read_parquet(path)
    table["tasks"] = [[text] for text in instructions]
    table.to_parquet(path)
    tasks = [*dict.fromkeys(instructions), *unused]
    index = pd.Index(tasks, name="task")
    pd.DataFrame({"task_index": range(len(tasks))}, index=index).to_parquet(root / "meta" / "tasks.parquet")
    for data in (root / "data").rglob("*.parquet"):
        rows = pd.read_parquet(data)
        rows["task_index"] = [tasks.index(instructions[episode]) for episode in rows["episode_index"]]
        rows.to_parquet(data)


def test_wordings_and_unused_tasks_leave_the_verdict_as_it_is(
    folder: Path, simulated: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before, _ = diagnosed(folder, simulated)
    root = shutil.copytree(simulated, tmp_path / "retold")
    own = "Pick up the red cube."
    retold(
        root,
        [own[:-1], f"{own} ", *[own] * 10],
        unused=["Wash the car.", "Pour water from the kettle into the cup"],
    )
    after, page = diagnosed(folder, root)
    assert after["verdict"] == before["verdict"] == "use"
    assert "tasks" not in after
    assert page.count("<article") == 12
    for name in ("gap_share", "static_share", "success_auc", "usable_share"):
        assert after["figures"][name]["value"] == pytest.approx(before["figures"][name]["value"], abs=0.02)
    assert after["figures"]["success_auc"] == {**before["figures"]["success_auc"], "low": None, "high": None}
    capsys.readouterr()
    # Paraphrases are two tasks, and not each other's wrong instruction.
    retold(root, [own, "Pick up a red cube."] * 6)
    after, page = diagnosed(folder, root)
    assert after["verdict"] == "use"
    assert after["figures"]["gap_share"]["value"] > 0.5
    assert [task["verdict"] for task in after["tasks"]] == [None, None]
    assert re.search(r"Pick up a red cube\. +6 +6 ", capsys.readouterr().out)
    assert "Each task" in page


def test_labels_that_nobody_can_read_stop_nothing(folder: Path, simulated: Path, tmp_path: Path) -> None:
    root = shutil.copytree(simulated, tmp_path / "labelled", ignore=shutil.ignore_patterns("ground_truth"))
    (path,) = (root / "meta" / "episodes").rglob("*.parquet")
    table = pd.read_parquet(path)
    table["success"] = ["half"] * 12
    table["sparse_subtask_names"] = [["reach"]] * 12
    table["sparse_subtask_start_frames"] = [[1]] * 12
    table["sparse_subtask_end_frames"] = [[2]] * 12
    table.to_parquet(path)
    found, page = diagnosed(folder, root)
    assert (found["figures"]["successes"], found["figures"]["failures"]) == (0, 0)
    assert len(found["remarks"]) == 8
    for remark in (
        "episode 0, column success of meta/episodes",
        "episode 0, sparse_subtask_start_frames [1]",
    ):
        assert any(line.startswith(remark) for line in found["remarks"])
        assert remark in page


def test_the_dataset_s_own_task_is_no_wrong_instruction(folder: Path, simulated: Path) -> None:
    settings = yaml.safe_load((folder / "small.yaml").read_text())
    settings["diagnostics"]["wrong_instruction"] = "pick up the red cube"
    (folder / "small.yaml").write_text(yaml.safe_dump(settings))
    found, page = diagnosed(folder, simulated)
    assert found["verdict"] == "use"
    (remark,) = found["remarks"]
    assert remark.startswith("diagnostics.wrong_instruction 'pick up the red cube': is a task of the dataset")
    assert "takes its place" in page


@pytest.fixture
def unproven(monkeypatch: pytest.MonkeyPatch) -> None:
    """Policies are exported without their proof, which imports LeRobot anew and has tests of its own."""
    monkeypatch.setattr("rabc.export.folder.prove", lambda *_: Proof(0, 0, 0.0))


@pytest.mark.usefixtures("unproven")
def test_training_is_refused_on_a_still_scorer(
    folder: Path, monkeypatch: pytest.MonkeyPatch, shipped: TOPReward, capfd: pytest.CaptureFixture[str]
) -> None:
    """Under an explicit scheme: exit code 3, before anything is trained; said otherwise, weights are made."""
    from rabc.scoring import configured

    monkeypatch.setattr(configured, "load_scorer", lambda *_: Spoilt(shipped, "static"))
    asked = ("train.py", "--config", "small.yaml", "--weights.scheme", "rabc")
    assert in_process(*asked) == 3
    error = capfd.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: scorer ")
    assert "do not weight" in error
    assert "weights.accept_poor_scorer true" in error
    assert not (folder / "checkpoints").exists()
    assert (folder / "outputs" / "small" / "diagnosis" / "index.html").exists()
    weights = Path("outputs/small/weights.parquet")
    assert not weights.exists()
    assert in_process(*asked, "--weights.accept_poor_scorer", "true") == 0
    assert pd.read_parquet(weights).columns.tolist() == ["index", "weight"]
    # Without the permission it is refused again, although the weights are there.
    assert in_process(*asked) == 3


@pytest.mark.usefixtures("unproven")
def test_training_takes_weights_from_elsewhere_without_a_scorer(folder: Path, simulated: Path) -> None:
    frames = int(load_meta(simulated).total_frames)
    pd.DataFrame({"index": np.arange(frames), "weight": np.linspace(0, 1, frames)}).to_parquet(
        "theirs.parquet"
    )
    arguments = [
        "--weights.scheme", "static", "--weights.weights_file", "theirs.parquet",
        "--scorer.model", "no/such/folder",
    ]  # fmt: skip
    assert in_process("train.py", "--config", "small.yaml", *arguments) == 0
    summary = json.loads((folder / "outputs" / "small" / "summary.json").read_text())
    assert summary["scorer"] == {"replaced_by": "theirs.parquet"}
    assert summary["weights"]["scheme"] == "static"
    made = np.load(folder / summary["weights"]["weights_file"])
    assert np.argmax(made) == frames - 1
    assert torch.isfinite(torch.tensor(summary["training"]["loss"]))
