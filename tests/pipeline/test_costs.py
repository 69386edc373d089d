"""What `--dry_run` says of a run's cost: from the dataset that is there, unknown where nobody measured."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from rabc.config.settings import Config, DatasetConfig
from rabc.config.training_settings import TrainerConfig
from rabc.datasets.cache import cache_folder, camera_folder
from rabc.pipeline import machine, measuring
from rabc.pipeline.costs import cost_table, cost_table_with, measured
from rabc.pipeline.machine import VALID_S, VALID_WHEN_BUSY_S, Measured
from rabc.pipeline.rates import CLIP, ROLLOUT_TICK, STEP, TICK, Rates
from rabc.pipeline.room import parameters, training_bytes
from rabc.system.errors import InputError
from tests.support.training_runs import ACT, DIFFUSION

STAGES = ["demonstrations", "scores", "weights", "training", "rollouts"]
KNOWN = {TICK: 0.01, CLIP: 0.5, STEP: 0.2, ROLLOUT_TICK: 0.02}


def rows(config: Config, **known: float) -> dict[str, str]:
    lines = cost_table_with(config, STAGES, Rates(known or KNOWN, "")).splitlines()
    return {line.split()[0]: " ".join(line.split()[1:]) for line in lines[2:]}


def on(path: Path | str, simulate: bool = True) -> Config:
    config = Config(dataset=DatasetConfig(str(path)))
    return replace(config, demonstrations=replace(config.demonstrations, simulate=simulate))


def test_a_recording_to_be_made_costs_and_one_that_is_there_does_not(
    recorded_dataset: Path, tmp_path: Path
) -> None:
    later = on(tmp_path / "later")
    one = replace(later, demonstrations=replace(later.demonstrations, processes=1))
    assert rows(one)["demonstrations"] == "4 min 0 s 16 MB"  # 6500 ticks, which are also encoded
    there = rows(on(recorded_dataset))
    assert there["demonstrations"] == "0 s 0 MB"
    # 4 episodes of 15 prefixes, each scored in four variants, and not the configuration's 100 episodes.
    assert there["scores"].startswith("8 s ")
    assert there["training"].startswith("8 min 32 s ")  # 2500 steps
    assert there["rollouts"].startswith(("1 min 12 s ", "1 min 52 s "))  # 40 of 100 ticks, on one core or two
    plain = replace(on(recorded_dataset), weights=replace(later.weights, scheme="none"))
    assert rows(plain)["scores"].startswith("0 s ")


def test_several_datasets_cost_what_all_of_them_do(
    recorded_dataset: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))
    other = shutil.copytree(recorded_dataset, tmp_path / "other")
    one = on(recorded_dataset, simulate=False)
    both = replace(one, dataset=replace(one.dataset, path=[str(recorded_dataset), str(other)]))
    assert rows(one)["scores"].startswith("8 s ")
    assert rows(both)["scores"].startswith("16 s ")


def test_frames_that_are_decoded_need_no_more_disk(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    info = root / "meta" / "info.json"
    info.write_text(json.dumps({**json.loads(info.read_text()), "total_frames": 100_000}))
    numbers = parameters(on(root), root)
    assert numbers is not None
    checkpoints = training_bytes(on(root), numbers) / 1e6

    def decoded(config: Config) -> float:
        """MB of the training beside its checkpoints, in which a resized picture changes nothing."""
        return float(rows(config)["training"].split()[-2]) - checkpoints

    assert decoded(on(root)) == pytest.approx(614.4, abs=1)  # two cameras of 32x32x3
    folder = camera_folder(cache_folder(root), "observation.images.front", (32, 32))
    folder.mkdir(parents=True)
    with (folder / "0123456789abcdef.rgb").open("wb") as file:
        file.truncate(500_000_000)
    assert decoded(on(root)) == pytest.approx(114.4, abs=1)
    config = on(root)
    resized = replace(config, policy=replace(config.policy, resize_shape=[64, 48]))
    assert decoded(resized) == pytest.approx(1843.2, abs=1)  # nothing is decoded at this size
    bounded = replace(config, dataset=replace(config.dataset, cache_gb=0.05))
    assert decoded(bounded) == pytest.approx(50, abs=1)
    without = replace(config, dataset=replace(config.dataset, cache=False))
    assert decoded(without) == pytest.approx(0, abs=1)


def test_what_nobody_measured_is_unknown(recorded_dataset: Path) -> None:
    config = on(recorded_dataset)
    without_scorer = rows(config, **{STEP: 0.2, ROLLOUT_TICK: 0.02})
    assert without_scorer["scores"].startswith("unknown")
    assert without_scorer["rollouts"].startswith("unknown")
    assert without_scorer["together"].startswith("unknown")
    assert not without_scorer["training"].startswith("unknown")
    on_the_hub = rows(on("you/pick", simulate=False))
    assert on_the_hub["demonstrations"] == "unknown unknown"


def test_what_would_take_long_to_measure_or_download_is_not(recorded_dataset: Path, tmp_path: Path) -> None:
    config = on(recorded_dataset)
    large = replace(config, scorer=replace(config.scorer, model="Qwen/Qwen3-VL-8B-Instruct"))
    vla = replace(large, policy=replace(config.policy, type="smolvla"))
    assert measured(vla, ["scores", "training"]) == Rates({}, "")
    started = replace(large, policy=replace(config.policy, pretrained_path="you/policy"))
    assert measured(started, ["training"]) == Rates({}, "")
    assert measured(on(tmp_path / "nothing", simulate=False), STAGES) == Rates({}, "")


def test_damaged_metadata_is_named(dataset_copy: Callable[[], Path]) -> None:
    root = dataset_copy()
    (root / "meta" / "info.json").write_text('{"features"')
    with pytest.raises(InputError, match=r"info\.json: cannot be read"):
        cost_table(on(root), STAGES)


def small(dataset: Path, policy: str) -> Config:
    sizes = {"act": ACT, "diffusion": DIFFUSION}
    trainer = TrainerConfig(batch_size=4, max_steps=10, accumulate_grad_batches=2)
    return replace(on(dataset), policy=sizes[policy], trainer=trainer, device="cpu")


@pytest.fixture
def memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a machine on which nothing has been measured would remember it."""
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(measuring, "ENOUGH_S", 0.0)
    return machine.memory_file()


