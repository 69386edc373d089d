"""Borders of the schemes, what they refuse, and what a summary says, number by number."""

import math
from typing import Any

import numpy as np
import pytest

from rabc.config.settings import WeightsConfig
from rabc.system.errors import InputError
from rabc.weighting import schemes

ZEROS = np.zeros(2)


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: schemes.topreward(np.zeros(2), 0, 2), "tau 0, delta_max 2: must be positive"),
        (lambda: schemes.topreward(np.zeros(2), 2, 0), "tau 2, delta_max 0: must be positive"),
        (lambda: schemes.awr(np.zeros(2), 0, 2, 1e-6), "beta 0, weight_max 2: must be positive"),
        (lambda: schemes.awr(np.zeros(2), 2, 0, 1e-6), "beta 2, weight_max 0: must be positive"),
        (lambda: schemes.filter_frames(np.zeros(2), -0.1), r"drop_share -0.1: must be in \[0, 1\)"),
        (lambda: schemes.filter_frames(np.zeros(2), 1), r"drop_share 1: must be in \[0, 1\)"),
        (
            lambda: schemes.by_scheme(ZEROS, ZEROS, np.zeros(2, np.int64), WeightsConfig(scheme="static"), 1),
            "scheme static: its weights come from a file, not from progress",
        ),
        (
            lambda: schemes.normalise(np.ones(3), np.ones(2, bool)),
            r"weights \(3,\), drawable \(2,\): must be one \(N,\)",
        ),
        (lambda: schemes.normalise(np.array([1, np.nan])), "weights: must be finite and not negative"),
        (lambda: schemes.normalise(np.array([1.0, -1])), "weights: must be finite and not negative"),
        (lambda: schemes.summary(np.zeros(3)), "weights: must be one-dimensional and not all 0"),
        (lambda: schemes.summary(np.empty(0)), "weights: must be one-dimensional and not all 0"),
        (lambda: schemes.summary(np.ones((2, 1))), "weights: must be one-dimensional and not all 0"),
    ],
)
def test_what_makes_no_weights_is_refused(made: Any, said: str) -> None:
    with pytest.raises(ValueError, match=f"^{said}$"):
        made()


def test_weights_of_which_nothing_is_left_are_named() -> None:
    for weights, drawable, said in (
        (
            [0.0, 0, 5],
            [True, True, False],
            "weights: all 2 drawable frames have weight 0; nothing is left to learn from, so check the "
            "scorer, or the parameters of weights.scheme",
        ),
        ([1.0], [False], "drawable frames 0: no frame can be drawn for training; check the dataset"),
        ([], None, "drawable frames 0: no frame can be drawn for training; check the dataset"),
    ):
        with pytest.raises(InputError) as refused:
            schemes.normalise(np.array(weights), None if drawable is None else np.array(drawable))
        assert str(refused.value) == said


def test_no_deltas_give_no_weights() -> None:
    nothing = np.empty(0)
    for made in (
        schemes.none(nothing), schemes.topreward(nothing, 2, 2), schemes.rabc(nothing, 0.01, 1e-6),
        schemes.awr(nothing, 1, 20, 1e-6), schemes.mask(nothing, 0), schemes.filter_frames(nothing, 0.5),
    ):  # fmt: skip
        assert made.shape == (0,)


def test_the_least_values_that_are_taken() -> None:
    assert schemes.topreward(np.array([0.0, -1]), 0.5, 1e-3).tolist() == [1e-3, 1e-3]
    assert schemes.topreward(np.array([0.0]), 1e-3, 1).tolist() == [1e-3]
    assert schemes.awr(np.array([0.0, 2]), 1, 0.5, 1e-6).tolist() == pytest.approx([math.exp(-1), 0.5])
    assert schemes.awr(np.array([0.0, 2]), 0.5, 20, 1e-6) == pytest.approx([math.exp(-2), math.exp(2)])
    assert schemes.filter_frames(np.array([3.0, 1, 2]), 0).tolist() == [1, 1, 1]


@pytest.mark.parametrize("delta", [0.3, 0.69, 0.7, 0.99, 1.6, 1.7, 2.4])
def test_an_exponent_is_capped_only_where_the_clip_acts_anyway(delta: float) -> None:
    """Up to the logarithm of the clip and beyond it."""
    assert schemes.topreward(np.array([delta]), 2.0, 4.0)[0] == pytest.approx(min(2 * math.exp(delta), 4))
    # Mean 0, standard deviation delta.
    made = schemes.awr(np.array([-delta, delta]), 0.7 / delta, 4.0, 1e-6)
    assert made == pytest.approx([math.exp(-delta / 0.7), min(math.exp(delta / 0.7), 4)])


def test_a_spread_below_epsilon_is_epsilon() -> None:
    deltas = np.array([-0.1, 0.1])
    assert schemes.awr(deltas, 1, 20, 0.5) == pytest.approx([math.exp(-0.2), math.exp(0.2)])
    # Mean 0, sigma 0.5: (0.1 + 1) / (2 + 0.5).
    assert schemes.rabc(deltas, 0.2, 0.5) == pytest.approx([0, 1.1 / 2.5])


def test_rabc_at_its_borders() -> None:
    deltas = np.array([0.0, 0.2, np.nextafter(0.2, 1), -1e-9, 0.1])
    mu, sigma = deltas.mean(), deltas.std()
    soft = [(delta - (mu - 2 * sigma)) / (4 * sigma + 1e-6) for delta in (0.0, 0.2, 0.1)]
    assert schemes.rabc(deltas, 0.2, 1e-6) == pytest.approx([soft[0], soft[1], 1, 0, soft[2]])
    # A mean below 0 counts as 0.
    below = np.array([0.0, -3.0])
    assert schemes.rabc(below, 1, 1e-6)[0] == pytest.approx((0 + 2 * 1.5) / (4 * 1.5 + 1e-6))
    # Where a few deltas are far away the soft part leaves 0 and 1, and is cut there.
    far = np.array([0.0] * 1000 + [0.5] + [100.0])
    assert schemes.rabc(far, 1000, 1e-6).max() == 1
    low = np.array([50.0] * 99 + [0.0])
    assert schemes.rabc(low, 1000, 1e-6).min() == 0


