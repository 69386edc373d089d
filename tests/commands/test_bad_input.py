"""Bad input: one clear line that names the thing, exit code 2, no traceback, nothing half-written.

The scripts run as they are, in this process (importing LeRobot anew for each would take minutes); the last
test shows the same from outside.
"""

import json
import os
import resource
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rabc.datasets.cache import cache_folder
from tests.support import REPO

SCORER = REPO / "checkpoints" / "so101-scorer"
SMALL = [
    "--demonstrations.simulate", "false", "--rollouts.episodes", "0", "--policy.chunk_size", "5",
    "--policy.n_action_steps", "5", "--policy.dim_model", "32", "--policy.n_heads", "2",
    "--trainer.max_steps", "2", "--trainer.batch_size", "2", "--trainer.warmup_steps", "1",
    "--scorer.num_prefixes", "2", "--scorer.model", str(SCORER), "--device", "cpu",
]  # fmt: skip


STATIC = ["--weights.scheme", "static", "--weights.weights_file", "weights.parquet"]
DIFFUSION = [
    "--demonstrations.simulate", "false", "--rollouts.episodes", "0", "--device", "cpu",
    "--policy.type", "diffusion", "--policy.horizon", "8", "--policy.n_action_steps", "4",
    "--policy.down_dims", "[16, 32]", *STATIC,
]  # fmt: skip


