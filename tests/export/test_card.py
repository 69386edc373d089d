"""The README of a policy folder says what is known of the policy, and nothing else."""

from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from rabc.config.settings import Config, DatasetConfig
from rabc.export.card import model_card
from rabc.statistics.intervals import proportion

RESULTS: dict[str, Any] = {
    "demonstrations": {"episodes": 12, "frames": 600, "fps": 10, "kinds": {"clean": 12}},
    "scores": {
        "scorer": {"scorer": "so101-scorer", "revision": "0123456789abcdef"},
        "diagnosis": {"verdict": "weight"},
    },
    "weights": {"scheme": "rabc", "effective_sample_size": 400.0, "drawn": 550, "frames": 600},
    "training": {"steps": 2500},
    "rollouts": {"episodes": 40, "success": asdict(proportion(30, 40)), "scorer_auc": 0.9},
}  # fmt: skip


def without(*names: str) -> dict[str, Any]:
    return {name: value for name, value in RESULTS.items() if name not in names}


def test_everything_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "data").mkdir()  # by which a relative folder is told from a name on the hub
    monkeypatch.chdir(tmp_path)
    card = model_card(Config(run="arm"), RESULTS, "the average of its weights", "mit")
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "mit"
    assert head["library_name"] == "lerobot"
    assert "datasets" not in head  # a folder is not on the hub
    for words in (
        "12 episodes, 600 frames at 10 Hz, simulated", "`so101-scorer` (0123456789ab)",
        "verdict on its scores: weight", "effective sample size 400 of 550 frames that weigh (600 in all)",
        "2500 steps of 32 samples, seed 0; the average of its weights", f"lifted {proportion(30, 40)}",
        "AUC of the scorer against the simulator on these rollouts 0.90", "Licence: mit",
    ):  # fmt: skip
        assert words in card, card
    assert "interval" in str(proportion(30, 40))


def test_what_is_not_known_is_not_claimed() -> None:
    card = model_card(Config(), without("scores", "weights", "rollouts"))
    assert "Scorer and weights: not known" in card
    assert "this checkpoint was not evaluated" in card
    assert "lifted" not in card
    card = model_card(Config(), {**RESULTS, "rollouts": {"episodes": 0}})
    assert "Not evaluated in simulation" in card


def test_from_the_hub_and_from_elsewhere() -> None:
    config = replace(Config(), dataset=DatasetConfig("you/pick", "v3.0"))
    card = model_card(config, {**RESULTS, "scores": {"replaced_by": "progress.parquet"}})
    assert yaml.safe_load(card.split("---")[1])["datasets"] == ["you/pick"]
    assert "`you/pick` at v3.0" in card
    assert "Progress or weights from elsewhere: `progress.parquet`" in card
