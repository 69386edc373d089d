"""What a training leaves on the disk follows from its policy, and what does not fit is refused beforehand."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from rabc.config import cli
from rabc.config.settings import Config
from rabc.datasets.metadata import load_meta
from rabc.pipeline import main_job
from rabc.pipeline.room import parameters, training_bytes
from rabc.policies.build import build_policy
from rabc.system.errors import InputError
from rabc.training.run import train
from tests.support.training_runs import POLICIES, WEIGHTS, tiny


@pytest.mark.parametrize(("policy", "decay"), [("act", 0.0), ("act", 0.9), ("diffusion", 0.0)])
def test_announced_is_what_a_training_leaves(
    policy: str, decay: float, recorded_dataset: Path, tmp_path: Path
) -> None:
    config = tiny(policy, max_steps=1, checkpoint_every=1, ema_decay=decay)
    numbers = parameters(config, recorded_dataset)
    assert numbers is not None
    parts = train(config, recorded_dataset, WEIGHTS, tmp_path).parts
    assert numbers == sum(one.numel() for one in (*parts.policy.parameters(), *parts.policy.buffers()))
    (checkpoint,) = tmp_path.glob("checkpoints/*.ckpt")
    copies = 4 if decay else 3
    assert checkpoint.stat().st_size == pytest.approx(4 * numbers * copies, rel=0.25)  # tiny: names weigh
    more = replace(
        config, trainer=replace(config.trainer, keep_checkpoints=config.trainer.keep_checkpoints + 5)
    )
    five = training_bytes(more, numbers) - training_bytes(config, numbers)
    assert five == pytest.approx(5 * 4 * numbers * copies, rel=0.05)


def test_a_larger_policy_is_announced_larger(recorded_dataset: Path) -> None:
    small, large = (Config(policy=replace(Config().policy, dim_model=dim)) for dim in (256, 1024))
    few, many = parameters(small, recorded_dataset), parameters(large, recorded_dataset)
    assert few is not None
    assert many is not None
    assert many > 2 * few
    assert parameters(Config(policy=replace(Config().policy, type="smolvla")), recorded_dataset) is None


def test_a_policy_to_go_on_from_is_counted_in_its_file(recorded_dataset: Path, tmp_path: Path) -> None:
    built = build_policy(POLICIES["act"], load_meta(recorded_dataset))
    built.policy.save_pretrained(tmp_path / "policy")
    config = tiny("act")
    config = replace(config, policy=replace(config.policy, pretrained_path=str(tmp_path / "policy")))
    assert parameters(config, recorded_dataset) == pytest.approx(
        sum(one.numel() for one in built.policy.parameters()), rel=0.05
    )
    next((tmp_path / "policy").glob("*.safetensors")).write_bytes(b"\xff" * 9)
    assert parameters(config, recorded_dataset) is None


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Callable[[int], None]:
    """Lets every disk have so many bytes free."""

    def with_free(free: int) -> None:
        def usage(path: Path) -> SimpleNamespace:
            return SimpleNamespace(free=free, total=10**12, used=10**12 - free)

        monkeypatch.setattr(shutil, "disk_usage", usage)

    return with_free


@pytest.mark.parametrize("dry_run", [True, False])
def test_a_run_that_does_not_fit_is_refused_beforehand(
    dry_run: bool,
    recorded_dataset: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    disk: Callable[[int], None],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("RABC_CACHE", str(tmp_path / "cache"))
    words = [
        "--dataset.path", str(recorded_dataset), "--demonstrations.simulate", "false", "--device", "cpu",
        "--weights.scheme", "none", "--rollouts.episodes", "0", "--trainer.keep_checkpoints", "9",
        "--policy.chunk_size", "4", "--policy.n_action_steps", "4", "--run", "large",
    ]  # fmt: skip
    config = cli.parse(words, "test").config
    disk(1_000_000_000)
    with pytest.raises(InputError) as refused:
        main_job.run(config, dry_run)
    said = str(refused.value)
    assert "run large needs 1." in said
    assert "(checkpoints 1." in said
    assert "1.00 GB are free; make room, or give fewer trainer.keep_checkpoints" in said
    assert not list(tmp_path.rglob("outputs/large/stages/*"))
    disk(3_000_000_000)
    if dry_run:
        main_job.run(config, dry_run)
