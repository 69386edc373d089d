"""What `--dry_run` says of a run's cost: from the dataset that is there, unknown where nobody measured."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rabc.config.settings import Config, DatasetConfig
from rabc.datasets.cache import cache_folder, camera_folder
from rabc.pipeline.costs import cost_table
from rabc.system.errors import InputError

STAGES = ["demonstrations", "scores", "weights", "training", "rollouts"]


def rows(config: Config) -> dict[str, str]:
    lines = cost_table(config, STAGES).splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}


def on(path: Path | str, simulate: bool = True) -> Config:
    config = Config(dataset=DatasetConfig(str(path)))
    return replace(config, demonstrations=replace(config.demonstrations, simulate=simulate))


def test_a_recording_to_be_made_costs_and_one_that_is_there_does_not(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    assert rows(on(tmp_path / "later"))["demonstrations"] == "1 min 30 s 16 MB"
    there = rows(on(recorded_dataset))
    assert there["demonstrations"] == "0 s 0 MB"
    # 4 episodes of 15 prefixes, each scored in four variants, and not the configuration's 100 episodes.
    assert there["scores"].startswith("7 s ")


def test_frames_that_are_decoded_need_no_more_disk(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "total_frames": 100_000}))
    assert rows(on(root))["training"].endswith(" 1064 MB")  # two cameras of 32x32x3, and checkpoints
    folder = camera_folder(cache_folder(root, on(root).dataset), "observation.images.front", (32, 32))
    folder.mkdir(parents=True)
    with (folder / "0123456789abcdef.rgb").open("wb") as file:
        file.truncate(500_000_000)
    assert rows(on(root))["training"].endswith(" 564 MB")
    config = on(root)
    small = replace(config, policy=replace(config.policy, resize_shape=[64, 48]))
    assert rows(small)["training"].endswith(" 2293 MB")  # nothing is decoded at this size
    without = replace(config, dataset=replace(config.dataset, cache=False))
    assert rows(without)["training"].endswith(" 450 MB")


def test_what_nobody_measured_is_unknown(recorded_dataset: Path) -> None:
    config = on(recorded_dataset)
    large = rows(replace(config, scorer=replace(config.scorer, model="Qwen/Qwen3-VL-8B-Instruct")))
    assert large["scores"].startswith("unknown")
    assert large["rollouts"].startswith("unknown")
    assert large["together"].startswith("unknown")
    assert not large["training"].startswith("unknown")
    on_the_hub = rows(on("you/pick", simulate=False))
    assert on_the_hub["demonstrations"] == "unknown unknown"


def test_damaged_metadata_is_named(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    (root / "meta" / "info.json").write_text('{"features"')
    with pytest.raises(InputError, match=r"info\.json: cannot be read"):
        cost_table(on(root), STAGES)
