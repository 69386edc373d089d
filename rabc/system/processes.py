"""Several processes that do one piece of work together, one per device.

Lightning starts them by running the command again, or torchrun or SLURM has started them all.
"""

import os
import signal
import sys
import time
from datetime import timedelta
from threading import Thread
from types import FrameType

from rabc.system.errors import InputError

# Processes wait for the slowest of them, and for what only the first one does, such as rollouts.
PATIENCE = timedelta(days=30)


def local_rank() -> int:
    """Number of this process on its machine; 0 for one that was started by hand."""
    slurm = os.environ.get("SLURM_LOCALID", "0") if _by_slurm() else "0"
    return int(os.environ.get("LOCAL_RANK", slurm))


def global_rank(devices: int, num_nodes: int) -> int:
    """Number of this process among all that train together.

    Args:
        devices: processes on each machine.
        num_nodes: machines.
    """
    if devices * num_nodes == 1:
        return 0
    if started_by_torchrun():
        return int(os.environ["RANK"])
    if _by_slurm():
        return int(os.environ["SLURM_PROCID"])
    return int(os.environ.get("NODE_RANK", "0")) * devices + local_rank()


def started_by_torchrun() -> bool:
    """torchrun has started all processes."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def started_by_lightning() -> bool:
    """The process that was started by hand has started this one."""
    return "LOCAL_RANK" in os.environ and not started_by_torchrun() and not _by_slurm()


def check_started(devices: int, num_nodes: int) -> None:
    """Raise InputError where torchrun has started another number of processes than will train together."""
    started = int(os.environ.get("WORLD_SIZE", "1")) if started_by_torchrun() else devices * num_nodes
    if started != devices * num_nodes:
        raise InputError(
            f"trainer.devices {devices}, trainer.num_nodes {num_nodes}: torchrun started {started} "
            "processes; give as many devices and machines"
        )


def end_with_parent() -> None:
    """End this process when the one that started it ends in whatever way.

    Otherwise what the first process left would wait for it, and hold what the next run needs.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.2)
        os._exit(1)

    Thread(target=watch, daemon=True).start()


def unwind_on_sigterm() -> None:
    """Let SIGTERM end this process as `sys.exit` does, so that `finally` ends the processes it started.

    Exit code 143, as a shell expects. Only in the main thread.
    """

    def leave(number: int, frame: FrameType | None) -> None:
        sys.exit(128 + number)

    signal.signal(signal.SIGTERM, leave)


def _by_slurm() -> bool:
    """SLURM has started all processes, as Lightning recognises it: not in an interactive shell of SLURM."""
    interactive = os.environ.get("SLURM_JOB_NAME") in ("bash", "interactive")
    return "SLURM_NTASKS" in os.environ and not interactive
