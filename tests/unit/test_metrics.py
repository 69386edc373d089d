"""The torchmetrics classes give what the pure functions give, however the data are cut up."""

import numpy as np
import pytest
import torch

from rabc import progress
from rabc.metrics import VOC, StageError, SuccessAUC

RNG = np.random.default_rng(0)
CURVES = [torch.from_numpy(np.cumsum(RNG.normal(0.1, 0.5, length))) for length in (15, 9, 15, 2, 15)]
SUCCESS = torch.tensor([True, False, True, False, False])


def test_voc_is_the_mean_of_the_pure_function() -> None:
    metric = VOC()
    metric.update(CURVES[:2])
    metric.update(CURVES[2])
    metric.update(CURVES[3:])
    expected = np.mean([progress.voc(curve.numpy()) for curve in CURVES])
    assert metric.compute().item() == pytest.approx(expected)
    metric.reset()
    assert torch.isnan(metric.compute())


def test_voc_of_a_constant_curve_is_zero() -> None:
    metric = VOC()
    metric.update(torch.stack([torch.full((5,), -1.0), torch.arange(5.0)]))
    assert metric.compute().item() == pytest.approx(0.5)


def test_auc_takes_the_last_three_prefixes() -> None:
    metric = SuccessAUC()
    assert torch.isnan(metric.compute())
    metric.update(CURVES[:3], SUCCESS[:3])
    metric.update(CURVES[3], SUCCESS[3])
    metric.update(CURVES[4:], SUCCESS[4:])
    scores = np.array([progress.success_score(curve.numpy()) for curve in CURVES])
    assert metric.compute().item() == pytest.approx(progress.roc_auc(scores, SUCCESS.numpy()))


def test_auc_needs_a_label_for_each_curve() -> None:
    with pytest.raises(ValueError, match="2 curves, 3 labels"):
        SuccessAUC().update(CURVES[:2], SUCCESS[:3])


def test_stage_error_is_the_mean_over_episodes() -> None:
    shares = np.array([0.3, 0.7])
    episodes = [(torch.linspace(0, 1, 12), [0, 5, 12]), (torch.linspace(0, 0.4, 9), torch.tensor([0, 3, 9]))]
    metric = StageError([0.3, 0.7])
    for values, boundaries in episodes:
        metric.update(values, boundaries)
    expected = [
        progress.stage_error(values.double().numpy(), np.asarray(boundaries), shares)
        for values, boundaries in episodes
    ]
    assert metric.compute().item() == pytest.approx(np.mean(expected), abs=1e-7)


def test_states_of_two_processes_add_up() -> None:
    """What torchmetrics does after gathering: sums and concatenations."""
    parts = [VOC(), VOC()]
    parts[0].update(CURVES[:2])
    parts[1].update(CURVES[2:])
    whole = VOC()
    whole.update(CURVES)
    total = sum(part.total for part in parts) / sum(part.count for part in parts)
    assert total == pytest.approx(whole.compute())
