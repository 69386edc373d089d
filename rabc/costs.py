"""What a run will cost: rough figures for `--dry_run`, from rates measured on two CPU cores.

They say whether to wait at the desk or to come back tomorrow, nothing finer. A GPU, or a scorer of billions
of parameters, changes them by orders of magnitude; the table says what they are for.
"""

from rabc.config import Config
from rabc.stages import duration
from rabc.terminal import table

FRAMES_PER_EPISODE = 65
RECORD_S_PER_EPISODE = 1.8  # per process
SCORE_S_PER_PREFIX = 0.03  # the shipped scorer
TRAIN_S_PER_SAMPLE = 0.012
ROLLOUT_S = 1.5  # per process
BYTES_PER_VIDEO_FRAME = 1_200
CHECKPOINT_BYTES = 150e6


def cost_table(config: Config, unfinished: list[str]) -> str:
    """Time and disk of the stages that are not done, as a table."""
    costs = [(stage, *_cost(config, stage)) for stage in unfinished]
    if not costs:
        return "Nothing to do."
    costs.append(("together", sum(time for _, time, _ in costs), sum(disk for _, _, disk in costs)))
    rows = [[name, duration(time), f"{disk / 1e6:.0f} MB"] for name, time, disk in costs]
    return table(rows, ["stage", "time", "disk"]) + (
        "\nTimes are rough: simulated data, the shipped scorer and policy, two CPU cores."
    )


def _cost(config: Config, stage: str) -> tuple[float, float]:
    """Seconds and bytes."""
    episodes, rollouts = config.demonstrations.episodes, config.rollouts.episodes
    frames = episodes * FRAMES_PER_EPISODE
    pixels = config.demonstrations.image_size**2 * 3
    prefixes = config.scorer.num_prefixes
    return {
        "demonstrations": (
            episodes * RECORD_S_PER_EPISODE / config.demonstrations.processes,
            2.0 * frames * BYTES_PER_VIDEO_FRAME,
        ),
        "scores": (episodes * prefixes * SCORE_S_PER_PREFIX, episodes * prefixes * 60.0),
        "weights": (1.0, frames * 30.0),
        "training": (
            config.trainer.max_steps * config.trainer.batch_size * TRAIN_S_PER_SAMPLE,
            2.0 * frames * pixels + 3 * CHECKPOINT_BYTES,
        ),
        "rollouts": (
            rollouts * (ROLLOUT_S / config.rollouts.processes + prefixes * SCORE_S_PER_PREFIX),
            rollouts * 600.0,
        ),
    }[stage]
