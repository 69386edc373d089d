"""Joints that never move: what the network sees of them, and what it answers for them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rabc.config.training_settings import PolicyConfig
from rabc.datasets.metadata import load_meta
from rabc.export.lerobot_only import load, play
from rabc.policies.build import build_policy
from rabc.policies.still import measurable, still, with_rare_moves
from tests.policies.test_build import ACT, DIFFUSION, saved

Copy = Callable[[], Path]


@pytest.mark.parametrize(
    ("statistics", "motionless"),
    [
        ({"mean": [5.0, 5.0], "std": [0.0, 30.0]}, [True, False]),
        # The width of a constant is that of float32's rounding; alone, nothing else is there to compare with.
        ({"mean": [57.3], "std": [4e-6]}, [True]),
        ({"mean": [57.3], "std": [1e-3]}, [False]),
        # Metres beside the ticks of a servo move.
        ({"mean": [0.05, 2048.0], "std": [0.02, 500.0]}, [False, False]),
        ({"min": [3.0, -40.0], "max": [3.0, 40.0]}, [True, False]),
        ({"min": [0.0], "max": [0.0]}, [True]),
        ({"mean": [[[0.0]], [[0.5]]], "std": [[[0.0]], [[0.2]]]}, [[[True]], [[False]]]),
        ({"q01": [1.0], "q99": [1.0]}, False),
    ],
)
def test_what_never_moves(statistics: dict[str, Any], motionless: Any) -> None:
    assert still(statistics).tolist() == motionless


def test_what_never_moves_is_as_wide_as_the_widest() -> None:
    changed = measurable(
        {"mean": [5.0, 0.0], "std": [0.0, 30.0], "min": [5.0, -60.0], "max": [5.0, 60.0], "count": [9]}
    )
    assert np.asarray(changed["std"]).tolist() == [30.0, 30.0]
    assert np.asarray(changed["min"]).tolist() == [-55.0, -60.0]
    assert np.asarray(changed["max"]).tolist() == [65.0, 60.0]
    assert changed["mean"] == [5.0, 0.0]
    assert np.asarray(measurable({"mean": [5.0], "std": [0.0]})["std"]).tolist() == [1.0]


def test_what_moves_keeps_its_statistics() -> None:
    statistics = {"mean": [5.0, 0.0], "std": [1e-2, 30.0], "min": [4.0, -60.0], "max": [6.0, 60.0]}
    assert measurable(statistics) == statistics
    assert with_rare_moves(statistics) == statistics


def test_a_gripper_that_opens_once_is_normalised_by_its_range() -> None:
    changed = with_rare_moves(
        {"min": [0.0, 2.0, 1.0], "max": [80.0, 2.0, 9.0], "q01": [0.0, 2.0, 1.5], "q99": [0.0, 2.0, 8.5]}
    )
    assert np.asarray(changed["q01"]).tolist() == [0.0, 2.0, 1.5]
    assert np.asarray(changed["q99"]).tolist() == [80.0, 2.0, 8.5]


@pytest.mark.parametrize(
    ("config", "extra"),
    [
        (ACT, {}),
        (DIFFUSION, {}),
        (ACT, {"normalization_mapping": {"STATE": "QUANTILES", "ACTION": "QUANTILES", "VISUAL": "MEAN_STD"}}),
    ],
    ids=["MEAN_STD", "MIN_MAX", "QUANTILES"],
)
def test_a_robot_that_reads_a_hundredth_of_a_degree_more_acts_the_same(
    config: PolicyConfig, extra: dict[str, Any], dataset_copy: Copy, tmp_path: Path
) -> None:
    """Through the folder that LeRobot loads; the last joint of state and action never moved."""
    root = dataset_copy()
    meta: Any = load_meta(root)
    for key in ("observation.state", "action"):
        found: dict[str, Any] = {name: np.array(value) for name, value in meta.stats[key].items()}
        for name, value in found.items():
            if name != "count":
                value[5] = 0.0 if name == "std" else 57.3
        meta.stats[key] = found
    torch.manual_seed(0)
    parts = build_policy(dataclasses.replace(config, extra={**config.extra, **extra}), meta)
    folder = saved(parts, root, tmp_path / "policy")

    def actions(last: float, first: float = 0.0) -> torch.Tensor:
        frames = {camera: torch.full((1, 3, 32, 32), 100, dtype=torch.uint8) for camera in meta.camera_keys}
        frames["observation.state"] = torch.tensor([[first, 0, 0, 0, 0, last]])
        noise = torch.zeros(1, 8, 6) if config.type == "diffusion" else None
        return play(*load(folder), frames, ["Pick."], noise)

    usual, near = actions(57.3), actions(57.31)
    assert (near - usual).abs().max() < 1e-2 * (1 + (actions(57.3, 20.0) - usual).abs().max())
    assert torch.allclose(usual[:, 5], torch.tensor(57.3), rtol=0, atol=1e-4)
    # What training sees of it: nothing, whatever float32 makes of it.
    seen = parts.preprocessor(
        {"observation.state": torch.tensor([0, 0, 0, 0, 0, 57.3]), "action": torch.full((5, 6), 57.3)}
    )
    assert float(seen["observation.state"][0, 5].abs()) < 1e-5
    assert float(seen["action"][..., 5].abs().max()) < 1e-5
