"""Exports policies in processes that are killed; prints the outcome as JSON.

    python killed_export.py DATASET FOLDER

Each export is a process of its own, forked from this one, which has imported everything. It is killed before
its first operation on a file or folder, before its second, and so on; then at random moments, which also fall
into the writing of the weights; and twice while LeRobot proves the folder.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "shutil.rmtree", "os.scandir")
RANDOM_KILLS = 20
PROOF_KILLS = (0.05, 4.0)  # seconds after the other process was started


def content(folder: Path) -> str:
    """Hash of everything in a folder; empty where there is none."""
    if not folder.exists():
        return ""
    digest = hashlib.sha256()
    for path in sorted(folder.iterdir()):
        digest.update(path.name.encode() + b"\0" + hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def in_fork(work: Callable[[], object], before: Callable[[], object] = lambda: None) -> int:
    """Starts `work`, after `before`, in a process of its own; its id."""
    pid = os.fork()
    if pid:
        return pid
    code = 1
    try:
        before()
        work()
        code = 0
    finally:
        os._exit(code)
    raise AssertionError


def kill_at(operation: int) -> None:
    """Ends this process before the given operation on files, counted from 0."""
    seen = 0

    def hook(event: str, _: Any) -> None:
        nonlocal seen
        if event in OPERATIONS:
            if seen == operation:
                os.kill(os.getpid(), signal.SIGKILL)
            seen += 1

    sys.addaudithook(hook)


def main(dataset: Path, folder: Path) -> None:
    from rabc.datasets.metadata import load_meta
    from rabc.export.folder import export, lerobot_train_config, write_policy
    from rabc.export.lerobot_only import load
    from rabc.export.proof import proof_frames
    from rabc.policies.build import build_policy
    from tests.support.training_runs import tiny, with_resnet18

    meta, config = load_meta(dataset), with_resnet18(tiny())
    old, new = (build_policy(config.policy, meta).for_robot() for _ in range(2))
    record = lerobot_train_config(config, meta, old.policy)
    place = folder / "policy"
    whole = {
        "old": content(write_policy(old, place, record)),
        "new": content(write_policy(new, place, record)),
    }
    load(place)
    names = {value: name for name, value in whole.items()} | {"": "absent"}
    outcomes: list[list[str]] = []

    def fresh(there: bool) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        if there:
            write_policy(old, place, record)

    def note(there: bool) -> None:
        found = names.get(content(place), "broken")
        write_policy(old, place, record)  # the next one clears up
        left = [path.name for path in folder.iterdir() if path != place]
        outcomes.append(["replaced" if there else "new", found, *left])

    operations: list[int] = []
    for there in (False, True):
        ended, operation = False, 0
        while not ended:
            fresh(there)
            number = operation
            pid = in_fork(lambda: write_policy(new, place, record), lambda n=number: kill_at(n))
            ended = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
            note(there)
            operation += 1
        operations.append(operation)
    started = time.monotonic()
    os.waitpid(in_fork(lambda: write_policy(new, place, record)), 0)
    usual = time.monotonic() - started
    rng = random.Random(0)
    for _ in range(RANDOM_KILLS):
        fresh(True)
        pid = in_fork(lambda: write_policy(new, place, record))
        time.sleep(rng.uniform(0, usual))
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        note(True)
    frames = proof_frames(meta, new)
    proving: list[str] = []
    for wait in PROOF_KILLS:
        fresh(False)
        pid = in_fork(lambda: export(new, place, record, frames))
        children = Path(f"/proc/{pid}/task/{pid}/children")
        while not children.read_text().split():
            time.sleep(0.01)
        time.sleep(wait)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        proving.append(names.get(content(place), "broken"))
    print(json.dumps({"operations": operations, "outcomes": outcomes, "proving": proving}))


if __name__ == "__main__":
    from rabc.system.quiet import quiet_libraries

    quiet_libraries()
    import torch

    torch.set_num_threads(1)  # threads do not survive a fork
    main(Path(sys.argv[1]), Path(sys.argv[2]))
