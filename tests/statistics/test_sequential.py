"""The sequential test: its closed form, its false alarms under many looks, what it finds, its interval."""

import warnings
from typing import Any

import numpy as np
import pytest
from scipy.special import betaln

from rabc.statistics import sequential
from rabc.statistics.intervals import outcome_differences
from rabc.statistics.sequential import PRIOR, evidence, running_interval, stops_after
from rabc.statistics.significance import mcnemar

LEVEL = 0.05


def always_valid_interval(first: Any, second: Any, level: float = 0.05) -> tuple[float, float]:
    return sequential.always_valid_interval(outcome_differences(first, second).mean(axis=0), level)


def _pairs(
    generator: np.random.Generator, shape: tuple[int, int], wins: float, losses: float
) -> tuple[np.ndarray, np.ndarray]:
    """Outcomes of two arms, of which the first alone succeeds with `wins`, the second alone with `losses`."""
    draws = generator.random(shape)
    both = draws > 0.8
    return (draws < wins) | both, ((draws >= wins) & (draws < wins + losses)) | both


def test_with_one_seed_it_is_the_mixture_likelihood_ratio_of_a_coin():
    first, second = _pairs(np.random.default_rng(0), (1, 400), 0.3, 0.15)
    wins = np.cumsum(first[0] & ~second[0])
    losses = np.cumsum(second[0] & ~first[0])
    exact = betaln(PRIOR + wins, PRIOR + losses) - betaln(PRIOR, PRIOR) + (wins + losses) * np.log(2)
    assert np.log(evidence(first, second)) == pytest.approx(exact, abs=1e-9)
    assert evidence(second, first) == pytest.approx(evidence(first, second))


def test_it_stops_where_the_evidence_reaches_one_over_the_level():
    assert stops_after(np.array([1.0, 19.9, 20.0, 3.0])) == 3
    assert stops_after(np.array([1.0, 19.9])) is None
    # Four arms against one baseline.
    assert stops_after(np.array([20.0, 79.0, 81.0]), LEVEL / 4) == 3


def test_looking_after_every_start_state_gives_no_more_false_alarms_than_the_level():
    generator = np.random.default_rng(0)
    trials, alarms, naive = 2000, 0, 0
    for trial in range(trials):
        first, second = _pairs(generator, (1, 150), 0.25, 0.25)
        alarms += stops_after(evidence(first, second), LEVEL) is not None
        if trial < 100:
            wins, losses = np.cumsum(first & ~second)[::4], np.cumsum(second & ~first)[::4]
            looks = zip(wins.tolist(), losses.tolist(), strict=True)
            naive += any(mcnemar(won, lost) <= LEVEL for won, lost in looks)
    assert 0 < alarms / trials <= LEVEL
    # Looks with a test made for one look: why this one exists.
    assert naive / 100 > 2 * LEVEL


def test_training_seeds_that_share_start_states_give_no_more_false_alarms_either():
    # Equally good over all start states, but each start state suits one of the arms, whatever the seed.
    generator = np.random.default_rng(0)
    trials, alarms, coins = 2000, 0, 0
    for _ in range(trials):
        suits = np.where(generator.random((1, 100)) < 0.5, 0.45, 0.05)
        draws = generator.random((3, 100))
        first, second = draws < suits, (draws >= suits) & (draws < 0.5)
        alarms += stops_after(evidence(first, second), LEVEL) is not None
        in_turn = [outcomes.T.reshape(1, -1) for outcomes in (first, second)]
        coins += stops_after(evidence(*in_turn), LEVEL) is not None
    assert alarms / trials <= LEVEL
    # Every seed's pair as a coin of its own: why the start state is the unit.
    assert coins / trials > LEVEL


@pytest.mark.parametrize(("seeds", "wins", "losses", "least"), [(1, 0.35, 0.15, 0.85), (3, 0.35, 0.19, 0.95)])
def test_it_finds_a_difference_and_stops_early(seeds: int, wins: float, losses: float, least: float):
    generator = np.random.default_rng(0)
    stops = [stops_after(evidence(*_pairs(generator, (seeds, 200), wins, losses)), LEVEL) for _ in range(300)]
    found = [stop for stop in stops if stop is not None]
    assert len(found) / 300 >= least
    assert np.mean(found) < 120


