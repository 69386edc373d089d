"""Two datasets recorded from the simulated arm, compared with all, some and no labels."""

import json
import runpy
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.stats import fisher_exact, ttest_ind

from rabc.comparison.recorded.run import compare_recorded, recorded_command, recorded_folder
from rabc.config.settings import Config, ScorerConfig
from rabc.datasets.metadata import load_meta
from rabc.datasets.success_labels import find_labels
from rabc.scoring.topreward import TOPReward
from rabc.sim.recorder import GROUND_TRUTH, read_ground_truth
from rabc.statistics.significance import rollouts_needed
from rabc.system.errors import InputError
from tests.support import REPO
from tests.support import damaging as damage

SCORER = REPO / "checkpoints" / "so101-scorer"
CONFIG = Config(device="cpu", scorer=ScorerConfig(model=str(SCORER), num_prefixes=5))
EPISODES = 6

Copy = Callable[[str], Path]


def split(root: Path, parts: dict[str, list[int]], folder: Path) -> dict[str, Path]:
    """Datasets of some of the episodes, each with the simulator's view of them."""
    from lerobot.datasets import LeRobotDataset
    from lerobot.datasets.dataset_tools import split_dataset

    split_dataset(LeRobotDataset(f"local/{root.name}", root=root), parts, output_dir=folder)
    lines = (root / GROUND_TRUTH / "episodes.jsonl").read_text().splitlines(keepends=True)
    for name, episodes in parts.items():
        (folder / name / GROUND_TRUTH).mkdir()
        known = "".join(lines[episode] for episode in episodes)
        (folder / name / GROUND_TRUTH / "episodes.jsonl").write_text(known)
    return {name: folder / name for name in parts}


