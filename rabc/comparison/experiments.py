"""The comparisons that `docs/results.md` reports, each a configuration, arms, training seeds and rollouts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rabc.config.settings import Config, DemonstrationsConfig

FLAWS = ("stall", "retry", "drop", "detour", "give_up")
"""Kinds of demonstrations that are not clean."""
SELECTION_SEED = 100
"""First training seed of the selection; the measurement begins with 0."""
SELECTION_START_STATES = 1000
"""Offset of the selection's start states; the measurement begins with 0."""
STEPS = 1000
"""Of a training, where the main job takes 2400: 80 of them are hours and not days."""
MEASURED_DEMONSTRATIONS = 500_000
"""Offset of the measurement's demonstrations; the selection looked at those of the shipped configurations."""

Changes = Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True)
class Experiment:
    """One comparison of the results page."""

    name: str
    """Of its files in `docs/results/`, too."""
    title: str
    config: str
    """File in `configs/`."""
    arms: str | None
    """Comma-separated; None: all standard arms and those of `comparison.arms`."""
    seeds: int
    """Trainings of each arm."""
    rollouts: int
    """Of each training."""
    run: str = ""
    """Name of the run, where it is not the configuration's."""
    first_seed: int = 0
    """Of the trainings."""
    changes: Changes = field(default_factory=dict[str, Mapping[str, Any]])
    """section -> key -> value, on top of the configuration."""

    @property
    def is_selection(self) -> bool:
        """Whether it is there to choose by, and not to measure what was chosen."""
        return self.first_seed >= SELECTION_SEED

    def configured(self, config: Config) -> Config:
        """The configuration of the comparison, from that of the file."""
        for section, values in self.changes.items():
            config = replace(config, **{section: replace(getattr(config, section), **values)})
        rollouts = replace(config.rollouts, episodes=self.rollouts)
        return replace(config, run=self.run or config.run, seed=self.first_seed, rollouts=rollouts)


def with_clean(share: float) -> dict[str, float]:
    """Kinds of demonstrations of which `share` is clean, and the rest flawed in the usual proportions."""
    usual = DemonstrationsConfig()
    flawed = {kind: round(getattr(usual, kind) * (1 - share) / (1 - usual.clean), 6) for kind in FLAWS}
    # What rounding leaves goes to the last kind, so that the shares add up to 1.
    flawed[FLAWS[-1]] = 1 - share - sum(flawed[kind] for kind in FLAWS[:-1])
    return {"clean": share, **flawed}


@dataclass(frozen=True)
class Kind:
    """One kind of demonstrations, and the policy that learns from them."""

    title: str
    demonstrations: Mapping[str, Any]
    policy: Mapping[str, Any] = field(default_factory=dict[str, Any])
    trainer: Mapping[str, Any] = field(default_factory=lambda: {"max_steps": STEPS})
    config: str = "so101_pick.yaml"


_FLAWLESS = dict.fromkeys(FLAWS, 0.0)

KINDS = {
    "clean_20": Kind("20 % clean", with_clean(0.2)),
    "clean_40": Kind("40 % clean", with_clean(0.4)),
    "clean_80": Kind("80 % clean", with_clean(0.8)),
    "clean_100": Kind("100 % clean", with_clean(1.0)),
    "flawed_successes": Kind(
        "all succeed, 20 % clean",
        {"give_up": 0.0, **dict.fromkeys(("clean", "stall", "retry", "drop", "detour"), 0.2)},
    ),
    "place": Kind("placing, 40 % clean", {}, trainer={}, config="so101_place.yaml"),
    "speeds": Kind("clean, half of them at half speed", {**_FLAWLESS, "clean": 0.5, "slow": 0.5}),
    "pauses": Kind(
        "60 % with stops of 1 s, chunks of 5 s",
        {**_FLAWLESS, "clean": 0.4, "pause": 0.6},
        {"chunk_size": 50},
    ),
}
"""Of the published comparison."""

CUTS = "cuts"
"""The arm of the selection that acts by cuts."""
_OWN_ARMS: dict[str, Any] = {
    "awr": {"scheme": "awr", "beta": 0.2},
    "mask": {"scheme": "mask", "min_delta": None},
    "rabc": {"scheme": "rabc"},
}
"""Schemes that auto takes the place of: with the constants that helped most in earlier comparisons."""


def _measured(name: str, arms: str) -> Experiment:
    kind = KINDS[name]
    return Experiment(
        name, kind.title, kind.config, arms, seeds=3, rollouts=200, run=f"so101_{name}_measured",
        changes={
            "dataset": {"path": f"data/so101_{name}_measured"},
            "demonstrations": {**kind.demonstrations, "first_seed": MEASURED_DEMONSTRATIONS},
            "policy": kind.policy,
            "trainer": kind.trainer,
            "comparison": {"arms": _OWN_ARMS},
        },
    )  # fmt: skip


def _selecting(name: str, kind: Kind) -> Experiment:
    return Experiment(
        f"selection_{name}", f"Selection, {kind.title}", kind.config, f"plain,weighted,{CUTS}",
        seeds=1, rollouts=60, run=f"so101_{name}_selection", first_seed=SELECTION_SEED,
        changes={
            "dataset": {"path": f"data/so101_{name}_selection"},
            "demonstrations": kind.demonstrations,
            "policy": kind.policy,
            "trainer": kind.trainer,
            "rollouts": {"first_seed": SELECTION_START_STATES},
            "comparison": {"arms": {CUTS: {"scheme": "auto", "apply": "cuts"}}},
        },
    )  # fmt: skip


def _diffusion(name: str) -> Experiment:
    """On the demonstrations of the comparison of that kind."""
    kind = KINDS[name]
    return Experiment(
        f"diffusion_{name}", f"Diffusion, {kind.title}", "so101_pick_diffusion.yaml", "plain,weighted",
        seeds=2, rollouts=100, run=f"so101_{name}_diffusion",
        changes={
            "dataset": {"path": f"data/so101_{name}_measured"},
            "demonstrations": {**kind.demonstrations, "first_seed": MEASURED_DEMONSTRATIONS},
        },
    )  # fmt: skip


EXPERIMENTS = (
    Experiment("pick", "The main job", "so101_pick.yaml", "plain,weighted", seeds=3, rollouts=100),
    _measured("clean_40", "plain,weighted,success-only,oracle,shuffled"),
    _measured("place", "plain,weighted,success-only,oracle"),
    _measured("clean_100", "plain,weighted,awr"),
    _measured("speeds", "plain,weighted,mask,rabc"),
    _measured("clean_20", "plain,weighted,success-only,oracle"),
    _measured("flawed_successes", "plain,weighted,oracle"),
    _measured("clean_80", "plain,weighted,success-only"),
    _measured("pauses", "plain,weighted"),
    _diffusion("clean_40"),
    _diffusion("clean_100"),
    *(_selecting(name, kind) for name, kind in KINDS.items()),
)
"""In the order in which they are run."""
