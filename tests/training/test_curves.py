"""The curves of a training that was killed, whatever the clock said meanwhile."""

import time
from pathlib import Path

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.tensorboard import SummaryWriter

from rabc.training.curves import put_before_now

NOW = 1_800_000_000.0


def session(folder: Path, now: float, steps: range, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a training that goes on at a step writes, as `fit` sees to it."""
    monkeypatch.setattr(time, "time", lambda: now)
    put_before_now(folder)
    writer = SummaryWriter(str(folder), purge_step=steps.start)
    for step in steps:
        writer.add_scalar("loss", float(step), step)
    writer.close()


def shown(folder: Path) -> list[int]:
    return [event.step for event in EventAccumulator(str(folder)).Reload().Scalars("loss")]


@pytest.mark.parametrize("later", [3600.0, 0.0, -86400.0, -1.0])
def test_every_session_is_shown_once(later: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session(tmp_path, NOW, range(4), monkeypatch)  # was killed behind a checkpoint of step 2
    session(tmp_path, NOW + later, range(2, 7), monkeypatch)
    session(tmp_path, NOW + 2 * later, range(6, 9), monkeypatch)
    session(tmp_path, NOW, range(8, 10), monkeypatch)
    assert shown(tmp_path) == list(range(10))


def test_files_in_order_keep_their_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session(tmp_path, NOW, range(3), monkeypatch)
    before = sorted(path.name for path in tmp_path.iterdir())
    session(tmp_path, NOW + 1, range(3, 4), monkeypatch)
    assert set(before) < {path.name for path in tmp_path.iterdir()}
    put_before_now(tmp_path / "not there")
