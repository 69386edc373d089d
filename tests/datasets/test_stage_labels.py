"""Stage annotations in a real dataset's metadata, and the error against them, checked by hand."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from rabc.config.settings import Config, DatasetConfig, DiagnosticsConfig, ScorerConfig
from rabc.config.training_settings import PolicyConfig
from rabc.datasets.episodes import read_episodes
from rabc.datasets.metadata import load_meta
from rabc.datasets.stage_labels import ENDS, NAMES, STARTS, stage_labels
from rabc.diagnosis.calibrations import compare
from rabc.diagnosis.dataset import diagnose_scores, write_diagnosis
from rabc.pipeline.checks import check_dataset
from rabc.scoring.base import PrefixScores
from rabc.scoring.plan import carry_out, plan_scoring
from rabc.scoring.small import architecture
from rabc.scoring.store import EpisodeScores
from rabc.scoring.topreward import TOPReward

STAGES = ["reach", "grasp"]
type Annotation = tuple[Sequence[str] | None, Sequence[int | None] | None, Sequence[int] | None]
# 0: as LeRobot writes it: a stage ends where the next one starts, the last at a whole second (at 10 Hz).
# 1: ends are last frames. 3: the last end is the episode's length.
ANNOTATIONS: Mapping[int, Annotation] = {
    0: (STAGES, [0, 6], [6, 10]),
    1: (STAGES, [0, 3], [2, 14]),
    2: (None, None, None),
    3: (STAGES, [0, 7], [7, 14]),
}


def annotate(root: Path, annotations: Mapping[int, Annotation]) -> None:
    (path,) = (root / "meta" / "episodes").rglob("*.parquet")
    table = pd.read_parquet(path)
    for position, column in enumerate((NAMES, STARTS, ENDS)):
        table[column] = [annotations[episode][position] for episode in table["episode_index"]]
    table.to_parquet(path)


@pytest.fixture
def annotated(dataset_copy: Callable[[], Path]) -> Path:
    root = dataset_copy()
    annotate(root, ANNOTATIONS)
    return root


def test_boundaries_and_proportions(annotated: Path) -> None:
    labels = stage_labels(load_meta(annotated))
    assert labels.names == dict.fromkeys((0, 1, 3), ("reach", "grasp"))
    assert {episode: edges.tolist() for episode, edges in labels.boundaries.items()} == {
        0: [0, 6, 12],
        1: [0, 3, 15],
        3: [0, 7, 14],
    }
    # Shares of the time: 1/2, 1/5 and 1/2 of it reaching.
    assert labels.proportions(0) == pytest.approx([0.4, 0.6])
    assert labels.remarks == ()


def test_a_dataset_without_annotation_has_no_stages(
    recorded_dataset: Path, dataset_copy: Callable[[], Path]
) -> None:
    assert stage_labels(load_meta(recorded_dataset)).boundaries == {}
    root = dataset_copy()
    annotate(root, dict.fromkeys(range(4), ([], [], [])))
    assert stage_labels(load_meta(root)).boundaries == {}


def test_stage_error_by_hand(annotated: Path) -> None:
    """Of the episodes that are compared and annotated: 0 and 1. 2 has no stages, 3 no still picture."""
    meta = load_meta(annotated)
    flat = {
        episode: EpisodeScores(
            episode, int(length), PrefixScores(np.array([1, length]), np.full(2, -1.0), np.full(2, -1.0))
        )
        for episode, length in enumerate(read_episodes(meta).length)
    }
    static = {episode: flat[episode] for episode in (0, 1, 2)}
    rows = compare(Config(), flat, static, {}, 10.0, stage_labels(meta))
    # The target is 0 to 0.4 while reaching, 0.4 to 1 while grasping.
    # Against 0: episode 0 (1/6 + 7/10) / 2 = 13/30, episode 1 (2/15 + 7/10) / 2 = 5/12.
    # Against 1/2: episode 0 (1/3 + 7/30) / 2 = 17/60, episode 1 (11/30 + 37/165) / 2 = 13/44.
    errors = {"episode": 17 / 40, "dataset": 17 / 40, "logodds": 191 / 660}
    assert len(rows) == 6
    for row in rows:
        assert row.stage_error == pytest.approx(errors[row.calibration], abs=1e-12)
    only_2 = compare(Config(), flat, {2: flat[2]}, {}, 10.0, stage_labels(meta))
    assert all(row.stage_error is None for row in only_2)


@pytest.mark.parametrize(
    ("annotation", "message"),
    [
        ((STAGES[::-1], [0, 5], [5, 14]), f"{NAMES} {STAGES[::-1]}: not the stages {STAGES} of"),
        ((["reach"], [0], [14]), f"{NAMES} ['reach']: not the stages"),
        ((STAGES, [2, 5], [5, 14]), f"{STARTS} [2, 5]: the first stage must start at frame 0"),
        ((STAGES, [0, 0], [0, 14]), f"{STARTS} [0, 0]: must increase"),
        ((STAGES, [0, 15], [15, 15]), f"{STARTS} [0, 15]: must increase, and stay below"),
        ((STAGES, [0, 5], [3, 14]), f"{ENDS} [3, 14]: 3 leaves a gap"),
        ((STAGES, [0, 5], [6, 14]), f"{ENDS} [6, 14]: 6 leaves a gap to, or overlaps, the stage"),
        ((STAGES, [0, 2], [2, 3]), f"{ENDS} [2, 3]: the last stage must end within a second of"),
        ((STAGES, [0, 5], [5, 25]), f"{ENDS} [5, 25]: the last stage must end within a second"),
        ((STAGES, [0], [5, 14]), f"{STARTS} [0]: must be 2 frames"),
        ((STAGES, [0, None], [5, 14]), f"{STARTS} [0, None]: must be 2 frames"),
        ((STAGES, [0, 5], None), f"{ENDS} None: must be 2 frames"),
    ],
)  # fmt: skip
def test_a_bad_annotation_is_named_and_the_others_are_used(
    dataset_copy: Callable[[], Path], annotation: Annotation, message: str
) -> None:
    root = dataset_copy()
    annotate(root, {**ANNOTATIONS, 1: annotation})
    labels = stage_labels(load_meta(root))
    assert [*labels.boundaries] == [0, 3]
    (remark,) = labels.remarks
    assert remark.startswith(f"episode 1, {message}")
    assert remark.endswith("annotate the episode again, or set its annotation to null")
    check_dataset(
        Config(policy=PolicyConfig(chunk_size=5, n_action_steps=5)), root
    )  # nothing that a training needs


def test_tasks_have_stages_of_their_own(dataset_copy: Callable[[], Path]) -> None:
    """Episodes 0 and 2 are of one task, 1 and 3 of another."""
    root = dataset_copy()
    other = (["open", "pour"], [0, 3], [3, 14])
    annotate(root, {**ANNOTATIONS, 1: other, 2: (STAGES, [0, 3], [3, 8]), 3: other})
    labels = stage_labels(load_meta(root))
    assert labels.names == {0: (*STAGES,), 1: ("open", "pour"), 2: (*STAGES,), 3: ("open", "pour")}
    assert labels.proportions(0) == pytest.approx([(1 / 2 + 1 / 3) / 2, (1 / 2 + 2 / 3) / 2])
    assert labels.proportions(3) == pytest.approx([(1 / 5 + 3 / 14) / 2, (4 / 5 + 11 / 14) / 2])


def test_names_that_are_no_list_are_named(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    annotate(root, dict.fromkeys(range(4), ("reach", [0], [11])))  # pyright: ignore[reportArgumentType]
    labels = stage_labels(load_meta(root))
    assert labels.boundaries == {}
    assert len(labels.remarks) == 4  # three of them, and how many more
    assert f"{NAMES} 'reach': is no list of names" in labels.remarks[0]
    assert labels.remarks[-1].startswith("and 1 more of this kind")


def test_a_missing_column_is_named(annotated: Path) -> None:
    (path,) = (annotated / "meta" / "episodes").rglob("*.parquet")
    pd.read_parquet(path).drop(columns=ENDS).to_parquet(path)
    (remark,) = stage_labels(load_meta(annotated)).remarks
    assert f"has {NAMES} but no {ENDS}" in remark


def test_the_diagnosis_shows_the_error_where_there_are_stages(annotated: Path, tmp_path: Path) -> None:
    processor = architecture.build_processor()
    model = architecture.build_model(
        processor, 0, width=96, layers=1, heads=3, vision_width=64, vision_layers=2
    )
    scorer = TOPReward(model, processor, "tiny", "0", 5.0)
    config = Config(
        dataset=DatasetConfig(path=str(annotated)),
        scorer=ScorerConfig(num_prefixes=4),
        diagnostics=DiagnosticsConfig(episodes=0),
    )
    plan = plan_scoring(config, annotated, scorer)
    carry_out(config, plan, scorer)

    def shown() -> tuple[str, list[dict[str, Any]], str]:
        found = diagnose_scores(config, annotated, plan.stores)
        page = write_diagnosis(config, annotated, found, tmp_path / "diagnosis")
        figures = json.loads(page.with_name("diagnosis.json").read_text())
        return str(found), figures["calibrations"], page.read_text()

    printed, rows, page = shown()
    assert all(0 < row["stage_error"] < 1 for row in rows)
    assert "stage error" in printed
    assert '<th class="number">stage error</th>' in page
    for row in rows:
        assert f"{row['stage_error']:.3f}" in printed
        assert f'<td class="number">{row["stage_error"]:.3f}</td>' in page
    annotate(annotated, dict.fromkeys(range(4), (None, None, None)))
    printed, rows, page = shown()
    assert len(rows) == 6
    assert all("stage_error" not in row for row in rows)
    assert "stage error" not in printed + page
