"""The weight of every frame of a dataset: from our scores, from others' progress, or from others' weights."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rabc.config.settings import Config, WeightsConfig
from rabc.datasets.tables import FrameTable
from rabc.datasets.tasks import frame_tasks
from rabc.scoring.asked import named
from rabc.scoring.store import ScoreStore
from rabc.system.errors import VerdictRefused
from rabc.system.home import scores_root
from rabc.system.lock import alone
from rabc.weighting import auto, schemes
from rabc.weighting.deltas import episode_bounds, judged_deltas, judged_span, median_length
from rabc.weighting.enough import check_left
from rabc.weighting.progress import calibrate, joined
from rabc.weighting.progress_file import progress_path, read_foreign, write_progress
from rabc.weighting.weights_file import read_weights


@dataclass(frozen=True)
class FrameWeights:
    """Weights and where they come from."""

    values: NDArray[np.float64]
    """(N,), mean 1 over the frames of positive weight; 0 where an episode is not selected."""
    selected: NDArray[np.bool_]
    """(N,) frames of the episodes that the run looks at."""
    task: NDArray[np.int64]
    """(N,) task of every frame, as `rabc.datasets.tasks.frame_tasks` numbers it."""
    source: Path | None
    """Parquet of the progress, or of the foreign weights; None: nothing was weighted."""
    progress: NDArray[np.float64] | None = None
    """(N,) that they were made from, NaN where it is unknown; None: they were not made from progress."""
    deltas: NDArray[np.float64] | None = None
    """(N,) progress over the frames that judge each (`rabc.weighting.deltas`), known where `progress` is."""
    span: int = 0
    """Number of those frames; 0 where there are no deltas."""
    unjudged: tuple[int, ...] = ()
    """Selected episodes of unknown progress, which have weight 1."""
    remarks: tuple[str, ...] = ()
    """What was done about progress that is not there, sentences."""

    @property
    def judged(self) -> NDArray[np.bool_]:
        """(N,) frames whose weight says something about them."""
        return self.selected if self.progress is None else ~np.isnan(self.progress)


def frame_weights(
    config: Config,
    scores: Mapping[str, Any],
    table: FrameTable,
    dataset: str,
    selected: Sequence[int] | None = None,
) -> FrameWeights:
    """The weights of the frames of a dataset.

    Episodes that nobody can judge, too short for the scorer or not in a progress file, train as they would
    without weighting: with weight 1, the mean of the others.

    Args:
        config: of the run; the section `weights` says how.
        scores: result of the scoring stage; scheme `none` does not look at it.
        table: of the whole dataset.
        dataset: its fingerprint.
        selected: episodes that the run looks at; None: all. Frames of others have weight 0.

    Raises:
        VerdictRefused: the diagnosis of the scores forbids weighting.
        InputError: a foreign file does not fit the dataset, or too little is left to learn from.
    """
    settings, episode_index = config.weights, table.episode_index
    chosen = np.ones(len(table), dtype=bool) if selected is None else np.isin(episode_index, list(selected))
    task = frame_tasks(episode_index, table.task)
    if settings.scheme == "none":
        return FrameWeights(chosen.astype(np.float64), chosen, task, None)
    if settings.weights_file:
        source = Path(settings.weights_file)
        given = np.where(chosen, read_weights(source, episode_index, dataset), 0.0)
        return FrameWeights(schemes.normalise(given), chosen, task, source)
    remarks: list[str] = []
    if settings.progress_file:
        source = Path(settings.progress_file)
        found = read_foreign(source, settings.progress_head, episode_index, dataset, chosen)
        progress = found.values
        if found.filled:
            remarks.append(
                f"weights.progress_file {source}: frames without progress: {found.filled}, in "
                f"{found.filled_in} of {len(np.unique(episode_index[chosen]))} episodes; they get what lies "
                "between their neighbours"
            )
    else:
        if settings.scheme == "auto" and is_refused(config, scores["diagnosis"]):
            said = f"the verdict on the scores is `do not weight` ({scores['diagnosis']['reasons']})"
            remark = f"auto: {said}, so that nothing is weighted: this is plain behavior cloning"
            return FrameWeights(chosen.astype(np.float64), chosen, task, None, remarks=(remark,))
        check_verdict(config, scores["diagnosis"])
        folders, now = (scores["store"], scores["static_store"]), scores_root(config.scorer.scores_folder)
        store, static = (ScoreStore.reopen(Path(folder), now) for folder in folders)
        by_episode = calibrated(settings, store, static)
        without = {*np.unique(episode_index[~chosen]).tolist(), *store.unjudged}
        progress = joined(by_episode, episode_index, store.folder, without)
        bounds = episode_bounds(episode_index)
        source = leave_progress(settings, store, by_episode, bounds[:, 1] - bounds[:, 0])
    span = judged_span(settings, config.policy.chunk, table.fps, median_length(episode_index[chosen]))
    deltas = judged_deltas(progress, episode_index, settings, span)
    judged = ~np.isnan(progress)
    values = np.where(chosen, 1.0, 0.0)
    if judged.any():
        made = schemes.by_scheme(
            deltas[judged],
            progress[judged],
            episode_index[judged],
            settings,
            span,
            task[judged],
        )
        if settings.scheme == "auto":
            remarks += _left_out(table, judged, task, progress, span)
        ends = episode_bounds(episode_index[judged])[:, 1] - 1
        remarks += check_left(settings, made, deltas[judged], progress[judged][ends])
        values[judged] = schemes.normalise_tasks(made, task[judged])
    unjudged = tuple(np.unique(episode_index[chosen & ~judged]).tolist())
    if unjudged:
        remarks.append(
            f"{len(unjudged)} of {len(np.unique(episode_index[chosen]))} episodes: not judged, trained with "
            f"weight 1 ({named(unjudged)})"
        )
    for of in schemes.tasks_apart(np.where(chosen, task, -1)):
        if chosen[of].any() and not values[of].any():
            instruction = str(table.task[int(of.argmax())])
            remarks.append(f"task {instruction!r}: every frame has weight 0, so that it is not trained")
    return FrameWeights(values, chosen, task, source, progress, deltas, span, unjudged, tuple(remarks))


def _left_out(
    table: FrameTable,
    judged: NDArray[np.bool_],
    task: NDArray[np.int64],
    progress: NDArray[np.float64],
    span: int,
) -> list[str]:
    """What scheme `auto` does, a sentence for each task."""
    said: list[str] = []
    parts = schemes.tasks_apart(np.where(judged, task, -1))
    for of in (one for one in parts if judged[one].any()):
        left = auto.leave(progress[of], table.episode_index[of], span)
        whose = "" if len(np.unique(task[judged])) == 1 else f"task {str(table.task[of.argmax()])!r}: "
        said.append(f"auto: {whose}{auto.sentence(left, span, table.fps)}")
    return said


def is_refused(config: Config, diagnosis: Mapping[str, Any]) -> bool:
    """Whether the verdict on the scores forbids weighting, and the user does not insist."""
    return diagnosis["verdict"] == "do not weight" and not config.weights.accept_poor_scorer


def check_verdict(config: Config, diagnosis: Mapping[str, Any]) -> None:
    """Raise VerdictRefused on `do not weight`, unless the user insists."""
    if is_refused(config, diagnosis):
        raise VerdictRefused(
            f"scorer {config.scorer.model}: the verdict on its scores is `do not weight` "
            f"({diagnosis['reasons']}); use another scorer, or set weights.scheme none for plain behavior "
            "cloning, or weights.accept_poor_scorer true to weight all the same"
        )


def calibrated(
    settings: WeightsConfig, store: ScoreStore, static: ScoreStore
) -> dict[int, NDArray[np.float64]]:
    """Progress (length,) of every episode, calibrated as configured.

    store, static: the scores of the episodes as they are and as still pictures.
    """
    return calibrate(
        store.read(), settings.calibration, settings.epsilon, settings.length_bias, static.read()
    )


def leave_progress(
    settings: WeightsConfig,
    store: ScoreStore,
    by_episode: Mapping[int, NDArray[np.float64]],
    lengths: NDArray[np.int64],
) -> Path:
    """Writes the progress of all episodes beside their scores, for other tools; returns the parquet.

    lengths: (E,) frames of every episode of the dataset. Nothing here reads it again.
    """
    path = progress_path(store.folder, settings.calibration, settings.length_bias)
    with alone(store.folder / ".progress.lock", f"progress {path}"):  # trainings side by side share it
        write_progress(path, by_episode, lengths, store, settings.calibration, settings.length_bias)
    return path
