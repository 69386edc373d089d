"""The paper's tables: every shipped configuration parses, and one runs on a local stand-in."""

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from rabc.config import cli
from rabc.pipeline import paper
from rabc.system.errors import InputError
from tests.support import REPO

CONFIGS = REPO / "configs"
SCORER = str(CONFIGS.parent / "checkpoints" / "so101-scorer")
SECTIONS = ("paper", "scorer", "run", "device")


def parse(path: Path, *more: str) -> Any:
    return cli.parse(["--config", str(path), *more], None, sections=SECTIONS).config


@pytest.mark.parametrize("path", sorted(CONFIGS.glob("paper_*.yaml")), ids=lambda path: path.stem)
def test_shipped_tables_parse(path: Path) -> None:
    config = parse(path)
    assert config.paper.datasets
    assert config.scorer.model == "Qwen/Qwen3-VL-8B-Instruct"
    assert all("/" in name for name in config.paper.datasets)
    assert config.run == path.stem


def test_table_1_reports_the_papers_mean() -> None:
    config = parse(CONFIGS / "paper_table1_oxe.yaml")
    reported = list(config.paper.datasets.values())
    assert len(reported) == 39
    assert sum(reported) / 39 == pytest.approx(0.857, abs=5e-4)


def test_success_detection_runs_on_a_local_stand_in(
    recorded_dataset: Path, recorded_pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Table 3 with our own small datasets in place of the hub's, one of pictures, one that is not there."""
    monkeypatch.chdir(tmp_path)
    table: Any = yaml.safe_load((CONFIGS / "paper_table3_success.yaml").read_text())
    table["scorer"]["model"] = SCORER
    nowhere = str(tmp_path / "nowhere")
    table["paper"]["datasets"] = {str(recorded_dataset): 0.654, str(recorded_pictures): None, nowhere: None}
    table["paper"]["failed"] = {name: str(recorded_dataset) for name in table["paper"]["datasets"]}
    stand_in = tmp_path / "table3.yaml"
    stand_in.write_text(yaml.safe_dump(table))
    rows = paper.measure(parse(stand_in))
    assert rows[0].measured is not None
    assert rows[0].measured.value == 0.5  # the same episodes as successes and as failures
    assert rows[0].measured.count == 8
    assert rows[0].reported == 0.654
    assert rows[1].measured is not None
    assert rows[2].measured is None
    assert "no such folder" in rows[2].problem
    written = json.loads((tmp_path / "outputs" / "paper_table3_success" / "paper.json").read_text())
    assert written[0]["measured"]["value"] == 0.5


def test_chat_template_needs_answers_that_are_tokens_there(recorded_dataset: Path, tmp_path: Path) -> None:
    """The small scorer's tokenizer has no True without its blank: said in one line, before any scoring."""
    table: Any = yaml.safe_load((CONFIGS / "paper_table5_chat_template.yaml").read_text())
    table["scorer"]["model"] = SCORER
    table["paper"]["datasets"] = {str(recorded_dataset): None}
    stand_in = tmp_path / "table5.yaml"
    stand_in.write_text(yaml.safe_dump({**table, "scorer": {**table["scorer"], "chat_template": True}}))
    with pytest.raises(InputError, match=r"scorer\.answers True,False: are not two different single tokens"):
        paper.measure(parse(stand_in, "--paper.both_prompts", "false"))
