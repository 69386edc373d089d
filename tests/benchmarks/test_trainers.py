"""The pieces of the data and training benchmarks that can be wrong without anything being slow."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from math import inf
from pathlib import Path
from typing import Any

import pytest

from rabc.benchmarks.data import one_holds, payback
from rabc.benchmarks.lines import Line, at_least
from rabc.benchmarks.trainers import (
    differing,
    lerobot_arguments,
    log_every,
    measure_command,
    resident,
    steady,
)
from rabc.benchmarks.training import DIFFUSION, shipped_act, speed_up
from rabc.config.settings import Config, DatasetConfig
from rabc.config.training_settings import TrainerConfig
from rabc.system.processes import unwind_on_sigterm
from tests.support import forked


def test_payback_is_build_time_over_what_an_epoch_saves() -> None:
    assert payback(100.0, their_epoch=30.0, our_epoch=5.0) == 4.0
    assert payback(100.0, their_epoch=5.0, our_epoch=5.0) == inf


def test_speed_up_is_of_medians() -> None:
    assert speed_up([10.0, 90.0, 12.0], [4.0]) == 3.0


def test_a_bound_that_holds_at_one_resolution_alone_says_so() -> None:
    held, missed, other = (
        at_least("small", 12, 10, "x"),
        at_least("full", 8, 10, "x", "8/1"),
        Line("b", 1, "s"),
    )
    assert one_holds([held, other, missed]) == [
        held,
        other,
        replace(missed, detail="8/1; holds only for: small"),
    ]
    assert one_holds([held, other]) == [held, other]
    assert one_holds([missed]) == [missed]


def test_steady_seconds_leave_out_the_first_point() -> None:
    point = "INFO 2026-01-01 00:00:00 ot_train.py:600 step:2 loss:1.0 updt_s:{} data_s:{} smp/s:8\n"
    log = "".join(point.format(*each) for each in (("9.0", "7.0"), ("0.3", "0.1"), ("0.5", "0.1")))
    assert steady(log) == (0.4, 0.1)
    assert steady(log.splitlines()[0]) == (9.0, 7.0)
    with pytest.raises(ValueError, match="no updt_s"):
        steady("INFO step:2 loss:1.0")


def test_policies_differ_by_more_than_how_pictures_get_their_size() -> None:
    ours = {"horizon": 16, "resize_shape": None, "down_dims": [1]}
    assert differing(ours, {"horizon": 16, "resize_shape": [96, 96], "down_dims": [1]}) == {}
    assert differing(ours, {"horizon": 8, "down_dims": [1], "use_amp": True}) == {
        "horizon": (16, 8), "use_amp": (None, True)
    }  # fmt: skip


def test_a_log_has_ten_points_or_one_for_each_step() -> None:
    assert [log_every(steps) for steps in (3, 100, 250)] == [1, 10, 25]


def test_lerobot_reads_the_settings_it_is_given(tmp_path: Path) -> None:
    import draccus
    from lerobot.configs.train import TrainPipelineConfig

    trainer = TrainerConfig(max_steps=70, batch_size=3, log_every=7)
    act = shipped_act().policy
    for policy in (DIFFUSION, replace(act, batch_norm="frozen", extra={"latent_dim": 8})):
        config = Config(
            dataset=DatasetConfig(path="some/where"), policy=policy, trainer=trainer, device="cpu"
        )
        read: Any = draccus.parse(TrainPipelineConfig, args=lerobot_arguments(config, tmp_path / "out"))
        assert (read.steps, read.batch_size, read.log_freq) == (70, 3, 7)
        assert (read.dataset.root, read.policy.type, read.policy.device) == ("some/where", policy.type, "cpu")
        assert read.policy.pretrained_backbone_weights is None
        if policy.type == "diffusion":
            assert tuple(read.policy.resize_shape) == (96, 96)
            assert tuple(read.policy.down_dims) == (128, 256, 512)
            assert (read.policy.horizon, read.policy.use_group_norm) == (16, True)
        else:
            assert (read.policy.dim_model, read.policy.use_vae) == (act.dim_model, act.use_vae)
            assert read.policy.latent_dim == 8


def test_memory_of_a_process_while_it_lives() -> None:
    found = resident(os.getpid())
    assert found is not None
    assert found[0] >= found[1] > 10
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert resident(ended.pid) is None


def measure_sleep(folder: Path) -> None:
    unwind_on_sigterm()
    measure_command(["sh", "-c", "echo $$ > pid.tmp; mv pid.tmp pid; exec sleep 600"], folder)


def test_sigterm_ends_what_is_measured_too(tmp_path: Path) -> None:
    benchmark = forked.start(measure_sleep, tmp_path)
    try:
        while not (tmp_path / "pid").exists():
            assert benchmark.poll() is None, benchmark.stderr
            time.sleep(0.05)
        benchmark.send_signal(signal.SIGTERM)
        assert benchmark.wait(30) == 143
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "pid").read_text()), 0)
    finally:
        benchmark.kill()
