"""Nothing real is taken for simulated, and nothing simulated for real, by a command as a user starts it."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import forked

PLAIN = ["--weights.scheme", "none", "--device", "cpu", "--dry_run"]
Train = Callable[..., tuple[int, str]]


@pytest.fixture
def train(tmp_path: Path) -> Train:
    """`rabc train` in an empty folder, nothing done: its exit code and everything it wrote."""

    def run(*words: str) -> tuple[int, str]:
        ended = forked.run("train", *PLAIN, *words, cwd=tmp_path)
        return ended.returncode, ended.stdout + ended.stderr

    return run


def test_a_hub_id_is_not_recorded(train: Train, tmp_path: Path) -> None:
    code, said = train("--dataset.path", "lerobot/nowhere", "--demonstrations.simulate", "true")
    assert code == 2
    assert "dataset.path lerobot/nowhere: is the id of a hub dataset" in said
    assert "demonstrations.simulate false" in said
    ended = forked.run("record", "--dataset.path", "lerobot/nowhere", cwd=tmp_path)
    assert (ended.returncode, "is the id of a hub dataset" in ended.stderr) == (2, True)
    assert not (tmp_path / "lerobot").exists()


def test_a_name_that_is_wrong_is_not_recorded(train: Train, tmp_path: Path) -> None:
    code, said = train("--dataset.path", str(tmp_path / "mistyped"))
    assert (code, "mistyped: no such folder" in said) == (2, True)
    code, said = train("--dataset.path", "data/mine", "--demonstrations.simulate", "true")
    assert code == 0, said


def test_a_simulated_folder_is_not_the_hub_s(train: Train, simulated: Path, tmp_path: Path) -> None:
    shutil.copytree(simulated, tmp_path / "you" / "pick")
    for words in ([], ["--demonstrations.simulate", "false"]):
        code, said = train("--dataset.path", "you/pick", *words)
        assert code == 2
        assert "dataset.path you/pick: this folder was recorded in simulation" in said
        assert "give ./you/pick" in said
    code, said = train("--dataset.path", "./you/pick", "--demonstrations.simulate", "false")
    assert code == 0, said


def test_a_real_dataset_with_the_simulator_s_camera_names_is_not_played(
    train: Train, recorded_dataset: Path
) -> None:
    real = [
        "--dataset.path",
        str(recorded_dataset),
        "--policy.chunk_size",
        "5",
        "--policy.n_action_steps",
        "5",
    ]
    code, said = train(*real)
    assert code == 0, said
    assert said.count(f"rollouts: none, because dataset {recorded_dataset} is not one") == 1
    for words in (
        ["--rollouts.episodes", "3"],
        ["--rollouts.episodes", "3", "--demonstrations.simulate", "false"],
    ):
        code, said = train(*real, *words)
        assert code == 2
        assert "rollouts.episodes 3: rollouts are played in the simulator, which did not record" in said
    assert train(*real, "--trainer.rollout_every", "2")[0] == 2


def test_a_simulated_dataset_together_with_a_real_one_is_not_played(
    train: Train, simulated: Path, recorded_dataset: Path
) -> None:
    code, said = train(f"--dataset.path=[{simulated},{recorded_dataset}]", "--rollouts.episodes", "3")
    assert (code, f"which did not record dataset {recorded_dataset}" in said) == (2, True)
