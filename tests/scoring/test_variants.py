"""By which instruction a control is judged: never by one that may mean the same as the right one."""

import pytest

from rabc.datasets.tasks import plain_text
from rabc.scoring.variants import OTHERS, instruction_of, wrong_sentence

WATER = "Pour water from the kettle into the cup."
CUBES = ("Pick up the red cube.", "Pick the red cube up", "Pick up the blue cube.")


def test_the_configured_sentence_wins_over_the_other_tasks_of_the_dataset() -> None:
    assert wrong_sentence(CUBES, WATER) == WATER
    assert wrong_sentence(CUBES[:1], "Wash the car.") == "Wash the car."


@pytest.mark.parametrize("own", [WATER, "pour water from the  kettle into the cup", WATER.upper() + "! "])
def test_where_it_is_a_task_of_the_dataset_another_takes_its_place(own: str) -> None:
    chosen = wrong_sentence([*CUBES, own], WATER)
    assert chosen in OTHERS
    assert plain_text(chosen) != plain_text(WATER)


def test_a_dataset_of_all_of_them_is_scored_all_the_same() -> None:
    """Nothing that only feeds the diagnosis stops a run."""
    assert wrong_sentence(OTHERS, WATER) == WATER


def test_only_that_control_hears_it() -> None:
    assert instruction_of("wrong_instruction", CUBES[0], WATER) == WATER
    assert {instruction_of(name, CUBES[0], WATER) for name in ("real", "static", "reversed")} == {CUBES[0]}
