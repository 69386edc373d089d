"""Every weight scheme: bounds, order, what it reads, mean 1, and a slow reference of its own."""

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from numpy.typing import NDArray

from rabc.config.settings import WeightsConfig
from rabc.system.errors import InputError
from rabc.weighting import schemes
from rabc.weighting.deltas import chunk_deltas, episode_bounds

CHUNK = 4
SCHEMES = {
    "none": WeightsConfig(scheme="none"),
    "topreward": WeightsConfig(scheme="topreward"),
    "topreward, low": WeightsConfig(scheme="topreward", tau=0.7, delta_max=1.5),
    "rabc": WeightsConfig(scheme="rabc"),
    "rabc, strict": WeightsConfig(scheme="rabc", kappa=0.3),
    "awr": WeightsConfig(scheme="awr"),
    "awr, sharp": WeightsConfig(scheme="awr", beta=0.3, weight_max=3.0),
    "mask": WeightsConfig(scheme="mask"),
    "mask, gain": WeightsConfig(scheme="mask", min_delta=0.1),
    "mask, pace": WeightsConfig(scheme="mask", min_delta=None),
    "filter frames": WeightsConfig(scheme="filter", drop="frames", drop_share=0.3),
    "filter episodes": WeightsConfig(scheme="filter", drop_share=0.4),
    "filter below": WeightsConfig(scheme="filter", drop_below=0.5),
}
LARGEST = {
    "none": 1.0, "topreward": 2.0, "topreward, low": 1.5, "rabc": 1.0, "rabc, strict": 1.0, "awr": 20.0,
    "awr, sharp": 3.0, "mask": 1.0, "mask, gain": 1.0, "mask, pace": 1.0, "filter frames": 1.0,
    "filter episodes": 1.0, "filter below": 1.0,
}  # fmt: skip
OF_THE_EPISODE = {"filter episodes", "filter below"}
"""Schemes whose order is that of the final progress; of the others it is that of the deltas."""
ALONE = {"none", "topreward", "topreward, low", "mask", "mask, gain", "filter below"}
"""Schemes by which an episode's weights do not depend on any other episode. The others' depend on mean and
standard deviation of all deltas (rabc, awr), on ranks (filter) or on the median length (mask by the pace)."""
every_scheme = pytest.mark.parametrize("name", SCHEMES)

episodes = st.lists(
    st.lists(st.floats(0, 1, width=32), min_size=1, max_size=15).map(lambda x: np.array(x, np.float64)),
    min_size=1,
    max_size=6,
)
Episodes = Sequence[NDArray[np.floating]]


