"""Arms, their files, and what a comparison says of outcomes."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tqdm import tqdm

from rabc.comparison.arms import BASELINE, arms_of, standard_arms
from rabc.comparison.experiments import EXPERIMENTS, KINDS, Experiment
from rabc.comparison.pages import texts
from rabc.comparison.pairs import contrasts_of, pairs_of, shares_of_oracle
from rabc.comparison.plan import planned_run, shuffled_file
from rabc.comparison.results import LEVEL, answer, same_as_baseline
from rabc.comparison.rollouts import decided, play_until_decided
from rabc.comparison.run import check_comparison
from rabc.comparison.trainings import failure, steps_logged
from rabc.config import cli
from rabc.config.checks import validate
from rabc.config.settings import ComparisonConfig, Config, WeightsConfig
from rabc.system.errors import CheckFailed, InputError, VerdictRefused
from rabc.training.order import BatchOrder

CONFIG = Config(weights=WeightsConfig(scheme="rabc", calibration="dataset", kappa=0.2))


@pytest.mark.parametrize(
    "weights",
    [
        CONFIG.weights,
        WeightsConfig(scheme="awr", calibration="dataset", length_bias="subtract"),
        WeightsConfig(scheme="mask", progress_file="sarm.parquet", progress_head="dense"),
        WeightsConfig(scheme="static", weights_file="mine.parquet", apply="sampler"),
        WeightsConfig(scheme="filter", calibration="logodds", drop_below=0.3),
    ],
)
def test_every_standard_arm_is_a_sound_configuration(weights: WeightsConfig) -> None:
    config = replace(CONFIG, weights=weights)
    for arm in standard_arms(config).values():
        assert validate(planned_run(config, arm, 0, 1).config) == [], arm.name


def test_what_the_verdict_advises_holds_for_every_arm() -> None:
    """`do not weight` for a drift that subtracting takes away, or accepted: no arm is refused later."""
    own = ComparisonConfig(arms={"sharp": {"scheme": "awr"}})
    mended = replace(CONFIG, weights=replace(CONFIG.weights, length_bias="subtract"))
    arms = standard_arms(mended)
    assert arms["success-only"].weights.length_bias == "subtract"
    assert arms["topreward"].weights.accept_poor_scorer  # the paper's weights know no such correction
    accepted = replace(CONFIG, weights=replace(CONFIG.weights, accept_poor_scorer=True), comparison=own)
    assert all(arm.weights.accept_poor_scorer for arm in arms_of(accepted, None))
    assert not arms_of(replace(CONFIG, comparison=own), "sharp")[1].weights.accept_poor_scorer


def test_the_arms_of_a_seed_differ_in_their_weights_alone() -> None:
    plain = planned_run(CONFIG, standard_arms(CONFIG)[BASELINE], 3, 1).config
    for name, arm in standard_arms(CONFIG).items():
        other = planned_run(CONFIG, arm, 3, 1).config
        assert other.run == f"so101_pick-{name}-s3"
        assert replace(other, run=plain.run, weights=plain.weights) == plain


def test_the_paper_s_arm_has_the_paper_s_constants() -> None:
    assert standard_arms(CONFIG)["topreward"].weights == WeightsConfig(
        scheme="topreward", calibration="episode", horizon="clamped", tau=2.0, delta_max=2.0,
        accept_poor_scorer=True,
    )  # fmt: skip


def test_an_oracle_needs_a_simulator() -> None:
    real = replace(CONFIG, demonstrations=replace(CONFIG.demonstrations, simulate=False))
    assert "oracle" in standard_arms(CONFIG)
    assert "oracle" not in standard_arms(real)


def test_own_arms_come_from_the_configuration() -> None:
    own = {"sharp": {"scheme": "awr", "calibration": "dataset", "beta": 0.2}}
    config = replace(CONFIG, comparison=ComparisonConfig(arms=own))
    arms = arms_of(config, "sharp,plain")
    assert [arm.name for arm in arms] == ["plain", "sharp"]
    assert arms[1].weights == WeightsConfig(scheme="awr", calibration="dataset", beta=0.2)


@pytest.mark.parametrize(
    ("arms", "chosen", "message"),
    [
        ({}, "shufled", "--arms shufled: no such arm; did you mean shuffled?"),
        ({}, "plain", "--arms plain: nothing to compare plain with; name another arm"),
        ({}, "oracle,oracle", "--arms oracle: given twice; name it once"),
        ({"a": {"shceme": "awr"}}, None, "comparison.arms.a.shceme 'awr': unknown key; did you mean scheme?"),
        ({"a": {"beta": "x"}}, None, "comparison.arms.a.beta 'x': wrong type; give a number"),
        ({"a": "awr"}, None, "comparison.arms.a 'awr': not a mapping; give keys of `weights`"),
        ({"weighted": {"scheme": "awr"}}, None, "comparison.arms.weighted: is a standard arm"),
        ({"a": {"scheme": "static"}}, None, "comparison.arms.a: weights.scheme 'static': takes the weights"),
        ({"a": {"beta": 0}}, None, "comparison.arms.a: weights.beta 0.0: not positive"),
        ({"a": {"drop_share": 1.5}}, None, "comparison.arms.a: weights.drop_share 1.5: out of range"),
        *(
            ({name: {}}, None, f"comparison.arms {name!r}: not the name of one folder")
            for name in ("../a", "a/b", "", "a,b")
        ),
    ],
)  # fmt: skip
def test_wrong_arms_are_named(arms: dict[str, Any], chosen: str | None, message: str) -> None:
    config = replace(CONFIG, comparison=ComparisonConfig(arms=arms))
    with pytest.raises(InputError) as error:
        arms_of(config, chosen)
    assert str(error.value).startswith(message)


@pytest.mark.parametrize("chosen", [None, "plain,weighted", "shuffled"])
def test_weights_that_are_plain_are_not_trained_twice(chosen: str | None) -> None:
    config = replace(CONFIG, weights=WeightsConfig(scheme="none"))
    with pytest.raises(InputError, match=r"weights\.scheme none: the arm \w+ would be plain again"):
        arms_of(config, chosen)
    assert [arm.name for arm in arms_of(config, "topreward")] == ["plain", "topreward"]


def test_a_script_may_have_an_argument_of_a_section_s_name() -> None:
    rollouts = cli.Argument("rollouts", int, 7, "How many.")
    command = cli.parse(["--rollouts", "3", "--rollouts.videos", "1"], "", extra=[rollouts])
    assert (command.extra["rollouts"], command.config.rollouts.videos) == (3, 1)
    assert cli.parse(["--rollouts.videos=2"], "", extra=[rollouts]).extra["rollouts"] == 7


def test_trainings_on_parts_of_a_dataset_see_their_frames_in_one_order() -> None:
    whole = BatchOrder(np.arange(40), 40, seed=5).indices(0)
    some = np.array([3, 4, 8, 20, 21, 39])
    part = BatchOrder(some, len(some), seed=5).indices(0)
    assert part.tolist() == [frame for frame in whole if frame in some]
    assert sorted(whole) == list(range(40))
    assert BatchOrder(some, len(some), seed=5).indices(1).tolist() != part.tolist()


def test_shuffled_weights_are_the_same_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from rabc.comparison import plan
    from rabc.weighting.weights_file import read_weights

    monkeypatch.chdir(tmp_path)
    weights = np.r_[np.zeros(30), np.linspace(0.5, 3.0, 70)]
    np.save("weights.npy", weights)
    files = [shuffled_file(CONFIG, seed) for seed in (0, 1)]
    for seed, file in enumerate(files):
        plan.write_shuffled(Path("weights.npy"), file, seed, np.ones(100, bool))
    first, second = (read_weights(file, np.zeros(100, np.int64), "x") for file in files)
    np.testing.assert_allclose(np.sort(first), weights, rtol=1e-6)
    assert not np.array_equal(first, second)
    assert abs(np.corrcoef(first, weights)[0, 1]) < 0.4
    selected = np.arange(100) >= 20  # the others are of episodes that the run does not look at
    plan.write_shuffled(Path("weights.npy"), files[0], 0, selected)
    some = read_weights(files[0], np.zeros(100, np.int64), "x")
    assert not some[:20].any()
    np.testing.assert_allclose(np.sort(some[20:]), weights[20:], rtol=1e-6)


def outcomes(**arms: str) -> dict[str, NDArray[np.bool_]]:
    """`plain="1100 1010"`: two training seeds, four start states."""
    return {
        name.replace("_", "-"): np.array([[mark == "1" for mark in row] for row in text.split()])
        for name, text in arms.items()
    }


def test_pairs_count_what_only_one_arm_solves() -> None:
    found = pairs_of(outcomes(plain="1100 1010", weighted="1111 0011", oracle="1111 1111"))
    assert [pair["arm"] for pair in found] == ["weighted", "oracle"]
    first = found[0]
    assert (first["both"], first["only_arm"], first["only_baseline"], first["neither"]) == (3, 3, 1, 1)
    assert first["difference"]["value"] == pytest.approx(0.25)
    assert first["p"] == pytest.approx(0.625)  # 2 * (1 + 4) / 16
    assert found[1]["p"] == pytest.approx(0.125)
    # The start states' differences are -1, 0, 1 and 2: of 8 patterns of signs 6 sum to 2 or more either way.
    assert (first["p_states"], found[1]["p_states"]) == (pytest.approx(0.75), pytest.approx(0.25))
    # Of two arms the smaller p-value is doubled.
    assert (first["p_adjusted"], found[1]["p_adjusted"]) == (pytest.approx(0.75), pytest.approx(0.5))


def test_shares_of_the_oracle_s_gain() -> None:
    some = outcomes(plain="1000000000", weighted="1110000000", oracle="1111100000")
    assert shares_of_oracle(some)["weighted"]["value"] == pytest.approx(0.5)
    useless = outcomes(plain="1000000000", weighted="1110000000", oracle="1000000000")
    assert shares_of_oracle(useless) == {"weighted": None}


@pytest.mark.parametrize(
    ("value", "low", "high", "p", "begins"),
    [
        (0.20, 0.10, 0.30, 0.001, "`weighted` helps: +20 points over plain (95 % interval +10 to +30"),
        (0.20, -0.01, 0.30, 0.001, "`weighted` is not shown to differ from plain"),
        (0.20, 0.10, 0.30, 0.2, "`weighted` is not shown to differ from plain"),
        (0.20, None, None, 0.001, "With these training seeds `weighted` succeeds more often than plain"),
        (0.20, None, None, 0.2, "`weighted` is not shown to differ from plain"),
        (-0.20, -0.30, -0.10, 0.001, "`weighted` hurts: -20 points"),
    ],
)
def test_the_answer_needs_the_interval_and_the_p_value(
    value: float, low: float | None, high: float | None, p: float, begins: str
) -> None:
    facts = {"baseline": "plain", "p": 0.0, "p_states": p, "p_adjusted": p, "always_valid": None}
    difference = {"value": value, "low": low, "high": high}
    limits = {"low": low, "high": high}
    over_seeds = {"over_seeds": limits, "over_seeds_together": limits}
    pair = {**facts, "arm": "weighted", "difference": difference, **over_seeds}
    # Controls are nobody's choice, however good they are.
    oracle = {**pair, "arm": "oracle", "difference": {"value": 0.9, "low": 0.8, "high": 1.0}}
    controls = [oracle, {**oracle, "arm": "shuffled"}, {**oracle, "arm": "success-only"}]
    whole = {"pairs": [*controls, pair], "contrasts": [], "training_seeds": [0, 1]}
    assert answer(whole).startswith(begins)
    assert answer({**whole, "pairs": controls}) == "Only controls were compared."


def test_an_arm_that_nobody_named_beforehand_answers_for_being_the_best_of_several() -> None:
    """Its interval over training seeds is corrected for the number of arms before it is said to help."""
    plain, better = "1" * 80 + "0" * 120, "1" * 105 + "0" * 95
    rows = {
        "plain": f"{plain} {plain}",
        "first": f"{better} {'1' + better[:-1]}",
        "second": f"{plain} {plain}",
    }
    alone = pairs_of(outcomes(plain=rows["plain"], first=rows["first"]))
    assert answer({"pairs": alone, "contrasts": [], "training_seeds": [0, 1]}).startswith(
        "`first` helps: +13"
    )
    pair = pairs_of(outcomes(**rows))[0]
    narrow, wide = pair["over_seeds"], pair["over_seeds_together"]
    # Student's quantiles with one degree of freedom, of 0.975 and 0.9875.
    middle = pair["difference"]["value"]
    assert (wide["high"] - middle) / (narrow["high"] - middle) == pytest.approx(25.451700 / 12.706205)
    both = {"pairs": pairs_of(outcomes(**rows)), "contrasts": [], "training_seeds": [0, 1]}
    assert f"{100 * wide['low']:+.0f} to {100 * wide['high']:+.0f} corrected for 2" in answer(both)
    named = outcomes(**{**rows, "weighted": rows["first"]})
    (weighted,) = (pair for pair in pairs_of(named) if pair["arm"] == "weighted")
    assert weighted["over_seeds_together"] == weighted["over_seeds"] == narrow


def test_several_devices_for_a_training_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for key in ("devices", "num_nodes"):
        config = replace(CONFIG, trainer=replace(CONFIG.trainer, **{key: 2}))
        with pytest.raises(InputError, match=f"trainer.{key} 2: every training of a comparison takes one"):
            check_comparison(config, arms_of(config, "weighted"))


def test_how_a_training_failed_is_said(tmp_path: Path) -> None:
    log = tmp_path / "comparison.log"
    log.write_text("scoring\rtraining: 3 %\rerror: dataset x: is gone; record it again\n\n")
    for code, kind in ((2, InputError), (3, VerdictRefused), (1, CheckFailed)):
        error = failure("small-plain-s0", code, log)
        assert type(error) is kind
        assert str(error) == (
            f"run small-plain-s0: failed (error: dataset x: is gone; record it again); see {log}"
        )
    killed = failure("small-plain-s0", -9, log)
    assert killed.exit_code == 1
    assert "was killed (SIGKILL); if memory ran out, give a smaller --comparison.jobs" in str(killed)
    assert "memory" not in str(failure("small-plain-s0", -15, log))


@pytest.mark.parametrize(
    ("over_seeds", "always_valid", "seeds", "begins", "ends"),
    [
        ((0.05, 0.35), None, 2, "`weighted` helps: +20 points", ", for other training seeds +5 to +35."),
        (
            (-0.05, 0.45), None, 2, "With these training seeds `weighted` succeeds more often than plain: +",
            "; by how these 2 vary, others might not (-5 to +45).",
        ),
        ((None, None), None, 1, "With this one training seed `weighted` succeeds more often than", ")."),
        ((None, None), (0.10, 0.30), 2, "With these training seeds `weighted` succeeds more often", ")."),
    ],
)  # fmt: skip
def test_the_answer_speaks_of_other_trainings_only_where_seeds_agree(
    over_seeds: tuple[float, float],
    always_valid: tuple[float, float] | None,
    seeds: int,
    begins: str,
    ends: str,
) -> None:
    limits = dict(zip(("low", "high"), over_seeds, strict=True))
    pair = {
        "arm": "weighted", "baseline": "plain", "p_states": 0.001, "p_adjusted": 0.001,
        "difference": {"value": 0.2, "low": 0.1, "high": 0.3},
        "over_seeds": limits, "over_seeds_together": limits,
        "always_valid": always_valid and dict(zip(("low", "high"), always_valid, strict=True)),
    }  # fmt: skip
    said = answer({"pairs": [pair], "contrasts": [], "training_seeds": [*range(seeds)]})
    assert said.startswith(begins)
    assert said.endswith(ends)


def test_the_answer_says_what_weighting_adds_beyond_the_controls() -> None:
    some = outcomes(
        plain="0000000000 0000000001", weighted="1111111110 1111111101", success_only="1111111100 1111100000",
        shuffled="0000000001 0000000011", oracle="1111111111 1111111111",
    )  # fmt: skip
    contrasts = contrasts_of(some)
    assert [(pair["arm"], pair["baseline"]) for pair in contrasts] == [
        ("weighted", "success-only"), ("weighted", "shuffled")
    ]  # fmt: skip
    assert contrasts[0]["difference"]["value"] == pytest.approx(5 / 20)
    result = {"pairs": pairs_of(some), "contrasts": contrasts, "training_seeds": [0, 1]}
    said = answer(result)
    assert said.startswith("`weighted` helps: ")
    assert "Beside the controls: +25 points over `success-only` (95 % interval" in said
    over_seeds = contrasts[0]["over_seeds"]
    assert f", for other training seeds {100 * over_seeds['low']:+.0f} to" in said.split("success-only")[1]
    assert "; +75 points over `shuffled` (95 % interval" in said


def test_p_better_speaks_of_trainings_where_there_are_several() -> None:
    """Rollouts taken for independent were surer than 0.999 of what two trainings disagree about."""
    plain, one, other = "1" * 60 + "0" * 140, "1" * 140 + "0" * 60, "1" * 80 + "0" * 120
    (pair,) = pairs_of(outcomes(plain=f"{plain} {plain}", weighted=f"{one} {other}"))
    assert pair["over_seeds"]["low"] < 0 < pair["over_seeds"]["high"]
    assert 0.5 < pair["posterior"] < 0.9
    # Trainings that all differ by the same do not say how much others might: null, and an empty cell.
    (alike,) = pairs_of(outcomes(plain=f"{plain} {plain}", weighted=f"{one} {one}"))
    assert alike["posterior"] is None
    assert texts.probability(alike["posterior"]) == ""
    # With one training seed: of these two policies, by the start states that only one of them solves.
    (single,) = pairs_of(outcomes(plain=plain, weighted=other))
    assert single["posterior"] == pytest.approx(1 - 0.5**21)


def test_start_states_whose_seeds_agree_count_once() -> None:
    """Three seeds that always agree are no more evidence than one."""
    one = outcomes(plain="0000000011", weighted="1111110011")
    three = {name: np.repeat(own, 3, axis=0) for name, own in one.items()}
    single, triple = pairs_of(one)[0], pairs_of(three)[0]
    assert triple["p_states"] == pytest.approx(single["p_states"]) == pytest.approx(single["p"])
    assert triple["p"] < 0.01 < triple["p_states"]
    assert triple["p_adjusted"] == triple["p_states"]


def test_a_few_start_states_that_end_alike_show_little() -> None:
    pair = pairs_of(outcomes(plain="000", weighted="111"))[0]
    said = answer({"pairs": [pair], "contrasts": [], "training_seeds": [0]})
    assert said == (
        "`weighted` is not shown to differ from plain: +100 points over plain "
        "(95 % interval -94 to +100, p = 0.25)."
    )
    pair = pairs_of(outcomes(plain="0", weighted="1"))[0]
    said = answer({"pairs": [pair], "contrasts": [], "training_seeds": [0]})
    assert "(no interval: a single start state, p = 1)" in said
    # So many that all end alike do tell.
    pair = pairs_of(outcomes(plain="0" * 30, weighted="1" * 30))[0]
    said = answer({"pairs": [pair], "contrasts": [], "training_seeds": [0]})
    assert said.startswith(
        "With this one training seed `weighted` succeeds more often than plain: +100 points"
    )


def test_what_is_shown_of_other_arms_than_the_best_is_said() -> None:
    some = outcomes(plain="1" * 20 + "0" * 20, own="1" * 21 + "0" * 19, weighted="0" * 40)
    said = answer({"pairs": pairs_of(some), "contrasts": [], "training_seeds": [0]})
    first, second = said.split(". ", 1)
    assert first.startswith("`own`, the best arm, is not shown to differ from plain: +2 points")
    assert second.startswith(
        "With this one training seed `weighted` succeeds less often than plain: -50 points"
    )
    assert "corrected for 2" in second


@pytest.mark.parametrize("seeds", [1, 3])
def test_where_rollouts_stop_the_answer_says_so(seeds: int) -> None:
    generator = np.random.default_rng(0)
    stopped_early = 0
    for _ in range(30):
        draws = generator.random((seeds, 120))
        every = {"plain": draws < 0.4, "weighted": draws[:, ::-1] < 0.62, "success-only": draws < 0.4}
        blocks: list[list[int]] = []
        played, test = play_until_decided(
            range(120),
            lambda block, blocks=blocks: blocks.append([*block]),
            lambda seen, every=every: {name: own[:, list(seen)] for name, own in every.items()},
            LEVEL,
        )
        assert [state for block in blocks for state in block] == [*played]
        pairs = pairs_of({name: own[:, : len(played)] for name, own in every.items()}, LEVEL)
        said = answer({"pairs": pairs, "contrasts": [], "training_seeds": [*range(seeds)]})
        if test["stopped_after"] is not None:
            stopped_early += 1
            assert test["stopped_after"] == len(played) < 120
            assert "`weighted` succeeds more often than plain" in said
        else:
            assert len(played) == 120
    assert stopped_early > 10


def test_rollouts_stop_when_the_test_has_decided_about_what_is_no_control() -> None:
    sure, unsure = [1.0, 300.0, 20.0], [1.0, 0.5, 0.2]
    assert decided({"weighted": sure, "shuffled": unsure}, 0.01)
    assert not decided({"weighted": unsure, "shuffled": sure}, 0.01)
    assert not decided({"shuffled": unsure}, 0.01)
    assert not decided({"weighted": sure, "own": unsure}, 0.01)


def test_after_a_sequential_stop_only_what_holds_at_every_look_is_said() -> None:
    better = outcomes(plain="0" * 40, weighted="10" * 20)
    pair = pairs_of(better, level=0.05)[0]
    fixed = pairs_of(better)[0]["difference"]
    # Wider than the interval for a number of rollouts that was fixed beforehand.
    assert pair["always_valid"]["low"] < fixed["low"]
    assert pair["always_valid"]["high"] > fixed["high"]
    # What was meant for such a number is not in the file.
    assert (pair["difference"]["value"], pair["difference"]["low"]) == (0.5, None)
    assert [pair[name] for name in ("p", "p_states", "p_adjusted")] == [None] * 3
    said = answer({"pairs": [pair], "contrasts": [], "training_seeds": [0, 1]})
    assert "always-valid interval" in said
    assert "p =" not in said
    assert "p <" not in said


def test_an_arm_with_the_baseline_s_policies_differs_by_nothing_and_asks_for_no_correction() -> None:
    rows = {"plain": "1100 1010", "weighted": "1100 1010", "mask": "1111 1011"}
    alone = pairs_of(outcomes(plain=rows["plain"], mask=rows["mask"]))
    for level in (None, LEVEL):
        same, mask = pairs_of(outcomes(**rows), level, {"weighted"})
        assert (same["same"], mask["same"]) == (True, False)
        assert mask == (alone[0] if level is None else pairs_of(
            outcomes(plain=rows["plain"], mask=rows["mask"]), level
        )[0])  # fmt: skip
        assert [same["difference"][name] for name in ("value", "low", "high")] == [0, 0, 0]
        assert same["over_seeds"] == {"low": 0, "high": 0}
        assert same["p_states"] == (1 if level is None else None)
    runs = [
        {"arm": arm, "seed": seed, "run": f"r-{run}-s{seed}"}
        for seed in (0, 1)
        for arm, run in (("plain", "plain"), ("weighted", "plain"), ("mask", "mask"))
    ]
    assert same_as_baseline(runs) == {"weighted"}
    whole = {
        "pairs": pairs_of(outcomes(**rows), None, {"weighted"}),
        "contrasts": [],
        "training_seeds": [0, 1],
    }
    only = {**whole, "pairs": whole["pairs"][:1]}
    assert answer(only) == (
        "`weighted` is plain on these data: its weights are all equal, and its policies the same."
    )
    assert answer(whole).startswith("`mask`, the best arm,")


def test_every_experiment_is_a_sound_configuration() -> None:
    for experiment in EXPERIMENTS:
        config = experiment.configured(cli.parse(["--config", experiment.config], "").config)
        assert validate(config) == [], experiment.name
        for arm in arms_of(config, experiment.arms):
            assert validate(planned_run(config, arm, 0, 1).config) == [], (experiment.name, arm.name)


def test_experiments_that_record_differently_have_datasets_and_runs_of_their_own() -> None:
    configs = [
        experiment.configured(cli.parse(["--config", experiment.config], "").config)
        for experiment in EXPERIMENTS
    ]
    assert len({config.run for config in configs}) == len(configs)
    recordings = {(config.dataset.path, config.demonstrations) for config in configs}
    assert len(recordings) == len({path for path, _ in recordings})


def test_the_selection_shares_no_seed_with_what_it_selects_for() -> None:
    """Training seeds, start states, and where a kind of demonstrations is measured, these, too."""
    assert len([one for one in EXPERIMENTS if one.is_selection]) == len(KINDS)

    def used(of: Experiment) -> tuple[set[int], set[int], set[int]]:
        config = of.configured(CONFIG)
        first, recorded = config.rollouts.first_seed, config.demonstrations.first_seed
        return (
            {*range(config.seed, config.seed + of.seeds)},
            {*range(first, first + config.rollouts.episodes)},
            # Of episodes that fail when they should not, others are recorded.
            {*range(recorded, recorded + 10 * config.demonstrations.episodes)},
        )

    for one in [one for one in EXPERIMENTS if one.is_selection]:
        for other in [other for other in EXPERIMENTS if not other.is_selection]:
            for number, (chosen_on, measured_on) in enumerate(zip(used(one), used(other), strict=True)):
                assert not chosen_on & measured_on or (number == 2 and other.name == "pick"), other.name


def test_steps_of_an_earlier_call_are_told_from_those_of_this_one(tmp_path: Path):
    log = tmp_path / "comparison.log"
    log.write_text("demonstrations: done before (took 7 s)\n")
    assert steps_logged(log) == (0, 0)
    with (
        log.open("a") as file,
        tqdm(total=2400, initial=787, desc="training", file=file, mininterval=0) as bar,
    ):
        bar.update(19)
        bar.update(1)

    assert steps_logged(log) == (787, 807)
