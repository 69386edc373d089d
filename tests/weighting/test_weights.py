"""Chunk deltas, schemes, normalisation and summary; parity with LeRobot's RA-BC weights."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from lerobot.rewards.sarm.rabc import RABCWeights
from numpy.typing import NDArray

from rabc.system.errors import InputError
from rabc.weighting import schemes
from rabc.weighting.deltas import chunk_deltas

KAPPA, EPSILON = 0.01, 1e-6
progress_values = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(0, 1, width=32))
delta_values = hnp.arrays(np.float64, st.integers(1, 60), elements=st.floats(-1, 1, width=32))


def random_dataset(seed: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(1, 40, 7)
    episode = np.repeat(np.arange(7), lengths)
    progress = np.concatenate([np.cumsum(rng.normal(0.01, 0.03, n)) for n in lengths])
    return progress.astype(np.float32).astype(np.float64), episode


@pytest.mark.parametrize("chunk", [1, 5, 20, 100])
def test_rabc_equals_lerobot(tmp_path: Path, chunk: int) -> None:
    progress, episode = random_dataset(chunk)
    index = np.arange(len(progress))
    table = pd.DataFrame({"index": index, "episode_index": episode, "progress_sparse": progress})
    table.to_parquet(tmp_path / "progress.parquet")
    theirs = RABCWeights(
        tmp_path / "progress.parquet", chunk, kappa=KAPPA, epsilon=EPSILON, device=torch.device("cpu")
    )
    ours = schemes.rabc(chunk_deltas(progress, episode, chunk, "clamped"), KAPPA, EPSILON)
    normalised = schemes.normalise(ours, np.ones(len(ours), dtype=bool))
    batch, _ = theirs.compute_batch_weights({"index": torch.from_numpy(index)})
    assert np.allclose(normalised, batch.numpy(), atol=1e-5)
    assert len(np.unique(ours)) > 3  # the soft region is exercised


def test_deltas_by_hand() -> None:
    progress = np.array([0.0, 0.1, 0.3, 0.6, 0.5, 0.9])
    episode = np.array([0, 0, 0, 0, 1, 1])
    clamped = chunk_deltas(progress, episode, 2, "clamped")
    assert np.allclose(clamped, [0.3, 0.5, 0.3, 0.0, 0.4, 0.0])
    per_step = chunk_deltas(progress, episode, 2, "per_step")
    assert np.allclose(per_step, [0.3, 0.5, 0.3 + 0.2, 0.0 + 2 * 0.2, 0.4 + 0.4, 0.0 + 2 * 0.4])


def test_one_frame_episode_has_delta_zero() -> None:
    assert np.array_equal(chunk_deltas(np.array([0.4]), np.array([3]), 5, "per_step"), [0.0])


@given(st.integers(1, 50), st.integers(1, 30), st.floats(-0.1, 0.1))
def test_steady_progress_has_one_delta_per_step(length: int, chunk: int, slope: float) -> None:
    """What `per_step` is for: the end of an episode is not worth less than its middle."""
    progress = slope * np.arange(length, dtype=np.float64)
    deltas = chunk_deltas(progress, np.zeros(length, dtype=np.int64), chunk, "per_step")
    assert np.allclose(deltas, slope * min(chunk, 2 * (length - 1)), atol=1e-9)


@pytest.mark.parametrize(
    ("length", "most"), [(101, np.sqrt(3)), (420, np.sqrt(3)), (60, np.sqrt(7)), (10, np.sqrt(7))]
)
def test_noise_counts_little_more_at_the_end_than_in_the_middle(length: int, most: float) -> None:
    """Noise of 0.01 a frame; in the middle it makes 0.01 * sqrt(2)."""
    noise = np.random.default_rng(0).normal(0, 0.01, (400, length))
    deltas = chunk_deltas(noise.ravel(), np.repeat(np.arange(400), length), 100, "per_step")
    spread = deltas.reshape(400, length).std(axis=0)
    assert spread.max() < 1.15 * most * 0.01 * np.sqrt(2)


def test_what_happened_before_a_frame_does_not_count_against_it_at_the_end() -> None:
    """A cube that was dropped and is picked up again to the end: the recovery is good."""
    curve = np.concatenate(
        [np.linspace(0, 0.8, 200), np.linspace(0.8, 0.2, 30), np.linspace(0.2, 1, 60)]
    ).astype(np.float64)
    deltas = chunk_deltas(curve, np.zeros(len(curve), np.int64), 100, "per_step")
    assert deltas[230:].min() > 0.3
    assert deltas[150:195].max() < 0.25


@given(progress_values, st.integers(1, 30))
def test_deltas_stay_within_their_episode(progress: NDArray[np.float64], chunk: int) -> None:
    episode = np.zeros(len(progress), dtype=np.int64)
    alone = chunk_deltas(progress, episode, chunk, "per_step")
    joined = chunk_deltas(np.r_[progress, progress + 5], np.r_[episode, episode + 1], chunk, "per_step")
    assert np.allclose(joined[: len(progress)], alone)
    assert np.allclose(joined[len(progress) :], alone, atol=1e-6)


def test_interleaved_episodes_are_refused() -> None:
    with pytest.raises(ValueError, match="contiguous"):
        chunk_deltas(np.zeros(3), np.array([0, 1, 0]), 1, "clamped")


@given(delta_values)
def test_topreward_saturates_at_zero_delta(deltas: NDArray[np.float64]) -> None:
    """Equation 3 with the paper's constants only lowers what loses progress."""
    result = schemes.topreward(deltas, 2.0, 2.0)
    assert np.all(result[deltas >= 0] == 2.0)
    assert np.allclose(result[deltas < 0], 2 * np.exp(deltas[deltas < 0]))
    unclipped = np.clip(0.5 * np.exp(deltas), 0, 2.0)
    assert np.allclose(schemes.topreward(deltas, 0.5, 2.0), unclipped)