def joined(curves: Episodes) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Deltas, progress and episode of every frame."""
    progress = np.concatenate(curves).astype(np.float64)
    index = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    return chunk_deltas(progress, index, CHUNK, "per_step"), progress, index


def made(name: str, curves: Episodes) -> NDArray[np.float64]:
    return schemes.by_scheme(*joined(curves), SCHEMES[name], CHUNK)


def by_hand(name: str, curves: Episodes) -> list[float]:
    """One frame after the other, with Python's own arithmetic; from other frames only what is passed on."""
    settings = SCHEMES[name]
    deltas: list[list[float]] = []
    for curve in curves:
        last = len(curve) - 1
        row = []
        for t in range(len(curve)):
            end = min(t + CHUNK, last)
            beyond = max(min(CHUNK, 2 * last) - (end - t), 0)
            own = float(curve[-1]) - float(curve[0])
            row.append(float(curve[end]) - float(curve[t]) + (beyond * own / last if last else 0.0))
        deltas.append(row)
    flat = [delta for row in deltas for delta in row]
    mean = math.fsum(flat) / len(flat)
    std = math.sqrt(math.fsum((delta - mean) ** 2 for delta in flat) / len(flat))
    lengths = sorted(len(curve) for curve in curves)
    median = (lengths[(len(lengths) - 1) // 2] + lengths[len(lengths) // 2]) / 2
    finals = sorted(float(curve[-1]) for curve in curves)

    def weight(delta: float, final: float) -> float:
        match settings.scheme, settings.drop:
            case "none", _:
                return 1.0
            case "topreward", _:
                return min(max(settings.tau * math.exp(delta), 0.0), settings.delta_max)
            case "rabc", _:
                if delta > settings.kappa:
                    return 1.0
                if delta < 0:
                    return 0.0
                sigma, mu = max(std, settings.epsilon), max(mean, 0.0)
                soft = (delta - (mu - 2 * sigma)) / (4 * sigma + settings.epsilon)
                return min(max(soft, 0.0), 1.0)
            case "awr", _:
                z = (delta - mean) / max(std, settings.epsilon)
                return min(math.exp(z / settings.beta), settings.weight_max)
            case "mask", _:
                least = settings.min_delta
                return float(delta >= (min(1.0, CHUNK / median) / 2 if least is None else least))
            case "filter", "frames":
                return float(delta >= sorted(flat)[int(settings.drop_share * len(flat))])
            case _:
                least = settings.drop_below
                if least is None:
                    least = finals[int(settings.drop_share * len(finals))]
                return float(final >= least)

    return [
        weight(delta, float(curve[-1])) for curve, row in zip(curves, deltas, strict=True) for delta in row
    ]


@every_scheme
@given(curves=episodes)
def test_it_is_its_reference(name: str, curves: Episodes) -> None:
    assert np.allclose(made(name, curves), by_hand(name, curves), rtol=1e-6, atol=1e-9)


@every_scheme
@given(curves=episodes)
def test_weights_are_within_bounds(name: str, curves: Episodes) -> None:
    found = made(name, curves)
    assert found.shape == (sum(len(curve) for curve in curves),)
    assert np.all(np.isfinite(found))
    assert found.min() >= 0
    assert found.max() <= LARGEST[name]


@every_scheme
@given(curves=episodes)
def test_a_frame_that_gains_more_never_weighs_less(name: str, curves: Episodes) -> None:
    deltas, progress, index = joined(curves)
    ends = episode_bounds(index)[:, 1] - 1
    key = progress[ends][index] if name in OF_THE_EPISODE else deltas
    order = np.argsort(key, kind="stable")
    sorted_weights = made(name, curves)[order]
    assert np.all(np.diff(sorted_weights) >= -1e-12)
    equal = np.diff(key[order]) == 0
    assert np.array_equal(sorted_weights[1:][equal], sorted_weights[:-1][equal])


@every_scheme
@given(curves=episodes, others=episodes)
def test_other_episodes_count_through_statistics_alone(name: str, curves: Episodes, others: Episodes) -> None:
    """Not at all where a scheme uses none; and never through their order."""
    first = curves[0]
    if name in ALONE:
        assert np.array_equal(made(name, curves)[: len(first)], made(name, [first, *others])[: len(first)])
    turned = made(name, curves[::-1])
    assert np.allclose(made(name, curves)[: len(first)], turned[len(turned) - len(first) :], atol=1e-9)


def test_schemes_that_compare_episodes_do() -> None:
    """Otherwise the test above would say nothing about the schemes that it leaves out."""
    first, worse, better = np.linspace(0, 0.5, 9), np.linspace(0, -0.9, 9), np.linspace(0, 3.0, 9)
    for name in SCHEMES.keys() - ALONE - {"rabc", "mask, pace", "filter frames", "filter episodes"}:
        assert not np.allclose(made(name, [first, worse])[:9], made(name, [first, better])[:9]), name
    steady, long = np.linspace(0, 0.3, 9), np.zeros(100)
    assert (made("mask, pace", [steady])[0], made("mask, pace", [steady, long, long])[0]) == (0.0, 1.0)
    soft = np.linspace(0, 0.05, 9)
    assert not np.allclose(made("rabc, strict", [soft, worse])[:9], made("rabc, strict", [soft, better])[:9])
    for name in ("filter frames", "filter episodes"):
        worst = made(name, [np.array([0.0, value]) for value in (0.5, 0.6, 0.7, 0.8)])
        best = made(name, [np.array([0.0, value]) for value in (0.5, 0.1, 0.2, 0.3)])
        assert (worst[0], best[0]) == (0.0, 1.0), name


@every_scheme
@given(curves=episodes, factor=st.floats(1e-3, 1e3))
def test_normalised_weights_have_mean_one_whatever_their_scale(
    name: str, curves: Episodes, factor: float
) -> None:
    raw = made(name, curves)
    assume(raw.any())
    found = schemes.normalise(raw)
    assert found[found > 0].mean() == pytest.approx(1.0)
    assert np.array_equal(found > 0, raw > 0)
    assert np.allclose(schemes.normalise(factor * raw), found, rtol=1e-9)
    summary = schemes.summary(found)
    assert 0 < summary.effective_sample_size <= summary.drawn * (1 + 1e-9)
    assert sum(summary.histogram_counts) == summary.frames == len(raw)


@given(curves=episodes, scale=st.floats(0.1, 10), shift=st.floats(-1, 1))
def test_awr_knows_no_units(curves: Episodes, scale: float, shift: float) -> None:
    deltas, _, _ = joined(curves)
    assume(deltas.std() > 1e-3)
    assert np.allclose(
        schemes.awr(scale * deltas + shift, 1.0, 20.0, 1e-6), schemes.awr(deltas, 1.0, 20.0, 1e-6), rtol=1e-6
    )


def test_awr_by_hand() -> None:
    """Mean 1, standard deviation 2."""
    found = schemes.awr(np.array([-1.0, 3.0, -1.0, 3.0]), 0.5, 5.0, 1e-6)
    assert np.allclose(found, [math.exp(-2), 5.0, math.exp(-2), 5.0])
    assert np.allclose(schemes.awr(np.full(7, 0.3), 1.0, 20.0, 1e-6), 1.0)
    assert np.all(np.isfinite(schemes.awr(np.array([0.0, 0.0, 1e6]), 1e-4, 20.0, 1e-6)))


def test_filters_by_hand() -> None:
    deltas = np.array([0.5, -0.2, 0.1, 0.1, 0.3])
    assert schemes.filter_frames(deltas, 0.2).tolist() == [1, 0, 1, 1, 1]
    assert schemes.filter_frames(deltas, 0.4).tolist() == [1, 0, 1, 1, 1]  # 0.1 ties with one that stays
    assert schemes.filter_frames(deltas, 0.6).tolist() == [1, 0, 0, 0, 1]
    progress, index = np.array([0.9, 0.2, 0.0, 0.8, 0.1, 0.5]), np.array([0, 0, 1, 1, 2, 2])
    assert schemes.filter_episodes(progress, index, 0.4).tolist() == [0, 0, 1, 1, 1, 1]
    assert schemes.filter_episodes(progress, index, 0.2, 0.6).tolist() == [0, 0, 1, 1, 0, 0]


@given(st.integers(1, 50), st.floats(0, 0.99))
def test_a_filter_without_ties_drops_its_share(frames: int, share: float) -> None:
    deltas = np.random.default_rng(frames).permutation(frames) / 7.0
    assert np.sum(schemes.filter_frames(deltas, share) == 0) == int(share * frames)


def test_dropping_every_episode_is_an_input_error() -> None:
    settings = replace(SCHEMES["filter below"], drop_below=1.0)
    raw = schemes.by_scheme(*joined([np.array([0.1, 0.4]), np.array([0.2, 0.7])]), settings, CHUNK)
    with pytest.raises(InputError, match=r"all 4 drawable frames have weight 0.*parameters of"):
        schemes.normalise(raw)


def test_static_weights_are_not_made_of_progress() -> None:
    with pytest.raises(ValueError, match="come from a file"):
        schemes.by_scheme(*joined([np.zeros(3)]), WeightsConfig(scheme="static"), CHUNK)


@pytest.mark.parametrize("name", SCHEMES)
def test_no_frames_no_weights(name: str) -> None:
    nothing = np.empty(0)
    assert len(schemes.by_scheme(nothing, nothing, np.empty(0, np.int64), SCHEMES[name], CHUNK)) == 0


@every_scheme
@given(curves=episodes)
def test_one_task_is_weighted_as_ever_to_the_last_bit(name: str, curves: Episodes) -> None:
    deltas, progress, index = joined(curves)
    task = np.full(len(deltas), 7)
    made_with = schemes.by_scheme(deltas, progress, index, SCHEMES[name], CHUNK, task)
    assert np.array_equal(made_with, made(name, curves))
    if made_with.any():
        assert np.array_equal(schemes.normalise_tasks(made_with, task), schemes.normalise(made_with))


@every_scheme
@given(curves=episodes, others=episodes)
def test_a_task_is_compared_with_itself_alone(name: str, curves: Episodes, others: Episodes) -> None:
    """What the other task gains says nothing; its length says what is usual (`kappa`, `min_delta`)."""
    deltas, progress, index = joined([*curves, *others])
    task = (index >= len(curves)).astype(np.int64)
    own, count = SCHEMES[name], int((task == 0).sum())
    found = schemes.by_scheme(deltas, progress, index, own, CHUNK, task)
    faster = np.median([len(c) for c in [*curves, *others]]) / np.median([len(c) for c in curves])
    least = None if own.min_delta is None else own.min_delta * faster
    alone = replace(own, kappa=own.kappa * faster, min_delta=least)
    expected = schemes.by_scheme(deltas[:count], progress[:count], index[:count], alone, CHUNK)
    assert np.array_equal(found[:count], expected)


def test_each_task_has_mean_weight_one_and_one_of_which_nothing_is_left_has_none() -> None:
    weights, task = np.array([1.0, 3.0, 0.0, 5.0, 5.0, 0.0]), np.array([4, 4, 4, 9, 9, 1])
    assert schemes.normalise_tasks(weights, task).tolist() == [0.5, 1.5, 0, 1, 1, 0]
    with pytest.raises(InputError, match="all 6 drawable frames have weight 0"):
        schemes.normalise_tasks(np.zeros(6), task)
