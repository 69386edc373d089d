"""The main command on a very small job: everything real, everything small.

It starts as a user starts it, with processes that record, and is killed; what comes after is forked from a
process that has imported everything (`tests.support.forked`).
"""

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from rabc.config import cli
from rabc.config.settings import Config
from rabc.datasets.fingerprint import fingerprint
from rabc.pipeline import main_job, state
from rabc.system.errors import InputError
from rabc.system.stages import Stages
from tests.support import REPO, forked, simulating

SMALL = {
    "run": "small",
    "device": "cpu",
    "dataset": {"path": "data/small"},
    "demonstrations": {
        "simulate": True,
        "episodes": 5,
        "processes": 1,
        "clean": 0.4,
        "give_up": 0.2,
        "stall": 0.4,
        "retry": 0,
        "drop": 0,
        "detour": 0,
    },
    "scorer": {"model": str(REPO / "checkpoints" / "so101-scorer"), "num_prefixes": 6},
    "policy": {"dim_model": 32, "n_heads": 2, "dim_feedforward": 64, "n_encoder_layers": 1, "use_vae": False},
    "trainer": {"max_steps": 8, "batch_size": 4, "warmup_steps": 1, "checkpoint_every": 2},
    "rollouts": {"episodes": 3, "max_ticks": 30, "videos": 1},
}


def again(folder: Path, *argv: str) -> str:
    """The command once more, in a process of its own that simulates by itself; what it wrote."""
    ended = forked.run(simulating.command, "train", "--config", "small.yaml", *argv, cwd=folder)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout + ended.stderr


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A finished run and what it printed. It was killed once, in the middle of training."""
    folder = tmp_path_factory.mktemp("pipeline")
    (folder / "small.yaml").write_text(yaml.safe_dump(SMALL))
    process = subprocess.Popen(
        [sys.executable, str(REPO / "scripts" / "train.py"), "--config", "small.yaml"],
        cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True,
    )  # fmt: skip
    deadline = time.monotonic() + 300
    while (
        not list(folder.glob("outputs/small/training-*/checkpoints/step=2.ckpt"))
        and time.monotonic() < deadline
    ):
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    return folder, again(folder)


def test_it_goes_on_where_it_was_killed(done: tuple[Path, str]):
    _, output = done
    for stage in ("demonstrations", "scores", "weights"):
        assert f"{stage}: done before" in output
    assert "training: done before" not in output
    first_shown = re.search(r"training: +\d+%\|[^|]*\| (\d+)/8", output)
    assert first_shown
    assert int(first_shown.group(1)) >= 2


def test_the_summary_is_what_its_description_says(done: tuple[Path, str]):
    folder, output = done
    summary = json.loads((folder / "outputs" / "small" / "summary.json").read_text())
    assert set(summary) == {
        "format", "run", "config", "stages", "dataset", "scorer", "weights", "training", "rollouts",
    }  # fmt: skip
    assert summary["dataset"]["kinds"] == {"clean": 2, "give_up": 1, "stall": 2}
    assert summary["scorer"]["success_auc"] is not None
    assert summary["training"]["steps"] == 8
    assert summary["rollouts"]["success"]["trials"] == 3
    assert sum(summary["weights"]["histogram_counts"]) == summary["dataset"]["frames"]
    weights = np.load(folder / summary["weights"]["weights_file"])
    assert weights[weights > 0].mean() == pytest.approx(1)
    assert set(summary["stages"]) == {"demonstrations", "scores", "weights", "training", "rollouts"}
    assert "effective sample size" in output
    assert "lifted" in output


def test_it_says_that_its_weights_were_not_compared(done: tuple[Path, str]):
    folder, output = done
    said = output.index(
        "weights: not compared on this data; `rabc compare --arms weighted --seeds 3 --rollouts 100`"
    )
    assert output.index("weights: done before") < said < output.index("training: ")
    card = (folder / "checkpoints" / "small" / "pretrained_model" / "README.md").read_text()
    assert "- Not compared with plain behavior cloning on these demonstrations" in card
    assert "not compared" not in again(folder)  # nothing is left to train


def test_everything_it_names_is_there(done: tuple[Path, str]):
    folder, _ = done
    policy = folder / "checkpoints" / "small" / "pretrained_model"
    names = {path.name for path in policy.iterdir()}
    assert names >= {
        "config.json", "model.safetensors", "policy_preprocessor.json", "policy_postprocessor.json",
        "train_config.json", "README.md",
    }  # fmt: skip
    assert "lifted" in (policy / "README.md").read_text()
    summary = json.loads((folder / "outputs" / "small" / "summary.json").read_text())
    assert len(summary["rollouts"]["videos"]) == 1
    for path in (
        summary["rollouts"]["videos"][0],
        summary["weights"]["progress_file"],
        summary["training"]["tensorboard"],
    ):
        assert (folder / path).exists(), path


def test_tensorboard_shows_the_moments_that_count_most_and_least(done: tuple[Path, str]):
    folder, _ = done
    (events,) = folder.glob("outputs/small/training-*/tensorboard")
    shown = set(EventAccumulator(str(events)).Reload().Tags()["images"])
    assert {"weights/up/01", "weights/down/01"} <= shown


def test_a_second_run_redoes_nothing(done: tuple[Path, str]):
    folder, _ = done
    before = {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}
    started = time.monotonic()
    output = again(folder)
    assert time.monotonic() - started < 60
    assert output.count("done before") == 5
    changed = {p.name for p in folder.rglob("*") if p.is_file() and p.stat().st_mtime_ns != before.get(p)}
    assert changed <= {"summary.json", "config.json", "small.yaml", ".lock"}


def test_a_dry_run_says_what_is_stale_and_why(done: tuple[Path, str]):
    folder, _ = done
    output = again(folder, "--dry_run", "--weights.calibration", "logodds")
    # What follows is of stderr: that this machine is being measured.
    states, costs, *_ = (part.splitlines() for part in output.strip().split("\n\n"))
    rows = {line.split()[0]: line for line in states}
    assert "done" in rows["scores"]
    assert "stale" in rows["weights"]
    assert "weights.calibration: dataset -> logodds" in rows["weights"]
    assert "to do" in rows["training"]
    assert "after weights" in rows["training"]
    assert any(line.startswith("together") and "MB" in line for line in costs)


@pytest.fixture
def config(done: tuple[Path, str], monkeypatch: pytest.MonkeyPatch) -> Config:
    """The finished run's configuration, in its folder."""
    monkeypatch.chdir(done[0])
    return cli.parse(["--config", "small.yaml"], "").config


