"""Rollouts of a policy that is still in training, to see in time whether it learns anything."""

import tempfile
from pathlib import Path
from typing import Any

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lightning.pytorch import Callback, LightningModule, Trainer
from tqdm import tqdm

from rabc.config.settings import Config
from rabc.datasets.cameras import recorded_shape
from rabc.export.folder import lerobot_train_config, write_policy
from rabc.rollouts.play import RolloutJob, roll_outs
from rabc.sim import seeds
from rabc.sim.environment import CAMERAS, FPS
from rabc.statistics.intervals import Proportion, proportion
from rabc.training.ema import policy_to_evaluate
from rabc.training.monitor import Clock


class PeriodicRollouts(Callback):
    """Every few steps, the success of the policy as it would be exported, in TensorBoard and on the terminal.

    The start states are always the same ones, and never those of the final evaluation. One process plays, the
    others wait. Training does not depend on it: its random numbers follow from the step.
    """

    def __init__(self, config: Config, meta: LeRobotDatasetMetadata, clock: Clock) -> None:
        """
        Args:
            config: of the run.
            meta: of the dataset, whose cameras' size the simulator takes.
            clock: does not count the time as training.
        """
        self._config = config
        self._meta = meta
        self._clock = clock

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Play when the step is due."""
        step = trainer.global_step
        if step == batch["step"] or step % self._config.trainer.rollout_every:
            return
        if trainer.is_global_zero:
            success = self._play(trainer)
            tqdm.write(f"rollouts after step {step}: {success}")
            if trainer.logger is not None:
                share = success.successes / success.trials
                figures = {"success": share, "success_low": success.low, "success_high": success.high}
                trainer.logger.log_metrics({f"rollouts/{k}": v for k, v in figures.items()}, step - 1)
        self._clock.leave_out()

    def _play(self, trainer: Trainer) -> Proportion:
        config, settings = self._config, self._config.rollouts
        parts = policy_to_evaluate(trainer).stock_parts()
        wanted = seeds.seed_range(seeds.TRAINING_ROLLOUTS, 0, config.trainer.rollout_episodes)
        image_size, _ = recorded_shape(self._meta, self._meta.camera_keys[0])
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pretrained_model"
            write_policy(parts, path, lerobot_train_config(config, self._meta, parts.policy))
            # Nobody looks at the frames: one a second is little work.
            jobs = [
                RolloutJob(
                    path, seed, settings.max_ticks, CAMERAS[0], FPS, image_size, config.demonstrations.task
                )
                for seed in wanted
            ]
            done = list(roll_outs(jobs, settings.processes))
        return proportion(sum(rollout.success for rollout in done), len(done))
