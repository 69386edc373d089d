"""Which episodes are of the same task."""

import numpy as np

from rabc.datasets.tasks import frame_tasks, plain_text, task_groups


def test_wordings_that_differ_in_case_blanks_or_a_full_stop_are_one_task() -> None:
    same = [
        "Pick up the cube.",
        "pick up  the cube",
        " Pick up the cube ",
        "PICK UP THE CUBE !",
        "Pick\tup the cube。",
    ]
    assert task_groups(same).tolist() == [0] * len(same)
    assert {plain_text(text) for text in same} == {"pick up the cube"}


def test_other_words_are_another_task_numbered_by_first_appearance() -> None:
    assert task_groups(["b", "a", "B.", "c", "a "]).tolist() == [0, 1, 0, 2, 1]
    assert task_groups([]).tolist() == []
    assert plain_text("put 3.5 g in") == "put 3.5 g in"  # only what closes the sentence goes


def test_an_episode_of_several_instructions_is_of_one_task() -> None:
    episode = np.repeat([0, 1, 2, 3, 4], [2, 3, 2, 3, 1])
    texts = ["Pick.", "Pick.", "pick", "place", "place", "pick", "pick", "Pick", "Place.", "Place.", "place"]
    assert frame_tasks(episode, np.array(texts, object)).tolist() == [0, 0, 1, 1, 1, 0, 0, 1, 1, 1, 2]
    assert frame_tasks(np.empty(0, np.int64), np.empty(0, object)).tolist() == []
