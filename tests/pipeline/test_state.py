"""Which keys of the configuration make which stage stale."""

import types
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

import pytest

from rabc.config.settings import Config, PolicyConfig
from rabc.pipeline.state import STAGES, inputs
from rabc.system.stages import key

RESULTS = {"demonstrations": {"content": "d"}, "weights": {"content": "w"}, "training": {"content": "t"}}
FIRST = {
    "demonstrations": "demonstrations", "diagnostics": "scores", "weights": "weights", "policy": "training",
    "rollouts": "rollouts",
}  # fmt: skip
"""Section -> the first stage that depends on it; so do all after it."""
SOONER = {
    "weights.length_bias": "scores",  # scores still pictures of every episode
    "weights.scheme": "scores",  # the other one here is `none`, for which nothing is scored
    "weights.progress_file": "scores", "weights.weights_file": "scores",  # take their place
    "policy.chunk_size": "weights", "policy.type": "weights",  # over how many frames progress counts
}  # fmt: skip
NEVER = {"demonstrations.processes", "rollouts.processes", "rollouts.videos"}
JUDGES_ALONE = {
    "weights.accept_poor_scorer",
    *(f"diagnostics.{item.name}" for item in fields(Config().diagnostics)),
}
"""What decides whether there are weights, not what they are."""


def other(value: Any, hint: Any) -> Any:
    """Another value of the same type."""
    kinds = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if get_origin(kinds[0]) is Literal:
        return next(choice for choice in get_args(kinds[0]) if choice != value)
    if value is None:
        return {str: "other", int: 7, float: 0.7}.get(kinds[0], [1, 2])
    if isinstance(value, bool):
        return not value
    return value + {str: "x", list: [3]}.get(type(value), 1)


def stale(config: Config, changed: Config) -> list[str]:
    return [
        stage
        for stage in STAGES
        if key(inputs(config, stage, RESULTS)) != key(inputs(changed, stage, RESULTS))
    ]


KEYS = [
    (section, item)
    for section in FIRST
    for item in fields(getattr(Config(), section))
    if not isinstance(getattr(getattr(Config(), section), item.name), dict)
]


@pytest.mark.parametrize(("section", "item"), KEYS, ids=[f"{section}.{item.name}" for section, item in KEYS])
def test_a_key_makes_what_depends_on_it_stale(section: str, item: Any) -> None:
    config = Config()
    settings = getattr(config, section)
    changed = replace(settings, **{item.name: other(getattr(settings, item.name), item.type)})
    name = f"{section}.{item.name}"
    first = STAGES.index(SOONER.get(name, FIRST[section]))
    expected = [] if name in NEVER else list(STAGES[first:])
    if name in JUDGES_ALONE:
        expected = [stage for stage in expected if stage in ("scores", "weights")]
    assert stale(config, replace(config, **{section: changed})) == expected


def test_the_seed_is_of_the_training_and_what_follows_from_it() -> None:
    config = Config()
    assert stale(config, replace(config, seed=config.seed + 1)) == ["training", "rollouts"]
    longer = replace(config.trainer, max_steps=config.trainer.max_steps + 1)
    assert stale(config, replace(config, trainer=longer)) == ["training", "rollouts"]
    often = replace(config.trainer, log_every=config.trainer.log_every + 1)
    assert stale(config, replace(config, trainer=often)) == []


def test_what_is_read_counts_by_its_content() -> None:
    """Of weights, too: what a scorer is found to be good for makes others by the same settings."""
    for stage, changes in (
        ("demonstrations", list(STAGES[1:])),
        ("weights", ["training", "rollouts"]),
        ("training", ["rollouts"]),
    ):
        results = {**RESULTS, stage: {"content": "other"}}
        config = Config()
        assert [
            one for one in STAGES if inputs(config, one, RESULTS) != inputs(config, one, results)
        ] == changes


def test_another_way_of_weighting_asks_for_no_new_scores() -> None:
    config = Config()
    other_scheme = replace(config.weights, scheme="mask")
    assert stale(config, replace(config, weights=other_scheme)) == ["weights", "training", "rollouts"]


def test_other_episodes_are_scored_and_trained_without_being_another_dataset() -> None:
    config = Config()
    for name in ("episodes", "exclude"):
        chosen = replace(config.dataset, **{name: [0, 1]})
        assert stale(config, replace(config, dataset=chosen)) == list(STAGES[1:])
    renamed = replace(config.dataset, rename_map={"actions": "action"})
    assert stale(config, replace(config, dataset=renamed)) == list(STAGES)


