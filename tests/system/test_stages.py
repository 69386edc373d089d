"""Stages: skipped when current, done anew when an input or a file changed, never half-finished."""

from pathlib import Path
from typing import Any

import pytest

from rabc.system.errors import InputError
from rabc.system.stages import Stages
from rabc.system.terminal import duration


def lost(result: dict[str, Any]) -> str:
    return next((f"{path} is gone" for path in result["files"] if not Path(path).exists()), "")


@pytest.fixture
def calls() -> list[str]:
    return []


def run(stages: Stages, calls: list[str], product: Path, **inputs: Any):
    def work() -> dict[str, Any]:
        calls.append("worked")
        product.write_text("made")
        return {"figure": 7, "files": [str(product)]}

    return stages.run("demo", inputs, work, lost)


def test_a_finished_stage_is_skipped_and_gives_the_same_result(tmp_path: Path, calls: list[str]):
    stages = Stages(tmp_path / "stages")
    first = run(stages, calls, tmp_path / "product", size=1)
    second = run(stages, calls, tmp_path / "product", size=1)
    assert calls == ["worked"]
    assert (first.skipped, second.skipped) == (False, True)
    assert first.result == second.result


def test_a_changed_input_makes_it_stale_and_is_named(tmp_path: Path, calls: list[str]):
    stages = Stages(tmp_path / "stages")
    run(stages, calls, tmp_path / "product", size=1, color="red")
    state = stages.state("demo", {"size": 2, "color": "red"}, lost)
    assert state.status == "stale"
    assert state.reason == "size: 1 -> 2"
    run(stages, calls, tmp_path / "product", size=2, color="red")
    assert len(calls) == 2


def test_a_lost_product_makes_it_stale(tmp_path: Path, calls: list[str]):
    stages = Stages(tmp_path / "stages")
    run(stages, calls, tmp_path / "product", size=1)
    (tmp_path / "product").unlink()
    assert "is gone" in stages.state("demo", {"size": 1}, lost).reason


def stopped_after_40_s(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stages:
    """Stages of which `demo` was interrupted; it will take 5 s when it is run again."""
    stages = Stages(tmp_path / "stages")
    times = iter([0.0, 40.0, 100.0, 105.0])
    monkeypatch.setattr("rabc.system.stages.time.monotonic", lambda: next(times))

    def interrupted() -> dict[str, Any]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stages.run("demo", {"size": 1}, interrupted, lost)
    return stages


def test_a_failed_stage_is_not_done_but_its_time_counts(tmp_path: Path, calls: list[str], monkeypatch: Any):
    stages = stopped_after_40_s(tmp_path, monkeypatch)
    assert stages.state("demo", {"size": 1}, lost).status == "to do"
    assert run(stages, calls, tmp_path / "product", size=1).seconds == 45.0


def test_the_time_of_another_configurations_session_does_not_count(
    tmp_path: Path, calls: list[str], monkeypatch: Any
):
    stages = stopped_after_40_s(tmp_path, monkeypatch)
    assert run(stages, calls, tmp_path / "product", size=2).seconds == 5.0


def test_an_unreadable_stage_file_is_named(tmp_path: Path, calls: list[str]):
    stages = Stages(tmp_path / "stages")
    run(stages, calls, tmp_path / "product", size=1)
    (tmp_path / "stages" / "demo.json").write_text('{"inputs": ')
    with pytest.raises(InputError, match=r"demo\.json"):
        run(stages, calls, tmp_path / "product", size=1)


def test_duration_is_readable():
    assert [duration(s) for s in (0.4, 59.4, 60, 200)] == ["0 s", "59 s", "1 min 0 s", "3 min 20 s"]