def states(config: Config) -> dict[str, str]:
    """Stage -> its state and why."""
    return {row[0]: " ".join(row) for row in main_job.stage_rows(config)}


def test_a_dataset_recorded_anew_with_other_settings_is_refused(config: Config):
    """Another run with the same dataset.path may have done it."""
    other = replace(config, demonstrations=replace(config.demonstrations, first_seed=500))
    with pytest.raises(InputError, match=r"dataset\.path data/small: was not recorded with these"):
        main_job.run(other)
    with pytest.raises(InputError, match="was not recorded with these"):
        main_job.run(other, dry_run=True)


def test_a_dataset_that_was_edited_is_not_the_one_that_was_scored(config: Config):
    tasks = Path("data/small/meta/tasks.parquet")
    before = tasks.read_bytes()
    frame = pd.read_parquet(tasks)
    frame.index = pd.Index(["Pick up the white cube."], name=frame.index.name)
    frame.to_parquet(tasks)
    try:
        assert "stale" in states(config)["demonstrations"]
        assert "data/small has changed" in states(config)["demonstrations"]
        results = {"demonstrations": {"content": fingerprint(Path("data/small"))}}
        assert (
            Stages(Path("outputs/small/stages"))
            .state("scores", state.inputs(config, "scores", results), lambda _: "")
            .reason.startswith("dataset.content: ")
        )
    finally:
        tasks.write_bytes(before)
    assert "done" in states(config)["demonstrations"]


