"""How good a curve of scores or progress is, against SciPy, by hand and by properties."""

import re
import warnings
from itertools import permutations
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray
from scipy.stats import spearmanr

from rabc.statistics.curves import (
    checked_curve,
    rank_correlation,
    rise,
    roc_auc,
    stage_error,
    stage_progress,
    success_score,
    voc,
    von_neumann_ratio,
)

nats = st.floats(-30, 0, width=32)
curves = hnp.arrays(np.float64, st.integers(1, 40), elements=nats)


@given(hnp.arrays(np.float64, st.integers(2, 40), elements=st.integers(-5, 5).map(float)))
def test_voc_is_spearman_with_ties(scores: NDArray[np.float64]) -> None:
    if np.ptp(scores) == 0:
        assert voc(scores) == 0
    else:
        assert voc(scores) == pytest.approx(spearmanr(scores, np.arange(len(scores))).statistic)


def test_voc_of_perfect_order_is_one_and_no_more() -> None:
    for count in range(2, 200):
        in_order = voc(np.arange(count, dtype=np.float64))
        assert in_order == -voc(-np.arange(count, dtype=np.float64)) == pytest.approx(1)
        assert in_order <= 1


def test_voc_of_one_score_is_zero() -> None:
    assert voc(np.array([-1.0])) == 0


def test_success_score_is_the_mean_of_the_last_three() -> None:
    assert success_score(np.array([-9.0, -3.0, -2.0, -1.0])) == pytest.approx(-2.0)
    assert success_score(np.array([-4.0])) == pytest.approx(-4.0)


def test_rise_is_from_the_first_score_to_the_last_three() -> None:
    assert rise(np.array([-9.0, -5.0, -3.0, -2.0, -1.0])) == pytest.approx(7.0)
    assert rise(np.array([-4.0])) == 0


@given(hnp.arrays(np.float64, 12, elements=st.integers(-3, 3).map(float)), hnp.arrays(np.bool_, 12))
def test_roc_auc_counts_pairs(scores: NDArray[np.float64], success: NDArray[np.bool_]) -> None:
    good, bad = scores[success], scores[~success]
    if len(good) == 0 or len(bad) == 0:
        assert np.isnan(roc_auc(scores, success))
    else:
        pairs = (good[:, None] > bad).mean() + 0.5 * (good[:, None] == bad).mean()
        assert roc_auc(scores, success) == pytest.approx(pairs)


def test_one_kind_alone_has_no_area() -> None:
    with warnings.catch_warnings(action="error"):
        assert np.isnan([roc_auc(np.arange(3.0), np.full(3, kind)) for kind in (True, False)]).all()


@pytest.mark.parametrize("values", [[0.0, np.nan], [0.0, np.inf], [], [[0.0, 1.0]], 0.0])
def test_what_is_no_curve_is_refused(values: Any) -> None:
    curve = np.array(values)
    said = f"curve of shape {curve.shape}: must be one-dimensional, finite and not empty"
    with pytest.raises(ValueError, match=f"^{re.escape(said)}$"):
        checked_curve(curve)


@given(hnp.arrays(np.float64, st.integers(2, 20), elements=nats))
def test_neumann_ratio_ignores_scale_and_offset(curve: NDArray[np.float64]) -> None:
    ratio = von_neumann_ratio(curve)
    if np.ptp(curve) < 1e-3:
        return
    assert von_neumann_ratio(2 * curve + 1) == pytest.approx(ratio)
    assert 0 <= ratio <= 4 * len(curve) / (len(curve) - 1)


def test_neumann_ratio_tells_noise_from_a_ramp() -> None:
    assert von_neumann_ratio(np.random.default_rng(0).normal(size=5000)) == pytest.approx(2, abs=0.1)
    assert von_neumann_ratio(np.linspace(-4, 0, 15)) < 0.1
    for constant in (np.full(15, -0.1), np.zeros(15), np.array([-3.0])):
        assert von_neumann_ratio(constant) == np.inf


def test_stage_progress_by_hand() -> None:
    target = stage_progress([0, 4, 6], np.array([0.5, 0.5]))
    assert np.allclose(target, [0, 0.125, 0.25, 0.375, 0.5, 1.0])
    assert stage_error(target, [0, 4, 6], np.array([0.5, 0.5])) == 0
    # Off by 0.1 in the short stage only: stages count alike.
    off = target + np.array([0, 0, 0, 0, 0.1, -0.1])
    assert stage_error(off, [0, 4, 6], np.array([0.5, 0.5])) == pytest.approx(0.05)


@pytest.mark.parametrize("edges", [[1, 4, 6], [0, 4, 4], [0, 6]])
def test_impossible_boundaries(edges: list[int]) -> None:
    with pytest.raises(ValueError, match="boundaries"):
        stage_progress(edges, np.array([0.5, 0.5]))


def test_a_stage_may_be_one_frame_and_be_worth_nothing() -> None:
    assert stage_progress([0, 1, 2], np.array([0.25, 0.75])) == pytest.approx([0, 1])
    assert stage_progress([0, 1, 3, 5], np.array([0.25, 0.75, 0])) == pytest.approx([0, 0.25, 0.625, 1, 1])


@pytest.mark.parametrize("proportions", [[0.5, 0.6], [1.5, -0.5]])
def test_proportions_add_up(proportions: list[float]) -> None:
    with pytest.raises(ValueError, match="proportions"):
        stage_progress([0, 4, 6], np.array(proportions))


def test_progress_of_other_frames_than_the_stages_is_refused() -> None:
    with pytest.raises(ValueError, match=r"progress \(5,\): the boundaries say 6 frames"):
        stage_error(np.zeros(5), [0, 4, 6], np.array([0.5, 0.5]))


@given(st.integers(2, 6), st.integers(0, 10_000))
def test_a_rank_correlation_and_its_exact_p(count: int, seed: int) -> None:
    """Against SciPy's coefficient, and all orders one by one; few values, so that there are ties."""
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 4, count).tolist(), rng.integers(0, 4, count).tolist()
    found, p = rank_correlation(first, second)
    if len(set(first)) == 1 or len(set(second)) == 1:
        assert (found, p) == (0, 1)
        return
    assert found == pytest.approx(spearmanr(first, second).statistic)
    others = [abs(spearmanr(first, [*order]).statistic) for order in permutations(second)]
    assert p == pytest.approx(np.mean([other >= abs(found) - 1e-9 for other in others]))


def test_a_rank_correlation_needs_pairs_that_can_be_counted() -> None:
    for first, second in (([1.0], [2.0]), ([1.0, 2.0], [1.0]), ([0.0] * 10, [1.0] * 10)):
        with pytest.raises(ValueError, match="must be as many, 2 to 9"):
            rank_correlation(first, second)
