"""A training's folder belongs to everything that its weights depend on, and to nothing else."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rabc.config.settings import Config
from rabc.system.errors import InputError
from rabc.training.identity import claim, identity

WEIGHTS = np.array([0.1, 1.6, 1.3])  # none of them is the same in float32
KNOWN: dict[str, Any] = {"dataset": "d", "episodes": None, "weights": WEIGHTS, "device": "cpu"}


def changed(section: str, **changes: Any) -> Config:
    return replace(Config(), **{section: replace(getattr(Config(), section), **changes)})


OTHERS = {
    "seed": ({"config": replace(Config(), seed=7)}, "seed"),
    "policy": ({"config": changed("policy", dim_model=64)}, "policy.dim_model"),
    "trainer": ({"config": changed("trainer", lr=0.5)}, "trainer.lr"),
    "eval_split": ({"config": changed("dataset", eval_split=0.3)}, "eval_split"),
    "image_transforms": (
        {"config": changed("dataset", image_transforms={"enable": True})}, "image_transforms"
    ),
    "apply": ({"config": changed("weights", apply="sampler")}, "apply"),
    "dataset": ({"dataset": "other"}, "dataset"),
    "episodes": ({"episodes": [0, 2]}, "episodes"),
    "weights": ({"weights": WEIGHTS[::-1]}, "weights"),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
def test_what_the_weights_depend_on_makes_another_training(name: str, tmp_path: Path) -> None:
    changes, told = OTHERS[name]
    claim(tmp_path, identity(**{"config": Config(), **KNOWN}))
    claim(tmp_path, identity(**{"config": Config(), **KNOWN}))  # its own folder stays its own
    with pytest.raises(InputError, match=f"holds a training with other {told}"):
        claim(tmp_path, identity(**{"config": Config(), **KNOWN, **changes}))


@pytest.mark.parametrize(
    "config",
    [
        changed("trainer", checkpoint_every=7, keep_checkpoints=9, log_every=3, workers=1, threads=1),
        changed("trainer", eval_steps=5),
        changed("rollouts", episodes=3),
        changed("weights", calibration="logodds"),  # what it gives is there as the weights
        replace(Config(), run="another name"),
    ],
)
def test_what_changes_no_weight_goes_on_with_the_training(config: Config, tmp_path: Path) -> None:
    claim(tmp_path, identity(**{"config": Config(), **KNOWN}))
    claim(tmp_path, identity(**{"config": config, **KNOWN, "weights": WEIGHTS.astype(np.float32)}))


@pytest.mark.parametrize(("capable", "named"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_is_the_precision_that_the_machine_has(
    capable: bool, named: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same word on another machine may be another training."""
    monkeypatch.setattr("torch.cpu._is_avx512_bf16_supported", lambda: capable)
    monkeypatch.setattr("torch.backends.cpu.get_cpu_capability", lambda: "AVX512")
    claim(tmp_path, identity(Config(), **KNOWN))
    claim(tmp_path, identity(changed("trainer", precision=named), **KNOWN))
    (other,) = {"bf16-mixed", "32-true"} - {named}
    with pytest.raises(InputError, match=r"holds a training with other trainer\.precision"):
        claim(tmp_path, identity(changed("trainer", precision=other), **KNOWN))


def test_validation_counts_where_it_ends_the_training(tmp_path: Path) -> None:
    claim(tmp_path, identity(**{"config": changed("trainer", patience=2, eval_steps=5), **KNOWN}))
    with pytest.raises(InputError, match=r"with other trainer\.eval_steps"):
        claim(tmp_path, identity(**{"config": changed("trainer", patience=2, eval_steps=6), **KNOWN}))
