"""Which trainings a comparison consists of, and the files that some of their weights come from."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rabc.comparison.arms import BASELINE, WEIGHTED, Arm, standard_arms
from rabc.config.settings import Config, WeightsConfig
from rabc.system.errors import InputError, VerdictRefused
from rabc.system.stages import Result


@dataclass(frozen=True)
class PlannedRun:
    """The training of one arm with one seed."""

    arm: Arm
    seed: int
    config: Config
    """Of the run, which `rabc train` would do the same with."""
    weights: WeightsConfig
    """Of the arm: of the run, too, but where that is the baseline's (`with_plain_shared`)."""
    made: dict[str, Result] = field(default_factory=dict[str, Result])
    """What the arm's own stages made, where the run is the baseline's."""


def comparison_folder(config: Config) -> Path:
    """Where a comparison keeps what belongs to no single run."""
    return Path("outputs") / f"{config.run}-comparison"


def planned_run(config: Config, arm: Arm, seed: int, threads: int) -> PlannedRun:
    """The run of an arm with a training seed, without rollouts: they are played for all arms in turns.

    threads: of the training; 0: all.
    """
    own = replace(
        config,
        run=f"{config.run}-{arm.name}-s{seed}",
        seed=seed,
        weights=_weights(config, arm, seed),
        trainer=replace(config.trainer, threads=threads or config.trainer.threads),
        rollouts=replace(config.rollouts, episodes=0),
    )
    return PlannedRun(arm, seed, own, own.weights)


def with_plain_shared(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """`runs`, but that those of an arm whose weights came out equal are the baseline's, of the same seed.

    They would be the same to the last bit (`rabc.training.drawn`); where weights are not made, nothing is
    known yet. Frames that are drawn by weight are drawn by other random numbers.
    """
    from rabc.pipeline import state
    from rabc.pipeline.receipt import weighed

    plain = {run.seed: run.config for run in runs if run.arm.name == BASELINE}
    equal: dict[str, dict[str, Result]] = {}
    for run in runs:  # weights are made once for all seeds
        made = state.finished(run.config)
        judged = run.arm.name != BASELINE and run.config.apply != "sampler" and "weights" in made
        if judged and not weighed(made["weights"]):
            equal.setdefault(run.arm.name, {name: made[name] for name in ("scores", "weights")})
    return [
        replace(run, config=plain[run.seed], made=equal[run.arm.name]) if run.arm.name in equal else run
        for run in runs
    ]


def distinct(runs: Sequence[PlannedRun]) -> list[PlannedRun]:
    """`runs` without those that are an earlier one's."""
    first: dict[str, PlannedRun] = {}
    for run in runs:
        first.setdefault(run.config.run, run)
    return [*first.values()]


def prepare(config: Config, arms: Sequence[Arm], training_seeds: Sequence[int]) -> None:
    """Make what all arms share (demonstrations, scores), and the weights of every arm.

    Here and one after another: trainings side by side would wait for each other's scores, and what is wrong
    with one arm's weights is found before any other has trained.

    Raises:
        InputError: weights that cannot be made, such as an oracle's where no simulator knows the progress.
        VerdictRefused: the scores of an arm are unfit for weighting.
    """
    from rabc.pipeline import main_job, state

    weighted = planned_run(config, standard_arms(config)[WEIGHTED], training_seeds[0], 0)
    results = main_job.run(weighted.config, last="weights")
    sources = {arm.made_from for arm in arms}
    if "simulator" in sources:
        write_simulator_progress(Path(results["demonstrations"]["root"]), oracle_file(config))
    if "weights" in sources:
        selected = _selected_frames(config, Path(results["demonstrations"]["root"]))
        for seed in training_seeds:
            write_shuffled(
                Path(results["weights"]["weights_file"]), shuffled_file(config, seed), seed, selected
            )
    for arm in arms:
        own = planned_run(config, arm, training_seeds[0], 0).config
        if "weights" in state.finished(own):
            continue
        print(f"weights of the arm {arm.name}:")
        try:
            main_job.run(own, last="weights")
        except (InputError, VerdictRefused) as error:
            raise type(error)(f"arm {arm.name}: {error}") from error


def oracle_file(config: Config) -> Path:
    """Parquet with the simulator's progress."""
    return comparison_folder(config) / "simulator_progress.parquet"


def shuffled_file(config: Config, seed: int) -> Path:
    """Parquet with permuted weights."""
    return comparison_folder(config) / f"shuffled-s{seed}.parquet"


def _weights(config: Config, arm: Arm, seed: int) -> WeightsConfig:
    if arm.made_from == "simulator":
        return replace(arm.weights, progress_file=str(oracle_file(config)), progress_head="sparse")
    if arm.made_from == "weights":
        return WeightsConfig(
            scheme="static",
            weights_file=str(shuffled_file(config, seed)),
            apply=replace(config, weights=arm.weights).apply,
        )
    return arm.weights


def write_simulator_progress(root: Path, path: Path) -> None:
    """Write the simulator's progress of every frame of the dataset in `root`, in LeRobot's columns."""
    from rabc.datasets.columns import write_table
    from rabc.sim.recorder import read_ground_truth

    truth = read_ground_truth(root)
    if not truth:
        raise InputError(f"dataset {root}: was not simulated, so there is no oracle; leave it out of --arms")
    progress = np.concatenate([episode.progress for episode in truth])
    lengths = [len(episode.progress) for episode in truth]
    path.parent.mkdir(parents=True, exist_ok=True)
    write_table(
        path,
        {
            "index": np.arange(len(progress)),
            "episode_index": np.repeat(np.arange(len(truth)), lengths),
            "frame_index": np.concatenate([np.arange(length) for length in lengths]),
            "progress_sparse": progress.astype(np.float32),
        },
        {"rabc.source": "simulator"},
    )


def _selected_frames(config: Config, root: Path) -> NDArray[np.bool_]:
    """(N,) which frames of the dataset in `root` are of episodes that the run looks at."""
    from rabc.datasets.metadata import load_meta
    from rabc.datasets.selection import selected_episodes
    from rabc.datasets.tables import read_frames

    meta = load_meta(root)
    return np.isin(
        read_frames(meta, []).episode_index, selected_episodes(config.dataset, int(meta.total_episodes))
    )


def write_shuffled(weights_file: Path, path: Path, seed: int, selected: NDArray[np.bool_]) -> None:
    """Write the weights of `weights_file` (N,), of `selected` frames (N,) in an order drawn from `seed`."""
    from rabc.weighting.weights_file import write_weights

    path.parent.mkdir(parents=True, exist_ok=True)
    weights: NDArray[np.float64] = np.load(weights_file)
    own = weights[selected]
    weights[selected] = own[np.random.default_rng(seed).permutation(len(own))]
    write_weights(path, weights, {"rabc.scheme": "shuffled", "rabc.seed": str(seed)})
