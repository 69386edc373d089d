"""The configuration: shipped YAMLs, documentation of every key, and each cross-field check."""

from dataclasses import fields, replace
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from rabc.config import cli, yaml_file
from rabc.config.arguments import config_arguments
from rabc.config.checks import AT_LEAST, BETWEEN, NOT_EMPTY, POSITIVE, SHARES, validate
from rabc.config.settings import Config
from rabc.system.shipped import CONFIGS

SHIPPED = sorted(CONFIGS.glob("*.yaml"))
ARGUMENTS = [
    item for group in config_arguments(item.name for item in fields(Config)).values() for item in group
]
FLOATS = [item for item in ARGUMENTS if item.type is float]


def changed(changes: dict[str, Any]) -> Config:
    """The default configuration with the values of some dotted keys replaced."""
    config = Config()
    for key, value in changes.items():
        section, _, name = key.rpartition(".")
        if section:
            config = replace(config, **{section: replace(getattr(config, section), **{name: value})})
        else:
            config = replace(config, **{name: value})
    return config


def test_defaults_are_sound() -> None:
    assert validate(Config()) == []


def test_a_config_is_shipped() -> None:
    assert "so101_pick.yaml" in [path.name for path in SHIPPED]


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_shipped_yaml_parses_and_states_only_what_differs(path: Path) -> None:
    config = cli.parse(["--config", path.name], "").config
    assert config.run == path.stem
    defaults = {item.name: item.default for item in ARGUMENTS}
    free = frozenset({"policy.extra", "paper.datasets", "paper.failed"})
    stated = yaml_file.flatten(yaml_file.read(path), free)
    # Whether a dataset that is named is recorded has no default of its own.
    free_to_state = {"run", "demonstrations.simulate"}
    assert [key for key, value in stated if key not in free_to_state and value == defaults[key]] == []


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: path.name)
def test_validations_take_little_beside_the_training_however_large_the_dataset_is(path: Path) -> None:
    trainer = cli.parse(["--config", path.name], "").config.trainer
    if trainer.eval_steps:
        looked = trainer.max_steps // trainer.eval_steps * trainer.max_eval_samples
        assert 0 < looked <= 0.1 * trainer.max_steps * trainer.samples_per_step


IMPOSSIBLE = {
    **{key: least - 1 for key, least in AT_LEAST.items()},
    **dict.fromkeys(POSITIVE, 0.0),
    **{key: high + 1 for key, (_, high) in BETWEEN.items()},
}
DIFFUSION = {"policy.type": "diffusion", "policy.batch_norm": "frozen", "policy.resize_shape": [96, 96]}
WITH_VALIDATION = {"dataset.eval_split": 0.1, "trainer.eval_steps": 5, "trainer.patience": 2}


@pytest.mark.parametrize("others", [{}, DIFFUSION, WITH_VALIDATION], ids=["act", "diffusion", "validation"])
@pytest.mark.parametrize("key", IMPOSSIBLE)
def test_of_an_impossible_value_nothing_else_is_said(key: str, others: dict[str, Any]) -> None:
    """How it goes with others follows from it: no steps are fewer than any warm-up takes."""
    found = validate(changed({**others, key: IMPOSSIBLE[key]}))
    about = [problem for problem in found if key in problem]
    assert len(about) == 1, found
    assert about[0].startswith(f"{key} {IMPOSSIBLE[key]}: ")


@pytest.mark.parametrize("item", ARGUMENTS, ids=lambda item: item.name)
def test_every_key_has_its_help(item: cli.Argument) -> None:
    assert item.help.strip()


def test_printed_config_reads_back(tmp_path: Path) -> None:
    config = changed({"trainer.lr": 1e-5, "policy.extra": {"latent_dim": 8}, "run": "on", "scorer.fps": 2.5})
    path = tmp_path / "printed.yaml"
    path.write_text(yaml_file.dump(config))
    assert cli.parse(["--config", str(path)], "").config == config
    assert yaml.safe_load(yaml_file.dump(config, ["seed"])) == {"seed": 0}


@settings(max_examples=30, deadline=None)
@given(st.floats(allow_nan=False, allow_infinity=False, min_value=1e-300, max_value=1e300))
def test_numbers_survive_print_and_command_line(lr: float) -> None:
    config = changed({"trainer.lr": lr})
    assert yaml.load(yaml_file.dump(config), yaml_file._Loader)["trainer"]["lr"] == lr
    assert cli.parse([f"--trainer.lr={lr!r}"], "").config == config