@pytest.mark.parametrize(
    ("section", "changes", "first"),
    [
        ("dataset", {"eval_split": 0.3}, "training"),
        ("dataset", {"image_transforms": {"enable": True}}, "training"),
        ("trainer", {"precision": "64-true"}, "training"),
        ("policy", {"chunk_size": 7}, "weights"),
    ],
)
def test_what_a_stage_reads_of_another_section_makes_it_stale(
    section: str, changes: dict[str, Any], first: str
) -> None:
    config = Config()
    changed = replace(config, **{section: replace(getattr(config, section), **changes)})
    assert stale(config, changed) == list(STAGES[STAGES.index(first) :])


@pytest.mark.parametrize("scheme", ["none", "awr"])
def test_the_weights_depend_on_the_chunk_that_the_policy_has(scheme: Any) -> None:
    """Of Diffusion it is the horizon without the observations before the first action."""
    config = Config()
    weights = replace(config.weights, scheme=scheme)
    policy = replace(config.policy, type="diffusion", n_obs_steps=2, horizon=16)
    config = replace(config, weights=weights, policy=policy)
    for changes, first in (({"horizon": 24}, "weights"), ({"horizon": 17, "n_obs_steps": 3}, "training")):
        changed = replace(config, policy=replace(policy, **changes))
        assert stale(config, changed) == list(STAGES[STAGES.index(first) :])


def test_what_auto_stands_for_on_this_machine_counts_and_not_the_word(monkeypatch: Any) -> None:
    """A run that goes on elsewhere, where `auto` is another precision, is another training."""
    config = Config()
    for precision in ("32-true", "bf16-mixed"):
        monkeypatch.setattr("rabc.system.device.resolve_precision", lambda *_, found=precision: found)
        assert inputs(config, "training", RESULTS)["trainer.precision"] == precision


def test_a_scorer_counts_by_its_content_and_by_what_it_computes_in(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another model copied into the same folder, and another machine, give other scores."""
    folder = tmp_path / "scorer"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    config = replace(Config(), scorer=replace(Config().scorer, model=str(folder)))

    def found() -> dict[str, str]:
        return {stage: key(inputs(config, stage, RESULTS)) for stage in STAGES}

    before = found()
    (folder / "config.json").write_text('{"other": 1}')
    after = found()
    assert [stage for stage in STAGES if before[stage] != after[stage]] == list(STAGES[1:])
    for dtype in ("float32", "bfloat16"):
        monkeypatch.setattr("rabc.system.device.resolve_dtype", lambda *_, one=dtype: one)
        assert inputs(config, "scores", RESULTS)["scorer.dtype"] == dtype


@pytest.mark.parametrize("name", ["progress_file", "weights_file"])
def test_progress_and_weights_from_elsewhere_count_by_their_content(name: str, tmp_path: Path) -> None:
    file = tmp_path / "foreign.parquet"
    file.write_bytes(b"one")
    config = replace(Config(), weights=replace(Config().weights, **{name: str(file)}))
    before = {stage: inputs(config, stage, RESULTS) for stage in STAGES}
    file.write_bytes(b"another")
    changed = [stage for stage in STAGES if inputs(config, stage, RESULTS) != before[stage]]
    assert changed == list(STAGES[2:])


def test_the_rollouts_of_a_recorded_dataset_depend_on_the_task() -> None:
    """It says what is played there, even where nothing is simulated to learn from."""
    config = replace(Config(), demonstrations=replace(Config().demonstrations, simulate=False))
    placing = replace(config, demonstrations=replace(config.demonstrations, task="place"))
    assert stale(config, placing) == ["rollouts"]


def test_where_weights_act_follows_from_the_policy() -> None:
    """The page of the weights says where, so that it is stale with a policy whose loss has no ticks."""
    act, smolvla = (Config(policy=PolicyConfig(type=kind)) for kind in ("act", "smolvla"))
    assert (act.apply, smolvla.apply) == ("ticks", "cuts")
    made = [inputs(config, "weights", RESULTS)["weights.apply"] for config in (act, smolvla)]
    assert made == ["ticks", "cuts"]
    said = Config(weights=replace(act.weights, apply="ticks"))
    assert inputs(said, "training", RESULTS) == inputs(act, "training", RESULTS)
    assert Config(weights=replace(act.weights, scheme="mask")).apply == "loss"
