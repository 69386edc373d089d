"""What cannot be judged has weight 1, what is not selected 0, and all of it is named."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

from rabc.config.settings import Config, WeightsConfig
from rabc.config.training_settings import PolicyConfig
from rabc.scoring.base import PrefixScores
from rabc.scoring.store import EpisodeScores
from rabc.system.errors import VerdictRefused
from rabc.weighting.assign import frame_weights
from rabc.weighting.progress_file import read_foreign
from tests.support.made_scores import frame_table, leave_scores

LENGTHS = (12, 30, 7)
EPISODE_INDEX = np.repeat(np.arange(3), LENGTHS)
PROGRESS = np.concatenate([np.linspace(0, 1, length) for length in LENGTHS])
CHUNK = 5


def progress_rows(progress: np.ndarray) -> pd.DataFrame:
    columns = {"index": np.arange(len(progress)), "episode_index": EPISODE_INDEX, "progress_sparse": progress}
    return pd.DataFrame(columns)


def test_gaps_inside_an_episode_are_interpolated_and_an_episode_without_progress_has_weight_1(
    tmp_path: Path,
) -> None:
    """Gaps of both kinds, missing rows and NaN; of episode 2 one frame is known, which says nothing."""
    path, progress = tmp_path / "gaps.parquet", PROGRESS.copy()
    progress[[0, 1, 5, 20, 21]] = np.nan
    progress[43:] = np.nan
    rows = progress_rows(progress).drop(index=[30, 31, 32])
    rows.to_parquet(path)
    found = read_foreign(path, "sparse", EPISODE_INDEX, "x")
    assert (found.filled, found.filled_in) == (8, 2)
    expected = PROGRESS.copy()
    expected[:2] = expected[2]  # nothing lies before it
    assert np.allclose(found.values[:42], expected[:42], atol=1e-6)
    assert np.isnan(found.values[42:]).all()
    settings = WeightsConfig(scheme="awr", progress_file=str(path))
    config = Config(policy=PolicyConfig(chunk_size=CHUNK), weights=settings)
    made = frame_weights(config, {}, frame_table(LENGTHS), "x")
    assert made.unjudged == (2,)
    assert np.all(made.values[42:] == 1)
    assert made.values[:42].mean() == pytest.approx(1)
    assert made.remarks[0].endswith(
        "frames without progress: 8, in 2 of 3 episodes; they get what lies between their neighbours"
    )
    assert made.remarks[1] == "1 of 3 episodes: not judged, trained with weight 1 (episode 2)"
    part = frame_weights(config, {}, frame_table(LENGTHS), "x", selected=[1])
    assert np.array_equal(part.values > 0, EPISODE_INDEX == 1)
    assert part.unjudged == ()
    alone = frame_weights(config, {}, frame_table(LENGTHS), "x", selected=[1, 2])
    assert np.all(alone.values[42:] == 1)
    assert np.all(alone.values[:12] == 0)


def test_what_is_too_short_for_the_scorer_has_weight_1_and_what_is_not_selected_0(tmp_path: Path) -> None:
    lengths = (30, 4, 25, 28)
    rng = np.random.default_rng(0)
    records = {
        n: EpisodeScores(
            n, lengths[n], PrefixScores(np.array([1, 9, lengths[n]]), rng.normal(-2, 1, 3), np.zeros(3)),
            "Pick.", str(n),
        )
        for n in (0, 2, 3)
    }  # fmt: skip
    results, _ = leave_scores(tmp_path, records, unjudged=[1])
    config = Config(policy=PolicyConfig(chunk_size=CHUNK), weights=WeightsConfig(scheme="awr"))
    made = frame_weights(config, results, frame_table(lengths), "f" * 64)
    episode = frame_table(lengths).episode_index
    assert np.all(made.values[episode == 1] == 1)
    assert made.values[episode != 1].mean() == pytest.approx(1)
    assert made.remarks == ("1 of 4 episodes: not judged, trained with weight 1 (episode 1)",)
    progress = pq.read_table(made.source).column("progress_sparse").to_numpy()
    assert np.array_equal(np.isnan(progress), episode == 1)
    some = frame_weights(config, results, frame_table(lengths), "f" * 64, selected=[0, 1])
    assert np.array_equal(some.values > 0, episode <= 1)
    assert some.values[episode == 0].mean() == pytest.approx(1)
    results["diagnosis"] = {"verdict": "do not weight", "reasons": "noise"}
    with pytest.raises(VerdictRefused):
        frame_weights(config, results, frame_table(lengths), "f" * 64)
    # The rule that needs no choice chooses: plain behavior cloning, and says so.
    rule = replace(config, weights=WeightsConfig(scheme="auto", calibration="dataset", apply="ticks"))
    plain = frame_weights(rule, results, frame_table(lengths), "f" * 64, selected=[0, 1])
    assert np.array_equal(plain.values, (episode <= 1).astype(float))
    assert (plain.source, plain.progress) == (None, None)
    assert plain.remarks == (
        "auto: the verdict on the scores is `do not weight` (noise), so that nothing is weighted: this is "
        "plain behavior cloning",
    )
    insists = replace(rule, weights=replace(rule.weights, accept_poor_scorer=True))
    assert frame_weights(insists, results, frame_table(lengths), "f" * 64).progress is not None


def test_a_task_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    path = tmp_path / "progress.parquet"
    progress_rows(np.where(EPISODE_INDEX == 1, 0.2, PROGRESS)).to_parquet(path)
    settings = WeightsConfig(scheme="filter", drop_below=0.5, progress_file=str(path))
    config = Config(policy=PolicyConfig(chunk_size=CHUNK), weights=settings)
    made = frame_weights(config, {}, frame_table(LENGTHS, ["Pick.", "Fold.", "pick"]), "x")
    assert np.array_equal(made.values, np.where(EPISODE_INDEX == 1, 0.0, 1.0))
    assert made.remarks == ("task 'Fold.': every frame has weight 0, so that it is not trained",)
