"""Labels a dataset with `scripts/score.py` in processes that are killed at random; prints the outcome.

    python killed_scoring.py DATASET LOG KILLS SEED -- arguments of scripts/score.py

Each labelling is a process of its own, forked from this one, which has imported everything: importing anew
would take most of a minute for each. Before a process is killed it labels, and is told nothing.
"""

import json
import os
import random
import runpy
import shutil
import signal
import sys
import time
from pathlib import Path

from tests.support import REPO

SCRIPT = REPO / "scripts" / "score.py"
EARLY = 5


def label(arguments: list[str], log: Path) -> int:
    """Starts a labelling; its process id."""
    pid = os.fork()
    if pid:
        return pid
    with log.open("ab") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    sys.argv = [str(SCRIPT), *arguments]
    code = 1
    try:
        runpy.run_path(str(SCRIPT), run_name="__main__")
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        os._exit(code)
    raise AssertionError


def finish(arguments: list[str], log: Path) -> None:
    _, status = os.waitpid(label(arguments, log), 0)
    assert status == 0, log.read_text()


def scores_of(root: Path) -> Path:
    """Where the scores of the dataset in `root` are kept."""
    return root.with_name("scores")


def real_lines(root: Path) -> int:
    """Whole lines of the real scores that are on disk."""
    for meta in scores_of(root).glob("*/meta.json"):
        if json.loads(meta.read_text())["variant"] == "real":
            try:
                return sum(path.read_bytes().count(b"\n") for path in meta.parent.glob("*.jsonl"))
            except FileNotFoundError:  # a part was merged and removed meanwhile
                return real_lines(root)
    return 0


def snapshot(root: Path) -> dict[str, bytes]:
    """Everything a labelling leaves, but its locks."""
    files = (path for path in scores_of(root).rglob("*") if path.is_file() and path.name != ".lock")
    return {str(path.relative_to(root.parent)): path.read_bytes() for path in files}


def main(root: Path, log: Path, wanted: int, seed: int, arguments: list[str]) -> None:
    rng = random.Random(seed)
    finish(arguments, log)  # reads and caches what the others need
    shutil.rmtree(scores_of(root))
    started = time.monotonic()
    pid = label(arguments, log)
    while not real_lines(root):
        time.sleep(0.002)
    before = time.monotonic() - started
    os.waitpid(pid, 0)
    after = time.monotonic() - started - before
    expected = snapshot(root)
    kills: list[int] = []  # lines on disk at each
    differing = rounds = 0
    while len(kills) < wanted:
        shutil.rmtree(scores_of(root))
        rounds += 1
        for _ in range(rng.randint(2, 6)):
            resumed = real_lines(root) > 0
            early = not resumed and kills.count(0) < EARLY and rng.random() < 0.3
            pid = label(arguments, log)
            if resumed:
                time.sleep(rng.uniform(0.6 * before, before + after))
            elif early:
                time.sleep(rng.uniform(0, before))
            else:
                while not real_lines(root):
                    time.sleep(0.002)
                time.sleep(rng.uniform(0, after))
            if os.waitpid(pid, os.WNOHANG)[0]:
                break  # it was faster
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            kills.append(real_lines(root))
        finish(arguments, log)
        differing += snapshot(root) != expected
    print(json.dumps({"kills": kills, "rounds": rounds, "differing": differing, "files": sorted(expected)}))


if __name__ == "__main__":
    from rabc.system.quiet import quiet_libraries

    quiet_libraries()
    import torch

    import rabc.diagnosis.dataset
    import rabc.pipeline.score  # noqa: F401

    torch.set_num_threads(1)  # threads do not survive a fork
    main(Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]), sys.argv[6:])