def test_topreward_does_not_overflow() -> None:
    assert schemes.topreward(np.array([1e6]), 2.0, 2.0).tolist() == [2.0]


@given(delta_values)
def test_rabc_regions(deltas: NDArray[np.float64]) -> None:
    result = schemes.rabc(deltas, KAPPA, EPSILON)
    assert np.all(result[deltas > KAPPA] == 1)
    assert np.all(result[deltas < 0] == 0)
    assert np.all((result >= 0) & (result <= 1))


def test_none_is_one() -> None:
    assert np.array_equal(schemes.none(np.array([-1.0, 2.0])), [1.0, 1.0])


@given(
    hnp.arrays(np.float64, 20, elements=st.floats(0, 1e6, allow_subnormal=False)), hnp.arrays(np.bool_, 20)
)
def test_normalise_gives_mean_one_over_drawable(
    values: NDArray[np.float64], drawable: NDArray[np.bool_]
) -> None:
    if not drawable.any() or values[drawable].max() == 0:
        with pytest.raises(InputError):
            schemes.normalise(values, drawable)
        return
    result = schemes.normalise(values, drawable)
    assert result[drawable].mean() == pytest.approx(1.0)
    assert np.all(result[~drawable] == 0)
    largest = values[drawable].argmax()
    assert np.allclose(
        result[drawable] * values[drawable][largest], values[drawable] * result[drawable][largest]
    )


def test_all_zero_weights_are_an_input_error() -> None:
    with pytest.raises(InputError, match="all 3 drawable frames have weight 0"):
        schemes.normalise(np.zeros(3), np.ones(3, dtype=bool))


def test_by_default_the_frames_of_positive_weight_have_mean_one() -> None:
    assert np.allclose(schemes.normalise(np.array([0.0, 1.0, 3.0])), [0.0, 0.5, 1.5])
    with pytest.raises(InputError, match="all 3 drawable frames have weight 0"):
        schemes.normalise(np.zeros(3))


def test_summary_by_hand() -> None:
    summary = schemes.summary(np.array([0.0, 0.0, 2.0, 2.0, 1.0]))
    assert summary.frames == 5
    assert summary.drawn == 3
    assert summary.effective_sample_size == pytest.approx(25 / 9)
    assert summary.share_zero == pytest.approx(0.4)
    assert summary.share_saturated == pytest.approx(0.4)
    assert sum(summary.histogram_counts) == 5
    assert summary.histogram_counts[0] == 2
    assert summary.histogram_counts[-1] == 2
    assert summary.histogram_edges[0] == 0
    assert summary.histogram_edges[-1] == 2


def test_equal_weights_keep_the_whole_sample() -> None:
    assert schemes.summary(np.ones(50)).effective_sample_size == pytest.approx(50)
