"""What is left after the weighting of progress from a file: too little is refused, little is said."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.config.training_settings import PolicyConfig
from rabc.system.errors import InputError
from rabc.weighting.assign import frame_weights
from rabc.weighting.deltas import chunk_deltas
from rabc.weighting.enough import LEAST_SHARE, LITTLE_SHARE
from tests.weighting.test_unjudged import frame_table

LENGTHS = (200, 200, 200, 200)
RNG = np.random.default_rng(0)
STEPS = RNG.exponential(size=(4, 200)) ** 2


def weigh(tmp_path: Path, progress: NDArray[np.float64], chunk: int = 20, **weights: Any) -> Any:
    rows = {
        "index": np.arange(800),
        "episode_index": np.repeat(np.arange(4), 200),
        "progress_sparse": progress,
    }
    path = tmp_path / "progress.parquet"
    pd.DataFrame(rows).to_parquet(path)
    settings = WeightsConfig(progress_file=str(path), **weights)
    config = Config(policy=PolicyConfig(chunk_size=chunk, n_action_steps=chunk), weights=settings)
    return frame_weights(config, {}, frame_table(LENGTHS), "x")


def uneven() -> NDArray[np.float64]:
    return np.concatenate([np.cumsum(steps) / steps.sum() for steps in STEPS])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({"scheme": "mask", "min_delta": 0.9}, r"^weights.min_delta 0.9: no frame has a weight \(of 800\)"),
        ({"scheme": "mask", "min_delta": 0.26}, r"^weights.min_delta 0.26: .* a tenth 0.\d+: give less"),
        (
            {"scheme": "filter", "drop_below": 1.0, "calibration": "dataset"},
            r"^weights.drop_below 1.0: no frame has a weight .* the best at 0.9: give less",
        ),
        ({"scheme": "awr", "beta": 0.1, "weight_max": 1e12}, r"^weights.beta 0.1: .*; give a larger one"),
    ],
)
def test_what_leaves_too_little_is_refused_with_its_key(
    weights: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        weigh(tmp_path, 0.9 * uneven(), **weights)
    assert "\n" not in str(refused.value)


def test_scores_that_never_rise_are_refused_with_the_scheme_that_finds_nothing_in_them(
    tmp_path: Path,
) -> None:
    with pytest.raises(InputError, match=r"^weights.kappa 0.01: no frame has a weight .* check the scorer"):
        weigh(tmp_path, 1 - uneven(), scheme="rabc")


def test_little_is_said_and_trained(tmp_path: Path) -> None:
    deltas = chunk_deltas(uneven(), np.repeat(np.arange(4), 200), 20, "per_step")
    least = float(np.quantile(deltas, 1 - (LEAST_SHARE + LITTLE_SHARE) / 2))
    made = weigh(tmp_path, uneven(), scheme="mask", min_delta=least)
    (said,) = made.remarks
    assert said.startswith(f"weights.min_delta {least}: the weights are worth 10.0 % of the frames; for more")
    assert made.values.sum() == pytest.approx(800 * 0.1 * made.values.max(), rel=0.02)


def test_a_share_that_was_asked_for_is_left_out_without_a_word(tmp_path: Path) -> None:
    made = weigh(tmp_path, uneven(), scheme="filter", drop="frames", drop_share=0.97)
    assert made.remarks == ()
    assert np.mean(made.values > 0) == pytest.approx(0.03)
