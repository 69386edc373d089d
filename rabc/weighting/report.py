"""The report on the weights of a run: a page and a picture of every moment they raise or lower the most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config
from rabc.datasets.cameras import colour_cameras
from rabc.datasets.success_labels import success_labels
from rabc.datasets.tables import FrameTable
from rabc.pages.html import number
from rabc.scoring.episode_video import camera_keys
from rabc.system.atomic import whole_folder
from rabc.weighting import schemes, segments, timelines
from rabc.weighting.assign import FrameWeights
from rabc.weighting.caution import caution
from rabc.weighting.deltas import episode_bounds, frames_before, median_length
from rabc.weighting.moments import Moment, moments
from rabc.weighting.page import PageFacts, ShownMoment, render, scheme_text
from rabc.weighting.strips import caption, captioned, film_strip, moment_strip
from rabc.weighting.task_figures import task_figures

FOLDER = "weights"
"""Of the report, within the run's outputs."""


@dataclass(frozen=True)
class WeightsReport:
    """Where the report is."""

    page: Path
    up: list[Path]
    """PNG of each moment, most up-weighted first; empty where all weights are equal."""
    down: list[Path]
    """PNG of each moment, most down-weighted first."""
    caution: str | None
    """What speaks against the scheme on these data; None: nothing."""

    @property
    def files(self) -> list[Path]:
        """All of them."""
        return [self.page, *self.up, *self.down]


def write_report(
    config: Config, meta: LeRobotDatasetMetadata, table: FrameTable, made: FrameWeights, folder: Path
) -> WeightsReport:
    """Writes `index.html`, `up-01.png` ... and `down-01.png` ... into `folder`, all at once or not at all.

    meta, table: of the whole dataset; made: the weights of its frames. Raises InputError for a frame that
    cannot be decoded or a folder that cannot be written.
    """
    span = judging_span(config, made)
    found = moments(
        made.values,
        table.episode_index,
        span,
        made.progress,
        made.deltas,
        made.judged,
        before=frames_before(config.weights, span),
    )
    up, down = (_shown(config, meta, table, made, kind) for kind in (found.up, found.down))
    nothing = "no camera shows them" if found.up or found.down else "all weights are equal"
    facts = _facts(config, meta, table, made, f"None are shown: {nothing}.")
    content = render(facts, up, down, _left_out(config, meta, table, made))
    with whole_folder(folder) as partial:
        (partial / "index.html").write_text(content, encoding="utf-8")
        _write_pictures(partial, "up", up, meta.fps)
        _write_pictures(partial, "down", down, meta.fps)
    return WeightsReport(
        folder / "index.html",
        [folder / _name("up", place) for place in range(len(up))],
        [folder / _name("down", place) for place in range(len(down))],
        facts.caution,
    )


def judging_span(config: Config, made: FrameWeights) -> int:
    """Frames whose progress judges one; the policy's chunk where no progress does."""
    return made.span or config.policy.chunk


def shown_camera(config: Config, meta: LeRobotDatasetMetadata) -> str | None:
    """Key of the camera in the pictures: the scorer's first, or the dataset's where nothing is scored.

    None: the dataset has none, and weights from elsewhere do not need one.
    """
    if config.weights.foreign_file is None:
        return camera_keys(meta, config.scorer.cameras)[0]
    return next(iter(colour_cameras(meta)), None)


def _shown(
    config: Config,
    meta: LeRobotDatasetMetadata,
    table: FrameTable,
    made: FrameWeights,
    chosen: Sequence[Moment],
) -> list[ShownMoment]:
    camera = shown_camera(config, meta) if chosen else None
    if camera is None:
        return []
    labels = success_labels(meta)
    bounds = episode_bounds(table.episode_index)
    shown: list[ShownMoment] = []
    for moment in chosen:
        start, stop = bounds[moment.episode_index]
        shown.append(
            ShownMoment(
                moment=moment,
                strip=moment_strip(meta, camera, moment),
                instruction=str(table.task[start]),
                success=labels.get(moment.episode_index),
                progress=None if made.progress is None else made.progress[start:stop],
            )
        )
    return shown


