"""Checks of the configuration's section `trainer`, as in `rabc.config.checks`."""

from collections.abc import Iterator

from rabc.config.settings import Config
from rabc.config.training_settings import TrainerConfig

_PRESET = ("lr", "warmup_steps", "weight_decay", "gradient_clip_norm")
"""What LeRobot's preset takes the place of."""


def trainer_problems(config: Config) -> Iterator[str]:
    """Every problem between the settings of the trainer, and between them and others."""
    trainer = config.trainer
    if not trainer.lerobot_preset and trainer.warmup_steps >= trainer.max_steps:
        yield (
            f"trainer.warmup_steps {trainer.warmup_steps}: the warm-up takes all of trainer.max_steps "
            f"{trainer.max_steps}; give fewer"
        )
    yield from _preset(config)
    yield from _validation(config)
    if trainer.rollout_every and not config.demonstrations.simulate:
        yield (
            f"trainer.rollout_every {trainer.rollout_every}: rollouts are simulated, and "
            "demonstrations.simulate false says that the dataset is not; set trainer.rollout_every 0"
        )


def _preset(config: Config) -> Iterator[str]:
    trainer, preset = config.trainer, config.trainer.lerobot_preset
    for name in _PRESET if preset else ():
        value = getattr(trainer, name)
        if value != getattr(TrainerConfig, name):
            yield (
                f"trainer.{name} {value}: trainer.lerobot_preset true takes its place; leave it out, or the "
                "preset"
            )
    for name, value in config.policy.extra.items():
        if name.startswith(("optimizer_", "scheduler_")) and not preset:
            yield (
                f"policy.extra.{name} {value!r}: is read with trainer.lerobot_preset true alone; set it, or "
                "use trainer.lr, trainer.warmup_steps, trainer.weight_decay and trainer.gradient_clip_norm"
            )


def _validation(config: Config) -> Iterator[str]:
    trainer, split = config.trainer, config.dataset.eval_split
    if trainer.eval_steps and split == 0:
        yield (
            f"trainer.eval_steps {trainer.eval_steps}: needs held-out episodes, and dataset.eval_split is 0; "
            "give it, e.g. 0.1"
        )
    if trainer.eval_steps > trainer.max_steps:
        yield (
            f"trainer.eval_steps {trainer.eval_steps}: training ends at trainer.max_steps "
            f"{trainer.max_steps}, before the first validation; give fewer"
        )
    for name in ("max_eval_samples", "patience"):
        value = getattr(trainer, name)
        if value and not trainer.eval_steps:
            yield (
                f"trainer.{name} {value}: nothing is validated, since trainer.eval_steps is 0; give it and "
                "dataset.eval_split"
            )
