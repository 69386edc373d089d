"""The report on the weights of a run: a page and a picture of every moment they raise or lower the most."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lerobot.datasets.dataset_metadata import LeRobotDatasetMetadata

from rabc.config.settings import Config
from rabc.datasets.cameras import colour_cameras
from rabc.datasets.success_labels import success_labels
from rabc.datasets.tables import FrameTable
from rabc.scoring.episode_video import camera_keys
from rabc.system.atomic import whole_folder
from rabc.weighting import schemes
from rabc.weighting.assign import FrameWeights
from rabc.weighting.caution import caution
from rabc.weighting.deltas import episode_bounds
from rabc.weighting.moments import Moment, moments
from rabc.weighting.page import PageFacts, ShownMoment, render, scheme_text
from rabc.weighting.strips import caption, captioned, moment_strip
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
    found = moments(
        made.values,
        table.episode_index,
        made.span or config.policy.chunk,
        made.progress,
        made.deltas,
        made.judged,
    )
    up, down = (_shown(config, meta, table, made, kind) for kind in (found.up, found.down))
    nothing = "no camera shows them" if found.up or found.down else "all weights are equal"
    facts = _facts(config, meta, table, made, f"None are shown: {nothing}.")
    content = render(facts, up, down)
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
    settings, chunk = config.weights, config.policy.chunk
    facts = {"dataset": str(meta.root), "scheme": settings.scheme}
    if made.progress is not None:
        facts["chunk"] = f"{chunk} ticks, {chunk / meta.fps:g} s"
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
            chunk,
            made.task[judged],
        ),
        summary=schemes.summary(made.values[made.selected]),
        fps=float(meta.fps),
        tasks=task_figures(
            made.values, table.episode_index, made.task, table.task, made.selected, float(meta.fps)
        ),
        remarks=made.remarks,
        no_moments=no_moments,
    )


def _write_pictures(folder: Path, kind: str, shown: Sequence[ShownMoment], fps: float) -> None:
    from PIL import Image

    for place, item in enumerate(shown):
        picture = captioned(item.strip, caption(item.moment, fps, item.success))
        Image.fromarray(picture).save(folder / _name(kind, place), "PNG")


def _name(kind: str, place: int) -> str:
    return f"{kind}-{place + 1:02d}.png"