def _facts(
    config: Config, meta: LeRobotDatasetMetadata, table: FrameTable, made: FrameWeights, no_moments: str
) -> PageFacts:
    settings, span = config.weights, judging_span(config, made)
    facts = {"dataset": str(meta.root), "scheme": settings.scheme}
    if made.progress is not None:
        around = " around each action" if settings.judges_actions else ""
        facts[timelines.judged_by(settings)] = f"{span} frames, {number(span / meta.fps, 1)} s{around}"
        facts["horizon"] = settings.horizon
    if made.source is None:
        pass
    elif settings.foreign_file is None:
        facts["calibration"] = settings.calibration
        facts["length bias"] = settings.length_bias
    else:
        facts["from"] = str(made.source)
    judged = made.judged
    return PageFacts(
        title=f"Sample weights of {config.run}",
        facts=facts,
        scheme=scheme_text(settings),
        caution=caution(
            settings,
            None if made.deltas is None else made.deltas[judged],
            table.episode_index[judged],
            span,
            made.task[judged],
        ),
        summary=schemes.summary(made.values[made.selected]),
        fps=float(meta.fps),
        tasks=task_figures(
            made.values, table.episode_index, made.task, table.task, made.selected, float(meta.fps)
        ),
        remarks=made.remarks,
        no_moments=no_moments,
        judged_by=timelines.judged_by(settings),
    )


def _left_out(
    config: Config, meta: LeRobotDatasetMetadata, table: FrameTable, made: FrameWeights
) -> timelines.LeftOut | None:
    """The segments of weight 0, and the episodes that have most of them; None where there are none."""
    span, fps, bounds = judging_span(config, made), float(meta.fps), episode_bounds(table.episode_index)
    usual = np.ones(len(table))
    for number_of in np.unique(made.task[made.selected]):
        of = made.task == number_of
        usual[of] = median_length(table.episode_index[of & made.selected])
    before = frames_before(config.weights, span)
    found = segments.segments(
        made.values, table.episode_index, made.selected, usual, span, before, made.progress
    )
    if not found:
        return None
    shown: list[timelines.Timeline] = []
    camera, labels = shown_camera(config, meta), success_labels(meta)
    for episode in segments.shown_episodes(found, made.task[bounds[:, 0]], timelines.EPISODES):
        start, stop = bounds[episode].tolist()
        own = [one for one in found if one.episode_index == episode]
        pictured = segments.pictured(stop - start, own, timelines.PICTURES)
        shown.append(
            timelines.Timeline(
                episode_index=episode,
                instruction=str(table.task[start]),
                success=labels.get(episode),
                length=stop - start,
                segments=own,
                progress=None if made.progress is None else made.progress[start:stop],
                pictured=pictured,
                strip=None if camera is None else film_strip(meta, camera, episode, pictured),
            )
        )
    judged = ""
    if made.progress is not None:
        what = "around a frame" if before else "from a frame on"
        judged = (
            f"The percentage of a segment is what the {number(span / fps, 1)} s {what} gain, on average over "
            "its frames; 100 % is the even pace of a demonstration of median length."
        )
    return timelines.LeftOut(
        timelines.means(config.apply),
        judged,
        timelines.reason_rows(found, int(made.selected.sum()), fps),
        shown,
        len({one.episode_index for one in found}),
    )


def _write_pictures(folder: Path, kind: str, shown: Sequence[ShownMoment], fps: float) -> None:
    from PIL import Image

    for place, item in enumerate(shown):
        picture = captioned(item.strip, caption(item.moment, fps, item.success))
        Image.fromarray(picture).save(folder / _name(kind, place), "PNG")


def _name(kind: str, place: int) -> str:
    return f"{kind}-{place + 1:02d}.png"
