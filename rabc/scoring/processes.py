"""Scoring in several processes, one per device, started by Lightning, torchrun or SLURM."""

import os
from collections.abc import Callable
from dataclasses import dataclass

import torch

from rabc.system.device import resolve_device
from rabc.system.errors import InputError, RabcError
from rabc.system.processes import PATIENCE, end_with_parent, started_by_torchrun
from rabc.system.quiet import quiet_libraries


@dataclass(frozen=True)
class Process:
    """One of the processes that score a dataset."""

    rank: int
    world_size: int
    device: str
    """Torch device of its own."""

    def together(self, work: Callable[[], object]) -> None:
        """`work` in every process; returns when it has ended in all of them.

        What an error stops in one process, the others finish. Process 0 then raises the first error; the
        others exit.
        """
        error: RabcError | None = None
        try:
            work()
        except RabcError as raised:
            error = raised
        errors = [error]
        if self.world_size > 1:
            errors = [None] * self.world_size
            torch.distributed.all_gather_object(errors, error)
        first = next((found for found in errors if found is not None), None)
        if first is not None and self.rank > 0:
            raise SystemExit(0)  # process 0 says it, once
        if first is not None:
            raise first

    def first_then_others(self, work: Callable[[], None]) -> None:
        """`work` in process 0, and in the others when it has succeeded there."""
        self.together(lambda: work() if self.rank == 0 else None)
        self.together(lambda: work() if self.rank > 0 else None)


def launch(devices: int, num_nodes: int, device: str) -> Process:
    """Starts `devices` processes on each of `num_nodes` machines, unless torchrun or SLURM has.

    Returns which of them this one is; those that are started run the same command from its beginning. device:
    auto, cpu, cuda or mps. torchrun sets OMP_NUM_THREADS to 1 unless it is given: on a CPU give what one
    process would use. Raises InputError where there are not so many devices, or another number of processes
    was started.
    """
    chosen = resolve_device(device)
    started = int(os.environ.get("WORLD_SIZE", "1")) if started_by_torchrun() else 1
    if devices * num_nodes == 1:
        if started > 1:
            raise InputError(
                f"--devices 1: torchrun started {started} processes; give --devices and --num_nodes"
            )
        return Process(0, 1, chosen)
    from lightning.fabric import Fabric
    from lightning.fabric.strategies import DDPStrategy  # pyright: ignore[reportPrivateImportUsage]
    from lightning.fabric.utilities.exceptions import MisconfigurationException

    quiet_libraries()  # once more: the import has made Lightning talkative
    threads = torch.get_num_threads()
    try:
        fabric = Fabric(
            accelerator=chosen,
            devices=devices,
            num_nodes=num_nodes,
            strategy=DDPStrategy(process_group_backend="gloo", timeout=PATIENCE),
        )
        fabric.launch()
    except (MisconfigurationException, ValueError, RuntimeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(
            f"--devices {devices} --num_nodes {num_nodes}: {reason}; give the devices of each machine"
        ) from error
    if fabric.local_rank > 0 and not started > 1:
        end_with_parent()
    # Lightning divides the cores among the processes, and the last bits of a score would follow.
    torch.set_num_threads(threads)
    return Process(fabric.global_rank, fabric.world_size, str(fabric.device))
