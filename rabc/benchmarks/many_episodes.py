"""`rabc benchmark episodes`: what a start, a resumed training and a page take, by the number of episodes."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from rabc.benchmarks import synthetic
from rabc.benchmarks.children import Ended, run_command
from rabc.benchmarks.lines import Line, at_most
from rabc.config import cli
from rabc.config.settings import Config
from rabc.scoring.base import PrefixScores
from rabc.scoring.configured import load_scorer
from rabc.scoring.plan import plan_scoring
from rabc.scoring.schedule import prefix_ends
from rabc.scoring.store_part import EpisodeScores
from rabc.scoring.variants import Variant

START_S, TIME_RATIO, MEMORY_RATIO = 10.0, 2.0, 1.2
"""Bounds of a start of `rabc train` in which nothing has changed, seconds, and of whatever does nothing: most
episodes against fewest."""
STEPS = 3


QUICK = synthetic.Sizes(frames=45, episodes_a_video=2, episodes_a_table=3)
"""Shows that everything runs; its figures mean nothing."""

_ALL = [
    "--demonstrations.simulate", "false", "--rollouts.episodes", "0", "--policy.chunk_size", "20",
    "--policy.n_action_steps", "20", "--policy.dim_model", "32", "--policy.n_heads", "2",
    "--trainer.batch_size", "2", "--trainer.warmup_steps", "1", "--trainer.max_steps", str(STEPS),
    "--trainer.checkpoint_every", "2", "--device", "cpu",
    # Ten episodes fit: whatever the number, as much is decoded.
    "--dataset.cache_gb", "0.06", "--trainer.workers", "0",
]  # fmt: skip
_RUNS = {
    "plain": ["--weights.scheme", "none"],
    "progress file": ["--weights.scheme", "rabc", "--weights.progress_file", "progress.parquet"],
    "scored": ["--weights.scheme", "mask", "--weights.accept_poor_scorer", "true"],
}
"""What weights come from -> its settings."""


def measure(
    folder: Path, counts: Sequence[int], sizes: synthetic.Sizes, repeats: int
) -> tuple[list[Line], dict[str, Any]]:
    """Every command for each number of episodes: the lines of the table, and seconds and MB of each.

    repeats: starts with nothing to do, of which the quickest counts.
    """
    found: dict[str, dict[int, Ended]] = {}
    for count in counts:
        place = folder / str(count)
        place.mkdir()
        synthetic.make_dataset(place / "data", count, sizes)
        for what, ended in _commands(place, count, sizes.frames, repeats):
            found.setdefault(what, {})[count] = ended
            print(f"  {count} episodes, {what}: {ended.seconds:.1f} s, {ended.peak_mb:.0f} MB", flush=True)
        shutil.rmtree(place)
    facts = {
        what: {str(count): [ended.seconds, ended.peak_mb] for count, ended in some.items()}
        for what, some in found.items()
    }
    return [line for what, some in found.items() for line in _lines(what, some)], {"commands": facts}


def _commands(place: Path, episodes: int, frames: int, repeats: int) -> Iterator[tuple[str, Ended]]:
    """Runs every command where nothing was done before; yields what is measured of it."""

    def again(command: Sequence[str]) -> Ended:
        runs = [run_command(command, place) for _ in range(repeats)]
        return Ended(min(run.seconds for run in runs), max(run.peak_mb for run in runs))

    _write_progress(place / "progress.parquet", episodes, frames)
    yield "check-dataset --quick", run_command(["check-dataset", "data", "--quick"], place)
    for name, settings in _RUNS.items():
        train = ["train", "--run", name.replace(" ", "_"), "--dataset.path", "data", *_ALL, *settings]
        if name == "scored":
            _write_scores(cli.parse(_settings(train, place), None).config)
        yield f"whole run of {STEPS} steps, {name}", run_command(train, place)
        yield f"start with nothing to do, {name}", again(train)
        if name == "plain":
            yield "train --dry_run, nothing to do", again([*train, "--dry_run"])
            _forget_the_end(place / "outputs" / "plain")
            yield "training resumed before its last step", run_command(train, place)
    score = ["--dataset.path", "data", "--device", "cpu"]
    yield "score with nothing to do", again(["score", *score])
    yield "diagnosis page", run_command(["diagnose", *score], place)


def _settings(train: Sequence[str], place: Path) -> list[str]:
    """The command line of `train` as it is meant elsewhere than in `place`."""
    return [str(place / word) if word == "data" else word for word in train[1:]]


def _write_progress(path: Path, episodes: int, of_each: int) -> None:
    frames = episodes * of_each
    progress = np.tile(np.linspace(0, 1, of_each, dtype=np.float32), episodes)
    index = np.arange(frames)
    columns = {"index": index, "episode_index": index // of_each, "progress_sparse": progress}
    pq.write_table(pa.table(columns), path)


def _write_scores(config: Config) -> None:
    """Scores of every episode and of the controls as the configured scorer would leave them, without it."""
    root, scorer = Path(str(config.dataset.path)), load_scorer(config.scorer, "cpu")
    plan, rng = plan_scoring(config, root, scorer), np.random.default_rng(0)
    curves: dict[Variant, Callable[[int], Any]] = {
        "real": lambda count: np.linspace(-8, -1, count),
        "static": lambda count: np.full(count, -8.0),
        "reversed": lambda count: np.linspace(-1, -8, count),
        "wrong_instruction": lambda count: np.full(count, -9.0),
    }
    for variant, store in plan.stores.items():
        for place, camera in enumerate(store.cameras):
            with camera.part() as part:
                for episode in plan.wanted[variant]:
                    shown = store.episodes[episode][place]
                    frames = scorer.frame_indices(shown.length, float(plan.meta.fps))
                    ends = prefix_ends(frames, shown.length, config.scorer.num_prefixes)
                    true = curves[variant](len(ends)) + rng.normal(0, 0.2, len(ends))
                    scores = PrefixScores(frames[ends - 1] + 1, true, np.full(len(ends), -0.5))
                    part.append(
                        EpisodeScores(episode, shown.length, scores, shown.instruction, shown.pictures)
                    )
            camera.merge()
        store.leave()


def _forget_the_end(outputs: Path) -> None:
    """The run as it is when it is killed after its last checkpoint but one."""
    (outputs / "stages" / "training.json").unlink()
    (last,) = outputs.glob(f"training-*/checkpoints/step={STEPS}.ckpt")
    last.unlink()


def _lines(what: str, some: dict[int, Ended]) -> list[Line]:
    fewest, most = some[min(some)], some[max(some)]
    times = " / ".join(f"{ended.seconds:.1f}" for ended in some.values())
    peaks = " / ".join(f"{ended.peak_mb:.0f}" for ended in some.values())
    numbers = " / ".join(map(str, some))
    time, memory = f"{times} s with {numbers} episodes", f"{peaks} MB"
    ratio, grown = most.seconds / fewest.seconds, most.peak_mb / fewest.peak_mb
    if "nothing to do" not in what:
        return [
            Line(f"{what}, {max(some)} episodes", most.seconds, "s", detail=time),
            Line("its memory, most / fewest episodes", grown, "x", detail=memory),
        ]
    first = Line(f"{what}, {max(some)} episodes", most.seconds, "s", detail=time)
    if what.startswith("start"):
        first = at_most(first.what, most.seconds, START_S, "s", time)
    return [
        first,
        at_most("the same, most / fewest episodes", ratio, TIME_RATIO, "x"),
        at_most("its memory, most / fewest episodes", grown, MEMORY_RATIO, "x", memory),
    ]
