"""Trains in as many processes as a JSON says until memory runs out at step 2, really or as CUDA says it.

python memory_training.py WAY CONFIG DATASET FOLDER
"""

import json
import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

import torch

from rabc.config import cli
from rabc.training.data import ChunkDataModule
from rabc.training.module import WeightedPolicy
from rabc.training.run import train
from tests.support.training_runs import WEIGHTS, tiny

OF_CUDA = (
    "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB of which 1.20 "
    "GiB is free. Process 1 has 77.90 GiB memory in use. Of it 75 GiB is allocated by PyTorch."
)


def of_cuda() -> None:
    raise torch.OutOfMemoryError(OF_CUDA)


def of_the_machine() -> None:
    torch.empty(2**60, dtype=torch.uint8)


def of_numpy() -> None:
    import numpy as np

    np.empty(2**60, np.uint8)


def of_another_process() -> None:
    if os.environ.get("LOCAL_RANK", "0") == "1":
        of_cuda()


def bounded(worker: int) -> None:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as in any Python: an OSError
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))


WAYS = {one.__name__: one for one in (of_cuda, of_the_machine, of_numpy, of_another_process)}


def main(argv: Any) -> None:
    way, config, dataset, folder = argv
    settings = json.loads(Path(config).read_text())
    losses, loader = WeightedPolicy.losses, ChunkDataModule.train_dataloader

    def failing(self: WeightedPolicy, batch: dict[str, Any], step: int) -> Any:
        if step == 2 and way in WAYS:
            WAYS[way]()
        return losses(self, batch, step)

    def without_shared_memory(self: ChunkDataModule) -> Any:
        made = loader(self)
        if way == "of_loading":  # a tiny /dev/shm: its files are bounded as others are
            from tests.training import memory_training

            made.worker_init_fn = memory_training.bounded  # by its module's name, for another process
        return made

    WeightedPolicy.losses = failing
    ChunkDataModule.train_dataloader = without_shared_memory
    train(tiny(settings.pop("policy"), **settings), Path(dataset), WEIGHTS, Path(folder))


if __name__ == "__main__":
    cli.run(main, sys.argv[1:])
