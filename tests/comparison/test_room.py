"""All trainings of a comparison have room together, or none of them begins."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rabc.comparison.arms import arms_of
from rabc.comparison.run import compare, describe
from rabc.config.settings import Config, DemonstrationsConfig, ScorerConfig
from rabc.pipeline.room import bytes_to_come, training_bytes
from rabc.pipeline.state import paths
from rabc.system.errors import InputError
from tests.support import REPO


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.chdir(tmp_path)
    scorer = ScorerConfig(str(REPO / "checkpoints" / "so101-scorer"))
    return Config(run="pick", device="cpu", demonstrations=DemonstrationsConfig(episodes=2), scorer=scorer)


@pytest.mark.parametrize("begin", [lambda *words: compare(*words, sequential=False), describe])
def test_what_does_not_fit_together_is_refused_beforehand(
    begin: Callable[..., object], config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One of its trainings would fit, and find that out for itself."""

    def usage(path: Path) -> SimpleNamespace:
        return SimpleNamespace(free=1_500_000_000, total=10**12, used=0)

    monkeypatch.setattr(shutil, "disk_usage", usage)
    with pytest.raises(InputError) as refused:
        begin(config, arms_of(config, "plain,weighted,shuffled"), 4)
    said = str(refused.value)
    assert ": comparison pick with 12 trainings to do needs " in said
    assert "(checkpoints " in said
    assert "1.50 GB are free; make room, or give fewer trainer.keep_checkpoints, --seeds or --arms" in said
    assert not list(tmp_path.rglob("*.json"))
    assert not list(tmp_path.rglob("data/*"))


def test_what_is_there_already_takes_no_more_room(config: Config) -> None:
    runs = [replace(config, run=name) for name in ("one", "other", "third")]
    numbers = 1000
    peak = training_bytes(config, numbers)
    alone = bytes_to_come(runs[:1], numbers, at_once=1)
    assert alone == peak
    together = bytes_to_come(runs, numbers, at_once=1)
    assert 2 * peak < together < 3 * peak  # one of them is at its most, the others have ended
    assert bytes_to_come(runs, numbers, at_once=2) < bytes_to_come(runs, numbers, at_once=3) == 3 * peak
    checkpoints = paths(runs[0]).outputs / "training-0" / "checkpoints"
    checkpoints.mkdir(parents=True)
    (checkpoints / "step=1.ckpt").write_bytes(b"x" * 12_000)
    assert bytes_to_come(runs, numbers, at_once=1) == together - 12_000
