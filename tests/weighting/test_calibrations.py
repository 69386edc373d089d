"""Properties of the calibrations and of what stage annotations say."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from numpy.typing import NDArray

from rabc.scoring.base import PrefixScores
from rabc.scoring.store import EpisodeScores
from rabc.system.errors import InputError
from rabc.weighting import progress
from rabc.weighting.progress import CALIBRATIONS, LENGTH_BIASES, Calibration, LengthBias, calibrate

EPSILON = 1e-6
SHIFT_EPSILON = 1e-3  # so that rounding of a shifted curve is not blown up where the curve is nearly constant
nats = st.floats(-30, 0, width=32)
curves = hnp.arrays(np.float64, st.integers(2, 20), elements=nats)
short_or_long = hnp.arrays(np.float64, st.integers(1, 40), elements=nats)


@st.composite
def datasets(draw: st.DrawFn) -> tuple[dict[int, EpisodeScores], dict[int, EpisodeScores]]:
    """Real and static scores of one to five episodes."""
    real: dict[int, EpisodeScores] = {}
    static: dict[int, EpisodeScores] = {}
    for episode in range(draw(st.integers(1, 5))):
        count = draw(st.integers(2, 12))
        ends = np.cumsum(draw(hnp.arrays(np.int64, count, elements=st.integers(1, 4))))
        for store in (real, static):
            true, false = (draw(hnp.arrays(np.float64, count, elements=nats)) for _ in range(2))
            store[episode] = EpisodeScores(episode, int(ends[-1]), PrefixScores(ends, true, false))
    return real, static


def shifted(episodes: dict[int, EpisodeScores], true: float, false: float) -> dict[int, EpisodeScores]:
    return {
        number: EpisodeScores(
            number,
            record.length,
            PrefixScores(
                record.scores.prefix_lengths,
                record.scores.log_prob_true + true,
                record.scores.log_prob_false + false,
            ),
        )
        for number, record in episodes.items()
    }


@given(datasets(), st.sampled_from(CALIBRATIONS), st.sampled_from(LENGTH_BIASES))
def test_progress_is_bounded_and_there_for_every_frame(
    data: tuple[dict[int, EpisodeScores], dict[int, EpisodeScores]],
    calibration: Calibration,
    length_bias: LengthBias,
) -> None:
    real, static = data
    values = calibrate(real, calibration, EPSILON, length_bias, static)
    assert {number: len(curve) for number, curve in values.items()} == {
        number: record.length for number, record in real.items()
    }
    every = np.concatenate(list(values.values()))
    assert np.all((every >= 0) & (every <= 1))


@given(datasets(), st.sampled_from(CALIBRATIONS))
def test_a_calibration_keeps_the_order_of_what_it_scales(
    data: tuple[dict[int, EpisodeScores], dict[int, EpisodeScores]], calibration: Calibration
) -> None:
    real, _ = data
    values = calibrate(real, calibration, EPSILON)
    for number, record in real.items():
        scores = record.scores
        raw = scores.log_prob_true - (scores.log_prob_false if calibration == "logodds" else 0)
        at_prefixes = values[number][scores.prefix_lengths - 1]
        assert np.all(np.diff(at_prefixes[np.argsort(raw, kind="stable")]) >= 0)


@given(
    hnp.arrays(np.float64, st.integers(2, 20), elements=st.integers(-20, 0).map(float)),
    st.sampled_from(["scale", "bend"]),
)
def test_a_monotone_map_of_the_scores_keeps_the_order(scores: NDArray[np.float64], kind: str) -> None:
    mapped = 2 * scores - 1 if kind == "scale" else -np.exp(-scores / 10)
    for calibration in (
        lambda curve: progress.episode_progress(curve, 0.0 if np.ptp(curve) else EPSILON),
        lambda curve: progress.dataset_progress([curve], EPSILON)[0],
        progress.logodds_progress,
    ):
        before, after = calibration(scores), calibration(mapped)
        order = np.argsort(scores, kind="stable")
        assert np.all(np.diff(before[order]) >= 0)
        assert np.all(np.diff(after[order]) >= 0)


@given(datasets(), st.floats(-5, 5), st.sampled_from(LENGTH_BIASES))
def test_what_shifts_every_score_alike_changes_nothing(
    data: tuple[dict[int, EpisodeScores], dict[int, EpisodeScores]], offset: float, length_bias: LengthBias
) -> None:
    """`episode` and `dataset` ignore an offset of log p(True); `logodds` one of both answers."""
    real, static = data
    for calibration, false in (("episode", 0.0), ("dataset", 0.0), ("logodds", offset)):
        before = calibrate(real, calibration, SHIFT_EPSILON, length_bias, static)
        after = calibrate(shifted(real, offset, false), calibration, SHIFT_EPSILON, length_bias, static)
        if calibration == "dataset" and degenerate(real, static, length_bias):
            continue
        for number in real:
            assert np.allclose(before[number], after[number], atol=1e-6)


def degenerate(
    real: dict[int, EpisodeScores], static: dict[int, EpisodeScores], length_bias: LengthBias
) -> bool:
    """Whether the pooled bounds coincide up to rounding, where progress jumps to 0."""
    curves = [record.scores.log_prob_true for record in real.values()]
    if length_bias == "subtract":
        curves = [
            progress.subtract_static(curve, record.scores.log_prob_true)
            for curve, record in zip(curves, static.values(), strict=True)
        ]
    low, high = progress.dataset_bounds(curves)
    return abs(high - low) < 1e-6


def test_logodds_is_not_free_of_an_offset_of_one_answer() -> None:
    """It is absolute: that a model finds True likelier is what it measures."""
    assert progress.logodds_progress(np.array([0.0]))[0] == 0.5
    assert progress.logodds_progress(np.array([2.0]))[0] == pytest.approx(1 / (1 + np.exp(-2)))


@given(hnp.arrays(np.float64, st.integers(1, 20), elements=st.floats(-1e6, 1e6)))
def test_logodds_never_overflows(log_odds: NDArray[np.float64]) -> None:
    with np.errstate(all="raise", under="ignore"):
        values = progress.logodds_progress(log_odds)
    assert np.all((values >= 0) & (values <= 1))


@pytest.mark.parametrize("length_bias", LENGTH_BIASES)
def test_constant_curves(length_bias: LengthBias) -> None:
    flat = PrefixScores(np.arange(1, 6), np.full(5, -2.0), np.full(5, -2.0))
    episodes = {0: EpisodeScores(0, 5, flat), 1: EpisodeScores(1, 5, flat)}
    for calibration, value in (("episode", 0.0), ("dataset", 0.0), ("logodds", 0.5)):
        values = calibrate(episodes, calibration, EPSILON, length_bias, episodes)
        assert all(np.array_equal(curve, np.full(5, value)) for curve in values.values())


@given(curves)
def test_subtracting_a_static_curve_leaves_what_it_does_not_explain(curve: NDArray[np.float64]) -> None:
    assert np.allclose(progress.subtract_static(curve, curve), curve[0])
    assert np.array_equal(progress.subtract_static(curve, np.full_like(curve, -3.0)), curve)
    assert progress.subtract_static(curve, curve[::-1].copy())[0] == curve[0]


def test_subtract_needs_the_static_curve_of_every_episode() -> None:
    scores = PrefixScores(np.arange(1, 4), np.zeros(3), np.zeros(3))
    episodes = {number: EpisodeScores(number, 3, scores) for number in range(2)}
    with pytest.raises(InputError, match="episode 1: has no static scores"):
        calibrate(episodes, "dataset", EPSILON, "subtract", {0: episodes[0]})
    with pytest.raises(ValueError, match="one shape"):
        progress.subtract_static(np.zeros(3), np.zeros(4))


@given(short_or_long)
def test_episode_progress_keeps_order_and_range(curve: NDArray[np.float64]) -> None:
    made = progress.episode_progress(curve, EPSILON)
    assert np.all((made >= 0) & (made <= 1))
    assert made[curve.argmin()] == 0
    assert np.all(np.diff(made[np.argsort(curve, kind="stable")]) >= 0)


def test_episode_progress_is_equation_2() -> None:
    assert np.allclose(progress.episode_progress(np.array([-4.0, -1.0, -2.0]), 0.0), [0, 1, 2 / 3])
    assert np.array_equal(progress.episode_progress(np.full(5, -2.0), EPSILON), np.zeros(5))


@given(short_or_long, st.floats(-10, 10))
def test_episode_progress_ignores_an_offset(curve: NDArray[np.float64], offset: float) -> None:
    assert np.allclose(
        progress.episode_progress(curve, 1e-3), progress.episode_progress(curve + offset, 1e-3), atol=1e-9
    )


def test_dataset_progress_lets_a_failure_end_low() -> None:
    successes = [np.linspace(-4, -0.1, 10) for _ in range(20)]
    failure = np.linspace(-4, -3, 10)
    *_, low = progress.dataset_progress([*successes, failure], EPSILON)
    high = progress.dataset_progress([*successes, failure], EPSILON)[0]
    assert low[-1] == pytest.approx(1 / 3.9, abs=0.02)
    assert high[-1] == pytest.approx(1.0, abs=1e-3)
    assert progress.episode_progress(failure, EPSILON)[-1] == pytest.approx(1.0, abs=1e-3)


def test_the_dataset_scale_begins_where_episodes_begin_and_not_where_they_dip() -> None:
    """A scorer that doubts in the middle must not lift the beginning off 0."""
    dip = np.array([-3.0, -9.0, -1.0])
    assert progress.dataset_bounds([dip] * 3) == (-3.0, -1.0)
    assert np.allclose(progress.dataset_progress([dip] * 3, 0.0), [0.0, 0.0, 1.0])
    spread = [np.array([first - 120.0, -200.0, first - 101.0]) for first in range(101)]
    assert progress.dataset_bounds(spread) == pytest.approx((-115.0, -6.0))


@given(st.lists(short_or_long, min_size=1, max_size=6))
def test_dataset_progress_has_one_scale(episodes: list[NDArray[np.float64]]) -> None:
    made = progress.dataset_progress(episodes, EPSILON)
    assert [len(p) for p in made] == [len(c) for c in episodes]
    scores, values = np.concatenate(episodes), np.concatenate(made)
    assert np.all((values >= 0) & (values <= 1))
    assert np.all(np.diff(values[np.argsort(scores, kind="stable")]) >= 0)


def test_per_frame_goes_through_the_prefixes() -> None:
    values = progress.per_frame(np.array([1, 3, 6]), np.array([0.0, 1.0, 0.4]), 8)
    assert np.allclose(values, [0, 0.5, 1, 0.8, 0.6, 0.4, 0.4, 0.4])


@pytest.mark.parametrize("lengths", [[0, 2], [2, 2], [1, 9], [3, 1]])
def test_per_frame_refuses_impossible_prefixes(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="prefix lengths"):
        progress.per_frame(np.array(lengths), np.zeros(2), 8)


@pytest.mark.parametrize(
    "made",
    [
        lambda curve: progress.episode_progress(curve, EPSILON),
        lambda curve: progress.dataset_progress([curve], EPSILON),
        progress.logodds_progress,
        lambda curve: progress.subtract_static(curve, curve),
    ],
)
@pytest.mark.parametrize("curve", [[0.0, np.nan], [np.inf, 0.0], [], [[0.0, 1.0]]])
def test_curves_that_are_none_are_refused(made: Any, curve: list[Any]) -> None:
    with pytest.raises(ValueError, match="one-dimensional, finite and not empty"):
        made(np.array(curve))
