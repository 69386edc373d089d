"""`scripts/closed_loop.py` on a very small job: real trainings, a real recording by lerobot-rollout."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from rabc.config.settings import Config, DemonstrationsConfig
from rabc.robot.outcomes import read_outcomes
from rabc.system.errors import InputError
from tests.comparison.test_compare import REPO, SMALL

EPISODES = 2


def close_loop(folder: Path) -> str:
    done = subprocess.run(
        [
            sys.executable, str(REPO / "scripts" / "closed_loop.py"), "--config", "small.yaml",
            "--episodes", str(EPISODES), "--rollouts.episodes", "3",
        ],
        cwd=folder, capture_output=True, text=True, timeout=1500,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_both_rounds_and_nothing_twice(tmp_path: Path, simulated: Path) -> None:
    # The recorded episodes are short: a little more than `max_ticks`.
    policy = {**SMALL["policy"], "chunk_size": 8, "n_action_steps": 4}
    # So few episodes are no basis for a verdict.
    weights = {**SMALL["weights"], "accept_poor_scorer": True}
    config = {**SMALL, "dataset": {"path": str(simulated)}, "policy": policy, "weights": weights}
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(config))
    printed = close_loop(tmp_path)
    loop = tmp_path / "outputs" / "small-loop"
    found = json.loads((loop / "loop.json").read_text())
    assert found["first_round"]["trials"] == found["second_round"]["trials"] == 3
    # Policies of six steps never succeed: three start states that all end alike say next to nothing.
    assert found["gain"] == {"value": 0.0, "low": -1.0, "high": 1.0, "p": 1.0}
    for words in ("first round:", "second round:", "gain: +0 points (95 % interval -100 to +100"):
        assert words in printed
    (recorded,) = loop.glob("*/recorded")
    outcomes = read_outcomes(recorded / "outcomes.csv")
    assert len(outcomes) == EPISODES
    assert all(0 < outcome.ticks <= SMALL["rollouts"]["max_ticks"] for outcome in outcomes)
    demonstrations = json.loads((simulated / "meta" / "info.json").read_text())
    joined = json.loads((recorded.with_name("dataset") / "meta" / "info.json").read_text())
    assert joined["total_episodes"] == demonstrations["total_episodes"] + EPISODES
    assert joined["fps"] == demonstrations["fps"]
    files = {path: path.stat().st_mtime_ns for path in recorded.rglob("*") if path.is_file()}
    again = close_loop(tmp_path)
    assert printed.splitlines()[-3:] == again.splitlines()[-3:]
    assert files == {path: path.stat().st_mtime_ns for path in recorded.rglob("*") if path.is_file()}


def test_a_real_dataset_is_refused() -> None:
    from rabc.pipeline.closed_loop import close_loop as of_config

    config = Config(demonstrations=DemonstrationsConfig(simulate=False))
    with pytest.raises(InputError, match=r"demonstrations\.simulate false: .*lerobot-rollout"):
        of_config(config, EPISODES)