@pytest.mark.parametrize("policy", ["act", "diffusion"])
def test_this_machine_is_measured_once(
    policy: str, recorded_dataset: Path, memory: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = small(recorded_dataset, policy)
    text = cost_table(config, ["training"])
    assert "measuring this machine, once" in capsys.readouterr().err
    assert "Times are of this machine" in text
    assert "measured just now" in text
    first = measured(config, ["training"]).seconds[STEP]
    assert 0 < first < 60
    assert measured(config, ["training"]).seconds[STEP] == first
    assert "measuring" not in capsys.readouterr().err
    # Of other work nothing is remembered, and a damaged memory is none.
    other = replace(config, trainer=replace(config.trainer, batch_size=2))
    assert measured(other, ["training"]).seconds[STEP] != first
    memory.write_text('{"')
    assert measured(config, ["training"]).seconds[STEP] != first
    assert len(json.loads(memory.read_text())) == 1


def test_other_instructions_cores_or_versions_are_another_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from rabc.system import threads

    keys = [machine.key(machine.machine("cpu"))]
    assert machine.key(machine.machine("cpu")) == keys[0]
    for change in (
        lambda: monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "SSE41"),
        lambda: monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: "none like it"),
        lambda: monkeypatch.setattr(threads, "usable_cores", lambda: 77),
        lambda: monkeypatch.setattr(torch, "__version__", "9.9"),
        lambda: monkeypatch.setattr(machine, "processor", lambda: "another"),
    ):
        change()
        keys.append(machine.key(machine.machine("cpu")))
    assert len(set(keys)) == 6


@pytest.mark.parametrize(
    ("others", "age", "valid"),
    [
        (0.0, 0.0, True),
        (0.0, VALID_S - 1, True),
        (0.0, VALID_S + 1, False),
        (1.0, VALID_WHEN_BUSY_S - 1, True),
        (1.0, VALID_WHEN_BUSY_S + 1, False),
        (0.0, -3600.0, False),  # a clock that was put back
    ],
)
def test_how_long_a_measurement_counts(others: float, age: float, valid: bool) -> None:
    assert Measured(1.0, others, 1e9).valid(1e9 + age) == valid


def test_a_machine_that_cannot_be_measured_or_remember_is_not_in_the_way(
    recorded_dataset: Path, memory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small(recorded_dataset, "act")
    memory.parent.write_text("a file where the folder should be")
    assert measured(config, ["training"]).seconds[STEP] > 0
    broken = replace(config, policy=replace(config.policy, vision_backbone="resnet999"))
    text = cost_table(broken, ["training"])
    assert "unknown" in text
    assert "The time of a training step could not be measured: " in text


def test_the_work_of_a_shipped_run_is_measured(memory: Path, tmp_path: Path) -> None:
    later = on(tmp_path / "later")
    asked = replace(
        later,
        demonstrations=replace(later.demonstrations, image_size=32, episodes=4),
        policy=replace(ACT, vision_backbone="resnet18"),
        trainer=replace(later.trainer, batch_size=2),
    )
    found = measured(asked, STAGES).seconds
    assert set(found) == {TICK, CLIP, STEP, ROLLOUT_TICK}
    assert all(0 < seconds < 60 for seconds in found.values())
