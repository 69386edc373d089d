"""30 frames a second, a scorer at 2, chunks of 100: from a scorer that is right to the weights of a run."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from rabc.config import cli
from rabc.config.settings import Config
from rabc.scoring.base import PrefixScores
from rabc.scoring.schedule import prefix_ends, sample_frame_indices
from rabc.scoring.store import EpisodeScores
from rabc.weighting.assign import FrameWeights, frame_weights
from rabc.weighting.progress import CALIBRATIONS, Calibration
from tests.support.made_scores import DATASET, frame_table, leave_scores

FPS, SCORER_FPS, PREFIXES, PAIR = 30.0, 2.0, 15, 2
RISE = 6.0
"""Nats from the first frame to the last; Qwen3-VL-8B rises by 3 to 8 on episodes that succeed."""
NOISE = 0.15
"""Nats, standard deviation of a score."""

Profile = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def steady(share: NDArray[np.float64]) -> NDArray[np.float64]:
    return share


def minimum_jerk(share: NDArray[np.float64]) -> NDArray[np.float64]:
    """One reach: slow at both ends."""
    return 10 * share**3 - 15 * share**4 + 6 * share**5


def judged(
    lengths: Sequence[int],
    calibration: Calibration,
    noise: float = 0.0,
    profile: Profile = steady,
    tasks: Sequence[str] | str = "Pick.",
) -> dict[int, EpisodeScores]:
    """What a scorer says that knows the progress of every frame it sees.

    It is linear in progress in what the calibration takes for progress: log p(True), or p(True).
    """
    rng = np.random.default_rng(0)
    records: dict[int, EpisodeScores] = {}
    for episode, length in enumerate(lengths):
        sampled = sample_frame_indices(length, FPS, SCORER_FPS)
        ends = sampled[prefix_ends(sampled, length, PREFIXES, PAIR) - 1] + 1
        progress = profile((ends - 1) / (length - 1))
        true, false = RISE * (progress - 1) - 0.1, np.full(len(ends), -3.0)
        if calibration == "logodds":
            least, most = (1 / (1 + np.exp(odds)) for odds in (RISE / 2, -RISE / 2))
            probability = least + (most - least) * progress
            true, false = np.log(probability), np.log(1 - probability)
        true = true + noise * rng.standard_normal(len(ends))
        task = tasks if isinstance(tasks, str) else tasks[episode]
        records[episode] = EpisodeScores(
            episode, length, PrefixScores(ends, true, false), task, f"p{episode}"
        )
    return records


@pytest.fixture(scope="module")
def recipe() -> Config:
    """`configs/so101_real.yaml`, with its scheme and its chunk."""
    return cli.parse(["--config", "so101_real.yaml", "--device", "cpu"], "test").config


Weigh = Callable[..., FrameWeights]
_MASK: dict[str, Any] = {"scheme": "mask", "min_delta": None}


def weighing(
    root: Path, recipe: Config, records: dict[int, EpisodeScores], tasks: Sequence[str] | str = "Pick."
) -> Weigh:
    """Leaves the scores under `root`; the result weights their frames with the recipe's keys but for some."""
    results, _ = leave_scores(root, records)
    table = frame_table([record.length for record in records.values()], tasks)

    def weigh(**weights: Any) -> FrameWeights:
        config = replace(recipe, weights=replace(recipe.weights, **weights))
        return frame_weights(config, results, table, DATASET)

    return weigh


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_no_frame_of_a_perfect_demonstration_is_dropped(
    tmp_path: Path, recipe: Config, calibration: Calibration
) -> None:
    """Lengths of every remainder, so that the last frame lies everywhere between two on the scorer's grid."""
    weigh = weighing(tmp_path, recipe, judged(range(200, 421, 7), calibration))
    for settings in ({}, _MASK, {"scheme": "mask", "min_delta": 0.2}, {"scheme": "rabc"}):
        found = weigh(calibration=calibration, **settings)
        assert np.allclose(found.values, 1), settings


def test_nor_of_one_that_starts_and_ends_slowly(tmp_path: Path, recipe: Config) -> None:
    records = judged(range(220, 261, 5), "dataset", profile=minimum_jerk)
    weigh = weighing(tmp_path, recipe, records)
    for calibration in ("episode", "dataset"):
        for settings in ({}, _MASK):
            assert np.all(weigh(calibration=calibration, **settings).values > 0), (calibration, settings)


@pytest.mark.parametrize("calibration", CALIBRATIONS)
def test_a_noisy_scorer_drops_hardly_any(tmp_path: Path, recipe: Config, calibration: Calibration) -> None:
    lengths = np.random.default_rng(1).integers(200, 421, 100).tolist()
    weigh = weighing(tmp_path, recipe, judged(lengths, calibration, NOISE))
    table = frame_table(lengths)
    at_end = table.episode_end - np.arange(len(table)) <= recipe.policy.chunk
    for scheme in ("auto", "mask", "rabc"):
        dropped = weigh(calibration=calibration, scheme=scheme).values == 0
        assert dropped.mean() < 0.02, scheme
        assert dropped[at_end].mean() < 0.02, scheme


def test_standing_still_is_dropped_all_the_same(tmp_path: Path, recipe: Config) -> None:
    """Otherwise the tests above would pass if nothing ever was."""

    def stalls(share: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(share, [0, 0.3, 0.7, 1], [0, 0.5, 0.5, 1])

    lengths = [240, 240, 400, 400, 400]
    at, stalled = frame_table(lengths).frame_index, np.repeat(np.arange(5), lengths) > 1
    records = {**judged(lengths, "dataset", profile=stalls), **judged(lengths[:2], "dataset")}
    weigh = weighing(tmp_path, recipe, records)
    for settings in ({}, _MASK):
        found = weigh(**settings).values
        assert np.all(found[stalled & (at > 185) & (at < 200)] == 0), settings
        assert np.all(found[~stalled | (at < 60) | (at > 340)] > 0), settings


TASKS = ["Put the cube into the box."] * 8 + ["put the cube into the box "] * 2 + ["Fold the towel."] * 10
SPEEDS = [*range(135, 165, 3), *range(540, 660, 12)]
"""Frames of 10 clean demonstrations of 5 s and 10 of 20 s."""


def test_a_clean_slow_task_beside_a_clean_fast_one_loses_nothing(tmp_path: Path, recipe: Config) -> None:
    records = judged(SPEEDS, "dataset", NOISE / 3, tasks=TASKS)
    unlikely = {n: shifted(record, -4.0) for n, record in records.items() if n >= 10}
    weigh = weighing(tmp_path, recipe, records | unlikely, TASKS)
    slow = frame_table(SPEEDS, TASKS).episode_index >= 10
    settings: list[dict[str, Any]] = [
        {}, {"min_delta": 0.1}, {"scheme": "rabc"}, {"scheme": "awr", "beta": 0.2},
        {"scheme": "filter", "drop_share": 0.1}, {"scheme": "filter", "drop": "frames", "drop_share": 0.1},
    ]  # fmt: skip
    for some in settings:
        found = weigh(**some)
        assert set(found.task[slow]) == {1}
        assert set(found.task[~slow]) == {0}
        assert found.values[slow].mean() == pytest.approx(found.values[~slow].mean(), rel=0.05), some
        if some.get("scheme") in (None, "rabc"):
            assert np.all(found.values > 0), some


def shifted(record: EpisodeScores, shift: float) -> EpisodeScores:
    """The scorer finds another task's words less likely throughout."""
    scores = record.scores
    moved = replace(scores, log_prob_true=scores.log_prob_true + shift)
    return replace(record, scores=moved)
