"""Several processes: they wait for each other, and the first one tells what stopped any of them."""

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

from rabc.datasets.selection import parse_episodes
from rabc.scoring.plan import spread
from rabc.scoring.processes import Process, launch
from rabc.system.errors import InputError


def member(rank: int, store: Path, answer: Connection, failing: int | None) -> None:
    torch.distributed.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
    me = Process(rank, 2, "cpu")
    done: list[str] = []

    def work() -> None:
        if rank == failing:
            raise InputError(f"disk of {rank}: full")
        done.append("work")

    try:
        me.first_then_others(lambda: done.append("prepared"))
        me.together(work)
        done.append("after")
    except InputError as error:
        done.append(str(error))
    except SystemExit as ended:
        done.append(f"exit {ended.code}")
    answer.send(done)


def outcome(folder: Path, failing: int | None) -> list[list[str]]:
    context = multiprocessing.get_context("fork")
    pipes = [context.Pipe() for _ in range(2)]
    processes = [
        context.Process(target=member, args=(rank, folder / "store", pipes[rank][1], failing))
        for rank in range(2)
    ]
    for process in processes:
        process.start()
    answers = [ours.recv() for ours, _ in pipes]
    for process in processes:
        process.join()
    return answers


@pytest.mark.parametrize(
    ("failing", "expected"),
    [
        (None, [["prepared", "work", "after"]] * 2),
        (0, [["prepared", "disk of 0: full"], ["prepared", "work", "exit 0"]]),
        (1, [["prepared", "work", "disk of 1: full"], ["prepared", "exit 0"]]),
    ],
)
def test_an_error_in_one_is_told_by_the_first(tmp_path: Path, failing, expected) -> None:
    assert outcome(tmp_path, failing) == expected


def test_one_process_needs_no_group() -> None:
    alone = launch(1, 1, "cpu")
    assert alone == Process(0, 1, "cpu")
    assert not torch.distributed.is_initialized()
    done: list[int] = []
    alone.first_then_others(lambda: done.append(1))
    assert done == [1]


def test_torchruns_number_of_processes_must_be_given(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "x")
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(InputError, match="--devices 1: torchrun started 4 processes"):
        launch(1, 1, "cpu")


def test_episodes_are_parsed() -> None:
    assert parse_episodes("0:3,7, 2:5") == [0, 1, 2, 3, 4, 7]
    for text in ("", "a", "-1", "1:", "3:3", "1:2:3", "0:2,,3"):
        with pytest.raises(InputError, match=r"--episodes .*: '.*' is (no episode|empty)"):
            parse_episodes(text)


def test_controls_are_spread() -> None:
    assert spread(10, 4) == [0, 3, 6, 9]
    assert spread(3, 0) == spread(3, 8) == [0, 1, 2]
    assert all(len(spread(total, 32)) == min(total, 32) for total in range(1, 200))
