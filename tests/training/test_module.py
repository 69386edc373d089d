"""The pure parts of training: which frames are drawn, how weights are found, the learning rate."""

import numpy as np
import pytest
import torch

from rabc.system.device import resolve_device
from rabc.system.errors import InputError
from rabc.training.drawn import drawable_weights
from rabc.training.module import sample_weights
from rabc.training.optimizers import learning_rate_factor

FRAMES = 50
WEIGHTS = np.resize([0.0, 0.5, 1.0, 2.5], FRAMES)


def test_frames_of_weight_zero_are_not_drawn_and_the_rest_have_mean_one() -> None:
    weights, drawable = drawable_weights(WEIGHTS, FRAMES)
    assert np.array_equal(drawable, np.flatnonzero(WEIGHTS))
    assert weights[drawable].mean() == pytest.approx(1.0)
    assert weights[1] / weights[3] == pytest.approx(0.5 / 2.5)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones(FRAMES - 1), r"weights \(49,\): the dataset has 50 frames"),
        (np.where(np.arange(FRAMES) == 7, np.nan, 1.0), "weight nan of frame 7"),
        (np.where(np.arange(FRAMES) == 7, -1.0, 1.0), "weight -1.0 of frame 7"),
        (np.zeros(FRAMES), "all 50 drawable frames have weight 0"),
    ],
)
def test_unusable_weights(weights: np.ndarray, message: str) -> None:
    with pytest.raises(InputError, match=message):
        drawable_weights(weights, FRAMES)


def test_sample_without_index_or_weight() -> None:
    weights = torch.tensor([1.0, float("nan")])
    assert sample_weights(weights, {"index": torch.tensor([0, 0])})["weight"].tolist() == [1.0, 1.0]
    with pytest.raises(InputError, match="no `index`"):
        sample_weights(weights, {"action": torch.zeros(1)})
    with pytest.raises(InputError, match="frame 1: has no weight"):
        sample_weights(weights, {"index": torch.tensor([0, 1])})
    with pytest.raises(InputError, match="frame 2: has no weight"):
        sample_weights(weights, {"index": torch.tensor([2])})
    ticks = {"action_index": torch.tensor([[0, 1]]), "action_is_pad": torch.tensor([[False, False]])}
    with pytest.raises(InputError, match="frame 1: has no weight"):
        sample_weights(weights, ticks, "ticks")
    with pytest.raises(InputError, match="no `action_index`"):
        sample_weights(weights, {"index": torch.tensor([0])}, "ticks")


def test_the_weight_of_a_sample_is_the_mean_of_its_actions() -> None:
    """That is what its part without ticks counts with: padding repeats the last action and is none."""
    weights = torch.tensor([0.0, 1.0, 3.0])
    batch = {
        "action_index": torch.tensor([[0, 1, 2], [2, 2, 2]]),
        "action_is_pad": torch.tensor([[False, False, False], [False, True, True]]),
    }
    found = sample_weights(weights, batch, "ticks")
    assert found["weight"].tolist() == pytest.approx([4 / 3, 3.0])
    assert found["tick_weight"].tolist() == [[0.0, 1.0, 3.0], [3.0, 3.0, 3.0]]


def test_learning_rate_warms_up_and_decays_to_zero() -> None:
    factors = [learning_rate_factor(step, 10, 100) for step in range(101)]
    assert factors[0] > 0
    assert factors[10] == 1.0 == max(factors)
    assert factors[100] == pytest.approx(0.0, abs=1e-12)
    assert np.all(np.diff(factors[:11]) > 0)
    assert np.all(np.diff(factors[10:]) < 0)


def test_device() -> None:
    assert resolve_device("cpu") == "cpu"
    assert resolve_device("auto") in ("cuda", "mps", "cpu")
    with pytest.raises(InputError, match=r"device tpu: not available here; use one of: .*cpu, auto"):
        resolve_device("tpu")