@pytest.mark.parametrize(("key", "least"), AT_LEAST.items())
def test_lower_bounds(key: str, least: int) -> None:
    below = validate(changed({key: least - 1}))
    assert any(problem.startswith(f"{key} {least - 1}: too small") for problem in below)
    assert not any("too small" in problem for problem in validate(changed({key: least})))


@pytest.mark.parametrize("key", POSITIVE)
def test_positive_numbers(key: str) -> None:
    assert validate(changed({key: 0.0})) == [f"{key} 0.0: not positive; give a number above 0"]


@pytest.mark.parametrize(("key", "bounds"), BETWEEN.items())
def test_ranges(key: str, bounds: tuple[float, float]) -> None:
    for value in (bounds[0] - 0.1, bounds[1] + 0.1):
        expected = f"{key} {value}: out of range; give a number from {bounds[0]} to {bounds[1]}"
        assert expected in validate(changed({key: value}))
    for value in bounds:
        assert not any("out of range" in problem for problem in validate(changed({key: value})))


@pytest.mark.parametrize("key", NOT_EMPTY)
def test_empty_names(key: str) -> None:
    assert f"{key} ' ': empty; give a name or leave the key out" in validate(changed({key: " "}))


@pytest.mark.parametrize("item", FLOATS, ids=lambda item: item.name)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_numbers_are_finite(item: cli.Argument, value: float) -> None:
    problems = validate(changed({item.name: value}))
    assert problems == [f"{item.name} {value}: not a finite number; give a finite one"]


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"run": ""}, ["run ''"]),
        ({"run": ".."}, ["run '..'"]),
        ({"run": "a/b"}, ["run 'a/b'"]),
        ({"run": "a b"}, ["run 'a b'"]),
        ({"run": "x\n"}, ["run 'x\\n'"]),
        ({"run": "so101-scorer"}, ["run 'so101-scorer'", "holds the scorer"]),
        ({"run": "so101-place-scorer"}, ["run 'so101-place-scorer'", "holds the scorer"]),
        ({"run": "mine", "scorer.model": "checkpoints/mine/"}, ["run 'mine'", "holds the scorer"]),
        ({"scorer.camera": "observation.images.wrist"}, ["scorer.camera", "give the camera alone: wrist"]),
        ({"demonstrations.clean": 0.5}, [*SHARES, "add up to 1.1"]),
        ({"demonstrations.clean": -0.1}, ["demonstrations.clean -0.1: not a share"]),
        ({"policy.n_action_steps": 21}, ["policy.n_action_steps 21", "policy.chunk_size 20"]),
        ({"policy.n_heads": 12}, ["policy.dim_model 128", "policy.n_heads 12"]),
        ({"policy.dim_model": 126, "policy.n_heads": 2}, ["policy.dim_model 126", "multiple of 4"]),
        (
            {"dataset.rename_map": {"a": "../../b"}},
            ["dataset.rename_map a: '../../b' is a path", "give a name"],
        ),
        ({"dataset.rename_map": {"a": "b\n"}}, ["is a path and no name"]),
        ({"policy.resize_shape": [96]}, ["policy.resize_shape [96]", "[96, 96]"]),
        ({"policy.resize_shape": [96, 8]}, ["policy.resize_shape [96, 8]", "32 pixels or more"]),
        ({"dataset.image_transforms": {"tfs": {}}}, ["dataset.image_transforms", "add enable: true"]),
        ({"dataset.image_transforms": {"enable": 1}}, ["dataset.image_transforms.enable 1", "true or false"]),
        (
            {"dataset.image_transforms": {"enable": True, "max_num_transforms": 0}},
            ["dataset.image_transforms.max_num_transforms 0"],
        ),
        (
            {"dataset.image_transforms": {"enable": True, "degrees": 5}},
            ["dataset.image_transforms.degrees 5: unknown"],
        ),
        (
            {"dataset.image_transforms": {"enable": True, "tfs": {"a": {"weight": float("nan")}}}},
            ["dataset.image_transforms", "JSON"],
        ),
        ({"policy.dropout": 1.0}, ["policy.dropout 1.0"]),
        ({"policy.vision_backbone": "vgg16"}, ["policy.vision_backbone 'vgg16'"]),
        (
            {"policy.pretrained_backbone_weights": "ResNet18_Weights.IMAGENET1K_V1"},
            ["policy.batch_norm 'live'", "policy.pretrained_backbone_weights"],
        ),
        (
            {
                "policy.pretrained_backbone_weights": "ResNet18_Weights.IMAGENET1K_V1",
                "policy.batch_norm": "frozen",
                "policy.vision_backbone": "resnet34",
            },
            ["policy.pretrained_backbone_weights", "policy.vision_backbone 'resnet34'"],
        ),
        (
            {
                "weights.scheme": "static",
                "weights.weights_file": "w.parquet",
                "weights.progress_file": "p.parquet",
            },
            ["weights.weights_file 'w.parquet'", "weights.progress_file 'p.parquet'", "give one of them"],
        ),
        (
            {"weights.progress_file": "p.parquet", "weights.length_bias": "subtract"},
            ["weights.length_bias 'subtract'", "weights.progress_file takes their place"],
        ),
        (
            {"weights.progress_head": "dense"},
            ["weights.progress_head 'dense'", "a column of weights.progress_file"],
        ),
        (
            {"weights.scheme": "static"},
            ["weights.scheme 'static'", "weights.weights_file, which is not given"],
        ),
        (
            {"weights.weights_file": "w.parquet"},
            ["weights.weights_file 'w.parquet'", "scheme is 'auto'", "set weights.scheme static"],
        ),
        (
            {"weights.scheme": "filter", "weights.calibration": "episode"},
            ["weights.calibration 'episode'", "weights.drop 'episodes'", "give dataset or logodds"],
        ),
        (
            {"weights.scheme": "filter", "weights.drop": "frames", "weights.drop_below": 0.5},
            ["weights.drop_below 0.5", "weights.drop 'episodes'", "'frames'"],
        ),
        (
            {"weights.drop_below": 0.5},
            ["weights.drop_below 0.5", "weights.scheme 'filter'", "not with 'auto'"],
        ),
        (
            {
                "weights.scheme": "filter",
                "weights.calibration": "dataset",
                "weights.drop_below": 0.5,
                "weights.drop_share": 0.3,
            },
            ["weights.drop_share 0.3", "weights.drop_below 0.5 takes its place"],
        ),
        ({"policy.extra": {"chunk_size": 5}}, ["policy.extra.chunk_size 5", "set policy.chunk_size"]),
        (
            {"policy.extra": {"optimizer_lr": 1e-4}},
            ["policy.extra.optimizer_lr", "trainer.lerobot_preset", "trainer.lr"],
        ),
        ({"policy.extra": {"latent_dim": date(2026, 1, 1)}}, ["policy.extra.latent_dim", "config.json"]),
        (
            {"policy.extra": {"temporal_ensemble_coeff": 0.01}},
            ["policy.extra.temporal_ensemble_coeff 0.01", "rollouts.episodes 40"],
        ),
        ({"trainer.warmup_steps": 2500}, ["trainer.warmup_steps 2500", "trainer.max_steps 2500"]),
        ({"seed": 2**32}, ["seed 4294967296: too large"]),
    ],
)
def test_impossible_combinations_name_keys_and_remedy(changes: dict[str, Any], named: list[str]) -> None:
    (problem,) = validate(changed(changes))
    assert "\n" not in problem
    assert "; " in problem
    for part in named:
        assert part in problem


def test_pretrained_backbone_with_frozen_statistics_is_sound() -> None:
    weights = "ResNet18_Weights.IMAGENET1K_V1"
    config = changed({"policy.pretrained_backbone_weights": weights, "policy.batch_norm": "frozen"})
    assert validate(config) == []


def test_every_number_has_a_bound() -> None:
    bounded = {*AT_LEAST, *POSITIVE, *BETWEEN, *SHARES}
    numbers = {item.name for item in ARGUMENTS if item.type in (int, float, float | None)}
    assert numbers == bounded


def test_all_problems_come_together() -> None:
    changes = {"run": "", "seed": -1, "trainer.lr": 0.0, "policy.n_action_steps": 50}
    assert len(validate(changed(changes))) == 4
