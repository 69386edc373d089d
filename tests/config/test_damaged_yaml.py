"""Whatever a YAML holds, it is a configuration or every problem of it is named."""

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.config.cli import parse
from rabc.system.errors import InputError
from tests.support import REPO
from tests.support.damaged_json import damaged

SHIPPED = sorted((REPO / "configs").glob("*.yaml"))


@settings(max_examples=150)
@given(data=st.data(), shipped=st.sampled_from(SHIPPED))
def test_a_damaged_yaml_has_an_answer(
    data: st.DataObject, shipped: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("yaml") / "own.yaml"
    path.write_text(yaml.safe_dump(data.draw(damaged(yaml.safe_load(shipped.read_text())))))
    said = ""
    try:
        parse(["--config", str(path)], "")
    except InputError as error:
        said = str(error)
    assert "Traceback" not in said
