"""Results as files that are kept: read as they were written, or refused with one line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from rabc.comparison.kept import keep_comparison, read_comparison
from rabc.comparison.kept_recipes import keep_recipes, read_recipes
from rabc.system.errors import InputError
from tests.support.made_comparison import make

NOT_KEPT = {
    "arms": {"up", "down", "seeds_mean", "seeds_spread", "scorer_auc"}
    | {"mean_final_log_prob", "mean_ticks", "mean_closest_m"},
    "runs": {"policy_folder", "curve", "videos"},
}
"""Pictures, learning curves, paths, and means that follow from the rollouts."""
RECIPES = {
    f"{share} % clean": {
        "flawed": 0.1 + share / 100,
        "behind": 1 / 3,
        "frames": 1000 + share,
        "recipes": [
            {"weights": {"scheme": "none", "calibration": "dataset"}, "on_flawed": 0.1, "sample_size": 1.0},
            {"weights": {"scheme": "mask", "min_delta": 0.0}, "on_flawed": 1 / 7, "sample_size": 2 / 3},
        ],
    }
    for share in (20, 80)
}


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("made")
    found = make(folder, seeds=2, start_states=12, videos=0, names="plain,weighted,success-only,oracle")
    return json.loads(json.dumps(found))


@pytest.fixture
def kept(result: dict[str, Any], tmp_path: Path) -> Path:
    """A folder with the comparison `made`."""
    keep_comparison(tmp_path, "made", result)
    return tmp_path


def test_a_comparison_is_read_as_it_was_written(result: dict[str, Any], kept: Path) -> None:
    expected = dict(result)
    for key, gone in NOT_KEPT.items():
        expected[key] = [{name: one[name] for name in one if name not in gone} for one in result[key]]
    assert json.loads(json.dumps(read_comparison(kept, "made"))) == expected
    assert read_comparison(kept, "another") is None


def test_the_files_are_a_row_for_each_rollout_and_a_page_of_facts(result: dict[str, Any], kept: Path) -> None:
    table = pq.read_table(kept / "made.parquet")
    assert {field.name: str(field.type) for field in table.schema} == {
        "experiment": "string", "arm": "string", "training_seed": "int64", "start_state": "int64",
        "success": "bool", "ticks": "int64", "closest_m": "double", "final_log_prob": "double",
    }  # fmt: skip
    assert len(table) == sum(len(run["rollouts"]) for run in result["runs"])
    assert set(table["experiment"].to_pylist()) == {"made"}
    text = (kept / "made.json").read_text()
    assert len(text.splitlines()) < 80
    assert "rollouts" not in json.loads(text)["runs"][0]


def test_statistics_are_of_the_rollouts(result: dict[str, Any], kept: Path) -> None:
    table = pq.read_table(kept / "made.parquet")
    won = pc.or_(table["success"], pc.equal(table["arm"], "weighted"))
    pq.write_table(table.set_column(4, "success", won), kept / "made.parquet")
    found = read_comparison(kept, "made")
    assert found is not None
    plain, weighted = found["arms"][:2]
    assert (weighted["success"]["successes"], weighted["success"]["trials"]) == (24, 24)
    assert plain["success"] == result["arms"][0]["success"]
    assert found["pairs"][0]["difference"]["value"] == 1 - plain["success"]["successes"] / 24


def test_the_same_comparison_gives_the_same_bytes(result: dict[str, Any], kept: Path) -> None:
    before = {path.name: path.read_bytes() for path in kept.iterdir()}
    keep_comparison(kept, "made", result)
    assert {path.name: path.read_bytes() for path in kept.iterdir()} == before


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change_table(change: Callable[[pa.Table], pa.Table]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "made.parquet"
        pq.write_table(change(pq.read_table(path)), path)

    return damage


def change_facts(change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    def damage(folder: Path) -> None:
        path = folder / "made.json"
        facts = json.loads(path.read_text())
        path.write_text(json.dumps(change(facts)))

    return damage


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "made.json").unlink(), "made.json: cannot be read (No such file"),
        (lambda folder: (folder / "made.parquet").unlink(), "made.parquet: is not there"),
        (lambda folder: cut(folder / "made.json"), "made.json: cannot be read ("),
        (lambda folder: cut(folder / "made.parquet"), "made.parquet: is damaged or not a parquet"),
        (change_facts(lambda facts: [facts]), "made.json: cannot be read ("),
        (
            change_facts(lambda facts: {key: facts[key] for key in facts if key != "dataset"}),
            "made.json: cannot be read ('dataset' is missing)",
        ),
        (
            change_facts(lambda facts: {**facts, "runs": facts["runs"][1:]}),
            "made.parquet: has rollouts of arm plain with training seed 0, of which made.json says nothing",
        ),
        (change_table(lambda table: table.drop_columns(["ticks"])), "made.parquet: has no column ticks"),
        (
            change_table(lambda table: table.slice(1)),
            "made.parquet: does not have the 12 rollouts of arm plain with training seed 0 that made.json",
        ),
        (
            change_table(lambda table: pa.concat_tables([table, table.slice(0, 1)])),
            "made.parquet: does not have the 12 rollouts of arm plain with training seed 0 that made.json",
        ),
    ],
)
def test_a_damaged_comparison_is_refused_with_one_line(
    kept: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(kept)
    with pytest.raises(InputError) as refused:
        read_comparison(kept, "made")
    line = str(refused.value)
    assert line.startswith(f"results {kept}/{said}")
    assert line.endswith("; get it back from the repository, or run rabc results --experiments made")
    assert "\n" not in line


def test_recipes_are_read_as_they_were_written(tmp_path: Path) -> None:
    keep_recipes(tmp_path, "table", RECIPES)
    assert read_recipes(tmp_path, "table", [*RECIPES]) == RECIPES
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + 4
    assert read_recipes(tmp_path, "another", [*RECIPES]) is None


def without_sizes(text: str) -> str:
    return "\n".join(line.rpartition(",")[0] for line in text.splitlines())


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda text: text[: text.rindex(",mask")], "cannot be read ("),
        (without_sizes, "cannot be read ('sample_size' is missing)"),
        (
            lambda text: text.replace("80 %", "90 %"),
            "is of 20 % clean, 90 % clean instead of 20 % clean, 80 %",
        ),
        (lambda text: "", "is of nothing instead of 20 % clean, 80 % clean"),
    ],
)
def test_damaged_recipes_are_refused_with_one_line(
    tmp_path: Path, damage: Callable[[str], str], said: str
) -> None:
    keep_recipes(tmp_path, "table", RECIPES)
    path = tmp_path / "table.csv"
    path.write_text(damage(path.read_text()))
    with pytest.raises(InputError) as refused:
        read_recipes(tmp_path, "table", [*RECIPES])
    line = str(refused.value)
    assert line.startswith(f"results {path}: {said}")
    assert line.endswith("; get it back from the repository, or run rabc results --experiments table")
    assert "\n" not in line