@pytest.fixture
def command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Callable[..., tuple[int, str]]:
    """Runs a script in an empty folder; gives its exit code and what it wrote to stderr."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)

    def run(script: str, *argv: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", [script, *argv])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            runpy.run_path(str(REPO / "scripts" / script), run_name="__main__")
        code = ended.value.code
        assert isinstance(code, int)
        return code, capfd.readouterr().err

    return run


def assert_refused(outcome: tuple[int, str], *words: str) -> None:
    """Exit code 2, one `error:` line with all the words, no traceback, no policy, no partial file.

    What is left behind is looked for in the working folder and beside it, where the damaged dataset is.
    """
    code, err = outcome
    assert code == 2, err
    lines = [line for line in err.replace("\r", "\n").splitlines() if line.startswith("error:")]
    assert len(lines) == 1, err
    assert "Traceback" not in err
    for word in words:
        assert word in lines[0], lines[0]
    left = [path.name for path in Path.cwd().parent.rglob("*")]
    assert not [
        name for name in left if "pretrained_model" in name or "partial" in name or name.endswith(".part")
    ], left


def on(dataset: Path) -> list[str]:
    return [*SMALL, "--dataset.path", str(dataset)]


def weigh(frames: int = 50, weight: float = 1.0) -> None:
    """Writes a file of equal weights into the working folder."""
    pd.DataFrame({"index": np.arange(frames), "weight": np.full(frames, weight)}).to_parquet(
        "weights.parquet"
    )


def edit(path: Path, change: Callable[[Any], None]) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def frames_table(dataset: Path) -> Path:
    return next((dataset / "data").rglob("*.parquet"))


def test_an_unknown_key(command):
    assert_refused(command("train.py", "--trainer.max_step", "5"), "trainer.max_step", "trainer.max_steps")


def test_a_wrong_type(command):
    assert_refused(
        command("train.py", "--trainer.max_steps", "many"), "trainer.max_steps", "many", "whole number"
    )


@pytest.mark.parametrize(
    "name",
    ["a" * 300, "a/b", "..", ".hidden", "a\tb", "NUL", "-x", ""],
    ids=["long", "slash", "parent", "hidden", "tab", "reserved", "option", "empty"],
)
@pytest.mark.parametrize(
    "script", ["train.py", "compare.py", "closed_loop.py", "diagnose.py", "export.py", "paper.py", "pool.py"]
)
def test_a_name_that_no_folder_can_have(command, script: str, name: str):
    option = "runs" if script == "pool.py" else "run"
    assert_refused(command(script, f"--{option}={name}"), f"{option} {name!r}: ", "; ")


LONG = "a" * 300


@pytest.mark.parametrize(
    ("script", "argv"),
    [
        ("train.py", ["--dataset.path", LONG]),
        ("record.py", ["--dataset.path", f"data/{LONG}"]),
        ("train.py", ["--scorer.scores_folder", LONG]),
        ("train.py", ["--scorer.model", LONG]),
        ("train.py", ["--weights.progress_file", f"{LONG}.parquet"]),
        ("train.py", ["--config", LONG]),
        ("plot_progress.py", ["--output", f"{LONG}.png"]),
        ("score.py", ["--video", f"{LONG}.mp4", "--instruction", "Pick."]),
        ("export.py", ["--checkpoint", LONG]),
        ("compare.py", ["--recorded", f"a={LONG}", "--recorded", "b=x"]),
        ("check_policy.py", [LONG]),
    ],
)
def test_a_name_longer_than_the_file_system_takes(command, script: str, argv: list[str]):
    assert_refused(command(script, *argv), LONG, "; give a shorter one")


@pytest.mark.parametrize(
    ("script", "argv", "words"),
    [
        (
            "score.py",
            ["--video", "hf://datasets/you/pick/a.mp4"],
            "--video hf://datasets/you/pick/a.mp4: is not",
        ),
        ("plot_progress.py", ["--output", "$NOWHERE/a.png"], "--output $NOWHERE/a.png: the variable NOWHERE"),
        (
            "check_policy.py",
            ["hf://datasets/you/pick"],
            "folder hf://datasets/you/pick: is no address of a model",
        ),
        ("compare.py", ["--recorded", "a=s3://x", "--recorded", "b=y"], "--recorded a s3://x: is no path"),
        (
            "train.py",
            ["--weights.progress_file", "hf://datasets/you/pick/sarm.parquet"],
            "weights.progress_file hf://datasets/you/pick/sarm.parquet: is not read from the hub; download",
        ),
    ],
)
def test_a_path_that_is_none_here(command, script: str, argv: list[str], words: str):
    assert_refused(command(script, *argv), words)


def test_a_folder_of_datasets(command, dataset_copy):
    dataset = dataset_copy()
    assert_refused(
        command("train.py", *on(dataset.parent)),
        f"dataset.path {dataset.parent}: is no dataset and holds {dataset}; give one of them",
    )


def test_a_missing_dataset(command):
    assert_refused(command("train.py", *on(Path("no/such/dataset"))), "no/such/dataset", "no such folder")


def test_a_dataset_without_the_camera_the_policy_needs(command, dataset_copy):
    extra = json.dumps({"input_features": ["observation.images.top", "observation.state"]})
    assert_refused(
        command("train.py", *on(dataset_copy()), "--policy.extra", extra),
        "observation.images.top", "observation.images.front",
    )  # fmt: skip


def test_a_dataset_without_the_camera_the_scorer_watches(command, dataset_copy):
    assert_refused(
        command("score.py", *_scoring(dataset_copy()), "--scorer.camera", "top"), "top", "front, wrist"
    )


def test_an_empty_task(command, dataset_copy):
    dataset = dataset_copy()
    path = dataset / "meta" / "tasks.parquet"
    tasks = pd.read_parquet(path)
    tasks.index = pd.Index(["", *tasks.index[1:]], name=tasks.index.name)
    tasks.to_parquet(path)
    assert_refused(command("train.py", *on(dataset)), "task", "empty")


def test_an_action_that_is_not_a_number(command, dataset_copy):
    dataset = dataset_copy()
    table = pd.read_parquet(frames_table(dataset))
    table.at[17, "action"] = np.array([0, 0, np.nan, 0, 0, 0], dtype=np.float32)
    table.to_parquet(frames_table(dataset))
    assert_refused(command("train.py", *on(dataset)), "action", "episode 1", "nan")


def test_a_truncated_video(command, dataset_copy):
    dataset = dataset_copy()
    video = next((dataset / "videos" / "observation.images.front").rglob("*.mp4"))
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert_refused(command("score.py", *_scoring(dataset)), video.name, "truncated")


def test_a_video_that_is_damaged_where_only_decoding_sees_it(command, dataset_copy):
    """In a loading process, of which torch would show the whole traceback."""
    dataset = dataset_copy()
    video = next((dataset / "videos" / "observation.images.front").rglob("*.mp4"))
    content = video.read_bytes()
    at = content.index(b"mdat") + 200
    video.write_bytes(content[:at] + b"\xff" * 4000 + content[at + 4000 :])
    outcome = command(
        "train.py", *on(dataset), "--weights.scheme", "none", "--dataset.cache", "false",
        "--trainer.workers", "1", "--trainer.batch_size", "32",
    )  # fmt: skip
    assert_refused(outcome, video.name)
    # LeRobot, which has recorded in this process, hands libav's messages to stderr since then.
    said = [line for line in outcome[1].splitlines() if not line.startswith("[libdav1d")]
    assert len(said) == 1, outcome[1]


def test_a_corrupt_table(command, dataset_copy):
    dataset = dataset_copy()
    frames_table(dataset).write_bytes(b"PAR1 this is no table")
    assert_refused(command("train.py", *on(dataset)), frames_table(dataset).name)


def test_an_output_folder_that_cannot_be_written(command, dataset_copy):
    Path("outputs").write_text("a file where a folder should be")
    assert_refused(command("train.py", *on(dataset_copy())), "outputs", "cannot be written")


def test_a_scorer_folder_without_a_tokenizer(command, dataset_copy, tmp_path):
    folder = shutil.copytree(SCORER, tmp_path / "scorer")
    (folder / "tokenizer.json").unlink()
    assert_refused(
        command("train.py", *on(dataset_copy()), "--scorer.model", str(folder)), str(folder), "tokenizer"
    )


def test_a_horizon_that_the_network_cannot_halve(command):
    assert_refused(
        command("train.py", *DIFFUSION, "--policy.horizon", "10"), "policy.horizon 10: not divisible by 4"
    )


def test_cameras_of_different_sizes(command, dataset_copy):
    weigh()
    dataset = dataset_copy()

    def narrow(info: Any) -> None:
        info["features"]["observation.images.wrist"]["shape"] = [24, 32, 3]

    edit(dataset / "meta" / "info.json", narrow)
    assert_refused(
        command("train.py", *DIFFUSION, "--dataset.path", str(dataset)), "wrist 24x32", "policy.resize_shape"
    )


@pytest.mark.parametrize(
    ("value", "message"), [(None, "missing"), ([float("inf")] * 6, "not finite")], ids=["missing", "infinite"]
)
def test_unusable_statistics(command, dataset_copy, value: list[float] | None, message: str):
    weigh()
    dataset = dataset_copy()

    def spoil(statistics: Any) -> None:
        if value is None:
            del statistics["action"]["max"]
        else:
            statistics["action"]["max"] = value

    edit(dataset / "meta" / "stats.json", spoil)
    assert_refused(
        command("train.py", *DIFFUSION, "--dataset.path", str(dataset)),
        "statistic max of action", message, "recompute_stats",
    )  # fmt: skip


def test_weights_of_another_dataset(command, dataset_copy):
    weigh(frames=57)
    assert_refused(
        command("train.py", *on(dataset_copy()), *STATIC), "weights.parquet", "0 to 56 instead of 0 to 49"
    )


def test_weights_that_are_all_zero(command, dataset_copy):
    weigh(weight=0.0)
    assert_refused(command("train.py", *on(dataset_copy()), *STATIC), "weights.parquet", "every weight is 0")


def test_a_loss_that_is_not_finite(command, dataset_copy):
    """The last good checkpoint stays, and is named."""
    weigh()
    outcome = command(
        "train.py", *on(dataset_copy()), *STATIC, "--trainer.max_steps", "6", "--trainer.lr", "1e30",
        "--trainer.gradient_clip_norm", "0", "--trainer.checkpoint_every", "1",
    )  # fmt: skip
    assert_refused(outcome, "step", "episode", "trainer.lr")
    kept = list(Path().glob("outputs/*/training-*/checkpoints/*.ckpt"))
    assert kept
    assert any(str(path) in outcome[1] for path in kept)


def test_a_frame_cache_on_a_full_disk(command, dataset_copy):
    weigh()
    dataset = dataset_copy()
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
    try:
        outcome = command("train.py", *on(dataset), *STATIC, "--policy.resize_shape", "[96, 96]")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert_refused(outcome, "frame cache", "cannot be written")
    assert not list(cache_folder(dataset).rglob("*.rgb"))


def test_several_problems_are_reported_at_once(command):
    code, err = command(
        "train.py", "--trainer.max_steps", "-1", "--weights.scheme", "magic", "--weights.kapa", "1"
    )
    assert code == 2
    assert all(word in err for word in ("trainer.max_steps", "weights.scheme", "weights.kapa"))


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["--recorded", "a=x", "--recorded", "b=y", "--arms", "plain"], "--arms plain: is about trainings"),
        (["--recorded", "a=x", "--recorded", "b=y", "--rollouts", "9"], "--rollouts 9: is about trainings"),
        (["--recorded", "a=x", "--recorded", "b=y", "--dry_run"], "--dry_run True: is about trainings"),
        (["--labels", "a=x.csv"], "--labels: of no dataset; give --recorded NAME=FOLDER"),
        (["--weights.scheme", "none"], "weights.scheme none: the arm weighted would be plain again"),
        (["--seeds", "0"], "--seeds 0: too few"),
    ],
)
def test_a_comparison_of_nothing(command, argv: list[str], words: str):
    assert_refused(command("compare.py", *argv), words)


def test_the_same_from_outside(tmp_path: Path):
    ended = subprocess.run(
        [sys.executable, REPO / "scripts" / "train.py", *on(Path("no/such/dataset"))],
        cwd=tmp_path, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": ""}, check=False,
    )  # fmt: skip
    assert ended.returncode == 2
    assert ended.stderr.startswith("error: ")
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


def _scoring(dataset: Path) -> list[str]:
    return ["--dataset.path", str(dataset), "--scorer.model", str(SCORER), "--scorer.num_prefixes", "2"]
