"""What counts as flawed, and how much weight stays on it."""

import numpy as np
import pytest

from rabc.comparison.recipes import (
    OVER_DATASET,
    PROGRESS,
    SCHEMES,
    imitated,
    recipes_part,
    shares_part,
    treatment,
)
from rabc.config.settings import Apply
from rabc.sim.flaws import flawed_frames
from rabc.sim.recorder import EpisodeTruth
from rabc.system.errors import InputError
from tests.support.made_scores import frame_table


def flawed(kind: str, *phases: tuple[int, str], frames: int) -> list[int]:
    truth = EpisodeTruth(0, kind, True, phases, (0.0,) * frames)  # pyright: ignore[reportArgumentType]
    return np.flatnonzero(flawed_frames(truth)).tolist()


def test_an_attempt_is_as_good_as_what_it_leads_to() -> None:
    attempt = ((0, "approach"), (2, "descend"), (4, "grasp"))
    assert flawed("clean", *attempt, (5, "lift"), (7, "hold"), frames=9) == []
    again = ((7, "open"), (8, "approach"), (10, "lift"))
    assert flawed("retry", *attempt, (5, "miss"), *again, frames=12) == [0, 1, 2, 3, 4, 5, 6, 7]
    assert flawed("give_up", *attempt, (5, "miss"), (7, "give_up"), frames=9) == list(range(9))


def test_a_stall_taints_its_own_frames_alone() -> None:
    phases = ((0, "approach"), (2, "stall"), (4, "resume"), (5, "grasp"), (6, "lift"))
    assert flawed("stall", *phases, frames=8) == [2, 3]
    doomed = ((0, "approach"), (2, "stall"), (4, "resume"), (5, "grasp"), (6, "miss"), (7, "give_up"))
    assert flawed("give_up", *doomed, frames=8) == list(range(8))


def test_a_drop_taints_the_fall_and_not_the_pick_before_it() -> None:
    phases = (
        (0, "approach"),
        (1, "grasp"),
        (2, "lift"),
        (3, "drop"),
        (4, "open"),
        (5, "regrasp"),
        (6, "lift"),
    )
    assert flawed("drop", *phases, frames=8) == [3, 4]


def test_leaving_the_placed_cube_is_no_detour() -> None:
    place = ((0, "approach"), (1, "grasp"), (2, "carry"), (3, "release"), (4, "retreat"))
    assert flawed("clean", *place, frames=6) == []
    detour = ((0, "detour"), (1, "retreat"), (2, "approach"), (3, "lift"))
    assert flawed("detour", *detour, frames=5) == [0, 1]


def test_treatment_by_hand() -> None:
    found = treatment(np.array([1.0, 1.0, 2.0, 0.0]), np.array([True, False, False, False]))
    assert found.on_flawed == pytest.approx(1 / 4)
    assert found.sample_size == pytest.approx(9 / 5 / 3)
    only_flawed = treatment(np.array([1.0, 0.0]), np.array([True, False]))
    assert (only_flawed.on_flawed, only_flawed.sample_size) == (1.0, 0.0)


@pytest.mark.parametrize("apply", ["loss", "sampler", "ticks", "cuts"])
def test_what_is_imitated_by_hand(apply: Apply) -> None:
    """Two episodes, chunks of three actions: every action by every chunk that it is in."""
    lengths, chunk = [5, 4], 3
    weights = np.array([1.0, 0, 2, 1, 0, 0, 3, 1, 1])
    end = np.repeat([5, 9], lengths)
    expected = np.zeros(9)
    for begin in range(9):
        for frame in range(begin, min(begin + chunk, end[begin])):
            if apply == "cuts" and not weights[begin : frame + 1].all():
                break
            expected[frame] += weights[frame if apply == "ticks" else begin]
    assert imitated(weights, frame_table(lengths), chunk, apply) == pytest.approx(expected)


def test_the_table_has_every_recipe() -> None:
    recipes = [
        {"weights": {**scheme, **source}, "on_flawed": 0.25, "sample_size": 0.5}
        for scheme in SCHEMES
        for source in PROGRESS
    ]
    table = recipes_part({"flawed": 0.4, "frames": 100, "recipes": recipes})
    refused = 3  # with a scale for each episode: auto by ticks and by cuts, and leaving out episodes
    assert table.count("25 / 50") == len(SCHEMES) * len(PROGRESS) - refused
    assert "| rabc κ 0.2 |" in table


def test_a_recipe_that_the_kept_table_lacks_is_named() -> None:
    with pytest.raises(InputError, match="recipe none episode: is not in the kept table; run rabc results"):
        recipes_part({"flawed": 0.4, "frames": 100, "recipes": []})


def test_the_table_of_shares_has_every_scheme() -> None:
    few, many = (
        {
            "flawed": share,
            "behind": 1 - share,
            "recipes": [
                {"weights": {**scheme, **OVER_DATASET}, "on_flawed": share, "sample_size": 0.5}
                for scheme in SCHEMES
            ],
        }
        for share in (0.1, 0.6)
    )
    table = shares_part({"90 % clean": few, "40 % clean": many})
    assert "| flawed frames | 10 | 60 |" in table
    assert "| frames behind | 90 | 40 |" in table
    assert table.count("| 10 / 50 | 60 / 50 |") == len(SCHEMES)
