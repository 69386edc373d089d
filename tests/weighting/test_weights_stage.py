"""The weights stage of a run, on a real dataset of two tasks with a progress file that has gaps."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from rabc.comparison.arms import Arm
from rabc.comparison.run import check_comparison
from rabc.config import cli
from rabc.config.settings import DemonstrationsConfig, WeightsConfig
from rabc.pipeline import main_job
from rabc.system.errors import InputError
from rabc.weighting.task_figures import task_figures
from tests.support.recordings import EPISODE_LENGTHS


def test_tasks_gaps_and_selected_episodes_reach_weights_and_page(
    recorded_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Episodes 0 and 2 are of one task, 1 and 3 of the other; 2 is not selected, 3 not in the file."""
    monkeypatch.chdir(tmp_path)
    episode = np.repeat(np.arange(4), EPISODE_LENGTHS)
    progress = np.random.default_rng(0).uniform(0, 1, len(episode))
    progress[3] = np.nan
    rows = pd.DataFrame(
        {"index": np.arange(len(episode)), "episode_index": episode, "progress_sparse": progress}
    )
    rows[episode != 3].to_parquet("progress.parquet")
    arguments = [
        "--dataset.path", str(recorded_dataset), "--dataset.exclude", "2",
        "--demonstrations.simulate", "false",
        "--weights.scheme", "awr", "--weights.progress_file", "progress.parquet",
        "--policy.chunk_size", "4", "--policy.n_action_steps", "4", "--rollouts.episodes", "0",
    ]  # fmt: skip
    results = main_job.run(cli.parse(arguments, "test").config, last="weights")["weights"]
    values = np.load(results["weights_file"])
    assert np.all(values[episode == 2] == 0)
    assert np.all(values[episode == 3] == 1)
    for task in (0, 1):  # each has one episode that is judged
        assert values[episode == task].mean() == pytest.approx(1)
    assert results["unjudged"] == [3]
    assert results["frames"] == np.sum(episode != 2)
    said = capsys.readouterr().out
    assert "weights: 1 of 3 episodes: not judged, trained with weight 1 (episode 3)\n" in said
    assert "frames without progress: 1, in 1 of 3 episodes" in said
    page = Path(results["page"]).read_text()
    assert "1 of 3 episodes: not judged, trained with weight 1 (episode 3)" in page
    assert (
        "<td>Pick up the red cube.</td><td>1</td><td>1.2 s</td><td>12</td><td>1.00</td><td>0 %</td>" in page
    )
    assert (
        "<td>Pick up the blue cube.</td><td>2</td><td>1.4 s</td><td>29</td><td>1.00</td><td>0 %</td>" in page
    )
    assert "Episode 2</h3>" not in page
    assert "Episode 3</h3>" not in page


def test_wordings_of_one_task_have_one_row() -> None:
    one, episodes = np.ones(4), np.array([0, 0, 1, 1])
    texts = ["Pick.", "Pick.", "pick ", "pick "]
    (row,) = task_figures(one, episodes, np.zeros(4, np.int64), texts, one > 0, 2.0)
    assert (row.instruction, row.episodes, row.frames, row.seconds) == ("Pick.", 2, 4, 1.0)


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_threshold_out_of_reach_is_refused_before_anything_is_scored(
    dry_run: bool, recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk of 4 is a quarter of an episode and more, and not 0.6; of one episode alone as well."""
    monkeypatch.chdir(tmp_path)
    arguments = [
        "--dataset.path", str(recorded_dataset), "--demonstrations.simulate", "false",
        "--weights.scheme", "mask", "--weights.min_delta", "0.6", "--device", "cpu",
        "--policy.chunk_size", "4", "--policy.n_action_steps", "4", "--rollouts.episodes", "0",
    ]  # fmt: skip
    for chosen in ([], ["--dataset.episodes", "1"]):
        config = cli.parse([*arguments, *chosen], "test").config
        with pytest.raises(InputError, match=r"^weights\.min_delta 0\.6: a demonstration of \d+ frames"):
            main_job.run(config, dry_run)
    assert not list(tmp_path.rglob("*"))


def test_an_arm_whose_threshold_is_out_of_reach_is_refused_before_anything_is_scored(
    simulated: Path, demonstrations: DemonstrationsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    config = cli.parse(["--config", "so101_pick.yaml", "--dataset.path", str(simulated)], "test").config
    arms = [Arm("sharp", "", WeightsConfig(scheme="mask", min_delta=0.99))]
    with pytest.raises(InputError, match=r"^arm sharp: weights\.min_delta 0\.99: "):
        check_comparison(replace(config, demonstrations=demonstrations), arms)
