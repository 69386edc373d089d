"""A share of episodes to hold out that leaves nothing is refused before anything is scored."""

from dataclasses import replace
from pathlib import Path

import pytest

from rabc.config.settings import DatasetConfig, WeightsConfig
from rabc.pipeline.checks import check_dataset
from rabc.system.errors import InputError
from tests.support.training_runs import tiny


@pytest.mark.parametrize(("episodes", "share"), [([1], 0.1), ([0], 0.9)])
def test_nothing_left_to_train_on(episodes: list[int], share: float, recorded_dataset: Path) -> None:
    """The last episodes of each task are held out, at least one."""
    dataset = DatasetConfig(str(recorded_dataset), episodes=episodes, eval_split=share)
    config = replace(tiny(), dataset=dataset, weights=WeightsConfig(scheme="none"))
    with pytest.raises(InputError, match="eval_split"):
        check_dataset(config, recorded_dataset)
    check_dataset(replace(config, dataset=replace(dataset, eval_split=0.0)), recorded_dataset)
