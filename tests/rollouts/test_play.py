"""Rollouts of a policy folder against LeRobot's own loop, which sees every tick."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from rabc.rollouts.play import (
    TICKS_AFTER_SUCCESS,
    ChunkPolicy,
    RolloutJob,
    load_policy,
    roll_out,
    simulator_observation,
)
from rabc.sim.demonstrate import demonstrate
from rabc.sim.demonstrator import Kind
from rabc.sim.environment import Simulator
from rabc.sim.scene import Truth

TICKS = 9
STATISTICS = {
    **{
        f"observation.images.{name}": {"mean": np.full((3, 1, 1), 0.4), "std": np.full((3, 1, 1), 0.2)}
        for name in ("front", "wrist")
    },
    **{
        name: {
            "min": np.full(6, -60.0), "max": np.full(6, 60.0), "mean": np.zeros(6), "std": np.full(6, 30.0)
        }
        for name in ("observation.state", "action")
    },
}  # fmt: skip


def save_policy(folder: Path, kind: str, settings: dict[str, Any]) -> Path:
    """An untrained LeRobot policy with its processors."""
    from lerobot.configs import FeatureType, PolicyFeature
    from lerobot.policies.factory import get_policy_class, make_policy_config, make_pre_post_processors

    torch.manual_seed(0)
    config: Any = make_policy_config(
        kind,
        input_features={
            "observation.images.front": PolicyFeature(FeatureType.VISUAL, (3, 48, 48)),
            "observation.images.wrist": PolicyFeature(FeatureType.VISUAL, (3, 48, 48)),
            "observation.state": PolicyFeature(FeatureType.STATE, (6,)),
        },
        output_features={"action": PolicyFeature(FeatureType.ACTION, (6,))},
        device="cpu",
        pretrained_backbone_weights=None,
        **settings,
    )
    policy = get_policy_class(kind)(config)
    preprocessor, postprocessor = make_pre_post_processors(config, dataset_stats=STATISTICS)
    for part in (policy, preprocessor, postprocessor):
        part.save_pretrained(folder)
    return folder


def lerobots_states(folder: Path, kind: str, seed: int) -> list[NDArray[np.float32]]:
    """Joint positions after each tick when LeRobot's `select_action` is asked at every one."""
    from lerobot.policies.factory import get_policy_class, make_pre_post_processors

    policy = get_policy_class(kind).from_pretrained(folder)
    before, after = make_pre_post_processors(policy.config, pretrained_path=str(folder))
    policy.reset()
    torch.manual_seed(seed)
    states: list[NDArray[np.float32]] = []
    with Simulator(image_size=48) as simulator, torch.inference_mode():
        simulator.reset(seed)
        for _ in range(TICKS):
            action = after(policy.select_action(before(simulator_observation(simulator))))[0]
            simulator.tick(action.numpy())
            states.append(simulator.state())
    return states


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("act", {"chunk_size": 6, "n_action_steps": 4, "dim_model": 32, "n_heads": 4}),
        *(
            (
                "diffusion",
                {
                    "n_obs_steps": observations, "horizon": 8, "n_action_steps": actions,
                    "down_dims": (16, 32), "n_groups": 4, "use_group_norm": True,
                    "noise_scheduler_type": "DDIM", "num_inference_steps": 2,
                },
            )
            for observations, actions in ((1, 4), (2, 4), (3, 2), (3, 1))
        ),
    ],
    ids=["act", "diffusion 1 4", "diffusion 2 4", "diffusion 3 2", "diffusion 3 1"],
)  # fmt: skip
def test_a_rollout_moves_the_arm_as_lerobots_own_loop_does(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = save_policy(tmp_path, kind, settings)
    policy = load_policy(folder)
    seed, states = 3_000_000, list[NDArray[np.float32]]()
    with Simulator(image_size=48) as simulator:
        tick = simulator.tick

        def recorded_tick(action: NDArray[np.float32]) -> None:
            tick(action)
            states.append(simulator.state())

        simulator.tick = recorded_tick
        torch.manual_seed(seed)
        roll_out(simulator, policy, RolloutJob(folder, seed, TICKS, "front", 5, 48))
    expected = lerobots_states(folder, kind, seed)
    assert np.abs(np.diff(expected, axis=0)).max() > 0.1
    np.testing.assert_allclose(states, expected, atol=1e-3)


@pytest.mark.parametrize("kind", ["clean", "give_up"])
def test_what_a_rollout_says_is_what_happened(kind: Kind, tmp_path: Path) -> None:
    """A demonstration played in chunks, and what the simulator said at each of its ticks."""
    seed, actions, truths = 3_000_000, list[NDArray[np.float32]](), list[Truth]()
    with Simulator(image_size=48) as simulator:
        for step in demonstrate(simulator, seed, kind).steps():
            actions.append(step.action)
        simulator.reset(seed)
        for action in actions:
            simulator.tick(action)
            truths.append(simulator.truth())
        waiting = list(actions)

        def next_chunk(observations: Sequence[dict[str, Any]]) -> NDArray[np.float32]:
            assert len(observations) == 1
            chunk, waiting[:] = waiting[:7], waiting[7:]
            return np.stack(chunk)

        job = RolloutJob(tmp_path, seed, len(actions), "front", ticks_per_frame=5, image_size=48)
        played = roll_out(simulator, ChunkPolicy(1, next_chunk), job)
    done = [tick for tick, truth in enumerate(truths, start=1) if truth.success]
    assert played.success == bool(done) == (kind == "clean")
    assert played.ticks == min(len(actions), done[0] + TICKS_AFTER_SUCCESS if done else len(actions))
    assert played.closest_m == min(truth.distance for truth in truths[: played.ticks])
    assert played.closest_m < truths[0].distance
    assert kind == "clean" or played.closest_m < truths[played.ticks - 1].distance
    assert played.frames.shape == (-(-played.ticks // 5), 3, 48, 48)
