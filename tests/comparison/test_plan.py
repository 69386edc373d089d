"""What a comparison makes before it trains, and what recipes are measured on: real scores of real videos."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from rabc.comparison.arms import arms_of
from rabc.comparison.plan import planned_run, prepare, write_simulator_progress
from rabc.comparison.recipes import OVER_DATASET, PROGRESS, SCHEMES, measure_recipes
from rabc.comparison.trainings import train_all
from rabc.config.settings import (
    ComparisonConfig,
    Config,
    DatasetConfig,
    DemonstrationsConfig,
    DiagnosticsConfig,
    RolloutsConfig,
    ScorerConfig,
    WeightsConfig,
)
from rabc.pipeline import state
from rabc.sim.flaws import flawed_frames
from rabc.sim.recorder import read_ground_truth
from rabc.system.errors import InputError, VerdictRefused
from tests.support import REPO

SCORER = REPO / "checkpoints" / "so101-scorer"


@pytest.fixture
def config(
    simulated: Path, demonstrations: DemonstrationsConfig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Config:
    monkeypatch.chdir(tmp_path)
    return Config(
        run="small",
        device="cpu",
        dataset=DatasetConfig(str(simulated)),
        demonstrations=demonstrations,
        scorer=ScorerConfig(str(SCORER), num_prefixes=6),
        diagnostics=DiagnosticsConfig(episodes=4),
        rollouts=RolloutsConfig(episodes=2),
    )


def test_every_arm_has_its_weights_before_any_trains(config: Config, simulated: Path, tmp_path: Path) -> None:
    """Also where the configured progress is from elsewhere, so that the other arms alone need our scores."""
    foreign = tmp_path / "elsewhere.parquet"
    write_simulator_progress(simulated, foreign)
    config = replace(config, weights=WeightsConfig(scheme="mask", progress_file=str(foreign)))
    arms = arms_of(config, None)
    assert {"plain", "topreward", "success-only", "oracle", "shuffled"} < {arm.name for arm in arms}
    prepare(config, arms, [0])
    for arm in arms:
        assert "weights" in state.finished(planned_run(config, arm, 0, 1).config), arm.name

    # Where the right instruction is taken for the wrong one, the scores are refused, for those who use them.
    same = "Pick up the red cubes."
    unfit = replace(
        config,
        diagnostics=DiagnosticsConfig(episodes=4, wrong_instruction=same),
        comparison=ComparisonConfig(arms={"sharp": {"scheme": "awr", "calibration": "dataset"}}),
    )
    prepare(unfit, arms_of(unfit, "plain,weighted,oracle"), [0])
    with pytest.raises(
        VerdictRefused, match=r"^arm sharp: scorer .* the verdict on its scores is `do not we"
    ):
        prepare(unfit, arms_of(unfit, "sharp"), [0])
    assert not list(Path("outputs").glob("*/training-*"))


def test_a_run_with_bad_input_ends_the_trainings_as_bad_input(config: Config, tmp_path: Path) -> None:
    gone = replace(
        config,
        dataset=DatasetConfig(str(tmp_path / "gone")),
        demonstrations=replace(config.demonstrations, simulate=False),
    )
    (plain, _) = arms_of(config, "topreward")
    with pytest.raises(
        InputError, match=r"run small-plain-s0: failed \(error: dataset\.path .*gone: no such"
    ):
        train_all([planned_run(gone, plain, 0, 1)], 1)


def test_recipes_are_measured_against_what_the_simulator_knows(config: Config, simulated: Path) -> None:
    truth = read_ground_truth(simulated)
    flawed = np.concatenate([flawed_frames(episode) for episode in truth])
    found = measure_recipes(config)
    assert (found["flawed"], found["frames"]) == (pytest.approx(flawed.mean()), len(flawed))
    assert 0 < found["behind"] < 1
    recipes = {tuple(recipe["weights"].items()): recipe for recipe in found["recipes"]}
    assert len(recipes) == len(SCHEMES) * len(PROGRESS) - 3  # refused with a scale for each episode

    def on_flawed(**scheme: object) -> float:
        return recipes[(*scheme.items(), *OVER_DATASET.items())]["on_flawed"]

    # Plain behavior cloning imitates what there is, less of the first actions of an episode.
    assert on_flawed(scheme="none") == pytest.approx(flawed.mean(), abs=0.1)
    assert on_flawed(scheme="auto", apply="ticks") < on_flawed(scheme="none") / 2
    # Half of the demonstrations give up: leaving out what the scorer takes for failures leaves no flaw.
    assert on_flawed(scheme="filter", drop="episodes", drop_below=0.5) == 0
    assert on_flawed(scheme="awr", beta=0.2) < on_flawed(scheme="rabc", kappa=0.01) < on_flawed(scheme="none")
