"""Runs Lightning's trainer: one process or several, to the end or to an orderly stop."""

import logging
import os
import signal
import warnings
from collections.abc import Generator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch import Callback, Trainer
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.strategies import DDPStrategy
from lightning.pytorch.utilities.exceptions import SIGTERMException
from numpy.typing import NDArray

from rabc.config.settings import Config
from rabc.config.training_settings import TrainerConfig
from rabc.system.device import resolve_precision
from rabc.system.errors import CheckFailed, InputError, Stopped
from rabc.system.processes import PATIENCE, global_rank
from rabc.training.callbacks import TrainingBar, WeightPictures
from rabc.training.checkpoints import Checkpoints, checkpoint_step, what_is_left
from rabc.training.curves import put_before_now, told_in_one_line
from rabc.training.data import ChunkDataModule
from rabc.training.ema import Averaging
from rabc.training.interrupts import Interrupts
from rabc.training.last_words import LastWords, in_its_own_words, is_lost
from rabc.training.module import WeightedPolicy
from rabc.training.monitor import Clock, Monitor
from rabc.training.threads import Threads, chosen_here
from rabc.training.validation import Validation

TENSORBOARD = "tensorboard"
"""The folder of the curves, in a training's."""


def fit(
    config: Config,
    meta: LeRobotDatasetMetadata,
    module: WeightedPolicy,
    data: ChunkDataModule,
    weights: NDArray[np.float32],
    moments: dict[str, NDArray[np.uint8]],
    folder: Path,
    checkpoint: Path | None,
    device: str,
) -> None:
    """Train to the last step, from `checkpoint` on where there is one; only process 0 returns.

    Args:
        config: of the run.
        meta: of the dataset.
        module: what is trained.
        data: its batches.
        weights: (N,) weight of every frame.
        moments: name -> picture (H, W, 3) of what counts most and least.
        folder: receives `checkpoints/` and `tensorboard/`.
        checkpoint: to go on from.
        device: `cuda`, `mps` or `cpu`.

    Raises:
        InputError: a loss, gradient or weight that is not finite; a video that cannot be decoded; devices
            that are not there.
        Stopped: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    settings, checkpoints = config.trainer, folder / "checkpoints"
    clock = Clock(settings.samples_per_step)
    left = partial(what_is_left, checkpoints)
    monitor = Monitor(clock, settings.log_every, left)
    interrupts = Interrupts(monitor)
    last_words = LastWords(settings, first=global_rank(settings.devices, settings.num_nodes) == 0)
    callbacks: list[Callback] = [
        clock,  # first, so that it counts the step and not what follows it
        *([Averaging(settings.ema_decay)] if settings.ema_decay else []),
        monitor,
        *([Threads(folder)] if chosen_here(settings, device) else []),
        WeightPictures(weights, moments),
        *_evaluations(config, meta, data, clock),
        interrupts,
        TrainingBar(clock, monitor),
        *([last_words] if settings.devices * settings.num_nodes > 1 else []),
        # Last, so that they hold the state of all others after the step.
        Checkpoints(checkpoints, settings.checkpoint_every, settings.keep_checkpoints, monitor),
    ]
    with _lightnings_ways(settings), interrupts, told_in_one_line(folder / TENSORBOARD, left):
        if not global_rank(settings.devices, settings.num_nodes):
            put_before_now(folder / TENSORBOARD)
        trainer = _trainer(config, folder, checkpoint, device, clock, callbacks)
        try:
            trainer.fit(module, datamodule=data, ckpt_path=checkpoint, weights_only=True)
        except SIGTERMException:
            pass  # it came before ours took over from Lightning's; told below
        except SystemExit as ended:
            if isinstance(ended.__context__, KeyboardInterrupt):  # which Lightning turns into exit code 1
                raise KeyboardInterrupt from ended
            raise
        except InputError as error:
            raise InputError(in_its_own_words(error)) from error
        except RuntimeError as error:
            raise _explained(error, settings, last_words.other_code) from error
        step = trainer.global_step
    if global_rank(settings.devices, settings.num_nodes) > 0:
        raise SystemExit(0)
    # A signal also ends the command after the last step; the next run goes on behind the training.
    if interrupts.received or (monitor.stop and step < settings.max_steps):
        kept = f", kept in {checkpoints / f'step={step}.ckpt'}" if step else ""
        raise Stopped(
            f"training after step {step} of {settings.max_steps}{kept}; run it again to go on",
            interrupts.received or signal.SIGTERM,
        )


def _evaluations(
    config: Config,
    meta: LeRobotDatasetMetadata,
    data: ChunkDataModule,
    clock: Clock,
) -> list[Callback]:
    settings, chosen = config.trainer, list[Callback]()
    if settings.eval_steps:
        chosen.append(Validation(data, settings.eval_steps, settings.patience, clock))
    if settings.rollout_every:
        from rabc.training.periodic_rollouts import PeriodicRollouts

        chosen.append(PeriodicRollouts(config, meta, clock))
    return chosen


def _trainer(
    config: Config,
    folder: Path,
    checkpoint: Path | None,
    device: str,
    clock: Clock,
    callbacks: list[Callback],
) -> Trainer:
    settings = config.trainer
    together = settings.devices * settings.num_nodes
    # ACT and Diffusion use all their parameters in every step; of the others nobody has looked, and DDP stops
    # where it is told so and it is not true.
    unused = config.policy.type not in ("act", "diffusion")
    try:
        return Trainer(
            accelerator={"cuda": "gpu"}.get(device, device),
            devices=settings.devices,
            num_nodes=settings.num_nodes,
            strategy=DDPStrategy(find_unused_parameters=unused, timeout=PATIENCE) if together > 1 else "auto",
            use_distributed_sampler=False,  # the loader gives each process its own part already
            precision=resolve_precision(settings.precision, device),
            deterministic=settings.deterministic,
            accumulate_grad_batches=settings.accumulate_grad_batches,
            max_steps=settings.max_steps,
            max_epochs=-1,
            # Points after the checkpoint come from a session that was killed; they are made again.
            logger=TensorBoardLogger(
                folder,
                name="",
                version=TENSORBOARD,
                purge_step=checkpoint_step(checkpoint) if checkpoint else 0,
            ),
            profiler=clock.waiting,
            callbacks=callbacks,
            enable_checkpointing=False,
            enable_model_summary=False,
            limit_val_batches=0,
            num_sanity_val_steps=0,
        )
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"trainer.devices {settings.devices}, trainer.num_nodes {settings.num_nodes}: {reason}; give the "
            "devices of each machine"
        ) from error


def _explained(error: RuntimeError, settings: TrainerConfig, other_code: int | None) -> Exception:
    """What a user can do about an error of torch; the error itself where that is not known.

    other_code: exit code of another process that has ended with an error, if any.
    """
    reason = str(error).strip().splitlines()[0]
    if settings.deterministic and "deterministic" in reason:
        return InputError(f"trainer.deterministic true: {reason}; set it false")
    if settings.devices * settings.num_nodes > 1 and is_lost(error):
        if other_code == InputError.exit_code:  # run again, it would end again
            return InputError("training: another process ended, for the error that it names itself")
        return CheckFailed(f"training: another process ended ({reason}); run it again to go on")
    return error


@contextmanager
def _lightnings_ways(settings: TrainerConfig) -> Generator[None]:
    """Without Lightning's notes, which nobody can act on here; what it changes for all is put back."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels, environment = [logger.level for logger in loggers], dict(os.environ)
    deterministic = torch.are_deterministic_algorithms_enabled()
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    if settings.threads > 0:  # Lightning would divide the cores among the processes
        os.environ.setdefault("OMP_NUM_THREADS", str(settings.threads))
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*does not have many workers.*")
            warnings.filterwarnings("ignore", message=".*treespec, LeafSpec.*")
            warnings.filterwarnings("ignore", message=".*have no `validation_step`.*")
            warnings.filterwarnings("ignore", message=".*overridden `on_before_batch_transfer`.*")
            # Of channels-last weights, whose gradients DDP copies; the figures are the same.
            warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides.*")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        torch.use_deterministic_algorithms(deterministic)
        if settings.devices * settings.num_nodes > 1:
            if torch.distributed.is_initialized():
                torch.distributed.destroy_process_group()
            os.environ.clear()
            os.environ.update(environment)


def training_ended(checkpoint: Path, max_steps: int) -> bool:
    """Whether nothing is left to train after `checkpoint`: it is the last, or patience was at its end."""
    if checkpoint_step(checkpoint) >= max_steps:
        return True
    state: dict[str, Any] = torch.load(checkpoint, map_location="cpu", weights_only=True, mmap=True)
    return bool(state["callbacks"].get("Validation", {}).get("stopped", False))
