"""`scripts/compare.py` on a very small job: real trainings, rollouts and statistics."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support import REPO

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]

SMALL = {
    "run": "small",
    "device": "cpu",
    "demonstrations": {
        "episodes": 12, "clean": 0.5, "give_up": 0.5, "stall": 0, "retry": 0, "drop": 0, "detour": 0,
        "first_seed": 900_000,
    },
    "scorer": {"model": str(REPO / "checkpoints" / "so101-scorer"), "num_prefixes": 6},
    "diagnostics": {"episodes": 4},
    "weights": {"scheme": "rabc", "kappa": 0.2},
    "policy": {"dim_model": 32, "n_heads": 2, "dim_feedforward": 64, "n_encoder_layers": 1, "use_vae": False},
    "trainer": {"max_steps": 6, "batch_size": 4, "warmup_steps": 1, "checkpoint_every": 2},
    "rollouts": {"max_ticks": 12, "videos": 1},
    "comparison": {"jobs": 2},
}  # fmt: skip


def start(folder: Path, simulated: Path, *argv: str) -> subprocess.Popen[str]:
    config = {**SMALL, "dataset": {"path": str(simulated)}}
    (folder / "small.yaml").write_text(yaml.safe_dump(config))
    return subprocess.Popen(
        [sys.executable, str(REPO / "scripts" / "compare.py"), "--config", "small.yaml", *argv],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip


def finish(process: subprocess.Popen[str], code: int = 0) -> str:
    try:
        output, _ = process.communicate(timeout=900)
    except BaseException:
        process.kill()
        raise
    assert process.returncode == code, output
    return output


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "outputs" / "small-comparison" / "comparison.json").read_text())


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 900
    while not path.exists() and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    assert path.exists()


def test_arms_are_trained_played_and_compared(tmp_path: Path, simulated: Path) -> None:
    output = finish(start(tmp_path, simulated, "--arms", "plain,shuffled", "--seeds", "1", "--rollouts", "2"))
    found = result(tmp_path)
    assert [arm["name"] for arm in found["arms"]] == ["plain", "shuffled"]
    plain, shuffled = found["arms"]
    assert plain["summary"]["share_zero"] == 0 < shuffled["summary"]["share_zero"]
    assert [[rollout["seed"] for rollout in run["rollouts"]] for run in found["runs"]] == [
        [3_000_000, 3_000_001]
    ] * 2
    assert all(len(run["curve"]["step"]) >= 1 for run in found["runs"])
    assert found["runs"][0]["policy_content"] != found["runs"][1]["policy_content"]
    assert all(Path(tmp_path, path).is_file() for run in found["runs"] for path in run["videos"].values())
    assert found["answer"] in output
    page = tmp_path / "outputs" / "small-comparison" / "index.html"
    assert found["answer"].split(":")[0].replace("`", "") in page.read_text().replace("<code>", "").replace(
        "</code>", ""
    )

    # What a change of the weights makes stale is said, also of the arm whose weights come from a file.
    asked = ("--arms", "plain,shuffled", "--seeds", "1", "--rollouts", "2", "--dry_run")
    assert re.search(r"shuffled +0 +done", finish(start(tmp_path, simulated, *asked)))
    output = finish(start(tmp_path, simulated, *asked, "--weights.kappa", "0.3"))
    assert re.search(r"plain +0 +done", output)
    assert re.search(r"shuffled +0 +to do", output)
    shutil.rmtree(tmp_path / "outputs" / "small-comparison")
    assert "1 of 2 trainings to do" in finish(start(tmp_path, simulated, *asked))


def test_an_arm_that_weighs_nothing_is_plain_and_trained_once(tmp_path: Path, simulated: Path) -> None:
    """Its policy is the one that `rabc train` makes with these weights, to the last bit."""
    equal = ("--weights.scheme", "mask", "--weights.min_delta", "-1")
    asked = (*equal, "--arms", "weighted,success-only", "--seeds", "1", "--rollouts", "2")
    assert "3 trainings to do" in finish(start(tmp_path, simulated, *asked, "--dry_run"))
    output = finish(start(tmp_path, simulated, *asked))
    assert "arm weighted: its weights are all equal, so its trainings are those of plain" in output
    found = result(tmp_path)
    contents = {run["arm"]: run["policy_content"] for run in found["runs"]}
    assert contents["plain"] == contents["weighted"] != contents["success-only"]
    assert not list((tmp_path / "outputs").glob("small-weighted-s0/training-*"))
    (pair,) = (pair for pair in found["pairs"] if pair["arm"] == "weighted")
    assert (pair["difference"]["value"], pair["p_states"]) == (0, 1)
    assert [arm["weights"].get("scheme") for arm in found["arms"]] == ["none", "mask", "filter"]
    assert "0 of 2 trainings to do" in finish(start(tmp_path, simulated, *asked, "--dry_run"))
    command = [sys.executable, str(REPO / "scripts" / "train.py"), "--config", "small.yaml", "--run", "alone"]
    finish(
        subprocess.Popen(
            [*command, *equal, "--trainer.threads", "1", "--rollouts.episodes", "0"],
            cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
    )  # fmt: skip
    weights = [
        (tmp_path / "checkpoints" / run / "pretrained_model" / "model.safetensors").read_bytes()
        for run in ("small-plain-s0", "alone")
    ]
    assert weights[0] == weights[1]


def test_what_a_comparison_showed_is_said_where_these_weights_are_trained(
    tmp_path: Path, simulated: Path, scores: Path
) -> None:
    output = finish(start(tmp_path, simulated, "--arms", "weighted", "--seeds", "1", "--rollouts", "2"))
    (receipt,) = scores.glob("receipts/*/*.json")
    assert f"receipt: {receipt}" in output
    assert not list(simulated.rglob("*receipt*"))
    rate = "1 training of each, 2 start states: 0 % against 0 %"
    for arm, words in (
        ("weighted", "- Compared with plain behavior cloning on these dem"),
        ("plain", "# small"),
    ):
        card = (tmp_path / "checkpoints" / f"small-{arm}-s0" / "pretrained_model" / "README.md").read_text()
        assert words in card
        assert (rate in card) == (arm == "weighted")
    assert "compared on this data" not in (tmp_path / "outputs/small-weighted-s0/comparison.log").read_text()

    def trained(*argv: str) -> str:
        words = [sys.executable, str(REPO / "scripts" / "train.py"), "--config", "small.yaml"]
        ended = subprocess.run(
            [*words, "--rollouts.episodes", "0", *argv],
            cwd=tmp_path, capture_output=True, text=True, timeout=900,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    assert re.search(rf"weights: compared on this data: \+0 points \(.*{rate}\)\n", trained())
    card = (tmp_path / "checkpoints" / "small" / "pretrained_model" / "README.md").read_text()
    assert rate in card
    other = trained("--weights.kappa", "0.1", "--dry_run")
    assert "or other settings alone (points more than plain: rabc +0), not with these; `rabc compare" in other
    # The same comparison once more finds the same, in place of the receipt that is there.
    finish(start(tmp_path, simulated, "--arms", "weighted", "--seeds", "1", "--rollouts", "2"))
    assert [*scores.glob("receipts/*/*.json")] == [receipt]


def test_a_killed_comparison_repeats_no_finished_run(tmp_path: Path, simulated: Path) -> None:
    asked = ("--arms", "plain,oracle", "--seeds", "2", "--comparison.jobs", "1", "--rollouts")
    process = start(tmp_path, simulated, *asked, "1")
    wait_for(tmp_path / "outputs" / "small-plain-s0" / "stages" / "training.json", process)
    os.kill(process.pid, signal.SIGKILL)  # the comparison alone: what it started has to end by itself
    process.wait()
    model = tmp_path / "checkpoints" / "small-plain-s0" / "pretrained_model" / "model.safetensors"
    made = model.stat().st_mtime_ns
    finish(start(tmp_path, simulated, *asked, "1"))
    first = result(tmp_path)
    assert model.stat().st_mtime_ns == made
    # A rollout that was played again would not have this score.
    marked = next((tmp_path / "outputs" / "small-plain-s1").glob("rollouts-*/rollouts.jsonl"))
    (line,) = marked.read_text().splitlines()
    marked.write_text(json.dumps({**json.loads(line), "final_log_prob": -77.0}) + "\n")
    process = start(tmp_path, simulated, *asked, "6")
    deadline = time.monotonic() + 900
    while len(kept(tmp_path)) < 8 and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.kill(process.pid, signal.SIGKILL)  # in the middle of the rollouts
    process.wait()
    before_kill = kept(tmp_path)
    assert 8 <= len(before_kill) < 24
    output = finish(start(tmp_path, simulated, *asked, "6"))
    assert "trainings: all 4 are finished" in output
    assert before_kill <= kept(tmp_path)
    again = result(tmp_path)
    for run in again["runs"]:
        assert len(run["rollouts"]) == 6
    scores = {run["run"]: run["rollouts"][0]["final_log_prob"] for run in again["runs"]}
    expected = {run["run"]: run["rollouts"][0]["final_log_prob"] for run in first["runs"]}
    assert scores == {**expected, "small-plain-s1": -77.0}


def kept(folder: Path) -> set[str]:
    """The finished rollouts of all runs, a line each."""
    files = folder.glob("outputs/*/rollouts-*/rollouts.jsonl")
    return {f"{file.parent.parent.name} {line}" for file in files for line in file.read_text().splitlines()}


def test_where_nothing_is_decided_all_rollouts_are_played(tmp_path: Path, simulated: Path) -> None:
    """Policies of six steps never succeed: nothing is decided, all rollouts are played, the page says so."""
    asked = ("--arms", "plain,shuffled", "--seeds", "1", "--rollouts", "12", "--stop", "sequential")
    output = finish(start(tmp_path, simulated, *asked))
    found = result(tmp_path)
    assert found["sequential"]["stopped_after"] is None
    assert [len(values) for values in found["sequential"]["e_values"].values()] == [12]
    assert found["pairs"][0]["always_valid"]["low"] < 0 < found["pairs"][0]["always_valid"]["high"]
    assert (
        "All start states were played"
        in (tmp_path / "outputs" / "small-comparison" / "index.html").read_text()
    )
    assert "Only controls were compared" in output


def test_what_cannot_be_played_is_refused_before_anything_is_trained(tmp_path: Path, simulated: Path) -> None:
    for asked, words in (
        (("--rollouts.first_seed", "999990", "--rollouts", "20"), "first_seed"),
        (("--demonstrations.simulate", "false"), "--recorded"),
    ):
        output = finish(start(tmp_path, simulated, *asked), 2)
        assert words in output
    assert not list(tmp_path.glob("outputs/*/training-*"))


def test_ctrl_c_leaves_checkpoints(tmp_path: Path, simulated: Path) -> None:
    asked = ("--arms", "plain,oracle", "--seeds", "1", "--rollouts", "1", "--trainer.max_steps", "3000")
    process = start(tmp_path, simulated, *asked)
    log = tmp_path / "outputs" / "small-plain-s0" / "comparison.log"
    wait_for(log, process)
    deadline = time.monotonic() + 900
    while b"step/s" not in log.read_bytes() and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    output = finish(process, 130)
    assert "0 of 2 trainings are finished; the same command goes on" in output
    (left,) = (tmp_path / "outputs" / "small-plain-s0").glob("training-*/checkpoints")
    step = max(int(path.stem.removeprefix("step=")) for path in left.glob("step=*.ckpt"))
    # Started again it goes on there.
    log.unlink()
    process = start(tmp_path, simulated, *asked)
    wait_for(log, process)
    deadline = time.monotonic() + 900
    while not (shown := re.search(rb"(\d+)/3000", log.read_bytes())) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGINT)
    finish(process, 130)
    assert shown
    assert int(shown[1]) >= step > 0
