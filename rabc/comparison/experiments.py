"""The comparisons that `docs/results.md` reports, each a configuration, arms, training seeds and rollouts."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from rabc.config.settings import Config, DemonstrationsConfig, WeightsConfig

FLAWS = ("stall", "retry", "drop", "detour", "give_up")
"""Kinds of demonstrations that are not clean."""
SELECTION_SEED = 100
"""First training seed of the selection; the other experiments begin with 0."""
SELECTION_START_STATES = 1000
"""Offset of the selection's start states; the other experiments begin with 0."""

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

    def configured(self, config: Config) -> Config:
        """The configuration of the comparison, from that of the file."""
        for section, values in self.changes.items():
            config = replace(config, **{section: replace(getattr(config, section), **values)})
        rollouts = replace(config.rollouts, episodes=self.rollouts)
        return replace(config, run=self.run or config.run, seed=self.first_seed, rollouts=rollouts)


def with_clean(share: float) -> Changes:
    """Demonstrations of which `share` is clean, and the rest flawed in the usual proportions."""
    usual = DemonstrationsConfig()
    flawed = {kind: round(getattr(usual, kind) * (1 - share) / (1 - usual.clean), 6) for kind in FLAWS}
    # What rounding leaves goes to the last kind, so that the shares add up to 1.
    flawed[FLAWS[-1]] = 1 - share - sum(flawed[kind] for kind in FLAWS[:-1])
    percent = round(100 * share)
    return {
        "dataset": {"path": f"data/so101_pick_clean{percent}"},
        "demonstrations": {"clean": share, **flawed},
    }


_MASK: dict[str, Any] = {"scheme": "mask", "calibration": "dataset", "min_delta": 0.2}
"""The second best of the selection, which is not shown to do harm on clean demonstrations there."""

_CANDIDATES: Changes = {
    "rollouts": {"first_seed": SELECTION_START_STATES},
    "comparison": {
        "arms": {
            "awr-0.2": {"scheme": "awr", "calibration": "dataset", "beta": 0.2},
            "rabc-0.2": {"scheme": "rabc", "calibration": "dataset", "kappa": 0.2},
            "sampler": {"scheme": "awr", "calibration": "dataset", "beta": 0.2, "apply": "sampler"},
            "mask-0.2": _MASK,
        }
    },
}
"""Of the selection: start states and schemes."""

EXPERIMENTS = (
    Experiment(
        "selection",
        "Choosing the scheme",
        "so101_pick.yaml",
        "plain,awr-0.2,mask-0.2,success-only,rabc-0.2,sampler",
        seeds=1,
        rollouts=60,
        run="so101_pick_selection",
        first_seed=SELECTION_SEED,
        changes=_CANDIDATES,
    ),
    Experiment(
        "selection_clean",
        "The same schemes on clean demonstrations",
        "so101_pick.yaml",
        "plain,awr-0.2,mask-0.2,rabc-0.2",
        seeds=1,
        rollouts=60,
        run="so101_pick_selection_clean",
        first_seed=SELECTION_SEED,
        changes={**_CANDIDATES, **with_clean(1.0)},
    ),
    Experiment(
        "pick", "ACT lifts the cube", "so101_pick.yaml", None, seeds=3, rollouts=200,
        changes={"comparison": {"arms": {"rabc": {"scheme": "rabc", "calibration": "dataset"}}}},
    ),
    Experiment(
        "pick_diffusion", "Diffusion lifts the cube", "so101_pick_diffusion.yaml",
        "plain,weighted", seeds=2, rollouts=100,
    ),
    *(
        Experiment(
            f"clean_{round(100 * share)}",
            f"{100 * share:.0f} % clean demonstrations",
            "so101_pick.yaml",
            arms,
            seeds=2,
            rollouts=200,
            run=f"so101_pick_clean{round(100 * share)}",
            changes={**with_clean(share), "comparison": {"arms": {"mask": _MASK}}},
        )
        for share, arms in ((0.2, "plain,weighted"), (0.8, "plain,weighted,mask"), (1.0, "plain,weighted"))
    ),
    Experiment(
        "flawed_successes", "Every demonstration succeeds, most are flawed", "so101_pick.yaml",
        "plain,weighted,mask", seeds=2, rollouts=200, run="so101_pick_flawed_successes",
        changes={
            "comparison": {"arms": {"mask": _MASK}},
            "dataset": {"path": "data/so101_pick_flawed_successes"},
            "demonstrations": {
                "give_up": 0.0, **dict.fromkeys(("clean", "stall", "retry", "drop", "detour"), 0.2)
            },
        },
    ),
    Experiment(
        "place", "ACT places the cube", "so101_place.yaml", "plain,weighted,mask",
        seeds=2, rollouts=200,
        # The winner in picking, and what rabc train proposed for these demonstrations, warning of that one.
        changes={
            "weights": {"scheme": "awr", "beta": 0.2, "min_delta": WeightsConfig.min_delta},
            "comparison": {"arms": {"mask": {**_MASK, "min_delta": 0.11}}},
        },
    ),
)  # fmt: skip
"""In the order in which they are run."""
