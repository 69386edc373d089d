"""What is said before a training begins, and what does not go on with the training of other episodes."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from lerobot.configs import NormalizationMode

from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.metadata import load_meta
from rabc.policies.build import normalisation_statistics
from rabc.policies.settings import policy_settings
from rabc.system.errors import InputError
from rabc.training.drawn import split_frames, training_frames
from rabc.training.notes import training_notes
from rabc.training.run import train
from tests.support.shapes import edit_info, edit_tables
from tests.support.training_runs import FRAMES, tiny

Copy = Callable[[], Path]


def notes(config: Config, root: Path) -> list[str]:
    meta = load_meta(root)
    policy = policy_settings(config.policy, meta, "cpu")
    split = split_frames(config, meta, policy)
    return training_notes(config, meta, policy, split, int(split.allowed.sum()))


def test_nothing_is_said_where_everything_is_trained(recorded_dataset: Path) -> None:
    assert notes(tiny(), recorded_dataset) == []


def test_what_is_not_trained_on(dataset_copy: Copy) -> None:
    root = dataset_copy()
    effort = {"dtype": "float32", "shape": [1], "names": None}
    edit_info(
        root,
        lambda info: info["features"].update(
            {
                "observation.effort": effort,
                "observation.images.wrist": {
                    **info["features"]["observation.images.wrist"],
                    "shape": [32, 32, 1],
                },
            }
        ),
    )
    config = tiny()
    config = replace(
        config, policy=replace(config.policy, extra={"input_features": ["observation.images.front"]})
    )
    (line,) = notes(config, root)
    assert line == (
        "not trained on: observation.images.wrist (depth camera, which no policy here sees), "
        "observation.effort (float32 [1], which no policy here sees), observation.state (not among "
        "policy.extra.input_features)"
    )


@pytest.mark.parametrize(
    ("trainer", "looked"),
    [
        ({"eval_steps": 1}, 20 * 23),
        ({"eval_steps": 5}, 0),  # 4 x 23 frames, of the 20 x 8 that training draws
        ({"eval_steps": 1, "max_eval_samples": 8}, 0),  # as many
        ({"eval_steps": 1, "max_eval_samples": 9}, 180),
        ({"eval_steps": 0}, 0),
    ],
)
def test_validation_that_outweighs_the_training(
    trainer: dict[str, Any], looked: int, recorded_dataset: Path
) -> None:
    config = tiny(batch_size=4, accumulate_grad_batches=2, max_steps=20, **trainer)
    config = replace(config, dataset=DatasetConfig(eval_split=0.5))
    said = [line for line in notes(config, recorded_dataset) if line.startswith("validation looks at ")]
    assert len(said) == (looked > 0)
    if looked:
        assert f", {looked} in all: more than the 160 that training draws;" in said[0]
        assert said[0].endswith("trainer.max_eval_samples bounds them")


def test_a_joint_that_never_moves(dataset_copy: Copy) -> None:
    root = dataset_copy()
    path = root / "meta" / "stats.json"
    stats: Any = json.loads(path.read_text())
    for key, places in (("observation.state", (2,)), ("action", (2, 5))):
        for place in places:
            stats[key]["std"][place] = 0.0
    path.write_text(json.dumps(stats))
    (line,) = notes(tiny(), root)
    assert line.startswith(
        "never moves: joint_2.pos of observation.state; joint_2.pos, joint_5.pos of action. What a robot"
    )


@pytest.mark.parametrize("backbone", [None, "ResNet18_Weights.IMAGENET1K_V1"])
def test_cameras_without_statistics(backbone: str | None, dataset_copy: Copy) -> None:
    """LeRobot's command computes none of pictures; its training takes ImageNet's."""
    root = dataset_copy()
    path = root / "meta" / "stats.json"
    stats: Any = json.loads(path.read_text())
    del stats["observation.images.front"], stats["observation.images.wrist"]["std"]
    path.write_text(json.dumps(stats))
    config, meta = tiny(), load_meta(root)
    config = replace(config, policy=replace(config.policy, pretrained_backbone_weights=backbone))
    policy = policy_settings(config.policy, meta, "cpu")
    used = normalisation_statistics(policy, meta)
    for camera in policy.image_features:
        assert np.ravel(used[camera]["mean"]).tolist() == pytest.approx([0.485, 0.456, 0.406])
    said = [
        "no statistics of observation.images.front, observation.images.wrist in meta/stats.json: ImageNet's "
        "are taken, as by LeRobot"
    ]
    assert notes(config, root) == ([] if backbone else said)
    settings: Any = policy
    settings.normalization_mapping["VISUAL"] = NormalizationMode.IDENTITY
    assert "observation.images.front" not in normalisation_statistics(policy, meta) or backbone
    settings.normalization_mapping["VISUAL"] = NormalizationMode.MIN_MAX
    with pytest.raises(InputError, match=r"statistic min of .*set policy.extra.normalization_mapping"):
        normalisation_statistics(policy, meta)


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        # 12, 15, 9 and 14 frames.
        ("act", ["2 of 4 episodes are shorter than a chunk of 13; what lies behind their end is padding"]),
        ("diffusion", [
            "2 of 3 episodes are shorter than a chunk of 15; what lies behind their end is padding",
            "never drawn: episodes 2, which have no more than the 9 frames that "
            "policy.extra.drop_n_last_frames leaves out at the end of each",
        ]),
    ],
)  # fmt: skip
def test_short_episodes(kind: str, words: list[str], recorded_dataset: Path) -> None:
    config = tiny(kind)
    changes: dict[str, Any] = {"chunk_size": 13}
    if kind == "diffusion":
        changes = {"horizon": 16, "extra": {**config.policy.extra, "drop_n_last_frames": 9}}
    found = notes(replace(config, policy=replace(config.policy, **changes)), recorded_dataset)
    assert [line.removesuffix(" and no target") for line in found] == words


def test_a_task_of_which_every_episode_is_held_out(dataset_copy: Copy) -> None:
    """Three episodes of one task, one of the other."""
    root = dataset_copy()
    frames = np.where(np.repeat(np.arange(4), (12, 15, 9, 14)) == 1, 1, 0)

    def change(table: Any) -> Any:
        import pyarrow as pa

        return table.set_column(table.column_names.index("task_index"), "task_index", pa.array(frames))

    edit_tables(root / "data", change)
    config = replace(tiny(), dataset=DatasetConfig(eval_split=0.1))
    held_out, line = notes(config, root)
    assert held_out.startswith("held out by dataset.eval_split 0.1: episodes 1, 3; training draws 21 of 50")
    assert line.startswith(
        "never trained: 'Pick up the blue cube.'; dataset.eval_split 0.1 holds out at least"
    )
    left_out = replace(tiny(), dataset=DatasetConfig(eval_split=0.1, exclude=[1]))
    assert notes(left_out, root) == [
        "held out by dataset.eval_split 0.1: episodes 3; training draws 21 of 50 frames"
    ]


@pytest.mark.parametrize("chosen", [{"episodes": [0, 1, 3]}, {"exclude": [2]}])
def test_other_episodes_are_neither_drawn_nor_validated(
    chosen: dict[str, Any], recorded_dataset: Path
) -> None:
    config = replace(tiny(), dataset=DatasetConfig(eval_split=0.3, **chosen))
    meta = load_meta(recorded_dataset)
    weights = np.arange(1.0, FRAMES + 1)
    frames = training_frames(config, meta, policy_settings(config.policy, meta, "cpu"), weights)
    episodes = frames.table.episode_index
    # Of the two tasks, the one has episode 0 alone, which is held out with the last of the other.
    assert set(episodes[frames.drawable]) == {1}
    assert set(episodes[frames.validation]) == {0, 3}
    assert np.isclose(frames.weights[frames.drawable].mean(), 1)


def test_another_selection_does_not_go_on_with_a_training(recorded_dataset: Path, tmp_path: Path) -> None:
    """Although all its weights are 1."""
    config = replace(tiny(max_steps=2), dataset=DatasetConfig(episodes=[0, 1]))
    train(config, recorded_dataset, np.ones(FRAMES), tmp_path)
    for dataset in (DatasetConfig(episodes=[0, 1, 2]), DatasetConfig()):
        with pytest.raises(InputError, match="holds a training with other episodes"):
            train(replace(config, dataset=dataset), recorded_dataset, np.ones(FRAMES), tmp_path)
    same = replace(config, dataset=DatasetConfig(exclude=[2, 3]))
    assert train(same, recorded_dataset, np.ones(FRAMES), tmp_path).steps == 2