def test_a_sound_dataset_is_checked_against_new_settings_before_anything_is_skipped(config: Config):
    another_input = {"input_features": ["observation.images.side"]}
    with pytest.raises(InputError, match=r"images\.side: needed by the policy but not in"):
        main_job.run(replace(config, policy=replace(config.policy, extra=another_input)))


def test_lost_scores_and_another_policy_make_their_stages_stale(config: Config):
    summary = json.loads(Path("outputs/small/summary.json").read_text())
    scores = Path(summary["scorer"]["raw"][0])
    before = scores.read_bytes()
    scores.write_bytes(before[: before.rstrip().rfind(b"\n") + 1])
    try:
        assert "has no scores any more" in states(config)["scores"]
    finally:
        scores.write_bytes(before)
    weights = Path("checkpoints/small/pretrained_model/model.safetensors")
    before = weights.read_bytes()
    weights.write_bytes(before[:-4] + b"\0\0\0\1")
    try:
        assert "pretrained_model has changed" in states(config)["training"]
    finally:
        weights.write_bytes(before)
    assert all(" done " in line for line in states(config).values())
    results = {name: json.loads(Path(f"outputs/small/stages/{name}.json").read_text())["result"]
               for name in state.STAGES}  # fmt: skip
    of_this = state.inputs(config, "rollouts", results)
    results["training"]["content"] = "another policy's"
    assert state.inputs(config, "rollouts", results) != of_this


def test_other_machines_do_not_wait_for_scores_that_are_on_the_first_alone(
    config: Config, monkeypatch: pytest.MonkeyPatch
):
    """They are in the home of whoever scored, which a cluster need not share."""

    def waiting(_: float) -> None:
        raise TimeoutError("it waits for ever")

    monkeypatch.setattr(time, "sleep", waiting)
    folder = Path(json.loads(Path("outputs/small/stages/scores.json").read_text())["result"]["store"]).parent
    away = folder.rename(folder.with_name("away"))
    try:
        main_job.train_along(config)
        weights = Path("outputs/small/weights.npy")
        hidden = weights.rename("outputs/small/hidden.npy")
        with pytest.raises(TimeoutError):  # these it reads itself
            main_job.train_along(config)
        hidden.rename(weights)
    finally:
        away.rename(folder)


def test_a_lost_video_is_filmed_again_and_the_card_is_never_stale(config: Config):
    summary = json.loads(Path("outputs/small/summary.json").read_text())
    (video,) = map(Path, summary["rollouts"]["videos"])
    kept = Path(summary["rollouts"]["rollouts_file"])
    before, card = kept.read_bytes(), Path("checkpoints/small/pretrained_model/README.md")
    text = card.read_text()
    video.unlink()
    card.write_text("an older card")
    assert "the video of rollout 3000000 is not there" in states(config)["rollouts"]
    with simulating.simulating_here():
        main_job.run(config)
    assert video.exists()
    assert kept.read_bytes() == before
    assert card.read_text() == text
    assert "stale" in states(replace(config, rollouts=replace(config.rollouts, videos=2)))["rollouts"]


def test_the_policy_answers_the_rollout_as_lerobot_would_on_the_robot(done: tuple[Path, str]):
    """Our chunk equals LeRobot's `select_action`, called once a tick, on the same observation."""
    import torch
    from lerobot.policies.act.modeling_act import ACTPolicy
    from lerobot.policies.factory import make_pre_post_processors

    from rabc.rollouts.play import load_policy, simulator_observation
    from rabc.sim.environment import Simulator

    folder = done[0] / "checkpoints" / "small" / "pretrained_model"
    with Simulator() as simulator:
        simulator.reset(3_000_000)
        observation = simulator_observation(simulator)
    ours = load_policy(folder).actions([dict(observation)])
    policy = ACTPolicy.from_pretrained(folder)
    pre, post = make_pre_post_processors(policy.config, pretrained_path=str(folder))
    with torch.inference_mode():
        theirs = [post(policy.select_action(pre(dict(observation))))[0].numpy() for _ in range(len(ours))]
    assert np.abs(ours - np.stack(theirs)).max() < 1e-5
    assert len(ours) == policy.config.n_action_steps
