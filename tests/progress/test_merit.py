"""Scores to progress, and its figures of merit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.stats import spearmanr

from rabc.progress.calibrations import dataset_progress, episode_progress, per_frame
from rabc.progress.merit import roc_auc, success_score, voc

EPSILON = 1e-6
curves = hnp.arrays(np.float64, st.integers(1, 40), elements=st.floats(-30, 0, width=32))


@given(curves)
def test_episode_progress_keeps_order_and_range(curve: NDArray[np.float64]) -> None:
    progress = episode_progress(curve, EPSILON)
    assert np.all((progress >= 0) & (progress <= 1))
    assert progress[curve.argmin()] == 0
    assert np.all(np.diff(progress[np.argsort(curve, kind="stable")]) >= 0)


def test_episode_progress_is_equation_2() -> None:
    assert np.allclose(episode_progress(np.array([-4.0, -1.0, -2.0]), 0.0), [0, 1, 2 / 3])
    assert np.array_equal(episode_progress(np.full(5, -2.0), EPSILON), np.zeros(5))


@given(curves, st.floats(-10, 10))
def test_episode_progress_ignores_an_offset(curve: NDArray[np.float64], offset: float) -> None:
    assert np.allclose(episode_progress(curve, 1e-3), episode_progress(curve + offset, 1e-3), atol=1e-9)


def test_dataset_progress_lets_a_failure_end_low() -> None:
    successes = [np.linspace(-4, -0.1, 10) for _ in range(20)]
    failure = np.linspace(-4, -3, 10)
    *_, low = dataset_progress([*successes, failure], EPSILON)
    high = dataset_progress([*successes, failure], EPSILON)[0]
    assert low[-1] == pytest.approx(1 / 3.9, abs=0.02)
    assert high[-1] == pytest.approx(1.0, abs=1e-3)
    assert episode_progress(failure, EPSILON)[-1] == pytest.approx(1.0, abs=1e-3)


@given(st.lists(curves, min_size=1, max_size=6))
def test_dataset_progress_has_one_scale(episodes: list[NDArray[np.float64]]) -> None:
    progress = dataset_progress(episodes, EPSILON)
    assert [len(p) for p in progress] == [len(c) for c in episodes]
    scores, values = np.concatenate(episodes), np.concatenate(progress)
    assert np.all((values >= 0) & (values <= 1))
    assert np.all(np.diff(values[np.argsort(scores, kind="stable")]) >= 0)


def test_per_frame_goes_through_the_prefixes() -> None:
    values = per_frame(np.array([1, 3, 6]), np.array([0.0, 1.0, 0.4]), 8)
    assert np.allclose(values, [0, 0.5, 1, 0.8, 0.6, 0.4, 0.4, 0.4])


@pytest.mark.parametrize("lengths", [[0, 2], [2, 2], [1, 9], [3, 1]])
def test_per_frame_refuses_impossible_prefixes(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="prefix lengths"):
        per_frame(np.array(lengths), np.zeros(2), 8)


@given(hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(-5, 5).map(float)))
def test_voc_is_spearman_with_ties(scores: NDArray[np.float64]) -> None:
    if np.ptp(scores) == 0:
        assert voc(scores) == 0
    else:
        assert voc(scores) == pytest.approx(spearmanr(scores, np.arange(len(scores))).statistic)


def test_voc_of_one_score_is_zero() -> None:
    assert voc(np.array([-1.0])) == 0


def test_success_score_is_the_mean_of_the_last_three() -> None:
    assert success_score(np.array([-9.0, -3.0, -2.0, -1.0])) == pytest.approx(-2.0)
    assert success_score(np.array([-4.0])) == pytest.approx(-4.0)


@given(hnp.arrays(np.float64, 12, elements=st.integers(-3, 3).map(float)), hnp.arrays(np.bool_, 12))
def test_roc_auc_counts_pairs(scores: NDArray[np.float64], success: NDArray[np.bool_]) -> None:
    good, bad = scores[success], scores[~success]
    if len(good) == 0 or len(bad) == 0:
        assert np.isnan(roc_auc(scores, success))
    else:
        pairs = (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()
        assert roc_auc(scores, success) == pytest.approx(pairs)


def test_not_finite_curves_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        episode_progress(np.array([0.0, np.nan]), EPSILON)
