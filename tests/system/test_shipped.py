"""What ships with the program is found from anywhere, in a clone and in an installed package."""

import importlib.util
import shutil
from pathlib import Path

import pytest

from rabc.config import yaml_file
from rabc.system import shipped
from rabc.system.errors import InputError
from tests.support import REPO

SCORER = "checkpoints/so101-scorer"


def test_in_a_clone_it_is_the_clone() -> None:
    assert shipped.SHIPPED == REPO
    assert shipped.CONFIGS == REPO / "configs"


def test_in_an_installed_package_it_is_inside_of_it(tmp_path: Path) -> None:
    room, inside = tmp_path / "rabc" / "system", tmp_path / "rabc" / "shipped"
    room.mkdir(parents=True)
    inside.mkdir()
    # What another program calls so beside its packages is not ours.
    (tmp_path / "configs").mkdir()
    spec = importlib.util.spec_from_file_location("installed", shutil.copy(shipped.__file__, room))
    assert spec is not None
    assert spec.loader is not None
    installed = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(installed)
    configs = installed.CONFIGS
    assert configs == inside / "configs"


def test_what_is_here_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped.here_or_shipped(SCORER) == str(REPO / SCORER)
    (tmp_path / SCORER).mkdir(parents=True)
    assert shipped.here_or_shipped(SCORER) == SCORER


@pytest.mark.parametrize("name", ["Qwen/Qwen3-VL-2B-Instruct", "checkpoints/none", "/none", ""])
def test_what_is_neither_here_nor_shipped_stays_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped.here_or_shipped(name) == name


def test_a_configuration_is_a_path_then_in_configs_then_a_shipped_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    name = "so101_pick.yaml"
    assert yaml_file.find(name) == REPO / "configs" / name
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / name).touch()
    assert yaml_file.find(name) == Path("configs") / name
    (tmp_path / name).touch()
    assert yaml_file.find(name) == Path(name)
    with pytest.raises(InputError, match=r"shipped ones: .*so101_pick\.yaml"):
        yaml_file.find("none.yaml")


@pytest.mark.parametrize(
    "name", ["docs", "rabc/system", "outputs/my-scorer", "checkpoints", "checkpoints/../docs"]
)
def test_nothing_else_of_a_clone_is_shipped(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shipped.here_or_shipped(name) == name
