"""Prediction-powered means: by hand, their coverage, what good and useless predictions are worth."""

import numpy as np
import pytest

from rabc.statistics.prediction_powered import (
    prediction_powered_difference,
    prediction_powered_mean,
    prediction_weight,
)

TRIALS = 1000


def _drawn(
    generator: np.random.Generator, rate: float, labelled: int, total: int, separation: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Labels, their predictions and those of the others: scores of successes are `separation` SDs higher."""
    success = generator.random(total) < rate
    scores = generator.normal(size=total) + separation * success
    return success[:labelled].astype(np.float64), scores[:labelled], scores[labelled:]


def test_a_small_example_by_hand():
    labels, predictions = np.array([1.0, 1.0, 0.0, 0.0]), np.array([0.9, 0.7, 0.3, 0.1])
    others = np.array([0.8, 0.6, 0.4, 0.2, 0.9, 0.7, 0.3, 0.1])
    # Deviations of labels 0.5, 0.5, -0.5, -0.5, of predictions 0.4, 0.2, -0.2, -0.4: covariance 0.6 / 3.
    # Squares of all twelve deviations from 0.5: 4 times 0.16, 2 times 0.09, 4 times 0.04, 2 times 0.01.
    variance = (4 * 0.16 + 2 * 0.09 + 4 * 0.04 + 2 * 0.01) / 11
    weight = 0.2 / ((1 + 4 / 8) * variance)
    assert prediction_weight(labels, predictions, others) == pytest.approx(weight)
    found = prediction_powered_mean(labels, predictions, others)
    assert found.value == pytest.approx(0.5)
    residuals = 0.5 - weight * np.array([0.4, 0.2])
    error = np.sqrt(weight**2 * variance / 8 + 2 * (residuals**2).sum() / 3 / 4)
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx((0.5 - 1.959964 * error, 0.5 + 1.959964 * error))
    assert found.count == 12


@pytest.mark.parametrize(("rate", "labelled", "total"), [(0.5, 50, 200), (0.7, 60, 120), (0.6, 100, 1000)])
@pytest.mark.parametrize("separation", [0.0, 1.5, 5.0])
def test_the_interval_covers_the_rate(rate: float, labelled: int, total: int, separation: float):
    generator = np.random.default_rng(0)
    means = differences = 0
    for _ in range(TRIALS):
        first = _drawn(generator, rate, labelled, total, separation)
        second = _drawn(generator, 0.4, labelled, total, separation)
        found = prediction_powered_mean(*first)
        means += found.low <= rate <= found.high
        found = prediction_powered_difference(first, second)
        differences += found.low <= rate - 0.4 <= found.high
    # Three standard errors of 1000 trials are 2 points.
    assert means / TRIALS == pytest.approx(0.95, abs=0.025)
    assert differences / TRIALS == pytest.approx(0.95, abs=0.025)


def test_predictions_that_are_wrong_on_average_do_not_bias_it():
    generator = np.random.default_rng(0)
    values = []
    for _ in range(TRIALS):
        labels, predictions, others = _drawn(generator, 0.3, 40, 200, 3.0)
        values.append(prediction_powered_mean(labels, 5 + predictions, 5 + others).value)
    assert np.mean(values) == pytest.approx(0.3, abs=0.01)


@pytest.mark.parametrize(("separation", "total"), [(0.5, 400), (2.0, 400), (2.0, 80), (5.0, 400)])
def test_no_other_weight_spreads_less(separation: float, total: int):
    generator = np.random.default_rng(0)
    fixed = np.linspace(0, 1, 41)
    tuned, rivals, stated = [], [], []
    for _ in range(TRIALS):
        labels, predictions, others = _drawn(generator, 0.5, 60, total, separation)
        found = prediction_powered_mean(labels, predictions, others)
        tuned.append(found.value)
        stated.append(found.standard_error)
        rivals.append(labels.mean() + fixed * (others.mean() - predictions.mean()))
    assert np.std(tuned) <= 1.03 * np.std(rivals, axis=0).min()
    assert np.mean(stated) == pytest.approx(np.std(tuned), rel=0.07)


def test_the_scale_of_predictions_does_not_matter():
    labels, predictions, others = _drawn(np.random.default_rng(0), 0.5, 30, 100, 2.0)
    plain = prediction_powered_mean(labels, predictions, others)
    scaled = prediction_powered_mean(labels, 0.01 * predictions - 7, 0.01 * others - 7)
    assert (scaled.value, scaled.low, scaled.high) == pytest.approx((plain.value, plain.low, plain.high))


def test_good_predictions_are_worth_labels_and_useless_ones_cost_none():
    generator = np.random.default_rng(0)
    width = {}
    for separation in (0.0, 6.0):
        found = [prediction_powered_mean(*_drawn(generator, 0.5, 50, 500, separation)) for _ in range(100)]
        width[separation] = np.mean([one.high - one.low for one in found])
    alone = 2 * 1.96 * 0.5 / np.sqrt(50)
    assert width[0.0] == pytest.approx(alone, rel=0.03)
    assert width[6.0] < 0.5 * alone


def test_left_alone_the_labels_speak_for_themselves():
    labels, predictions, others = _drawn(np.random.default_rng(0), 0.5, 40, 100, 3.0)
    error = labels.std(ddof=1) / np.sqrt(40)
    for unhelpful in (
        (labels, predictions, others[:0]),
        (labels, np.ones(40), np.ones(60)),
        # Predictions that fall where labels rise.
        (labels, -predictions, -others),
    ):
        assert prediction_weight(*unhelpful) == 0
        found = prediction_powered_mean(*unhelpful)
        assert (found.value, found.standard_error) == pytest.approx((labels.mean(), error))


def test_two_labels_are_enough_for_a_weight_and_an_interval():
    labels, predictions, others = np.array([0.0, 1.0]), np.array([0.2, 0.6]), np.array([0.1, 0.3, 0.9])
    everything = np.array([0.2, 0.6, 0.1, 0.3, 0.9])
    # Deviations of labels -0.5 and 0.5, of predictions -0.2 and 0.2: covariance 0.2 / 1.
    weight = 0.2 / ((1 + 2 / 3) * everything.var(ddof=1))
    assert prediction_weight(labels, predictions, others) == pytest.approx(weight)
    found = prediction_powered_mean(labels, predictions, others)
    assert found.value == pytest.approx(0.5 + weight * (others.mean() - predictions.mean()))
    residuals = labels - weight * predictions
    variance = residuals.var(ddof=1) / 2 + weight**2 * everything.var(ddof=1) / 3
    assert found.standard_error == pytest.approx(np.sqrt(variance))


def test_a_difference_is_of_two_independent_means():
    drawn = [_drawn(np.random.default_rng(seed), 0.5, 30, 30 + 50 * (seed + 1), 2.0) for seed in (0, 1)]
    first, second = (prediction_powered_mean(*one) for one in drawn)
    found = prediction_powered_difference(*drawn)
    error = np.sqrt(first.standard_error**2 + second.standard_error**2)
    assert found.value == pytest.approx(first.value - second.value)
    assert found.standard_error == pytest.approx(error)
    assert (found.high - found.value, found.value - found.low) == pytest.approx((1.959964 * error,) * 2)
    assert found.count == 80 + 130


def test_too_few_labels_give_no_interval():
    found = prediction_powered_mean(np.ones(1), np.ones(1), np.zeros(5))
    assert (found.value, found.count) == (1, 6)
    assert np.isnan([found.low, found.high, found.standard_error]).all()
    none = prediction_powered_mean(np.zeros(0), np.zeros(0), np.zeros(5))
    assert np.isnan([none.value, none.low, none.high, none.standard_error]).all()
    assert none.count == 5
    with pytest.raises(ValueError, match=r"labels \(2,\), predictions \(3,\)"):
        prediction_powered_mean(np.zeros(2), np.zeros(3), np.zeros(5))
