"""The rule of scheme `auto`, on demonstrations whose flaws are known by construction."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.config.weight_checks import weight_problems
from rabc.weighting import auto, schemes
from rabc.weighting.auto import Left, leave, relative_gains, sentence
from rabc.weighting.deltas import chunk_deltas

SPAN = 20
Curve = NDArray[np.float64]
GAVE_UP: Curve = np.linspace(0, 0.3, 120)


def even(ticks: int = 60, end: float = 1.0) -> Curve:
    return np.linspace(0, end, ticks)


def stalled(at: float = 0.5, ticks: int = 30) -> Curve:
    """An even demonstration that stops on the way."""
    path = even()
    place = int(at * len(path))
    return np.r_[path[:place], np.full(ticks, path[place]), path[place:]]


def left_of(curves: list[Curve], span: int = SPAN) -> tuple[Left, NDArray[np.int64]]:
    progress = np.concatenate(curves)
    episode = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    return leave(progress, episode, span), episode


def kept_of(curves: list[Curve], number: int) -> NDArray[np.bool_]:
    """What is left of one of them, beside one that gives up: of a flaw or two nothing would be left out."""
    left, episode = left_of([*curves, GAVE_UP])
    assert left.kept[episode == len(curves)].mean() < 0.5
    return left.kept[episode == number]


def test_of_even_demonstrations_nothing_is_left_out() -> None:
    left, _ = left_of([even(), even(50), even(75)])
    assert left.kept.all()
    assert (left.share, left.why) == (0.0, "0 % of the frames gain less than half of the usual")


def test_up_to_a_tenth_is_left_in() -> None:
    """Noise alone takes as much. Nothing is gained in 40 of 400 frames, or in 40 of 399."""
    for good, left_out in ((90, False), (89, True)):
        left, _ = left_of([*[even(90)] * 3, even(good), np.zeros(40)], span=8)
        assert left.kept.all() != left_out
    assert left.share == 0.5


def test_a_stop_is_left_out_and_what_is_around_it_stays() -> None:
    kept = kept_of([*[even()] * 4, stalled()], 4)
    assert not kept[35:55].any()  # the stop is ticks 30 to 60; its window reaches 10 ticks to either side
    assert kept[:25].all()
    assert kept[65:].all()


def test_going_back_and_what_follows_a_failure_are_left_out() -> None:
    back = np.r_[even(30, 0.5), np.linspace(0.5, 0.1, 20), np.linspace(0.1, 1, 50)]
    assert not kept_of([*[even()] * 4, back], 4)[32:48].any()
    failed = np.r_[even(40, 0.4), np.linspace(0.4, 0.05, 40), np.full(20, 0.05)]
    assert not kept_of([*[even()] * 4, failed], 4)[45:].any()


def test_slow_is_no_flaw_where_the_end_is_good() -> None:
    """At half the speed of the others; a failed episode as slow has no pace of its own."""
    assert kept_of([*[even()] * 6, even(120)], 6).all()
    assert kept_of([*[even()] * 6, even(150)], 6).all()
    assert not kept_of([*[even()] * 6, even(150, end=0.45)], 6).any()
    # Slower still is hardly a demonstration of the same: less than a quarter of the pace.
    assert not kept_of([*[even()] * 6, even(270)], 6).any()


def test_slow_people_keep_what_a_stage_hides() -> None:
    """Half of the time at a stage that a scorer hardly sees: what is slow there is as little a flaw."""
    fast = np.r_[np.linspace(0, 0.08, 20), np.linspace(0.08, 1, 20)]
    slow = np.r_[np.linspace(0, 0.08, 40), np.linspace(0.08, 1, 40)]
    assert kept_of([*[fast] * 6, *[slow] * 6], 6).all()


def test_a_stop_of_a_slow_demonstration_is_left_out_too() -> None:
    slow = np.r_[even(60, 0.5), np.full(40, 0.5), np.linspace(0.5, 1, 60)]
    kept = kept_of([*[even()] * 6, slow], 6)
    assert not kept[68:92].any()
    assert kept[:45].all()


def test_a_demonstration_that_stops_is_not_slow() -> None:
    """Its speed is that of where it moves, so that its stop is not watched for longer."""
    long = stalled(ticks=60)
    assert kept_of([*[even()] * 4, long], 4)[42:78].sum() == 0
    progress, episode = np.r_[even(), even(), long], np.repeat([0, 1, 2], [60, 60, len(long)])
    gains, usual = relative_gains(progress, episode, SPAN)
    plain = chunk_deltas(progress, episode, SPAN, "per_step", SPAN // 2)
    assert gains[:120] == pytest.approx(plain[:120])
    assert usual is not None
    assert usual == pytest.approx(np.full(len(progress), SPAN / 59), rel=0.01)


def test_a_stage_at_which_every_good_one_hardly_advances_is_no_flaw() -> None:
    """As a scorer that does not see half of it: nothing for 50 ticks, then all. Other stops are seen."""
    late = np.r_[np.linspace(0, 0.02, 50), np.linspace(0.02, 1, 40)]
    assert left_of([late] * 6)[0].kept.all()
    stops = np.r_[late[:70], np.full(30, late[69]), late[70:]]
    kept = kept_of([*[late] * 6, stops], 6)
    assert kept[:60].all()
    assert not kept[76:94].any()


def test_where_none_ends_well_nothing_is_left_out() -> None:
    left, _ = left_of([even(end=0.4), stalled() * 0.4])
    assert left.kept.all()
    assert (left.share, left.why) == (0.0, "no demonstration ends well, so nobody knows what is usual")
    assert (left.kept.shape, left.kept.dtype) == ((150,), np.dtype(bool))


def test_less_is_left_out_where_too_little_of_all_would_be_left() -> None:
    """One good demonstration among many that stand still: half of what it gains would leave a fifth."""
    still = np.r_[even(12, 0.1), np.full(300, 0.1)]
    left, _ = left_of([even(), *[still] * 20])
    assert left.share == 0
    assert left.kept.all()
    assert (left.kept.shape, left.kept.dtype) == ((60 + 20 * 312,), np.dtype(bool))
    said = re.fullmatch(r"half would leave no more than (\d+) % of the frames", left.why)
    assert said
    assert int(said[1]) < 25


def test_less_is_left_out_where_a_stage_would_be_lost() -> None:
    """All but a few good ones slow down at some stages, to a fifth of what those gain there."""
    slower = np.r_[np.linspace(0, 0.5, 30), np.linspace(0.5, 0.8, 94)[1:], np.linspace(0.8, 1, 13)[1:]]
    left, episode = left_of([*[even()] * 2, *[slower] * 6], span=6)
    assert left.share == 0
    assert re.fullmatch(
        r"half would leave no more than \d % of what shows \d0-\d0 % .*, and only 0 % .*", left.why
    )
    assert left.kept[episode > 1].all()


def by_hand(curves: list[Curve], span: int) -> tuple[list[float], list[float]]:
    """Gains and what is usual of every frame, one after the other, as the module says it."""

    def gains(own: Curve, span: int) -> list[float]:
        last, found = len(own) - 1, []
        for t in range(len(own)):
            first, end = max(t - span // 2, 0), min(t - span // 2 + span, last)
            beyond = max(min(span, 2 * last) - (end - first), 0)
            average = (own[-1] - own[0]) / last if last else 0.0
            found.append(float(own[end] - own[first] + beyond * average))
        return found

    well = [curve for curve in curves if curve[-1] >= 0.5]
    good = sorted(well, key=len)[: -(-len(well) // 4)]
    at = np.concatenate(good)
    gained = np.concatenate([gains(curve, span) for curve in good])
    stages = {min(int(value * 10), 9) for value in at}
    middles, amounts = [], []
    for stage in sorted(stages):
        own = [g for g, value in zip(gained, at, strict=True) if min(int(value * 10), 9) == stage]
        middles.append((stage + 0.5) / 10)
        amounts.append(float(np.quantile(own, 0.1)))
    all_gains: list[float] = []
    all_usual: list[float] = []
    for curve in curves:
        usual = [float(np.interp(value, middles, amounts)) for value in curve]
        own = gains(curve, span)
        speeds = [gain / much for gain, much in zip(own, usual, strict=True) if much > 0]
        if curve[-1] >= 0.5 and speeds and np.quantile(speeds, 0.75) < 0.8:
            own = gains(curve, 2 * span)
        all_gains += own
        all_usual += usual
    return all_gains, all_usual


@settings(deadline=None, max_examples=60)
@given(
    shapes=st.lists(
        st.tuples(st.integers(2, 80), st.sampled_from([0.3, 0.5, 0.8, 1.0])), min_size=1, max_size=9
    ),
    seed=st.integers(0, 1000),
    span=st.integers(2, 40),
)
def test_frame_by_frame_it_is_the_same(shapes: list[tuple[int, float]], seed: int, span: int) -> None:
    rng = np.random.default_rng(seed)
    curves = []
    for length, end in shapes:
        steps = rng.random(length) * (rng.random(length) > 0.3)
        rises = np.cumsum(steps) - steps[0]
        curves.append(np.append(end * rises[:-1] / max(rises[-1], 1e-9), end))
    episode = np.repeat(np.arange(len(curves)), [len(curve) for curve in curves])
    gains, usual = relative_gains(np.concatenate(curves), episode, span)
    if all(curve[-1] < 0.5 for curve in curves):
        assert usual is None
        return
    expected_gains, expected_usual = by_hand(curves, span)
    assert usual == pytest.approx(np.array(expected_usual))
    assert gains == pytest.approx(np.array(expected_gains))


def test_the_edges_are_on_the_side_of_what_stays() -> None:
    """A gain of just half, a quarter of the frames, a tenth of a stage, a final progress of one half."""
    progress = (np.arange(100) + 0.5) / 100
    for kept, said in ((25, ""), (24, "24 % of the frames")):
        chosen = np.zeros(100, bool)
        chosen[np.arange(kept) * 4] = True
        assert auto._lacks(chosen, progress) == said
    chosen = np.ones(100, bool)
    chosen[31:40] = False
    assert auto._lacks(chosen, progress) == ""
    chosen[30] = False
    assert auto._lacks(chosen, progress) == "0 % of what shows 30-40 % of progress"
    chosen = np.repeat([True, False, True], [180, 20, 0])
    twice = (np.arange(200) + 0.5) / 200
    chosen[190] = True
    assert auto._lacks(chosen, twice) == "5 % of what shows 90-100 % of progress"
    finely = (np.arange(20_000) + 0.5) / 20_000
    chosen = np.arange(20_000) < 4890
    assert auto._lacks(chosen, finely) == "24 % of the frames"  # 24.45
    chosen = np.ones(20_000, bool)
    chosen[6189:8000] = False
    assert auto._lacks(chosen, finely) == "9 % of what shows 30-40 % of progress"  # 9.45
    below = np.r_[np.full(20, -0.1), np.full(80, 0.95)]
    assert auto._lacks(np.arange(100) >= 20, below) == "0 % of what shows 0-10 % of progress"
    assert relative_gains(even(end=0.5), np.zeros(60, np.int64), SPAN)[1] is not None
    assert relative_gains(even(end=0.499), np.zeros(60, np.int64), SPAN)[1] is None


def test_where_good_ones_do_not_advance_nobody_is_slow() -> None:
    """They wait at 0.55; another shows that stage alone, and the last one is slow."""
    good = np.r_[even(30, 0.54), np.full(200, 0.55), np.linspace(0.6, 1, 20)]
    waits, slow = np.full(300, 0.55), np.r_[even(60, 0.54), np.full(200, 0.55), np.linspace(0.6, 1, 40)]
    curves = [good, waits, slow]
    episode = np.repeat(np.arange(3), [len(curve) for curve in curves])
    gains, usual = relative_gains(np.concatenate(curves), episode, SPAN)
    assert usual is not None
    assert usual[episode == 1].max() == 0
    expected_gains, expected_usual = by_hand(curves, SPAN)
    assert usual == pytest.approx(np.array(expected_usual))
    assert gains == pytest.approx(np.array(expected_gains))
    plain = chunk_deltas(np.concatenate(curves), episode, SPAN, "per_step", SPAN // 2)
    assert (gains != plain)[episode == 2].any()


def test_a_gain_of_just_the_share_stays() -> None:
    """Whole sixteenths, which are exact: the only good one gains 8 around each frame, this failed one 4."""
    good, half = np.arange(33) / 32.0, np.arange(13) / 64.0
    left, episode = left_of([good, half, np.zeros(10)], span=8)
    assert left.share == 0.5
    assert left.kept[episode == 1].all()
    assert not left.kept[episode == 2].any()


@settings(deadline=None, max_examples=100)
@given(
    lengths=st.lists(st.integers(2, 90), min_size=1, max_size=6),
    seed=st.integers(0, 1000),
    span=st.integers(2, 60),
)
def test_always_enough_is_left(lengths: list[int], seed: int, span: int) -> None:
    rng = np.random.default_rng(seed)
    curves = [np.clip(np.cumsum(rng.normal(0.02, 0.05, length)), 0, 1) for length in lengths]
    left, _ = left_of(curves, span)
    progress = np.concatenate(curves)
    assert left.kept.mean() >= auto.LEAST_KEPT
    stage = np.minimum((progress * 10).astype(int), 9)
    for number in range(10):
        assert not (stage == number).any() or left.kept[stage == number].mean() >= auto.LEAST_OF_STAGE
    assert left.kept.all() == (left.share == 0)
    assert left.kept.all() or 1 - left.kept.mean() > auto.LEAST_LEFT
    assert (left.why == "") == (left.share == auto.SHARES[0])


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 1000), share=st.sampled_from(auto.SHARES))
def test_a_larger_share_leaves_out_no_less(seed: int, share: float) -> None:
    rng = np.random.default_rng(seed)
    progress = np.clip(np.cumsum(rng.normal(0.02, 0.05, 60)), 0, 1)
    episode = np.zeros(60, np.int64)
    gains, usual = relative_gains(progress, episode, SPAN)
    if usual is not None:
        assert not ((gains >= share * usual) & (gains < share / 2 * usual) & (usual > 0)).any()


def test_tasks_are_judged_apart() -> None:
    """A slow task beside a fast one: each by its own pace."""
    curves = [even(30), even(30), stalled(ticks=50), even(60), even(60), even(60)]
    episode = np.repeat(np.arange(6), [len(curve) for curve in curves])
    progress = np.concatenate(curves)
    task = np.where(episode < 2, 0, 1)
    rule = WeightsConfig(scheme="auto", calibration="dataset", apply="ticks")
    deltas = chunk_deltas(progress, episode, SPAN, "per_step", SPAN // 2)
    made = schemes.by_scheme(deltas, progress, episode, rule, SPAN, task)
    assert set(made) == {0.0, 1.0}
    assert made[episode != 2].all()
    assert not made[episode == 2][42:68].any()


def test_the_sentence_says_what_was_done() -> None:
    half = Left(np.array([True, True, False, False]), 0.5, "")
    assert sentence(half, 30, 10.0) == (
        "leaves out 50 % of the frames: those that gain less than half of what good demonstrations gain "
        "there in 3.0 s"
    )
    less = Left(
        np.array([True, True, True, False]),
        0.25,
        "half would leave no more than 8 % of what shows 10-20 % of progress",
    )
    assert sentence(less, 45, 30.0) == (
        "leaves out 25 % of the frames: those that gain less than a quarter of what good demonstrations gain "
        "there in 1.5 s, since half would leave no more than 8 % of what shows 10-20 % of progress"
    )
    eighth = Left(np.array([True, False, False, False]), 0.125, "half would leave no more than 1 %")
    assert sentence(eighth, 30, 10.0).startswith(
        "leaves out 75 % of the frames: those that gain less than an eighth"
    )
    nothing = Left(np.ones(4, bool), 0.0, "3 % of the frames gain less than half of the usual")
    assert sentence(nothing, 30, 10.0) == f"nothing is left out: {nothing.why}"


@pytest.mark.parametrize(
    ("given_settings", "said"),
    [
        ({"calibration": "episode"}, "weights.calibration 'episode': .* weights.scheme 'auto' cannot tell"),
        ({"calibration": "episode", "progress_file": "p.parquet"}, None),
        ({"calibration": "dataset"}, None),
    ],
)
def test_a_failed_episode_must_not_look_like_a_success(
    given_settings: dict[str, Any], said: str | None
) -> None:
    found = list(
        weight_problems(Config(weights=WeightsConfig(scheme="auto", apply="ticks", **given_settings)))
    )
    assert (found == []) == (said is None)
    if said:
        assert re.match(said, found[0])


@pytest.mark.parametrize(
    ("apply", "fits"), [("loss", False), ("sampler", False), ("ticks", True), ("cuts", True)]
)
def test_the_rule_judges_actions_and_not_chunks(apply: Any, fits: bool) -> None:
    rule = WeightsConfig(scheme="auto", calibration="dataset", apply=apply)
    clamped = replace(rule, horizon="clamped")
    assert any("weights.horizon 'clamped'" in line for line in weight_problems(Config(weights=clamped)))
    other = replace(rule, kappa=0.2, min_delta=None)
    said = [line for line in weight_problems(Config(weights=other)) if "alone" in line]
    assert ["set weights.scheme rabc" in line for line in said] == [True, False]
    assert said[1].startswith("weights.min_delta None: is read by weights.scheme 'mask' alone")
    found = list(weight_problems(Config(weights=rule)))
    assert found == [] if fits else "judges actions by what is around them; give ticks or cuts" in found[0]
