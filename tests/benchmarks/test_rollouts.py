"""Our rollouts against so101-nexus's own visual environment, which renders every camera at every step."""

import json
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rabc.benchmarks.nexus import Pictures, VisualEnvironment
from rabc.benchmarks.rollouts import Bench, Played, image_size, measure, otherwise, speed_up
from rabc.rollouts.play import Rollout, RolloutJob, load_policy, roll_out
from rabc.sim.environment import Simulator
from rabc.system.errors import InputError
from tests.rollouts.test_play import save_policy

SIZE = 48
ACT: dict[str, Any] = {"chunk_size": 6, "n_action_steps": 4, "dim_model": 32, "n_heads": 4}
DIFFUSION: dict[str, Any] = {
    "n_obs_steps": 2, "horizon": 8, "n_action_steps": 4, "down_dims": (16, 32), "n_groups": 4,
    "use_group_norm": True, "noise_scheduler_type": "DDIM", "num_inference_steps": 2,
}  # fmt: skip


@pytest.fixture(scope="module")
def act(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_policy(tmp_path_factory.mktemp("policies") / "act", "act", ACT)


def played_both_ways(folder: Path, jobs: list[RolloutJob], pictures: Pictures) -> list[list[Rollout]]:
    """Our rollout of each job, and so101-nexus's."""
    policy, found = load_policy(folder), list[list[Rollout]]()
    ours = closing(Simulator(image_size=SIZE, detailed=pictures == "default"))
    with ours as simulator, closing(VisualEnvironment(pictures, SIZE)) as environment:
        for job in jobs:
            torch.manual_seed(job.seed)
            mine = roll_out(simulator, policy, job)
            torch.manual_seed(job.seed)
            found.append([mine, environment.play(policy, job)])
    return found


@pytest.mark.parametrize(
    ("kind", "settings"), [("act", ACT), pytest.param("diffusion", DIFFUSION, marks=pytest.mark.slow)]
)
def test_drawing_every_camera_at_every_step_ends_alike_to_the_last_bit(
    kind: str, settings: dict[str, Any], tmp_path: Path
) -> None:
    folder = save_policy(tmp_path, kind, settings)
    jobs = [
        RolloutJob(folder, 3_000_000, 16, "front", 3, SIZE),
        RolloutJob(folder, 3_000_001, 16, "wrist", 3, SIZE),
    ]
    for ours, theirs in played_both_ways(folder, jobs, "ours"):
        assert (ours.success, ours.ticks, ours.closest_m) == (theirs.success, theirs.ticks, theirs.closest_m)
        assert ours.frames.shape == (6, 3, SIZE, SIZE)
        assert np.array_equal(ours.frames, theirs.frames)
        assert np.abs(np.diff(ours.frames.astype(int), axis=0)).max() > 20  # something moves


@pytest.mark.slow
def test_its_default_pictures_can_be_drawn_when_the_policy_asks(act: Path) -> None:
    job = RolloutJob(act, 3_000_000, 3, "front", 2, SIZE)
    [[ours, theirs]] = played_both_ways(act, [job], "default")
    assert np.array_equal(ours.frames, theirs.frames)
    assert ours.closest_m == theirs.closest_m
    with closing(Simulator(image_size=SIZE)) as plain:
        plain.reset(job.seed)
        assert np.abs(plain.render("front").astype(int) - ours.frames[0].transpose(1, 2, 0)).max() > 50


@pytest.mark.slow
def test_the_benchmark_measures_every_part(act: Path, capfd: pytest.CaptureFixture[str]) -> None:
    lines, facts = measure(("plain", "same"), Bench(act, starts=2, max_ticks=5))
    assert [line.required for line in lines] == [">= 5", "", "<= 0"]
    assert lines[2].measured == 0
    assert "2 start states, lifted 0 / 0" in lines[0].detail
    assert [each["ticks"] for each in facts["plain"]["so101-nexus"]] == [5, 5]
    assert [each["seed"] for each in facts["same"]["ours"]] == [3_000_000, 3_000_001]
    assert facts["image_size"] == SIZE
    shown = capfd.readouterr().out
    assert shown.index("so101-nexus: ") < shown.index("ours: ") < shown.index("(2/2)")  # in turn


def test_rates_are_of_all_rollouts_together() -> None:
    ours = [Played(seed, True, 40, 0.01, 0.5, 0.25) for seed in range(4)]
    theirs = [
        replace(each, seconds=seconds, cpu_seconds=1.0)
        for each, seconds in zip(ours, (1, 2, 3, 4), strict=True)
    ]
    line = speed_up("x", theirs, ours)
    assert line.measured == 5.0
    assert line.holds
    assert "120.0 / 24.0 rollouts a minute, 4 start states, lifted 4 / 4; in CPU time 4.0 x" in line.detail
    other = [*ours[:2], replace(ours[2], success=False), replace(ours[3], closest_m=np.nextafter(0.01, 1))]
    assert (otherwise(other, ours).measured, otherwise(other, ours).holds) == (2, False)
    assert otherwise(theirs, ours).holds


def test_what_is_no_policy_for_these_cameras_is_refused(act: Path, tmp_path: Path) -> None:
    assert image_size(act) == SIZE
    with pytest.raises(InputError, match="nowhere: is no policy for the simulator's cameras front, wrist"):
        image_size(tmp_path / "nowhere")
    config = json.loads((act / "config.json").read_text())
    config["input_features"]["observation.images.wrist"]["shape"] = [3, 48, 64]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="are square and alike"):
        image_size(tmp_path)
    del config["input_features"]["observation.images.wrist"]
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match=r"KeyError: 'observation.images.wrist'"):
        image_size(tmp_path)