def test_a_certain_difference_is_certain_at_once():
    first, second = np.ones((2, 3000), bool), np.zeros((2, 3000), bool)
    with np.errstate(over="raise", invalid="raise", divide="raise"):
        e_values = evidence(first, second)
    stop = stops_after(e_values)
    assert stop is not None
    assert stop <= 12
    assert np.isfinite(e_values).all()
    low, high = always_valid_interval(first, second)
    assert low > 0.99
    assert high == 1


def test_the_interval_excludes_zero_where_the_test_stops():
    generator = np.random.default_rng(0)
    for wins, losses in ((0.35, 0.15), (0.15, 0.35)):
        first, second = _pairs(generator, (2, 300), wins, losses)
        stop = stops_after(evidence(first, second))
        assert stop is not None
        low, high = always_valid_interval(first[:, :stop], second[:, :stop])
        assert low * high > 0
        assert low < wins - losses < high
        mirrored = always_valid_interval(second[:, :stop], first[:, :stop])
        assert mirrored == pytest.approx((-high, -low))
        low, high = always_valid_interval(first[:, : stop - 1], second[:, : stop - 1])
        assert low <= 0 <= high


@pytest.mark.parametrize("seeds", [1, 3])
def test_what_stops_the_test_is_what_its_interval_says(seeds: int):
    # Also where a look in between decided and the last one would not.
    generator = np.random.default_rng(1)
    decided = 0
    for _ in range(40):
        first, second = _pairs(generator, (seeds, 60), 0.30, 0.14)
        stopped = stops_after(evidence(first, second)) is not None
        low, high = running_interval(first, second)
        assert stopped == (not low <= 0 <= high)
        decided += stopped
    assert 5 < decided < 35


def test_the_interval_is_what_no_gambler_refutes():
    first, second = _pairs(np.random.default_rng(2), (3, 50), 0.3, 0.1)
    differences = (first * 1.0 - second).mean(axis=0)
    stakes = np.linspace(-1, 1, 4001)
    stakes = (stakes[1:] + stakes[:-1]) / 2
    shares = ((1 - stakes**2) / 4) ** (PRIOR - 1)

    def holds(m: float) -> float:
        most = np.where(stakes > 0, 1 + m, 1 - m)[:, None]
        return float(shares @ np.prod(1 + stakes[:, None] / most * (differences - m), axis=1) / shares.sum())

    kept = [m for m in np.linspace(-0.995, 0.995, 399) if holds(m) < 1 / LEVEL]
    low, high = always_valid_interval(first, second)
    assert (low, high) == (pytest.approx(kept[0], abs=0.006), pytest.approx(kept[-1], abs=0.006))


def test_the_interval_covers_the_difference_at_every_look():
    generator = np.random.default_rng(0)
    missed = 0
    for _ in range(100):
        first, second = _pairs(generator, (2, 120), 0.35, 0.15)
        # Nobody may stake more than there is, whatever the difference that is bet against.
        with np.errstate(invalid="raise", divide="raise"):
            intervals = [always_valid_interval(first[:, :n], second[:, :n]) for n in range(10, 121, 10)]
        missed += any(not low <= 0.2 <= high for low, high in intervals)
    assert missed / 100 <= LEVEL


def test_what_a_look_has_excluded_stays_excluded() -> None:
    rng = np.random.default_rng(3)
    first, second = rng.random((2, 1, 95)) < np.array([[[0.8]], [[0.4]]])
    looks = range(1, 96)
    ends = [always_valid_interval(first[:, :look], second[:, :look], 0.05) for look in looks]
    low, high = running_interval(first, second, 0.05)
    assert (low, high) == (max(low for low, _ in ends), min(high for _, high in ends))
    assert low < 0.4 < high
    assert running_interval(first, second) == (low, high)
    with warnings.catch_warnings(action="error"):
        assert running_interval(first[:, :1], second[:, :1]) == ends[0]
    # Where the arms changed places nothing is left of all looks; then the last one speaks.
    half = np.ones((1, 100), bool)
    turned = half.copy()
    turned[:, 50:] = False
    assert running_interval(turned, ~turned, 0.05) == always_valid_interval(turned, ~turned, 0.05)