@pytest.fixture(scope="module")
def rollouts(simulated: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """`bc` succeeds in one of six, `weighted` in five; scored, so that copies need no scoring."""
    success = truth(simulated)
    clean, failed = ([e for e, one in enumerate(success) if one is wanted] for wanted in (True, False))
    parts = {"bc": sorted(failed[:5] + clean[:1]), "weighted": sorted(failed[5:] + clean[1:])}
    roots = split(simulated, parts, tmp_path_factory.mktemp("arm"))
    compare_recorded(CONFIG, roots, {}, tmp_path_factory.mktemp("first"))
    return roots


@pytest.fixture
def copy(rollouts: dict[str, Path], tmp_path: Path) -> Copy:
    """Copies a dataset as LeRobot would have recorded it on an arm: without what the simulator knows."""

    def make(name: str) -> Path:
        return shutil.copytree(
            rollouts[name], tmp_path / "arm" / name, ignore=shutil.ignore_patterns("ground_truth")
        )

    return make


def truth(root: Path) -> list[bool]:
    return [episode.success for episode in read_ground_truth(root)]


def write_labels(path: Path, success: list[bool], episodes: list[int]) -> Path:
    lines = ["episode_index,success", *(f"{episode},{int(success[episode])}" for episode in episodes)]
    path.write_text("\n".join(lines) + "\n")
    return path


def dataset(result: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in result["datasets"] if one["name"] == name)


def test_all_labelled(rollouts: dict[str, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = recorded_command(CONFIG, rollouts, {}, tmp_path)
    assert json.loads((tmp_path / "recorded.json").read_text()) == result
    successes = {name: sum(truth(root)) for name, root in rollouts.items()}
    assert successes == {"bc": 1, "weighted": 5}
    for name, root in rollouts.items():
        one = dataset(result, name)
        assert (one["judged"], one["labels"], one["root"]) == ("all", "simulator", str(root))
        assert [rollout["success"] for rollout in one["rollouts"]] == truth(root)
        assert one["success"]["value"] == successes[name] / EPISODES
        assert one["success"]["low"] < one["success"]["value"] < one["success"]["high"]
    (pair,) = result["pairs"]
    assert (pair["name"], pair["baseline"], pair["quantity"]) == ("weighted", "bc", "success")
    assert pair["difference"]["value"] == pytest.approx(2 / 3)
    assert 0 < pair["difference"]["low"] < 2 / 3 < pair["difference"]["high"] < 1
    assert pair["p"] == pair["p_adjusted"] == pytest.approx(fisher_exact([[5, 1], [1, 5]]).pvalue)
    assert pair["posterior"] > 0.97
    assert pair["needed"] == rollouts_needed(1 / 6, 5 / 6) == 11
    assert result["scorer_auc"]["value"] >= 0.95
    out = capsys.readouterr().out
    assert "weighted is not shown to differ from bc: weighted 5/6 = 83 %" in out
    assert "The labels of bc are the simulator's" in out
    assert "Fisher's exact test" in out
    assert "weighted is not shown to differ from bc" in (tmp_path / "index.html").read_text()
    assert not (tmp_path / "labels").exists()


def test_the_command_takes_datasets_and_labels_by_name(
    rollouts: dict[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    labels = write_labels(tmp_path / "human.csv", [True] * EPISODES, list(range(EPISODES)))
    argv = [
        *(part for name, root in rollouts.items() for part in ("--recorded", f"{name}={root}")),
        *("--labels", f"bc={labels}", "--device", "cpu", "--scorer.model", str(SCORER)),
        *("--scorer.num_prefixes", "5"),
    ]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["compare.py", *argv])
    with pytest.raises(SystemExit) as ended:
        runpy.run_path(str(REPO / "scripts" / "compare.py"), run_name="__main__")
    assert ended.value.code == 0
    (folder,) = Path("outputs").glob("bc-weighted-recorded-*")
    others = {"bc": rollouts["weighted"], "weighted": rollouts["bc"]}
    assert folder == recorded_folder(rollouts) != recorded_folder(others)
    assert f"page: {folder / 'index.html'}" in capsys.readouterr().out
    result = json.loads((folder / "recorded.json").read_text())
    assert result["command"].endswith(" ".join(argv))
    assert dataset(result, "bc")["success"]["successes"] == EPISODES  # not the simulator's labels
    assert dataset(result, "weighted")["success"]["successes"] == 5


def test_scores_are_those_of_the_scorer_on_the_videos(rollouts: dict[str, Path], tmp_path: Path) -> None:
    from lerobot.datasets import LeRobotDataset

    result = compare_recorded(CONFIG, rollouts, {}, tmp_path)
    root = rollouts["weighted"]
    frames = LeRobotDataset("local/weighted", root=root)
    bounds: Any = frames.meta.episodes[2]
    items = [frames[i] for i in range(bounds["dataset_from_index"], bounds["dataset_to_index"])]
    video = np.stack([np.asarray(item["observation.images.front"]) for item in items])
    scorer = TOPReward.from_pretrained(str(SCORER))
    scores = scorer.score((video * 255).round().astype(np.uint8), items[0]["task"], float(frames.fps), 5)
    found = dataset(result, "weighted")["rollouts"][2]
    assert found["score"] == pytest.approx(scores.log_prob_true[-3:].mean(), abs=1e-3)
    difference = scores.log_prob_true - scores.log_prob_false
    assert found["log_odds"] == pytest.approx(difference[-3:].mean(), abs=1e-3)
    assert found["seconds"] == pytest.approx(len(items) / frames.fps)


def test_no_labels(copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    roots = {"bc": copy("bc"), "weighted": copy("weighted")}
    result = recorded_command(CONFIG, roots, {}, tmp_path)
    (pair,) = result["pairs"]
    scores = {
        name: np.array([rollout["score"] for rollout in dataset(result, name)["rollouts"]]) for name in roots
    }
    assert pair["quantity"] == "score"
    assert pair["difference"]["value"] == pytest.approx(scores["weighted"].mean() - scores["bc"].mean())
    assert pair["difference"]["low"] > 0
    assert pair["p"] == pytest.approx(ttest_ind(scores["weighted"], scores["bc"], equal_var=False).pvalue)
    assert pair["posterior"] is pair["needed"] is result["scorer_auc"] is result["scorer_agreement"] is None
    assert all(dataset(result, name)["success"] is None for name in roots)
    assert "No human judged weighted and bc, so nothing is known of success" in result["answer"]
    assert "scoring" not in capsys.readouterr().err  # the videos are the same
    for name in roots:
        # Another dataset of this name has a list of its own.
        file = tmp_path / "labels" / f"{name}-{dataset(result, name)['content'][:8]}.csv"
        assert len(file.read_text().splitlines()) == EPISODES + 1
        assert any(str(file) in note for note in result["notes"])


def test_one_labelled_dataset_says_nothing_about_the_other(
    rollouts: dict[str, Path], copy: Copy, tmp_path: Path
) -> None:
    roots = {"bc": rollouts["bc"], "weighted": copy("weighted")}
    result = compare_recorded(CONFIG, roots, {}, tmp_path)
    assert dataset(result, "bc")["success"]["successes"] == 1
    assert result["pairs"][0]["quantity"] == "score"
    assert "No human judged weighted, so" in result["answer"]
    assert [path.name.partition("-")[0] for path in (tmp_path / "labels").iterdir()] == ["weighted"]
    assert result["scorer_auc"] is not None


def test_some_labels(rollouts: dict[str, Path], copy: Copy, tmp_path: Path) -> None:
    roots = {"bc": copy("bc"), "weighted": copy("weighted")}
    labels = {
        name: write_labels(tmp_path / f"{name}.csv", truth(rollouts[name]), [5, 1, 4, 2, 0]) for name in roots
    }
    result = compare_recorded(CONFIG, roots, labels, tmp_path / "out")
    for name in roots:
        one = dataset(result, name)
        assert (one["judged"], one["labels"]) == ("some", f"file {labels[name]}")
        assert one["success"]["trials"] == 5
        assert one["success"]["method"] == "prediction-powered"
        assert abs(one["success"]["value"] - sum(truth(rollouts[name])) / EPISODES) < 0.15
    (pair,) = result["pairs"]
    assert (pair["quantity"], pair["method"]) == ("success", "prediction-powered")
    rates = {name: dataset(result, name)["success"]["value"] for name in roots}
    assert pair["difference"]["value"] == pytest.approx(rates["weighted"] - rates["bc"])
    assert 0.4 < pair["difference"]["value"] <= pair["difference"]["high"] <= 1
    assert (pair["p"] < 0.05) == (pair["difference"]["low"] > 0)
    assert result["scorer_auc"]["count"] == 10
    assert any("5 of 6 rollouts of bc are labelled" in note for note in result["notes"])


def test_a_column_labels_some(rollouts: dict[str, Path], copy: Copy, tmp_path: Path) -> None:
    root = copy("weighted")
    path = next((root / "meta" / "episodes").rglob("*.parquet"))
    table = pd.read_parquet(path)
    expected = {episode: truth(rollouts["weighted"])[episode] for episode in range(5)}
    table["success"] = pd.array([expected.get(episode) for episode in range(EPISODES)], dtype="boolean")
    table.to_parquet(path)
    found = find_labels(load_meta(root))
    assert (found.source, found.success) == ("column success", expected)
    result = compare_recorded(CONFIG, {"bc": rollouts["bc"], "weighted": root}, {}, tmp_path / "out")
    assert [dataset(result, name)["judged"] for name in ("bc", "weighted")] == ["all", "some"]
    assert result["pairs"][0]["method"] == "prediction-powered"
    assert any("are its first 5" in note for note in result["notes"])
    table["success"] = ["maybe"] * EPISODES
    table.to_parquet(path)
    with pytest.raises(InputError, match="episode 0, column success of meta/episodes: 'maybe' is no label"):
        compare_recorded(CONFIG, {"bc": rollouts["bc"], "weighted": root}, {}, tmp_path / "out")


def edit_task(root: Path, task: str, episodes: int) -> None:
    """Gives the first `episodes` another instruction."""
    path = next((root / "meta" / "episodes").rglob("*.parquet"))
    table = pd.read_parquet(path)
    table["tasks"] = [[task] if row < episodes else list(tasks) for row, tasks in enumerate(table["tasks"])]
    table.to_parquet(path)


def edit_info(root: Path, edit: Callable[[dict[str, Any]], None]) -> None:
    path = root / "meta" / "info.json"
    facts = json.loads(path.read_text())
    edit(facts["features"])
    path.write_text(json.dumps(facts))


def test_what_cannot_be_compared(rollouts: dict[str, Path], copy: Copy, tmp_path: Path) -> None:
    bc, weighted = rollouts["bc"], copy("weighted")
    same, unknown = tmp_path / "same", tmp_path / "unknown.csv"
    shutil.copytree(bc, same)
    unknown.write_text("episode_index,success\n6,1\n")
    out = tmp_path / "out"

    def refused(words: str, labels: dict[str, Path] | None = None, **datasets: Path) -> None:
        with pytest.raises(InputError) as error:
            compare_recorded(CONFIG, datasets, labels or {}, out)
        assert words in str(error.value)
        assert not out.exists()

    refused("is one dataset; give two or more", bc=bc)
    refused("is the folder of bc; give two datasets", bc=bc, weighted=bc / ".." / "bc")
    refused("is no name; use letters", **{"bc": bc, "../weighted": weighted})
    refused("has the same content as bc", bc=bc, weighted=same)
    refused("no such folder", bc=bc, weighted=tmp_path / "none")
    refused("no such dataset; choose one of bc, weighted", {"wbc": unknown}, bc=bc, weighted=weighted)
    refused("episode_index '6' is no episode", {"bc": unknown}, bc=bc, weighted=weighted)
    unknown.write_text("episode_index,success\n1,\n")
    refused("holds no label", {"bc": unknown}, bc=bc, weighted=weighted)
    few = write_labels(tmp_path / "few.csv", truth(bc), [5, 0, 3, 2])
    refused("4 of 6 rollouts are labelled (file ", {"bc": few}, bc=bc, weighted=weighted)

    edit_task(weighted, "Pick up the blue cube.", EPISODES)
    refused("its instruction is 'Pick up the blue cube.', that of bc is", bc=bc, weighted=weighted)
    edit_task(weighted, "Pick up the red cube.", 3)
    refused("episode 0 has the instruction 'Pick up the red cube.', episode 3 has", bc=bc, weighted=weighted)


def test_an_unsound_dataset_is_named_before_anything_is_scored(
    copy: Copy, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bc, weighted = copy("bc"), copy("weighted")
    damage.change_video(weighted, "front", lambda frames: frames[:40] + frames[42:])
    with pytest.raises(InputError, match=r"front/.*\.mp4.*: has \d+ frames, its episodes \d+"):
        compare_recorded(CONFIG, {"bc": bc, "weighted": weighted}, {}, tmp_path)
    assert "scoring" not in capsys.readouterr().err


def test_two_wordings_of_one_task(rollouts: dict[str, Path], copy: Copy, tmp_path: Path) -> None:
    weighted = copy("weighted")
    edit_task(weighted, "pick up the red cube", 3)
    compare_recorded(CONFIG, {"bc": rollouts["bc"], "weighted": weighted}, {}, tmp_path)


def test_other_pictures(rollouts: dict[str, Path], copy: Copy, tmp_path: Path) -> None:
    weighted = copy("weighted")
    datasets = {"bc": rollouts["bc"], "weighted": weighted}
    front = "observation.images.front"
    edit_info(weighted, lambda features: features[front].update(shape=[120, 160, 3]))
    with pytest.raises(InputError, match="front is 120x160, in bc 96x96"):
        compare_recorded(CONFIG, datasets, {}, tmp_path)
    edit_info(weighted, lambda features: features.update({"observation.images.side": features.pop(front)}))
    with pytest.raises(InputError, match=r"scorer\.camera front: not there in .*; its cameras: wrist, side"):
        compare_recorded(CONFIG, datasets, {}, tmp_path)


def test_rollouts_that_a_person_steered(rollouts: dict[str, Path], copy: Copy, tmp_path: Path) -> None:
    weighted = copy("weighted")
    for path in (weighted / "data").rglob("*.parquet"):
        table = pd.read_parquet(path)
        table["intervention"] = (table["episode_index"] == 3) & (table["frame_index"] > 7)
        table.to_parquet(path)
    feature = {"dtype": "bool", "shape": [1], "names": None}
    edit_info(weighted, lambda features: features.update(intervention=feature))
    with pytest.raises(InputError, match="a person steered in 1 of its episodes, the first is 3"):
        compare_recorded(CONFIG, {"bc": rollouts["bc"], "weighted": weighted}, {}, tmp_path)