def test_a_gain_of_just_the_least_stays() -> None:
    assert schemes.mask(np.array([0.1, np.nextafter(0.1, 0)]), 0.1).tolist() == [1, 0]
    progress, index = np.array([0.9, 0.5, 0.1, 0.4]), np.array([0, 0, 1, 1])
    assert schemes.filter_episodes(progress, index, 0, 0.5).tolist() == [1, 1, 0, 0]


def test_a_task_twice_as_fast_has_twice_the_thresholds() -> None:
    """Medians 6 of all episodes, 8 of the first task and 4 of the second."""
    index, task = np.repeat([0, 1, 2, 3], [8, 8, 4, 4]), np.repeat([0, 1], [16, 8])
    deltas = np.linspace(0, 1, 24).astype(np.float64)
    for gained in (0.375, 0.5):
        deltas[[0, 16]] = gained
        kept = schemes.by_scheme(deltas, deltas, index, WeightsConfig(scheme="mask", min_delta=0.5), 4, task)
        # 0.5 * 6 / 8 = 0.375 and 0.5 * 6 / 4 = 0.75.
        assert (kept[0], kept[16]) == (1, 0)
        assert np.array_equal(kept, (deltas >= np.where(task == 0, 0.375, 0.75)).astype(float))
    full = schemes.by_scheme(deltas, deltas, index, WeightsConfig(scheme="rabc", kappa=0.36), 4, task)
    own = [schemes.rabc(deltas[task == n], 0.36 * 6 / frames, 1e-6) for n, frames in ((0, 8), (1, 4))]
    assert np.array_equal(full, np.concatenate(own))


def test_frames_that_may_not_be_drawn_have_weight_0() -> None:
    made = schemes.normalise(np.array([4.0, 2, 0, 9]), np.array([True, True, True, False]))
    assert made == pytest.approx([2, 1, 0, 0])
    # Of numbers so large or small that their sum is none.
    for scale in (1e308, 1e-308):
        assert schemes.normalise(np.array([1.0, 1.0, 0.5]) * scale) == pytest.approx([1.2, 1.2, 0.6])


def test_one_task_or_none_is_normalised_as_one() -> None:
    assert schemes.normalise_tasks(np.array([1.0, 3, 0]), np.zeros(3, np.int64)) == pytest.approx(
        [0.5, 1.5, 0]
    )
    with pytest.raises(InputError, match="all 2 drawable frames have weight 0"):
        schemes.normalise_tasks(np.zeros(2), np.array([0, 1]))
    with pytest.raises(InputError, match="drawable frames 0"):
        schemes.normalise_tasks(np.empty(0), np.empty(0, np.int64))


def test_weights_below_1_are_weights() -> None:
    assert schemes.normalise(np.array([0.0, 0.2, 0.6])) == pytest.approx([0, 0.5, 1.5])
    weights, task = np.array([0.2, 0.6, 0.5, 0.5, 0.0]), np.array([0, 0, 1, 1, 2])
    assert schemes.normalise_tasks(weights[:4], task[:4]) == pytest.approx([0.5, 1.5, 1, 1])
    assert schemes.normalise_tasks(weights, task) == pytest.approx([0.5, 1.5, 1, 1, 0])


def test_weights_of_single_precision_count_as_of_double() -> None:
    weights = np.random.default_rng(0).random(1000).astype(np.float32)
    double = weights.astype(np.float64)
    assert schemes.normalise(weights) == pytest.approx(double / double.mean(), rel=1e-12)
    relative = double / double.max()
    assert schemes.summary(weights).effective_sample_size == pytest.approx(
        relative.sum() ** 2 / (relative**2).sum(), rel=1e-12
    )


def test_a_summary_number_by_number() -> None:
    weights = np.array([0.0, 0.05, 0.1, 1.0, 2.0, 2.0 * (1 - 1e-10), 1.999])
    found = schemes.summary(weights)
    assert (found.frames, found.drawn) == (7, 6)
    assert found.effective_sample_size == pytest.approx(weights.sum() ** 2 / (weights**2).sum())
    assert found.share_zero == pytest.approx(1 / 7)
    assert found.share_saturated == pytest.approx(2 / 7)
    assert found.histogram_edges == pytest.approx(tuple(np.arange(21) / 10))
    counts = [0] * 20
    for weight in weights:
        counts[min(int(weight * 10), 19)] += 1
    assert found.histogram_counts == tuple(counts)
    assert type(found.histogram_counts[0]) is int
    large = schemes.summary(np.array([1e200, 1e200, 5e199]))
    assert large.effective_sample_size == pytest.approx(6.25 / 2.25)
    assert large.share_saturated == pytest.approx(2 / 3)
    # None is saturated for being small beside an absolute tolerance.
    assert schemes.summary(np.array([1e-12, 5e-13])).share_saturated == 0.5


def test_a_summary_of_weights_of_which_none_is_0() -> None:
    found = schemes.summary(np.array([1.0, 2.0, 2.0 * (1 - 1e-7)]))
    assert (found.share_zero, found.share_saturated) == (0, pytest.approx(1 / 3))
    assert found.histogram_edges == pytest.approx(tuple(np.arange(21) / 10))
    assert found.histogram_counts == (*[0] * 10, 1, *[0] * 8, 2)
